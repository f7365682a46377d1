"""Triage of an instance: patch it, replace it, or hand it to a person, and whether to contain it first."""

from __future__ import annotations

from functools import partial

from runbooks.definition import Runbook, Signal, holding, in_words, protected_by
from runbooks.errors import BadInput
from runbooks.exposure import InternetPath, paths_from_internet
from runbooks.facts import CaseFacts
from runbooks.finding import VulnerablePackage
from runbooks.instance import InstanceFacts
from runbooks.packages import compare, is_fixed, os_managed, override_id, scheme_for
from runbooks.quarantine import Patchability, patchable_under_quarantine
from runbooks.triage.assessment import PackageCondition, PackageState, Remediation, Triage
from runbooks.triage.signals import active, answered, ends, priority, signals


def triage_instance(facts: CaseFacts, runbook: Runbook) -> Triage:
    """Decide what the case calls for. Pure: the same facts and runbook give the same answer, with its reasons."""
    packages = package_states(facts)
    settled = _nothing_to_do(facts, runbook, packages)
    if settled is not None:
        return settled
    facts = facts.model_copy(update={"findings": active(facts)})
    paths = paths_from_internet(facts.host)
    found, why_found = signals(facts, runbook, _exposed_words(paths), "no path from the internet reaches the instance")
    contain = facts.contained or holding(runbook.contain.when, found) is not None
    patchability = patchable_under_quarantine(facts.host, runbook.contain.quarantine)
    remediation, why = _remediation(facts, runbook, packages, contain, patchability)
    level, why_urgent = priority(facts, found)
    return Triage(
        case=facts.case,
        decision="respond",
        code="vulnerable",
        priority=level,
        signals=found,
        contain=contain,
        remediation=remediation,
        packages=packages,
        paths=paths,
        patchability=patchability,
        reasons=(
            *_package_reasons(packages),
            *why_found,
            why_urgent,
            _containment_reason(facts, runbook, found, contain),
            why,
        ),
    )


def package_states(facts: CaseFacts) -> tuple[PackageState, ...]:
    """Each vulnerable package of the active findings against what is installed, each once, at its highest fix."""
    states: dict[tuple[str, str], PackageState] = {}
    for package in (each for finding in active(facts) for each in finding.packages):
        state = PackageState(
            name=package.name,
            architecture=_architecture(package, facts.host),
            manager=package.manager,
            installed=facts.host.inventory.version_of(package.name) if facts.host.inventory else None,
            fixed_in=package.fixed_in,
            state=_condition(package, facts.host),
        )
        known = states.get((package.name, package.manager))
        if known is None or _asks_more(state, known, facts.host):
            states[package.name, package.manager] = state
    return tuple(states.values())


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
    instance, without = facts.host.instance, answered(facts)
    end = partial(ends, facts, packages=packages)
    if without is not None and without[0] == "finding-gone":
        return end(*without)
    if instance is None or instance.state in ("terminated", "shutting-down"):
        return end("instance-gone", "the instance is gone: nothing is left to contain or patch (and nothing was fixed)")
    if without is not None:
        return end(*without)
    if packages and all(package.state == "fixed" for package in packages):
        have = ", ".join(f"{package.name} {package.installed}" for package in packages)
        return end("already-fixed", f"the installed version is already at or after the fix: {have}")
    if (mark := protected_by(instance.tags, runbook.limits.protected_tags)) is not None:
        return end("protected", f"the instance carries the protected tag {mark}: a person decides", "person")
    return None


def _exposed_words(paths: tuple[InternetPath, ...]) -> str | None:
    if not paths:
        return None
    first, *others = paths
    return str(first) + (f" (and {len(others)} more)" if others else "")


def _containment_reason(facts: CaseFacts, runbook: Runbook, found: tuple[Signal, ...], contain: bool) -> str:
    if facts.contained:
        return "it is contained already: what reached it before is cut off, and that it is not exposed now says nothing"
    if contain:
        chosen = holding(runbook.contain.when, found) or ()
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
    replaceable = facts.host.replacement_image is not None
    obstacle = _patch_obstacle(facts.host, packages, contain, patchability)
    strategy = runbook.remediate.strategy
    if strategy == "replace" or (strategy == "patch-else-replace" and obstacle):
        why = "the runbook prefers it" if strategy == "replace" else obstacle
        if replaceable:
            return "replace", f"replace from {facts.host.replacement_image}: {why}"
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
