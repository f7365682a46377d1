"""The rebuild plan of functions: of those that run a container image the image, of the others their own code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from runbooks.build_terms import build_variables, new_tag
from runbooks.definition import Runbook
from runbooks.errors import Refused
from runbooks.gating.subject import ImageName
from runbooks.plan import Phase, Plan
from runbooks.planning.extents import extents
from runbooks.planning.functions.chosen import Chosen, chosen_of
from runbooks.steps import RebuildImage, RebuildPackage
from runbooks.triage import Assessment, PackageState
from runbooks.triage.function import own_packages

_SOURCES = "the build takes the sources as they are now: what else has changed in them since comes with it"


def gets_image(assessment: Assessment) -> bool:
    """Whether the function gets an image, which has to be built first."""
    return assessment.triage.remediation == "update" and _runs_image(assessment)


def gets_package(assessment: Assessment) -> bool:
    """Whether the function gets other code of its own, which has to be built first."""
    updated = assessment.triage.remediation == "update" and not _runs_image(assessment)
    return updated and bool(own_packages(assessment.triage.packages))


def is_rebuilt(assessment: Assessment) -> bool:
    """Whether something has to be built for the function first."""
    return gets_image(assessment) or gets_package(assessment)


def plan_function_rebuild(
    response: str, runbook: Runbook, assessments: Sequence[Assessment], *, revision: int = 1
) -> Plan:
    """The build of each function's patched image, or code, under a tag of its own; no steps where nothing is built.

    Raises:
        LimitExceeded: there are more cases than the runbook allows.
        Refused: the image is of a registry that this system does not build for.
    """
    chosen, deferred = chosen_of(runbook, [each for each in assessments if is_rebuilt(each)])
    cases = [each.assessment for each in chosen]
    touched = extents(runbook, cases)
    steps = [*_builds(response, runbook, chosen, revision)]
    return Plan(
        response=response,
        runbook=runbook.name,
        runbook_digest=runbook.digest,
        phase=Phase.REBUILD,
        revision=revision,
        cases=tuple(each.case for each in chosen),
        steps=tuple(steps),
        reasons=tuple(dict.fromkeys(each.triage.reasons[-1] for each in cases)) or ("nothing has to be built",),
        not_covered=tuple(dict.fromkeys(_not_covered(chosen))),
        approval=runbook.rebuild.approval.rule([each.environment for each in touched]),
        deferred=deferred,
        extents=touched,
    )


def _runs_image(assessment: Assessment) -> bool:
    function = assessment.facts.function_facts.function
    return function is not None and function.package_type == "Image"


def _builds(
    response: str, runbook: Runbook, chosen: Sequence[Chosen], revision: int
) -> Iterator[RebuildImage | RebuildPackage]:
    yield from (_image(response, runbook, each, revision) for each in chosen if gets_image(each.assessment))
    yield from (_package(response, runbook, each, revision) for each in chosen if gets_package(each.assessment))


def _image(response: str, runbook: Runbook, each: Chosen, revision: int) -> RebuildImage:
    function = each.function
    name = ImageName.parse(function.image or "")
    if (name.account, name.region) != (function.account, function.region) or each.facts.project is None:
        raise Refused(f"the image of {function.name} is not built where the function is", code="person")
    tag = new_tag((), [str(name.digest)], response, revision)
    return RebuildImage(
        target=each.target("image", f"{name.repository}:{tag}"),
        cases=(each.case,),
        project=each.facts.project,
        repository=name.repository,
        tag=tag,
        variables=build_variables(
            runbook.rebuild.variables,
            base=each.facts.base.patched if each.facts.base else None,
            packages=_words(each.assessment.triage.packages),
            tag=tag,
            repository=name.repository,
            function=function.name,
        ),
    )


def _package(response: str, runbook: Runbook, each: Chosen, revision: int) -> RebuildPackage:
    function, project = each.function, each.facts.package_project
    if project is None or project.bucket is None:
        raise Refused(f"nobody builds the code of {function.name}", code="person")
    tag = new_tag([function.name], [function.content.code_sha256], response, revision)
    return RebuildPackage(
        target=each.target("object", f"{project.bucket}/{project.key(tag)}"),
        cases=(each.case,),
        project=project.name,
        function=function.name,
        bucket=project.bucket,
        object_key=project.key(tag),
        replaces=function.content.code_sha256,
        variables=build_variables(
            runbook.rebuild.variables,
            base=None,
            packages=_words(own_packages(each.assessment.triage.packages)),
            tag=tag,
            function=function.name,
        ),
    )


def _words(packages: Iterable[PackageState]) -> list[str]:
    """What the build is to bring up to date."""
    return sorted(f"{each.name}={each.fixed_in}" if each.fixed_in else each.name for each in packages)


def _not_covered(chosen: Sequence[Chosen]) -> Iterator[str]:
    for each in chosen:
        yield _SOURCES
        if gets_image(each.assessment):
            yield from _of_the_base(each)


def _of_the_base(each: Chosen) -> Iterator[str]:
    base, name = each.facts.base, each.function.name
    if base is None:
        yield f"what the image of {name} was built from is not known: the build is not told of a newer base image"
    elif base.newest is None:
        yield f"whether there is a newer {base.name} could not be read: the build is not told of one"
    elif not base.is_outdated:
        yield f"{base.name} has no newer image than {name} was built from: the packages have to be updated in the build"
