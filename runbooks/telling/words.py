"""Times, durations, counts and places in plain words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from runbooks.case import CaseKey
from runbooks.counting import counted
from runbooks.finding import Finding, ResourceType
from runbooks.plan import Phase
from runbooks.records import Decision

_RESOURCES: dict[str, str] = {
    ResourceType.EC2_INSTANCE: "instance",
    ResourceType.ECR_IMAGE: "container image",
    ResourceType.LAMBDA_FUNCTION: "function",
}
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))

DOING = {
    Phase.CONTAIN: "Contain",
    Phase.REBUILD: "Rebuild",
    Phase.TEST: "Test",
    Phase.REMEDIATE: "Remediate",
    Phase.VERIFY: "Verify",
    Phase.RELEASE: "Release",
    Phase.DEPRECATE: "Retire",
}
"""A phase as what is about to be done."""

_DOING_TO_IMAGES = {
    Phase.CONTAIN: "Block promotion",
    Phase.TEST: "Test the rebuild",
    Phase.REMEDIATE: "Deploy the rebuild",
    Phase.RELEASE: "Allow promotion",
}
"""The same where it is about container images and other words say it better; each goes on with `of`."""

ANSWERS: dict[str, str] = {
    "approved": "approved",
    "rejected": "rejected",
    "expired": "expired without an answer",
    "invalid": "answered, but the answer was not accepted",
}

CHANNELS: dict[str, str] = {
    "prefect": "the Prefect form",
    "slack": "Slack",
    "command": "the command line",
    "plan": "the runbook or an earlier approval",
    "runbook": "the runbook, which has authorised it beforehand",
    "sweep": "the clock",
}


def day(at: datetime) -> str:
    return f"{at:%Y-%m-%d}"


def duration(span: timedelta) -> str:
    """The two largest units that are not zero: `2 d 4 h`, `4 min 12 s`, `0 s`."""
    seconds, parts = int(abs(span).total_seconds()), list[str]()
    for length, unit in _UNITS:
        number, seconds = divmod(seconds, length)
        if number:
            parts.append(f"{number} {unit}")
        elif parts:
            break
    sign = "minus " if span < timedelta(0) and parts else ""
    return sign + (" ".join(parts[:2]) or "0 s")


def listed(items: Iterable[str], most: int = 3) -> str:
    """`a`, `a and b`, `a, b and 4 more`."""
    each = list(items)
    if len(each) > most:
        return f"{', '.join(each[: most - 1])} and {len(each) - most + 1} more"
    return " and ".join(filter(None, (", ".join(each[:-1]), each[-1]))) if each else ""


def sentence(text: str) -> str:
    """With a capital first letter; what looks like the name of a thing keeps its own."""
    first = text.split(" ", 1)[0].rstrip(",:;")
    return text[:1].upper() + text[1:] if first.isalpha() and first.islower() else text


def resource_word(keys: Iterable[CaseKey]) -> str:
    """What the resources are called: instance, function, or resource where they differ."""
    kinds = {_RESOURCES.get(key.resource_type, "resource") for key in keys}
    return kinds.pop() if len(kinds) == 1 else "resource"


def doing(phase: Phase, keys: Mapping[str, CaseKey]) -> str:
    """What the phase is about to do, where it does it to these."""
    images = resource_word(keys.values()) == _RESOURCES[ResourceType.ECR_IMAGE]
    return _DOING_TO_IMAGES.get(phase, DOING[phase]) if images else DOING[phase]


def doing_to(phase: Phase, keys: Mapping[str, CaseKey], cases: Sequence[str]) -> str:
    """The same with what it does it to: `Contain i-0abc`, `Deploy the rebuild of checkout@sha256:...`."""
    what = doing(phase, keys)
    return f"{what}{'' if what == DOING[phase] else ' of'} {whereabouts(cases, keys)}"


def whereabouts(cases: Sequence[str], keys: Mapping[str, CaseKey]) -> str:
    """The resources of these cases in a phrase: one by name with account and region, many by number."""
    known = [keys[case] for case in cases if case in keys]
    if len(known) < len(cases) or not known:
        return counted(len(cases), "case") if len(cases) != 1 else cases[0]
    if len(known) == 1:
        return str(known[0])
    places = listed(sorted({f"{key.account}, {key.region}" for key in known}))
    return f"{counted(len(known), resource_word(known))} ({places})"


def case_name(case: str, keys: Mapping[str, CaseKey]) -> str:
    """The resource of one case, or the case's id where its key is not known."""
    return keys[case].name if case in keys else case


def vulnerability_names(findings: Iterable[Finding]) -> tuple[str, ...]:
    """Each vulnerability once, by its id, else by its title."""
    return tuple(dict.fromkeys(finding.vulnerability_id or finding.title for finding in findings))


def score(finding: Finding) -> float | None:
    """Inspector's score, else the highest CVSS base score."""
    return finding.inspector_score if finding.inspector_score is not None else finding.cvss_score


def worst(findings: Iterable[Finding]) -> Finding | None:
    """The finding to name first."""
    return max(findings, key=lambda each: (each.severity_rank, score(each) or 0.0), default=None)


def by_whom(decision: Decision) -> str:
    """The channel of a decision, as `through Slack`; empty where nobody was there to answer."""
    if decision.channel == "runbook":
        return "without asking: the runbook has authorised it beforehand"
    return "" if decision.channel in ("sweep", "plan") else f"through {CHANNELS[decision.channel]}"
