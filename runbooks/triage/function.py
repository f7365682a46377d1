"""Triage of a Lambda function: a newer layer version, another runtime, its image or code rebuilt, or a person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from runbooks.definition import Runbook, Signal, holding, in_words, protected_by
from runbooks.facts import CaseFacts
from runbooks.finding import Finding, VulnerablePackage
from runbooks.function import LATEST, FunctionFacts, LambdaFunction, short_layer
from runbooks.function_choices import alarm_names, package_project_name
from runbooks.function_users import not_open, openings, users_in_words
from runbooks.packages import full_version, without_epoch_zero
from runbooks.triage.assessment import Origin, PackageState, Remediation, Triage
from runbooks.triage.signals import active, answered, ends, priority, signals

_OF_THE_RUNTIME = ("/var/runtime/", "/var/lang/")
"""Where Lambda has a runtime and its libraries (Lambda developer guide, "Building a custom runtime")."""
_KINDS: dict[Origin, str] = {
    "layer": "came with a layer",
    "runtime": "came with the runtime",
    "own": "is in its own code",
    "base": "came with the base image",
}
_BOUND = {
    "signature": "its code is signed, and what the build makes is not",
    "key": "its code is encrypted with a key of its owner's, and what takes its place would not be",
}


def triage_function(facts: CaseFacts, runbook: Runbook) -> Triage:
    """Decide what the case calls for. Pure: the same facts and runbook give the same answer, with its reasons."""
    packages = function_packages(facts)
    settled = _nothing_to_do(facts, runbook, packages)
    function = facts.function_facts.function
    if settled is not None or function is None:
        return settled or ends(facts, "function-gone", "the function is gone", packages=packages)
    facts = facts.model_copy(update={"findings": active(facts)})
    found, why_found = signals(facts, runbook, "; ".join(openings(function)) or None, not_open(function))
    level, why_urgent = priority(facts, found)
    contain, why_contained = _containment(facts, runbook, function, found)
    remediation, why = _remediation(facts, runbook, function, packages)
    return Triage(
        case=facts.case,
        decision="respond",
        code="vulnerable",
        priority=level,
        signals=found,
        contain=contain,
        remediation=remediation,
        packages=packages,
        reasons=(
            *_package_reasons(facts, packages),
            *_about(facts.function_facts, function),
            *why_found,
            why_urgent,
            why_contained,
            why,
        ),
    )


def function_packages(facts: CaseFacts) -> tuple[PackageState, ...]:
    """Each vulnerable package of the active findings once for each of its fixes. What Inspector says is in $LATEST."""
    states: dict[tuple[str, str, str | None], PackageState] = {}
    for package in (each for finding in active(facts) for each in finding.packages):
        states[package.name, package.manager, package.fixed_in] = PackageState(
            name=package.name,
            architecture=package.arch,
            manager=package.manager,
            installed=full_version(package),
            fixed_in=without_epoch_zero(package.fixed_in),
            state="vulnerable",
            origin=_origin(package),
        )
    return tuple(states.values())


def vulnerable_layers(facts: CaseFacts) -> dict[str, tuple[str, ...]]:
    """Layer version -> the names of its vulnerable packages, as Inspector tells."""
    found: dict[str, dict[str, None]] = {}
    for package in (each for finding in active(facts) for each in finding.packages):
        if layer := _layer_of(package):
            found.setdefault(layer, {})[package.name] = None
    return {layer: tuple(names) for layer, names in found.items()}


def own_packages(packages: Iterable[PackageState]) -> tuple[PackageState, ...]:
    """Those that only a build of the function's own code exchanges."""
    return tuple(each for each in packages if each.origin == "own")


def _layer_of(package: VulnerablePackage) -> str | None:
    """VulnerablePackage, sourceLambdaLayerArn (Inspector API reference)."""
    layer = package.extra.get("sourceLambdaLayerArn")
    return layer if isinstance(layer, str) and layer else None


def _origin(package: VulnerablePackage) -> Origin:
    if _layer_of(package):
        return "layer"
    path = package.file_path or ""
    return "runtime" if f"/{path.lstrip('/')}".startswith(_OF_THE_RUNTIME) else "own"


def _nothing_to_do(facts: CaseFacts, runbook: Runbook, packages: tuple[PackageState, ...]) -> Triage | None:
    function, without = facts.function_facts.function, answered(facts)
    end = partial(ends, facts, packages=packages)
    if without is not None and without[0] == "finding-gone":
        return end(*without)
    if function is None:
        reason = "the function is gone: nothing is left to contain or update (and nothing was fixed)"
        return end("function-gone", reason)
    if without is not None:
        old = [f"alias {each.name}" for each in function.aliases if _serves_another(function, each.name)]
        if without[0] == "finding-closed" and old:
            what = ", ".join(old)
            reason = f"{without[1]}, and it scans {LATEST} alone: {what} serves something else, which nobody scans"
            return end("alias-not-scanned", f"{reason}: a person decides", "person")
        return end(*without)
    if (mark := protected_by(function.tags, runbook.limits.protected_tags)) is not None:
        reason = f"function {function.name} carries the protected tag {mark}: a person decides"
        return end("protected", reason, "person")
    return None


def _serves_another(function: LambdaFunction, alias: str) -> bool:
    served = next(each.serves for each in function.aliases if each.name == alias)
    return any(each.version != LATEST and each.content != function.content for each in served)


def _containment(
    facts: CaseFacts, runbook: Runbook, function: LambdaFunction, found: tuple[Signal, ...]
) -> tuple[bool, str]:
    """Whether it is kept from being called, and why."""
    choice = runbook.function
    if facts.contained:
        return True, "it is contained already: that it is not open now is this system's doing"
    chosen = holding(runbook.contain.when, found)
    if chosen is None:
        never = not runbook.contain.when
        why = f"{runbook.name} never contains" if never else f"none of the conditions of {runbook.name} holds"
        return False, f"no containment: {why}"
    open_url = any(each.auth_type == "NONE" for each in function.urls)
    if not choice.stop and not (choice.require_iam and open_url):
        return False, f"no containment: {runbook.name} does not stop a function, and no URL of it is open to all"
    return True, f"contain first: {runbook.name} contains what is {in_words(chosen)}"


def _remediation(
    facts: CaseFacts, runbook: Runbook, function: LambdaFunction, packages: tuple[PackageState, ...]
) -> tuple[Remediation, str]:
    """Update it, or hand it to a person, and why."""
    if (obstacle := next(_obstacles(facts, runbook, function, packages), None)) is not None:
        return "person", f"a person must remediate: {obstacle}"
    if function.package_type == "Image":
        return "update", f"rebuild its image with what is fixed, and publish a version with it: {_fixes(packages)}"
    newer, project = facts.function_facts.newer_layers, facts.function_facts.package_project
    changes = [f"layer {short_layer(newer[layer])}" for layer in vulnerable_layers(facts)]
    if any(each.origin == "runtime" for each in packages):
        changes.append(f"runtime {runbook.function.runtimes[str(function.content.runtime)]}")
    ways = [f"give it {' and '.join(changes)}"] if changes else []
    if (own := own_packages(packages)) and project is not None:
        ways.insert(0, f"rebuild its own code by {project.name}, with {_fixes(own)}")
    return "update", f"{', '.join(ways)}, and publish a version with it"


def _fixes(packages: Iterable[PackageState]) -> str:
    return ", ".join(f"{each.name} to {each.fixed_in}" if each.fixed_in else each.name for each in packages)


def _obstacles(
    facts: CaseFacts, runbook: Runbook, function: LambdaFunction, packages: tuple[PackageState, ...]
) -> Iterator[str]:
    """What stands in the way, the first thing first."""
    read = facts.function_facts
    if not packages:
        yield "no finding names the package that is vulnerable"
    if unfixed := tuple(_without_fix(facts.findings)):
        yield f"no fixed version is published of {', '.join(unfixed)}"
    if function.busy:
        yield "the function is being changed at this moment"
    yield from _of_the_package_type(read, runbook, function, packages)
    yield from _of_the_layers(vulnerable_layers(facts), read, function)
    yield from _of_the_aliases(function)
    if runbook.deploy.without_alarms == "person" and not read.alarms:
        wanted = ", ".join(alarm_names(runbook.deploy.alarms, function.name)) or "none is named"
        yield f"no alarm watches it ({wanted}), and so nothing would lead back"


def _of_the_package_type(
    read: FunctionFacts, runbook: Runbook, function: LambdaFunction, packages: tuple[PackageState, ...]
) -> Iterator[str]:
    if function.package_type == "Image":
        if function.image is None:
            yield "which image it runs could not be read"
        elif read.project is None:
            yield f"there is no build project for its image {function.image.partition('@')[0]}"
        return
    if own := own_packages(packages):
        yield from _of_its_own_code(read, runbook, function, ", ".join(each.name for each in own))
    runtime = function.content.runtime
    if any(each.origin == "runtime" for each in packages) and runtime not in runbook.function.runtimes:
        yield f"runtime {runtime} has it, and {runbook.name} names no runtime to put in its place"


def _of_its_own_code(read: FunctionFacts, runbook: Runbook, function: LambdaFunction, names: str) -> Iterator[str]:
    project, owner = read.package_project, "which its owner has to build and deploy"
    if project is None:
        wanted = package_project_name(runbook.rebuild.package_project, function.name)
        yield f"{names} is in its own code, {owner}: there is no build project {wanted}"
    elif project.bucket is None:
        yield f"{names} is in its own code, {owner}: build project {project.name} leaves no artifact in S3"
    elif function.bound_by is not None:
        yield f"{names} is in its own code, {owner}: {_BOUND[function.bound_by]}"


def _of_the_layers(
    layers: Mapping[str, tuple[str, ...]], read: FunctionFacts, function: LambdaFunction
) -> Iterator[str]:
    for layer, names in layers.items():
        what = f"layer {short_layer(layer)}, which has {', '.join(names)}"
        if layer not in function.content.layers:
            yield f"{what}, is not in {LATEST} any more: Inspector has not scanned the function since"
        elif layer in read.unread_layers:
            yield f"{what}, is of another account: whether it has a newer version may not be read"
        elif layer not in read.newer_layers:
            yield f"{what}, has no newer version for {function.content.runtime}: its owner has to publish one"


def _of_the_aliases(function: LambdaFunction) -> Iterator[str]:
    """A version holds all of $LATEST: what else is there would go live with the fix."""
    for alias in function.aliases:
        if alias.weights:
            yield f"alias {alias.name} is being shifted already, to version {', '.join(alias.weights)}"
        elif alias.serves[0].differs:
            what = ", ".join(alias.serves[0].differs)
            yield (
                f"alias {alias.name} serves version {alias.version}, and {LATEST} differs from it in more than the "
                f"fix ({what}), which would go live as well"
            )


def _without_fix(findings: tuple[Finding, ...]) -> Iterator[str]:
    """Of a finding that says PARTIAL a package without a version has none; YES may leave the version out."""
    names = {
        package.name: None
        for finding in findings
        for package in finding.packages
        if package.fixed_in is None and finding.fix_available != "YES"
    }
    yield from names


def _package_reasons(facts: CaseFacts, packages: tuple[PackageState, ...]) -> Iterator[str]:
    layers = vulnerable_layers(facts)
    for each in packages:
        fixed = f"fixed in {each.fixed_in}" if each.fixed_in else "and no version is named that fixes it"
        of = [short_layer(layer) for layer, names in layers.items() if each.name in names]
        came = f"came with layer {', '.join(of)}" if of else _KINDS[each.origin or "own"]
        yield f"{each.name} {each.installed} ({each.manager}) {came}, {fixed}"


def _about(read: FunctionFacts, function: LambdaFunction) -> Iterator[str]:
    """Its runtime, who invokes it, and what its aliases serve."""
    runtime, since = function.content.runtime, read.deprecated_since
    if runtime is None:
        yield "it runs a container image"
    elif since is not None:
        yield f"its runtime {runtime} is deprecated since {since.isoformat()}: AWS patches it no more"
    else:
        yield f"its runtime is {runtime}"
    users = ", ".join(users_in_words(function))
    yield f"it is invoked by {users}" if users else "nobody was seen who invokes it"
    for alias in function.aliases:
        shares = "".join(f", and version {version} for {share:.0%}" for version, share in alias.weights.items())
        yield f"alias {alias.name} serves version {alias.version}{shares}"
    if function.reserved_concurrency == 0:
        yield "its concurrency reservation is 0: it is not called at all"
