"""What triage found, why it matters and what follows from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from runbooks.case import CaseKey, resource_name
from runbooks.container_image import ImageFacts
from runbooks.definition import Signal
from runbooks.finding import Finding
from runbooks.function import FunctionFacts
from runbooks.function_users import users_in_words as function_users
from runbooks.image_users import users_in_words
from runbooks.instance import Exploitation
from runbooks.other_resource import OtherFacts
from runbooks.quarantine import Patchability
from runbooks.telling.escaping import code, markdown, markdown_link
from runbooks.telling.layout import blocks, bullets, section, table
from runbooks.telling.words import counted, day, listed, score, sentence, vulnerability_names
from runbooks.triage import Assessment, PackageState, Triage

SIGNALS: dict[Signal, str] = {
    Signal.COMPROMISE_SUSPECTED: "compromise of this host is suspected",
    Signal.EXPLOITED_IN_THE_WILD: "exploited in the wild",
    Signal.KNOWN_EXPLOIT: "an exploit is known",
    Signal.EXPOSED: "reachable from the internet",
}
REMEDIES: dict[str, str] = {
    "patch": "patch it in place",
    "replace": "replace it from a patched image",
    "rebuild": "rebuild it",
    "update": "update it, and bring its aliases over",
    "close": "close the way in",
    "person": "a person must remediate it",
}
_STATES: dict[str, str] = {
    "vulnerable": "vulnerable",
    "fixed": "already fixed",
    "absent": "not installed",
    "unknown": "could not be compared",
}


def decision_in_words(triage: Triage) -> str:
    """What triage decided, in one phrase."""
    match triage.decision:
        case "nothing-to-do":
            return "nothing to do"
        case "person":
            return "a person decides"
        case "respond":
            remedy = REMEDIES[triage.remediation]
            if triage.remediation == "rebuild":
                return f"block its promotion, then {remedy}" if triage.contain else remedy
            if triage.remediation == "close":
                return remedy
            return f"contain it, then {remedy}" if triage.contain else f"do not contain it, {remedy}"


def triage_markdown(
    assessments: Sequence[Assessment], keys: Mapping[str, CaseKey], *, most_details: int | None = None
) -> str:
    """Every case with its findings, packages, exposure, priority and decision; the most urgent first.

    Args:
        most_details: how many cases are told in full, where the overview of all of them is enough; None tells all.
    """
    if not assessments:
        return blocks("## Triage", "There was no case to look at.")
    ordered = sorted(assessments, key=lambda each: (each.triage.decision != "respond", each.triage.priority))
    one = len(ordered) == 1
    told = ordered[:most_details]
    more = f"{counted(len(ordered) - len(told), 'case')} more are in the overview only." if told != ordered else ""
    return blocks(
        "" if one else f"## Triage of {counted(len(ordered), 'case')}",
        "" if one else table(("Resource", "Priority", "What follows", "Vulnerability"), map(_overview, ordered)),
        *(_details(each, keys, level=2 if one else 3) for each in told),
        more,
    )


def _overview(each: Assessment) -> Sequence[str]:
    names = listed(vulnerability_names(each.facts.findings)) or "none left"
    return (markdown(_host(each)), each.triage.priority, sentence(decision_in_words(each.triage)), markdown(names))


def _details(each: Assessment, keys: Mapping[str, CaseKey], level: int) -> str:
    triage, key = each.triage, keys.get(each.case)
    where = f" in account {code(key.account)}, {code(key.region)}" if key else ""
    lead = sentence(decision_in_words(triage))
    if triage.decision == "respond":
        lead = f"{triage.priority}: {lead}"
    return blocks(
        f"{'#' * level} {markdown(_host(each))}",
        f"**{lead}.** Case {code(each.case)}{where}.",
        section("Findings", findings_table(each.facts.findings, each.facts.exploitation), level + 1),
        section("Packages", packages_table(triage.packages), level + 1),
        _reach(each, level + 1),
        section("What raises the priority", bullets(sentence(SIGNALS[each]) for each in triage.signals), level + 1),
        section("Why", bullets(markdown(reason) for reason in triage.reasons), level + 1),
        section("Can it be patched under quarantine?", bullets(_patchability(triage.patchability)), level + 1),
    ).rstrip("\n")


def findings_table(findings: Sequence[Finding], exploitation: Exploitation) -> str:
    """Each finding with what is known of its severity and of exploits, worst first."""
    worst_first = sorted(findings, key=lambda each: (-each.severity_rank, -(score(each) or 0.0)))
    header = ("Vulnerability", "Severity", "Score", "EPSS", "Exploit known", "Exploited in the wild (KEV)", "Fix")
    return table(header, (_finding(each, exploitation) for each in worst_first))


def packages_table(packages: Sequence[PackageState]) -> str:
    rows = (
        (
            code(package.name),
            code(package.installed or "not known"),
            code(package.fixed_in or "none published"),
            _STATES[package.state],
        )
        for package in packages
    )
    return table(("Package", "Installed", "Fixed in", "State"), rows)


def _finding(finding: Finding, exploitation: Exploitation) -> Sequence[str]:
    rated, epss = score(finding), finding.epss if finding.epss is not None else exploitation.epss
    known = finding.exploit_available or exploitation.exploit_available
    return (
        markdown_link(finding.vulnerability_id or finding.title, finding.source_url),
        markdown(finding.severity),
        "not scored" if rated is None else f"{rated:g}",
        "not known" if epss is None else f"{epss:.3f}",
        "yes" if known else "no",
        _kev(exploitation),
        markdown((finding.fix_available or "not said").lower()),
    )


def _kev(exploitation: Exploitation) -> str:
    if exploitation.known_exploited_since is None:
        return "not listed"
    due = f", due {day(exploitation.known_exploited_due)}" if exploitation.known_exploited_due else ""
    return f"since {day(exploitation.known_exploited_since)}{due}"


def _reach(each: Assessment, level: int) -> str:
    """How an instance can be reached, or who runs an image."""
    triage, found = each.triage, each.facts.resource
    nothing = triage.decision == "respond"
    if isinstance(found, ImageFacts):
        users = bullets(markdown(words) for words in users_in_words(found))
        return section("Who runs it", users or ("Nobody was seen to." if nothing else ""), level)
    if isinstance(found, FunctionFacts):
        invokers = bullets(markdown(words) for words in (function_users(found.function) if found.function else ()))
        return section("Who invokes it", invokers or ("Nobody was seen to." if nothing else ""), level)
    if isinstance(found, OtherFacts):
        return ""
    paths = bullets(markdown(str(path)) for path in triage.paths)
    return section("Ways in from the internet", paths or ("None was found." if nothing else ""), level)


def _patchability(patchability: Patchability | None) -> Iterator[str]:
    if patchability is not None:
        for question, check in (
            ("Can Systems Manager reach it?", patchability.control_path),
            ("Can it reach its packages?", patchability.package_source),
        ):
            yield f"{question} **{'Yes' if check.ok else 'No'}**: {markdown(check.reason)}"


def _host(each: Assessment) -> str:
    resource = each.facts.resource
    if isinstance(resource, ImageFacts):
        return resource.image.name if resource.image else _sought(each)
    if isinstance(resource, FunctionFacts):
        return resource.function.name if resource.function else _sought(each)
    if isinstance(resource, OtherFacts):
        return resource_name(resource.id)
    instance = resource.instance
    if instance is None:
        return _sought(each)
    return instance.id if instance.name == instance.id else f"{instance.name} ({instance.id})"


def _sought(each: Assessment) -> str:
    """What is gone, by the name that the findings have for it."""
    return resource_name(each.facts.findings[0].resource.id) if each.facts.findings else each.case
