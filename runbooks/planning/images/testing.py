"""The test plan: the integration test, run against the new image before anybody else runs it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from runbooks.build_terms import project_name, workflow_of
from runbooks.candidate import Candidate
from runbooks.definition import Runbook
from runbooks.plan import ApprovalRule, Phase, Plan
from runbooks.planning.images.chosen import Chosen, to_rebuild
from runbooks.steps import AnyStep, TestByWorkflow, TestImage
from runbooks.triage import Assessment

IMAGE_VARIABLE = "IMAGE_URI"
"""What the test is given: the image, by its digest."""


def plan_test(
    response: str,
    runbook: Runbook,
    assessments: Sequence[Assessment],
    candidate: Candidate,
    *,
    revision: int = 1,
    previous: str | None = None,
) -> Plan:
    """One run of the integration test. It needs no approval, for it changes nothing; without a test it has no steps.

    Args:
        previous: digest of the rebuild plan whose image it tests.

    Raises:
        Refused: there is no image that was rebuilt.
    """
    chosen = to_rebuild(runbook, assessments)
    cases, steps = tuple(each.case for each in chosen), tuple(_test(runbook, chosen, candidate))
    return Plan(
        response=response,
        runbook=runbook.name,
        runbook_digest=runbook.digest,
        phase=Phase.TEST,
        revision=revision,
        cases=cases,
        steps=steps,
        reasons=(f"{candidate.tag} is what build {candidate.build} has made; nobody runs it yet",),
        not_covered=()
        if steps
        else (f"{runbook.name} names no integration test: the image's scan is all that is known",),
        approval=ApprovalRule(required=False),
        previous=previous,
    )


def _test(runbook: Runbook, chosen: Sequence[Chosen], candidate: Candidate) -> Iterator[AnyStep]:
    rebuild, repository = runbook.rebuild, chosen[0].repository.name
    tried: dict[str, Any] = {
        "cases": tuple(each.case for each in chosen),
        "image": candidate.image,
        "variables": {IMAGE_VARIABLE: candidate.image},
    }
    if rebuild.test_project is not None:
        project = project_name(rebuild.test_project, repository)
        target = chosen[0].target("image", f"{project}/{candidate.image}")
        yield TestImage(**tried, target=target, project=project)
    if rebuild.test_workflow is not None:
        workflow = str(workflow_of(rebuild.test_workflow, repository))
        target = chosen[0].target("image", f"{workflow}/{candidate.image}")
        yield TestByWorkflow(**tried, target=target, workflow=workflow)
