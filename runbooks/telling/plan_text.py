"""A plan as its approver reads it, and what sets one plan apart from the one before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runbooks.case import CaseKey
from runbooks.plan import ApprovalRule, Phase, Plan
from runbooks.steps import AnyStep, LaunchReplacement, PatchPackages, WriteOverrideList
from runbooks.telling.escaping import code, fitted, markdown
from runbooks.telling.layout import blocks, bullets, fence, section, table
from runbooks.telling.words import DOING, counted, listed, sentence, whereabouts

STEP_HEADER = ("#", "What is done", "Call and target", "Expects to find", "How it is put back")
_NOT_COVERED = ("What this does not cover", "What stays as it is")
_VALUE_LIMIT = 400


def plan_title(plan: Plan, keys: Mapping[str, CaseKey]) -> str:
    """`Contain i-0abc (account, region)`: what the plan does to what, unescaped."""
    return f"{DOING[plan.phase]} {whereabouts(plan.cases, keys)}"


def plan_markdown(plan: Plan, *, keys: Mapping[str, CaseKey], most_steps: int | None = None) -> str:
    """The whole plan, for the approval form and as an artifact.

    Args:
        keys: case id -> where the case is.
        most_steps: for a form, which is narrow and cannot hold hundreds: so many steps, one below the other instead
            of in a table; what is left out is counted by kind. None shows every step.
    """
    narrow = most_steps is not None
    return blocks(
        f"## {markdown(plan_title(plan, keys))}",
        f"**{_lead(plan)}**",
        section("Why", bullets(_items(plan.reasons))),
        section("What will be done", _steps(plan, most_steps)),
        section("To what", _cases(plan, keys, narrow)),
        section(_NOT_COVERED[plan.phase is Phase.RELEASE], bullets(_items(plan.not_covered))),
        section("What cannot be put back", bullets(_items(plan.cannot_be_put_back))),
        section("When it is fixed", _after_the_fix(plan)),
        section("What is written", "\n\n".join(_contents(plan))),
        section("The plan itself", _identity(plan, narrow)),
    )


def step_in_words(step: AnyStep) -> str:
    """The step with everything of it that its own description leaves out, unescaped."""
    return f"{step.describe()}{_details(step)}"


def undo_in_words(step: AnyStep) -> str:
    """How a step is put back, or why not, unescaped."""
    if step.undoes:
        return "This step itself puts back what an earlier one changed"
    undo = step.undo
    return undo.describe() if undo is not None else f"Not put back: {step.undo_reason}"


def plan_difference(old: Plan, new: Plan) -> str:
    """What the new plan does otherwise than the old one. Every difference of what is approved is in it."""
    parts = (
        section("Cases", bullets(_cases_changed(old, new)), level=4),
        section("Steps", bullets(_steps_changed(old, new)), level=4),
        section("Reasons", bullets(_texts_changed(old.reasons, new.reasons)), level=4),
        section("Not covered", bullets(_texts_changed(old.not_covered, new.not_covered)), level=4),
        section("Cannot be put back", bullets(_texts_changed(old.cannot_be_put_back, new.cannot_be_put_back)), level=4),
        section("Terms", bullets(_terms_changed(old, new)), level=4),
    )
    title = f"### What changed since revision {old.revision}"
    if not any(parts):
        same = "is the same plan" if old.digest == new.digest else "does the same; only its number is new"
        return blocks(title, f"Nothing: revision {new.revision} {same}.")
    return blocks(title, f"Old plan {code(old.digest)}, new plan {code(new.digest)}.", *parts)


def _items(texts: Sequence[str]) -> Iterator[str]:
    yield from (markdown(text) for text in texts)


def _lead(plan: Plan) -> str:
    if not plan.steps:
        return "Nothing will be changed: the plan has no steps."
    steps = counted(len(plan.steps), "step")
    put_back = sum(1 for step in plan.steps if step.undo is not None)
    if plan.phase is Phase.VERIFY:
        return f"{steps}. Nothing is changed: AWS is asked to look again."
    if all(step.undoes for step in plan.steps):
        return f"{steps}, which put back what was there before. Nothing else will be done."
    return f"{steps}, exactly as listed below, and nothing else. {put_back} of {len(plan.steps)} can be put back."


def _steps(plan: Plan, most: int | None) -> str:
    shown = plan.steps if most is None else plan.steps[:most]
    one_place = len({(step.target.account, step.target.region) for step in plan.steps}) == 1
    rows = [_row(number, step, one_place) for number, step in enumerate(shown, start=1)]
    left_out = [step.kind.replace("-", " ") for step in plan.steps[len(shown) :]]
    kinds = [f"{left_out.count(kind)} x {kind}" for kind in dict.fromkeys(left_out)]
    note = f"Not shown here: {', '.join(kinds)}. They are part of what is approved." if kinds else ""
    steps = table(STEP_HEADER, rows) if most is None else "\n".join(map(_item, rows))
    return "\n\n".join(filter(None, (steps, note)))


def _row(number: int, step: AnyStep, one_place: bool) -> Sequence[str]:
    target = f"{markdown(step.target.type)} {code(step.target.id)}"
    where = "" if one_place else f" in {markdown(step.target.account)}, {markdown(step.target.region)}"
    calls = ", ".join(code(call) for call in step.calls)
    return (
        str(number),
        markdown(step_in_words(step)),
        f"{calls} on {target}{where}",
        markdown(sentence(step.expectation())),
        markdown(undo_in_words(step)),
    )


def _item(row: Sequence[str]) -> str:
    number, what, *rest = row
    indent = " " * (len(number) + 2)
    facts = (f"{indent}- {name}: {text}" for name, text in zip(STEP_HEADER[2:], rest, strict=True))
    return "\n".join((f"{number}. **{what}**", *facts))


def _details(step: AnyStep) -> str:
    match step:
        case PatchPackages() if len(step.instances) > 1:
            return f": {', '.join(step.instances)}"
        case LaunchReplacement():
            tags = ", ".join(f"{name}={value}" for name, value in step.tags.items()) or "none"
            profile = step.profile or "none"
            return f"; security groups {', '.join(step.groups) or 'none'}; instance profile {profile}; tags {tags}"
        case _:
            return ""


def _cases(plan: Plan, keys: Mapping[str, CaseKey], narrow: bool) -> str:
    rows = [
        (code(key.resource_id), code(key.account), code(key.region), code(case))
        if (key := keys.get(case))
        else ("not known", "not known", "not known", code(case))
        for case in plan.cases
    ]
    return bullets(map(", ".join, rows)) if narrow else table(("Resource", "Account", "Region", "Case"), rows)


def _after_the_fix(plan: Plan) -> str:
    if plan.phase is not Phase.CONTAIN:
        return ""
    if plan.releases_when_fixed:
        return (
            "**It is released by itself**, without asking again, once the fix is proven. "
            "Approving this plan approves that release too."
        )
    return "It stays contained until a person releases it, even when the fix is proven."


def _contents(plan: Plan) -> Iterator[str]:
    for step in plan.steps:
        if isinstance(step, WriteOverrideList):
            yield f"{code(f's3://{step.bucket}/{step.object_key}')}\n\n{fence(step.content, 'yaml')}"


def _identity(plan: Plan, narrow: bool) -> str:
    digests = ("Plan digest", plan.digest), ("Runbook digest", plan.runbook_digest)
    facts = [
        f"Phase: {plan.phase.value}, revision {plan.revision}",
        f"Runbook: {code(plan.runbook)}",
        f"Response: {code(plan.response)}",
        f"Approval: {_approval(plan.approval)}",
        *(f"{name}: {_digest(digest, narrow)}" for name, digest in digests),
    ]
    if plan.previous:
        facts.append(f"Takes the place of plan: {code(plan.previous)}")
    return bullets(facts)


def _digest(digest: str, narrow: bool) -> str:
    """In a form in two halves: what is wider than the form is cut off there."""
    half = len(digest) // 2
    return f"{code(digest[:half])} {code(digest[half:])}" if narrow else code(digest)


def _approval(rule: ApprovalRule) -> str:
    if rule.covered_by:
        return f"covered by the approved plan {code(rule.covered_by)}"
    if not rule.required:
        return "none is asked for"
    who = f"by {listed(map(code, rule.approvers), most=10)}" if rule.approvers else "by anyone who can answer the form"
    return f"{who}; it lapses unless the first change is made within {rule.expires_minutes} min of the question"


def _cases_changed(old: Plan, new: Plan) -> Iterator[str]:
    yield from (f"joined: {code(case)}" for case in new.cases if case not in old.cases)
    yield from (f"left: {code(case)}" for case in old.cases if case not in new.cases)


def _steps_changed(old: Plan, new: Plan) -> Iterator[str]:
    before, after = ({step.key: step for step in plan.steps} for plan in (old, new))
    yield from (f"no longer: {markdown(step_in_words(step))}" for key, step in before.items() if key not in after)
    yield from (f"new: {markdown(step_in_words(step))}" for key, step in after.items() if key not in before)
    for key, step in after.items():
        if key in before and before[key] != step:
            changed = "; ".join(_values_changed(before[key], step))
            yield f"otherwise: {markdown(step_in_words(step))} ({changed})"
    stay = [key for key in before if key in after]
    if stay != [key for key in after if key in before]:
        yield "the steps that stay come in another order"


def _values_changed(old: AnyStep, new: AnyStep) -> Iterator[str]:
    before, after = old.model_dump(mode="json"), new.model_dump(mode="json")
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield f"{name.replace('_', ' ')}: {_value(before.get(name))} becomes {_value(after.get(name))}"


def _value(value: Any) -> str:
    return fitted(str(value), _VALUE_LIMIT, code)


def _texts_changed(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    yield from (f"no longer: {markdown(text)}" for text in old if text not in new)
    yield from (f"new: {markdown(text)}" for text in new if text not in old)


def _terms_changed(old: Plan, new: Plan) -> Iterator[str]:
    if old.approval != new.approval:
        yield f"approval: {_approval(old.approval)}; becomes: {_approval(new.approval)}"
    if old.releases_when_fixed != new.releases_when_fixed:
        yield "released by itself when fixed: " + ("now yes" if new.releases_when_fixed else "no longer")
    for name, before, after in (
        ("phase", old.phase.value, new.phase.value),
        ("response", old.response, new.response),
        ("runbook", old.runbook, new.runbook),
        ("runbook digest", old.runbook_digest, new.runbook_digest),
    ):
        if before != after:
            yield f"{name}: {code(before)} becomes {code(after)}"
