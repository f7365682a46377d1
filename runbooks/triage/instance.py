"""Triage: from what was read to a priority and a decision, each with its reasons in words."""

from __future__ import annotations

from typing import Literal

from runbooks.definition import Runbook, Signal, holding, in_words
from runbooks.errors import BadInput, Refused
from runbooks.exposure import InternetPath, paths_from_internet
from runbooks.facts import CaseFacts
from runbooks.finding import Finding, FindingStatus, VulnerablePackage
from runbooks.instance import Instance, InstanceFacts
from runbooks.model import Model
from runbooks.packages import compare, is_fixed, os_managed, override_id, scheme_for
from runbooks.quarantine import Patchability, patchable_under_quarantine

PackageCondition = Literal["vulnerable", "fixed", "absent", "unknown"]
Remediation = Literal["patch", "replace", "person"]


class PackageState(Model):
    """One vulnerable package, as found on the instance."""

    name: str
    architecture: str | None
    manager: str
    installed: str | None
    fixed_in: str | None
    state: PackageCondition


class Triage(Model):
    """What triage found of one case, and what it decided."""

    case: str
    decision: Literal["respond", "nothing-to-do", "person"]
    code: str
    """Stable reason of the decision: vulnerable, instance-gone, finding-closed, already-fixed, protected, ..."""
    priority: Literal["P1", "P2", "P3", "P4"] = "P4"
    signals: tuple[Signal, ...] = ()
    contain: bool = False
    remediation: Remediation = "person"
    reasons: tuple[str, ...] = ()
    packages: tuple[PackageState, ...] = ()
    paths: tuple[InternetPath, ...] = ()
    patchability: Patchability | None = None


class Assessment(Model):
    """A case as planning takes it: what was read, and what triage made of it."""

    facts: CaseFacts
    triage: Triage

    @property
    def case(self) -> str:
        return self.facts.case

    @property
    def instance(self) -> Instance:
        """The instance that is acted upon.

        Raises:
            Refused: there is none any more.
        """
        if self.facts.resource.instance is None:
            raise Refused(f"{self.case} has no instance to act upon", code="instance-gone")
        return self.facts.resource.instance


def assess(facts: CaseFacts, runbook: Runbook) -> Assessment:
    return Assessment(facts=facts, triage=triage(facts, runbook))


def triage(facts: CaseFacts, runbook: Runbook) -> Triage:
    """Decide what the case calls for. Pure: the same facts and runbook give the same answer, with its reasons."""
    packages = package_states(facts)
    settled = _nothing_to_do(facts, runbook, packages)
    if settled is not None:
        return settled
    facts = facts.model_copy(update={"findings": _active(facts)})
    paths = paths_from_internet(facts.resource)
    signals, signal_reasons = _signals(facts, runbook, paths)
    contain = facts.contained or holding(runbook.contain.when, signals) is not None
    patchability = patchable_under_quarantine(facts.resource, runbook.contain.quarantine)
    remediation, why = _remediation(facts, runbook, packages, contain, patchability)
    priority = _priority(facts, signals)
    return Triage(
        case=facts.case,
        decision="respond",
        code="vulnerable",
        priority=priority,
        signals=signals,
        contain=contain,
        remediation=remediation,
        packages=packages,
        paths=paths,
        patchability=patchability,
        reasons=(
            *_package_reasons(packages),
            *signal_reasons,
            f"priority {priority}: {_priority_reason(facts, signals)}",
            _containment_reason(facts, runbook, signals, contain),
            why,
        ),
    )


def package_states(facts: CaseFacts) -> tuple[PackageState, ...]:
    """Each vulnerable package of the active findings against what is installed, each once, at its highest fix."""
    states: dict[tuple[str, str], PackageState] = {}
    for package in (each for finding in _active(facts) for each in finding.packages):
        state = PackageState(
            name=package.name,
            architecture=_architecture(package, facts.resource),
            manager=package.manager,
            installed=facts.resource.inventory.version_of(package.name) if facts.resource.inventory else None,
            fixed_in=package.fixed_in,
            state=_condition(package, facts.resource),
        )
        known = states.get((package.name, package.manager))
        if known is None or _asks_more(state, known, facts.resource):
            states[package.name, package.manager] = state
    return tuple(states.values())


def _active(facts: CaseFacts) -> tuple[Finding, ...]:
    """The findings that call for something: closed and accepted ones do not, as long as another is active."""
    return tuple(each for each in facts.findings if each.status == FindingStatus.ACTIVE) or facts.findings


def _asks_more(state: PackageState, known: PackageState, resource: InstanceFacts) -> bool:
    """Whether of two findings on one package this one wants the later version, or one that is not published yet."""
    if "fixed" in (state.state, known.state):
        return state.state != "fixed"
    if known.fixed_in is None or state.fixed_in is None:
        return known.fixed_in is not None
    scheme = scheme_for(resource.platform, state.manager)
    try:
        return scheme is not None and compare(state.fixed_in, known.fixed_in, scheme) > 0
    except BadInput:
        return False


def _architecture(package: VulnerablePackage, resource: InstanceFacts) -> str | None:
    """What the instance's own inventory says, else what Inspector says (it has been seen to say ALL for any)."""
    installed = resource.inventory.packages if resource.inventory else ()
    return next((each.architecture for each in installed if each.name == package.name), None) or package.arch


def _condition(package: VulnerablePackage, resource: InstanceFacts) -> PackageCondition:
    if resource.inventory is None or not os_managed(package):
        return "unknown"
    installed = resource.inventory.version_of(package.name)
    if installed is None:
        return "absent"
    if package.fixed_in is None:
        return "vulnerable"
    scheme = scheme_for(resource.platform, package.manager)
    if scheme is None:
        return "unknown"
    try:
        return "fixed" if is_fixed(installed, package.fixed_in, scheme) else "vulnerable"
    except BadInput:
        return "unknown"


def _nothing_to_do(facts: CaseFacts, runbook: Runbook, packages: tuple[PackageState, ...]) -> Triage | None:
    instance = facts.resource.instance

    def ends(code: str, reason: str, decision: Literal["nothing-to-do", "person"] = "nothing-to-do") -> Triage:
        return Triage(case=facts.case, decision=decision, code=code, reasons=(reason,), packages=packages)

    if not facts.findings:
        return ends(
            "finding-gone", "Inspector no longer has the finding: it was deleted after its resource or its closure"
        )
    if instance is None or instance.state in ("terminated", "shutting-down"):
        return ends(
            "instance-gone", "the instance is gone: nothing is left to contain or patch (and nothing was fixed)"
        )
    if all(finding.status == FindingStatus.CLOSED for finding in facts.findings):
        return ends("finding-closed", "Inspector has closed the finding since it was sent")
    if all(finding.status != FindingStatus.ACTIVE for finding in facts.findings):
        return ends("finding-suppressed", "a suppression rule covers the finding: its owner accepted it")
    if packages and all(package.state == "fixed" for package in packages):
        have = ", ".join(f"{package.name} {package.installed}" for package in packages)
        return ends("already-fixed", f"the installed version is already at or after the fix: {have}")
    for key, value in runbook.limits.protected_tags.items():
        if instance.tags.get(key) == value:
            return ends(
                "protected", f"the instance carries the protected tag {key}={value}: a person decides", "person"
            )
    return None


def _signals(
    facts: CaseFacts, runbook: Runbook, paths: tuple[InternetPath, ...]
) -> tuple[tuple[Signal, ...], tuple[str, ...]]:
    found: dict[Signal, str] = {}
    exploitation = facts.exploitation
    told = (exploitation.epss, *(finding.epss for finding in facts.findings))
    epss = max((each for each in told if each is not None), default=None)
    if exploitation.known_exploited_since is not None:
        since = exploitation.known_exploited_since.date().isoformat()
        found[Signal.EXPLOITED_IN_THE_WILD] = f"exploited in the wild: in CISA's KEV catalogue since {since}"
    if exploitation.exploit_available or any(finding.exploit_available for finding in facts.findings):
        found[Signal.KNOWN_EXPLOIT] = "an exploit is publicly known"
    elif epss is not None and epss >= runbook.thresholds.epss:
        found[Signal.KNOWN_EXPLOIT] = f"EPSS {epss:.3f} is at or above the runbook's {runbook.thresholds.epss:g}"
    if paths:
        found[Signal.EXPOSED] = _exposed_words(paths)
    if facts.suspected:
        found[Signal.COMPROMISE_SUSPECTED] = f"compromise of this host is suspected: {facts.suspected}"
    absent = [] if paths else ["no path from the internet reaches the instance"]
    if Signal.KNOWN_EXPLOIT not in found and Signal.EXPLOITED_IN_THE_WILD not in found:
        absent.append("no exploit is known" + (f" (EPSS {epss:.3f})" if epss is not None else ""))
    return tuple(found), (*found.values(), *absent)


def _exposed_words(paths: tuple[InternetPath, ...]) -> str:
    first, *others = paths
    return f"exposed to the internet: {first}" + (f" (and {len(others)} more)" if others else "")


def _priority(facts: CaseFacts, signals: tuple[Signal, ...]) -> Literal["P1", "P2", "P3", "P4"]:
    exploited = {Signal.EXPLOITED_IN_THE_WILD, Signal.KNOWN_EXPLOIT} & set(signals)
    if Signal.COMPROMISE_SUSPECTED in signals or (exploited and Signal.EXPOSED in signals):
        return "P1"
    severe = any(finding.severity in ("HIGH", "CRITICAL") for finding in facts.findings)
    if exploited or (severe and Signal.EXPOSED in signals):
        return "P2"
    return "P3" if severe else "P4"


def _priority_reason(facts: CaseFacts, signals: tuple[Signal, ...]) -> str:
    worst = max(facts.findings, key=_weight)
    score = worst.inspector_score if worst.inspector_score is not None else worst.cvss_score
    named = ", ".join(signal.words for signal in signals) or "neither exploited nor exposed"
    scored = f", score {score:g}" if score is not None else ""
    return f"severity {worst.severity}{scored}, {named}"


def _weight(finding: Finding) -> tuple[int, float]:
    return finding.severity_rank, finding.inspector_score or finding.cvss_score or 0.0


def _containment_reason(facts: CaseFacts, runbook: Runbook, signals: tuple[Signal, ...], contain: bool) -> str:
    if facts.contained:
        return "it is contained already: what reached it before is cut off, and that it is not exposed now says nothing"
    if contain:
        chosen = holding(runbook.contain.when, signals) or ()
        return f"contain first: {runbook.name} contains what is {in_words(chosen)}"
    if not runbook.contain.when:
        return f"no containment: {runbook.name} never contains"
    return f"no containment: none of the conditions of {runbook.name} holds"


def _remediation(
    facts: CaseFacts,
    runbook: Runbook,
    packages: tuple[PackageState, ...],
    contain: bool,
    patchability: Patchability,
) -> tuple[Remediation, str]:
    """Patch, replace, or hand to a person, and why."""
    replaceable = facts.resource.replacement_image is not None
    obstacle = _patch_obstacle(facts.resource, packages, contain, patchability)
    strategy = runbook.remediate.strategy
    if strategy == "replace" or (strategy == "patch-else-replace" and obstacle):
        why = "the runbook prefers it" if strategy == "replace" else obstacle
        if replaceable:
            return "replace", f"replace from {facts.resource.replacement_image}: {why}"
        return "person", f"a person must remediate: {why}, and no patched AMI is known to replace it from"
    if obstacle:
        return "person", f"a person must remediate: {obstacle}, and the runbook only patches"
    fixes = ", ".join(f"{package.name} to {package.fixed_in}" for package in packages if package.state != "fixed")
    return "patch", f"patch in place through Systems Manager: {fixes}"


def _patch_obstacle(
    resource: InstanceFacts, packages: tuple[PackageState, ...], contain: bool, patchability: Patchability
) -> str | None:
    foreign = [f"{package.name} ({package.manager})" for package in packages if package.manager != "OS"]
    if foreign:
        return f"the operating system's package manager does not manage {', '.join(foreign)}"
    open_ones = [package for package in packages if package.state != "fixed"]
    if any(package.fixed_in is None for package in open_ones):
        return "no fixed version of the package is published"
    if unnamed := [package.name for package in open_ones if package_id(package, resource.platform) is None]:
        return f"Patch Manager cannot be told exactly which package to update: {', '.join(unnamed)}"
    if resource.node is None or resource.node.ping_status != "Online":
        return patchability.control_path.reason
    if contain and not patchability.ok:
        blocked = patchability.package_source if patchability.control_path.ok else patchability.control_path
        return f"patching cannot work under quarantine: {blocked.reason}"
    return None


def package_id(package: PackageState, platform: str) -> str | None:
    """The package as a list of packages to patch names it, `name.architecture`; None where that is not known."""
    scheme = scheme_for(platform, package.manager)
    named = VulnerablePackage(name=package.name, version="", arch=package.architecture, manager=package.manager)
    return override_id(named, scheme) if scheme else None


def _package_reasons(packages: tuple[PackageState, ...]) -> tuple[str, ...]:
    words = {
        "vulnerable": "{name} {installed} is installed, fixed in {fixed_in}",
        "fixed": "{name} {installed} is installed, at or after the fix {fixed_in}",
        "absent": "{name} is not in the instance's inventory",
        "unknown": "{name}: what is installed could not be compared with the fix ({fixed_in})",
    }
    return tuple(words[package.state].format(**package.model_dump()) for package in packages)
