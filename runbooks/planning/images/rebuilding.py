"""The rebuild plan: one build that takes the place of every image of the response."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from runbooks.build_terms import build_variables, new_tag, workflow_of
from runbooks.container_image import BaseImage, short_digest
from runbooks.definition import Runbook
from runbooks.errors import BadInput, Refused
from runbooks.packages import compare, scheme_for
from runbooks.plan import Phase, Plan
from runbooks.planning.extents import extent_of
from runbooks.planning.images.chosen import Chosen, to_rebuild
from runbooks.steps import ImageBuild, PatchImage, RebuildByWorkflow, RebuildImage
from runbooks.triage import Assessment, PackageState
from runbooks.triage.image import platform_of


def plan_rebuild(response: str, runbook: Runbook, assessments: Sequence[Assessment], *, revision: int = 1) -> Plan:
    """The build of the patched image, under a tag of its own.

    Raises:
        LimitExceeded: the plan is about more than the runbook's limits allow.
        Refused: there is nothing that this system can rebuild.
    """
    chosen = to_rebuild(runbook, assessments)
    cases = [each.assessment for each in chosen]
    # One build for all: it takes nothing away from anybody, so the limits do not count it.
    touched = tuple(extent_of(runbook, each) for each in cases)
    return Plan(
        response=response,
        runbook=runbook.name,
        runbook_digest=runbook.digest,
        phase=Phase.REBUILD,
        revision=revision,
        cases=tuple(each.case for each in chosen),
        steps=(_build(response, runbook, chosen, revision),),
        reasons=tuple(dict.fromkeys(each.triage.reasons[-1] for each in cases)),
        not_covered=tuple(_not_covered(runbook, chosen)),
        approval=runbook.rebuild.approval.rule([each.environment for each in touched]),
        extents=touched,
    )


def _build(response: str, runbook: Runbook, chosen: Sequence[Chosen], revision: int) -> ImageBuild:
    """The runbook's builder makes it; triage has looked whether that is there."""
    newest, rebuild = _newest(chosen), runbook.rebuild
    image, repository = newest.image, newest.repository
    tag = new_tag(image.reachable_by, [each.image.digest for each in chosen], response, revision)
    made: dict[str, Any] = {
        "target": newest.target("image", f"{repository.name}:{tag}"),
        "cases": tuple(each.case for each in chosen),
        "repository": repository.name,
        "tag": tag,
    }
    if rebuild.patch_in_place:
        patched = f"{repository.uri}@{image.digest}"
        return PatchImage(**made, image=patched, timeout_minutes=rebuild.timeout_minutes)
    made["variables"] = build_variables(
        rebuild.variables,
        base=image.base.patched if image.base else None,
        packages=packages_to_update(chosen),
        repository=repository.name,
        tag=tag,
    )
    if rebuild.workflow is not None:
        return RebuildByWorkflow(**made, workflow=str(workflow_of(rebuild.workflow, repository.name)))
    project = newest.assessment.facts.image_facts.project
    if project is None:
        raise Refused(f"there is no build project for {repository.name}: a person has to build it", code="person")
    return RebuildImage(**made, project=project)


def packages_to_update(chosen: Sequence[Chosen]) -> tuple[str, ...]:
    """`name=version` of every package, sorted; of two versions the later, and both where their order is not known."""
    fixes: dict[str, list[str]] = {}
    for each in chosen:
        platform = platform_of(each.assessment.facts)
        for package in each.assessment.triage.packages:
            wanted = fixes.setdefault(package.name, [])
            wanted[:] = _latest(wanted, package, platform)
    return tuple(f"{name}={version}" if version else name for name in sorted(fixes) for version in fixes[name] or [""])


def _latest(known: Sequence[str], package: PackageState, platform: str) -> list[str]:
    fix = package.fixed_in
    if fix is None or fix in known:
        return list(known)
    scheme = scheme_for(platform, package.manager)
    if scheme is None or len(known) != 1:
        return [*known, fix]
    try:
        return [fix] if compare(fix, known[0], scheme) > 0 else list(known)
    except BadInput:
        return [*known, fix]


def _newest(chosen: Sequence[Chosen]) -> Chosen:
    """What the sources make now is closest to what was pushed last: it decides the base, and lends the tag its name."""
    return max(chosen, key=lambda each: (each.image.pushed_at is not None, each.image.pushed_at, each.image.digest))


def _not_covered(runbook: Runbook, chosen: Sequence[Chosen]) -> Iterator[str]:
    yield from _of_patching(chosen) if runbook.rebuild.patch_in_place else _of_building(chosen)


def _of_building(chosen: Sequence[Chosen]) -> Iterator[str]:
    base = _newest(chosen).image.base
    if base is None:
        yield (
            "the image does not say which base image it was built from (org.opencontainers.image.base.name): the build "
            "is not told of a newer one"
        )
    elif not base.is_outdated:
        yield _no_newer(base)
    others = {each.image.base.name for each in chosen if each.image.base} - ({base.name} if base else set())
    for name in sorted(others):
        yield f"an older image of this response was built from {name}: the build is told of the newest one's base alone"
    yield "the build takes the sources as they are now: what else has changed in them since comes with it"


def _of_patching(chosen: Sequence[Chosen]) -> Iterator[str]:
    yield "copa brings every package of the operating system up to date, and not only those that are vulnerable"
    yield "the sources, and the base image, stay as they are: the next build has what is vulnerable again"
    if len(chosen) > 1:
        newest = short_digest(_newest(chosen).image.digest)
        yield f"{newest}, which was pushed last, is patched, and takes the place of the older ones too"


def _no_newer(base: BaseImage) -> str:
    if base.newest is None:
        return f"whether there is a newer {base.name} could not be read: the build is not told of one"
    return (
        f"{base.name} has no newer image than {short_digest(base.newest)}: the packages have to be updated in the build"
    )
