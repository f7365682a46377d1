"""What sets one plan apart from the one it takes the place of. Every difference of what is approved is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from runbooks.plan import Extent, Plan
from runbooks.steps import AnyStep
from runbooks.telling.escaping import code, fitted, markdown, plain
from runbooks.telling.layout import blocks, bullets, section
from runbooks.telling.plan_words import approval_words, services_in_words, shares, step_in_words

_VALUE_LIMIT = 400


@dataclass(frozen=True)
class _Writing:
    """How the words of this system, and the values they are about, are written."""

    words: Callable[[str], str]
    value: Callable[[str], str]


_MARKDOWN = _Writing(markdown, code)
_PLAIN = _Writing(plain, plain)


def plan_difference(old: Plan, new: Plan) -> str:
    """What the new plan does otherwise than the old one, as markdown."""
    title = f"### What changed since revision {old.revision}"
    parts = [section(name, bullets(items), level=4) for name, items in _changes(old, new, _MARKDOWN)]
    if not any(parts):
        same = "is the same plan" if old.digest == new.digest else "does the same; only its number is new"
        return blocks(title, f"Nothing: revision {new.revision} {same}.")
    return blocks(title, f"Old plan {code(old.digest)}, new plan {code(new.digest)}.", *parts)


def difference_lines(old: Plan, new: Plan) -> tuple[str, ...]:
    """The same, plain, each line with what it is about: `Steps: no longer: ...`. Empty where nothing differs."""
    return tuple(f"{name}: {item}" for name, items in _changes(old, new, _PLAIN) for item in items)


def _changes(old: Plan, new: Plan, writing: _Writing) -> Iterator[tuple[str, list[str]]]:
    yield "Cases", list(_cases_changed(old, new, writing))
    yield "Steps", list(_steps_changed(old, new, writing))
    yield "Waves", list(_waves_changed(old, new, writing))
    yield "Reasons", list(_texts_changed(old.reasons, new.reasons, writing))
    yield "Not covered", list(_texts_changed(old.not_covered, new.not_covered, writing))
    yield "Cannot be put back", list(_texts_changed(old.cannot_be_put_back, new.cannot_be_put_back, writing))
    yield "Blast radius", list(_texts_changed(_extents(old), _extents(new), writing))
    yield "Windows", list(_texts_changed(_windows(old), _windows(new), writing))
    yield "Approval", list(_texts_changed(tuple(approval_words(old)), tuple(approval_words(new)), writing))
    yield "Terms", list(_terms_changed(old, new, writing))


def _cases_changed(old: Plan, new: Plan, writing: _Writing) -> Iterator[str]:
    yield from (f"joined: {writing.value(case)}" for case in new.cases if case not in old.cases)
    yield from (f"left: {writing.value(case)}" for case in old.cases if case not in new.cases)
    yield from (f"asked about later: {writing.value(case)}" for case in new.deferred if case not in old.deferred)
    yield from (f"no longer put off: {writing.value(case)}" for case in old.deferred if case not in new.deferred)


def _steps_changed(old: Plan, new: Plan, writing: _Writing) -> Iterator[str]:
    before, after = ({step.key: step for step in plan.steps} for plan in (old, new))
    yield from (f"no longer: {writing.words(step_in_words(before[key]))}" for key in before if key not in after)
    yield from (f"new: {writing.words(step_in_words(after[key]))}" for key in after if key not in before)
    for key, step in after.items():
        if key in before and before[key] != step:
            changed = "; ".join(_values_changed(before[key], step, writing))
            yield f"otherwise: {writing.words(step_in_words(step))} ({changed})"
    stay = [key for key in before if key in after]
    if stay != [key for key in after if key in before]:
        yield "the steps that stay come in another order"


def _waves_changed(old: Plan, new: Plan, writing: _Writing) -> Iterator[str]:
    before, after = (
        {case: str(number) for number, wave in enumerate(plan.waves, 1) for case in wave} for plan in (old, new)
    )
    for case in dict.fromkeys((*before, *after)):
        if before.get(case) != after.get(case):
            yield f"{writing.value(case)}: wave {before.get(case, 'none')} becomes {after.get(case, 'none')}"


def _values_changed(old: AnyStep, new: AnyStep, writing: _Writing) -> Iterator[str]:
    before, after = old.model_dump(mode="json"), new.model_dump(mode="json")
    for name in sorted(before.keys() | after.keys()):
        was, becomes = before.get(name), after.get(name)
        if was != becomes:
            yield f"{name.replace('_', ' ')}: {_value(was, writing)} becomes {_value(becomes, writing)}"


def _value(value: Any, writing: _Writing) -> str:
    return fitted(str(value), _VALUE_LIMIT, writing.value)


def _texts_changed(old: Sequence[str], new: Sequence[str], writing: _Writing) -> Iterator[str]:
    yield from (f"no longer: {writing.words(text)}" for text in old if text not in new)
    yield from (f"new: {writing.words(text)}" for text in new if text not in old)


def _extents(plan: Plan) -> tuple[str, ...]:
    return tuple(f"{extent.case} in {extent.place}: {_shares(extent)}" for extent in plan.extents)


def _shares(extent: Extent) -> str:
    parts = (f"1 of {'?' if size is None else size} {what}s of {name}" for what, name, size in shares(extent))
    return ", ".join((*parts, *services_in_words(extent))) or "of no service"


def _windows(plan: Plan) -> tuple[str, ...]:
    return tuple(map(str, plan.windows))


def _terms_changed(old: Plan, new: Plan, writing: _Writing) -> Iterator[str]:
    if old.releases_when_fixed != new.releases_when_fixed:
        yield "released by itself when fixed: " + ("now yes" if new.releases_when_fixed else "no longer")
    for name, before, after in _named(old, new):
        if before != after:
            yield f"{name}: {writing.value(before or 'none')} becomes {writing.value(after or 'none')}"


def _named(old: Plan, new: Plan) -> Iterable[tuple[str, str, str]]:
    return (
        ("phase", old.phase.value, new.phase.value),
        ("response", old.response, new.response),
        ("runbook", old.runbook, new.runbook),
        ("runbook digest", old.runbook_digest, new.runbook_digest),
        ("program", old.code, new.code),
    )
