"""Whether who is to make a patched image can: what is no part of AWS, looked at when a case is triaged."""

from __future__ import annotations

from runbooks.build_terms import workflow_of
from runbooks.definition import Rebuild
from runbooks.errors import Refused
from tasks.gateways.actions.workflow_dispatch import NO_TOKEN
from tasks.services import Services


def why_not(have: Services, rebuild: Rebuild, repository: str) -> str | None:
    """What keeps the runbook's workflow, or copa, from making an image of the repository; None where nothing does.

    A CodeBuild project is looked for with the image's own facts.

    Raises:
        Outside: GitHub did not say.
    """
    if rebuild.patch_in_place:
        return None if have.copacetic.is_there else "copa is not on the path of the worker"
    if rebuild.workflow is None:
        return None
    if have.github is None:
        return NO_TOKEN
    try:
        workflow = workflow_of(rebuild.workflow, repository)
    except Refused as refused:
        return refused.detail
    state = have.github.state(workflow)
    if state is None:
        return f"there is no workflow {workflow}, or the token of GitHub may not see it"
    return None if state == "active" else f"workflow {workflow} is not active ({state.replace('_', ' ')})"
