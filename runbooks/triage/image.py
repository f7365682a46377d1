"""Triage of a container image: rebuild it on a patched base or with a patched dependency, or hand it to a person."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Literal

from runbooks.build_terms import project_name
from runbooks.container_image import BaseImage, ContainerImage, ImageFacts, short_digest
from runbooks.definition import Runbook, Signal, holding, in_words, protected_by
from runbooks.errors import BadInput
from runbooks.facts import CaseFacts
from runbooks.finding import Finding, VulnerablePackage
from runbooks.image_users import out_of_sight, users_in_words
from runbooks.packages import compare, full_version, scheme_for, without_epoch_zero
from runbooks.triage.assessment import Decided, PackageState, Remediation, Triage
from runbooks.triage.signals import active, answered, ends, priority, signals


def triage_image(facts: CaseFacts, runbook: Runbook) -> Triage:
    """Decide what the case calls for. Pure: the same facts and runbook give the same answer, with its reasons."""
    packages = image_packages(facts)
    settled = _nothing_to_do(facts, runbook, packages)
    if settled is not None:
        return settled
    facts = facts.model_copy(update={"findings": active(facts)})
    # No path is looked for from the internet to whoever runs an image: that says nothing either way.
    found, why_found = signals(facts, runbook, None, _who_runs_it(facts.image_facts))
    level, why_urgent = priority(facts, found)
    contain, why_contained = _containment(facts, runbook, found)
    remediation, why = _remediation(facts, runbook, packages)
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
            *_package_reasons(packages),
            *_blame(facts.image_facts.image.base if facts.image_facts.image else None, packages),
            *why_found,
            why_urgent,
            why_contained,
            why,
        ),
    )


def platform_of(facts: CaseFacts) -> str:
    """Inspector's platform of the image, such as DEBIAN_12; empty where no finding says."""
    for finding in facts.findings:
        details = finding.resource.details.get("awsEcrContainerImage")
        platform = details.get("platform") if isinstance(details, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        if isinstance(platform, str) and platform:
            return platform
    return ""


def image_packages(facts: CaseFacts) -> tuple[PackageState, ...]:
    """Each vulnerable package of the active findings once, at its highest fix. What Inspector says is in the image."""
    image, platform = facts.image_facts.image, platform_of(facts)
    layers = image.base.layers if image and image.base else ()
    states: dict[tuple[str, str], PackageState] = {}
    for finding in active(facts):
        for package in finding.packages:
            state = PackageState(
                name=package.name,
                architecture=package.arch,
                manager=package.manager,
                installed=full_version(package),
                fixed_in=without_epoch_zero(package.fixed_in),
                state="vulnerable",
                origin=_origin(package, layers),
            )
            known = states.get((package.name, package.manager))
            if known is None or _asks_more(state, known, platform):
                states[package.name, package.manager] = state
    return tuple(states.values())


def _origin(package: VulnerablePackage, layers: tuple[str, ...]) -> Literal["base", "own"] | None:
    """By the layer that Inspector found it in, where the base image's layers are known."""
    layer = package.extra.get("sourceLayerHash")
    if not layers or not isinstance(layer, str):
        return None
    return "base" if layer in layers else "own"


def _asks_more(state: PackageState, known: PackageState, platform: str) -> bool:
    """Whether of two findings on one package this one wants the later version, or one that is not published yet."""
    if known.fixed_in is None or state.fixed_in is None:
        return known.fixed_in is not None
    scheme = scheme_for(platform, state.manager)
    try:
        return scheme is not None and compare(state.fixed_in, known.fixed_in, scheme) > 0
    except BadInput:
        return False


def _nothing_to_do(facts: CaseFacts, runbook: Runbook, packages: tuple[PackageState, ...]) -> Triage | None:
    image, repository, without = facts.image_facts.image, facts.image_facts.repository, answered(facts)
    end = partial(ends, facts, packages=packages)
    if without is not None and without[0] == "finding-gone":
        return end(*without)
    if (gone := _out_of_reach(facts.image_facts)) is not None:
        return end(*gone)
    if without is not None:
        return end(*without)
    if image is not None and _nobody_comes_by(image, facts.image_facts):
        return end(
            "not-in-use",
            "nobody runs the image and no tag names it, so that nobody comes by it: a lifecycle policy is what retires "
            "it (and nothing was fixed)",
        )
    if repository is None:
        return end("unreadable", "its repository could not be read: a person decides", "person")
    if (mark := protected_by(repository.tags, runbook.limits.protected_tags)) is not None:
        reason = f"repository {repository.name} carries the protected tag {mark}: a person decides"
        return end("protected", reason, "person")
    return None


def _nobody_comes_by(image: ContainerImage, facts: ImageFacts) -> bool:
    return not (image.reachable_by or facts.running or facts.may_be_used_in)


def _out_of_reach(facts: ImageFacts) -> tuple[str, str, Decided] | None:
    """Code, reason and decision for an image that is gone or archived: closed findings, and nothing fixed."""
    if facts.image is not None and not facts.image.archived:
        return None
    code, what = ("image-gone", "is gone") if facts.image is None else ("image-archived", "is archived")
    if facts.running:
        users = ", ".join(users_in_words(facts))
        return (
            code,
            f"the image {what}, and is still run by {users}, which could not start again: a person decides",
            "person",
        )
    return (
        code,
        f"the image {what} and nobody runs it: nothing is left to rebuild (and nothing was fixed)",
        "nothing-to-do",
    )


def _who_runs_it(facts: ImageFacts) -> str:
    users = ", ".join(users_in_words(facts))
    said = (f"it is run by {users}",) if users else ("nobody was seen to run it", *_by_tag(facts.image))
    return "; ".join((*said, *out_of_sight(facts.may_be_used_in)))


def _by_tag(image: ContainerImage | None) -> Iterator[str]:
    if image is not None and image.reachable_by:
        which = "its tag" if image.tags else f"{', '.join(image.index_tags)}, the tag of an index that lists it,"
        yield f"by {which} it can be pulled at any time"


def _containment(facts: CaseFacts, runbook: Runbook, found: tuple[Signal, ...]) -> tuple[bool, str]:
    """Whether promotion is blocked, by more than the gate, and why."""
    block = runbook.contain.block
    if facts.contained:
        return True, "its promotion is blocked already"
    chosen = holding(runbook.contain.when, found)
    if chosen is None:
        never = not runbook.contain.when
        why = f"{runbook.name} never blocks it" if never else f"none of the conditions of {runbook.name} holds"
        return False, f"promotion is blocked by the gate alone: {why}"
    if not block.stages and not block.deny_pulls:
        return False, f"promotion is blocked by the gate alone: {runbook.name} names no stage, and denies no pulls"
    return True, f"block its promotion first: {runbook.name} does so with what is {in_words(chosen)}"


def _remediation(facts: CaseFacts, runbook: Runbook, packages: tuple[PackageState, ...]) -> tuple[Remediation, str]:
    """Rebuild, or hand to a person, and why."""
    if unfixed := tuple(_without_fix(facts.findings)):
        return "person", f"a person must remediate: no fixed version is published of {', '.join(unfixed)}"
    if (obstacle := _obstacle(facts.image_facts, runbook, packages)) is not None:
        return "person", f"a person must remediate: {obstacle}"
    if not packages:
        return "person", "a person must remediate: no finding names the package that is vulnerable"
    base = facts.image_facts.image.base if facts.image_facts.image else None
    fixes = ", ".join(f"{each.name} to {each.fixed_in}" if each.fixed_in else each.name for each in packages)
    if runbook.rebuild.patch_in_place:
        return "rebuild", f"patch it in place: {fixes}"
    if base is not None and base.newest is not None and base.is_outdated:
        return "rebuild", f"rebuild it on {base.name} as it is now ({short_digest(base.newest)}): {fixes}"
    return "rebuild", f"rebuild it with what is fixed: {fixes}"


def _obstacle(facts: ImageFacts, runbook: Runbook, packages: tuple[PackageState, ...]) -> str | None:
    """What keeps the runbook's builder from making the patched image."""
    rebuild, repository = runbook.rebuild, facts.repository.name if facts.repository else ""
    if rebuild.project is not None and facts.project is None:
        return f"there is no build project {project_name(rebuild.project, repository)}"
    dependencies = ", ".join(each.name for each in packages if each.manager != "OS")
    if rebuild.patch_in_place and dependencies:
        return f"copa patches packages of the operating system alone, and {dependencies} is none"
    return facts.cannot_build


def _without_fix(findings: tuple[Finding, ...]) -> Iterator[str]:
    """Of a finding that says PARTIAL a package without a version has none; YES may leave the version out."""
    names = {
        package.name: None
        for finding in findings
        for package in finding.packages
        if package.fixed_in is None and finding.fix_available != "YES"
    }
    yield from names


_KINDS = {"base": "came with the base image", "own": "was added to the base image"}


def _package_reasons(packages: tuple[PackageState, ...]) -> Iterator[str]:
    for each in packages:
        kind = "an operating system package" if each.manager == "OS" else f"a dependency ({each.manager})"
        came = f", which {_KINDS[each.origin]}" if each.origin else ""
        fixed = f"fixed in {each.fixed_in}" if each.fixed_in else "and no version is named that fixes it"
        yield f"{each.name} {each.installed} is in the image, {fixed}: {kind}{came}"


def _blame(base: BaseImage | None, packages: tuple[PackageState, ...]) -> Iterator[str]:
    """Whether the base image is to blame, and whether there is a newer one."""
    if base is None:
        yield "whether a base image is to blame cannot be told: the image does not say what it was built from"
        return
    blamed = [each.name for each in packages if each.origin == "base"]
    if not blamed and all(each.origin is not None for each in packages):
        yield f"its base {base.name} is not to blame: what is vulnerable was added to it"
    elif not blamed:
        yield f"whether its base {base.name} is to blame cannot be told: which layers came with it is not known"
    elif base.newest is None:
        yield f"its base {base.name} is to blame for {', '.join(blamed)}; whether there is a newer one is not known"
    elif base.is_outdated:
        built_on = short_digest(base.digest) if base.digest else "an earlier one"
        yield (
            f"its base {base.name} is to blame for {', '.join(blamed)}: it was built on {built_on}, and now there is "
            f"{short_digest(base.newest)}"
        )
    else:
        yield f"its base {base.name} is to blame for {', '.join(blamed)}, and there is no newer one yet"
