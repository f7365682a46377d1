"""The rebuild plan of functions that run a container image: the same build step as for any other image."""

from __future__ import annotations

from collections.abc import Sequence

from runbooks.build_terms import build_variables, new_tag
from runbooks.definition import Runbook
from runbooks.errors import Refused
from runbooks.gating.subject import ImageName
from runbooks.plan import Phase, Plan
from runbooks.planning.extents import extents
from runbooks.planning.functions.chosen import Chosen, chosen_of
from runbooks.steps import RebuildImage
from runbooks.triage import Assessment

_SOURCES = "the build takes the sources as they are now: what else has changed in them since comes with it"
_BASE = "the build is not told of a newer base image: that is looked for in cases about the image itself"


def is_rebuilt(assessment: Assessment) -> bool:
    """Whether the function gets an image that has to be built first."""
    function = assessment.facts.function_facts.function
    return assessment.triage.remediation == "update" and function is not None and function.package_type == "Image"


def plan_function_rebuild(
    response: str, runbook: Runbook, assessments: Sequence[Assessment], *, revision: int = 1
) -> Plan:
    """The build of each function's patched image, under a tag of its own; without steps where none runs an image.

    Raises:
        LimitExceeded: there are more cases than the runbook allows.
        Refused: the image is of a registry that this system does not build for.
    """
    chosen, deferred = chosen_of(runbook, [each for each in assessments if is_rebuilt(each)])
    cases = [each.assessment for each in chosen]
    touched = extents(runbook, cases)
    return Plan(
        response=response,
        runbook=runbook.name,
        runbook_digest=runbook.digest,
        phase=Phase.REBUILD,
        revision=revision,
        cases=tuple(each.case for each in chosen),
        steps=tuple(_build(response, runbook, each, revision) for each in chosen),
        reasons=tuple(dict.fromkeys(each.triage.reasons[-1] for each in cases)) or ("no function runs an image",),
        not_covered=(_SOURCES, _BASE) if chosen else (),
        approval=runbook.rebuild.approval.rule([each.environment for each in touched]),
        deferred=deferred,
        extents=touched,
    )


def _build(response: str, runbook: Runbook, each: Chosen, revision: int) -> RebuildImage:
    function = each.function
    name = ImageName.parse(function.image or "")
    if (name.account, name.region) != (function.account, function.region) or each.facts.project is None:
        raise Refused(f"the image of {function.name} is not built where the function is", code="person")
    tag = new_tag((), [str(name.digest)], response, revision)
    packages = sorted(
        f"{package.name}={package.fixed_in}" if package.fixed_in else package.name
        for package in each.assessment.triage.packages
    )
    return RebuildImage(
        target=each.target("image", f"{name.repository}:{tag}"),
        cases=(each.case,),
        project=each.facts.project,
        repository=name.repository,
        tag=tag,
        variables=build_variables(
            runbook.rebuild.variables, base=None, packages=packages, repository=name.repository, tag=tag
        ),
    )
