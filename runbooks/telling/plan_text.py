"""A plan as its approver reads it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from runbooks.case import CaseKey
from runbooks.plan import Phase, Plan
from runbooks.steps import (
    AnyStep,
    DeployByCodeDeploy,
    DeployService,
    PutLifecyclePolicy,
    SetRepositoryPolicy,
    WriteOverrideList,
)
from runbooks.telling.difference import plan_difference
from runbooks.telling.escaping import code, markdown
from runbooks.telling.layout import blocks, bullets, fence, section, table
from runbooks.telling.plan_words import (
    approval_words,
    blast_radius,
    put_back_whole,
    step_in_words,
    undo_in_words,
    window_words,
)
from runbooks.telling.wave_words import planned_waves
from runbooks.telling.words import counted, doing_to, listed, sentence

STEP_HEADER = ("#", "What is done", "Call and target", "Expects to find", "How it is put back")
_NOT_COVERED = ("What this does not cover", "What stays as it is")


def plan_title(plan: Plan, keys: Mapping[str, CaseKey]) -> str:
    """`Contain i-0abc (account, region)`: what the plan does to what, unescaped."""
    return doing_to(plan.phase, keys, plan.cases)


def plan_markdown(
    plan: Plan,
    *,
    keys: Mapping[str, CaseKey],
    most_steps: int | None = None,
    previous: Plan | None = None,
    now: datetime | None = None,
) -> str:
    """The whole plan, for the approval form and as an artifact.

    Args:
        keys: case id -> where the case is.
        most_steps: for a form, which is narrow and cannot hold hundreds: so many steps, one below the other instead
            of in a table; what is left out is counted by kind. None shows every step.
        previous: the plan whose place it takes; what has changed since is shown first. One of another phase, which
            this one merely follows, is not compared.
        now: says when the next change window opens.
    """
    narrow = most_steps is not None
    return blocks(
        f"## {markdown(plan_title(plan, keys))}",
        f"**{_lead(plan)}**",
        plan_difference(previous, plan) if previous is not None and previous.phase is plan.phase else "",
        section("Why", bullets(_items(plan.reasons))),
        section("What will be done", _steps(plan, most_steps)),
        section("To what", _cases(plan, keys, narrow)),
        section("What is asked about next", bullets(_items(_deferred(plan)))),
        section("In which order", bullets(_items(planned_waves(plan)))),
        section("How much of what there is", bullets(_items(blast_radius(plan)))),
        section(_NOT_COVERED[plan.phase is Phase.RELEASE], bullets(_items(plan.not_covered))),
        section("What cannot be put back", bullets(_items(plan.cannot_be_put_back))),
        section("When it is fixed", _after_the_fix(plan)),
        section("What is written", "\n\n".join(_contents(plan))),
        section("When", bullets(_items(window_words(plan, now)))),
        section("Who may approve", bullets(_items(approval_words(plan)))),
        section("The plan itself", _identity(plan, narrow)),
    )


def _deferred(plan: Plan) -> Iterator[str]:
    if plan.deferred:
        more = counted(len(plan.deferred), "more case")
        yield f"{more}, when this plan has ended: together they are more than the limits let begin"
        yield listed(plan.deferred, most=20)


def _items(texts: Iterable[str]) -> Iterator[str]:
    yield from (markdown(text) for text in texts)


def _lead(plan: Plan) -> str:
    if not plan.steps:
        return "Nothing will be changed: the plan has no steps."
    steps = counted(len(plan.steps), "step")
    if plan.phase is Phase.TEST:
        return f"{steps}. Nothing that runs is changed."
    if plan.phase is Phase.VERIFY:
        return f"{steps}. Nothing is changed: AWS is asked to look again."
    if all(step.undoes for step in plan.steps):
        return f"{steps}, which put back what was there before. Nothing else will be done."
    put_back = put_back_whole(plan)
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


def _cases(plan: Plan, keys: Mapping[str, CaseKey], narrow: bool) -> str:
    rows = [
        (code(key.resource_id), code(key.account), code(key.region), code(case))
        if (key := keys.get(case))
        else ("not known", "not known", "not known", code(case))
        for case in plan.cases
    ]
    header: tuple[str, ...] = ("Resource", "Account", "Region", "Case")
    if plan.waves:
        number = {case: f"wave {place}" for place, wave in enumerate(plan.waves, start=1) for case in wave}
        rows = [(*row, number.get(case, "no wave")) for row, case in zip(rows, plan.cases, strict=True)]
        header = (*header, "Wave")
    return bullets(map(", ".join, rows)) if narrow else table(header, rows)


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
        match step:
            case WriteOverrideList():
                yield f"{code(f's3://{step.bucket}/{step.object_key}')}\n\n{fence(step.content, 'yaml')}"
            case SetRepositoryPolicy(leaves=str() as text) | PutLifecyclePolicy(leaves=str() as text):
                what = "lifecycle policy" if isinstance(step, PutLifecyclePolicy) else "policy"
                yield f"The {what} of repository {code(step.repository)}\n\n{fence(text, 'json')}"
            case DeployService() if step.configuration:
                text = json.dumps(step.configuration, indent=2)
                yield f"How service {code(step.service)} is deployed\n\n{fence(text, 'json')}"
            case DeployByCodeDeploy():
                text = json.dumps({"properties": step.properties, "hooks": step.hooks}, indent=2)
                yield f"What CodeDeploy does besides deploying to service {code(step.service)}\n\n{fence(text, 'json')}"
            case _:
                pass


def _identity(plan: Plan, narrow: bool) -> str:
    digests = ("Plan digest", plan.digest), ("Runbook digest", plan.runbook_digest), ("Program digest", plan.code)
    facts = [
        f"Phase: {plan.phase.value}, revision {plan.revision}",
        f"Runbook: {code(plan.runbook)}",
        f"Response: {code(plan.response)}",
        *(f"{name}: {_digest(digest, narrow)}" for name, digest in digests if digest),
    ]
    if plan.previous:
        facts.append(f"Takes the place of plan: {code(plan.previous)}")
    return bullets(facts)


def _digest(digest: str, narrow: bool) -> str:
    """In a form in two halves: what is wider than the form is cut off there."""
    half = len(digest) // 2
    return f"{code(digest[:half])} {code(digest[half:])}" if narrow else code(digest)
