"""Keeping an image from going further: a closed pipeline stage, a repository whose policy denies pulls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runbooks.container_image import StageTransition
from runbooks.errors import Refused
from runbooks.lifecycle_policy import same_policy
from runbooks.repository_policy import denies_pulls, with_pulls_allowed
from runbooks.steps.image_promotion import SetRepositoryPolicy, SetStageTransition
from tasks.gateways.actions.base import AwsAction, Look, Place, gone
from tasks.gateways.actions.documents import compare_documents
from tasks.gateways.codepipeline import read_transitions
from tasks.gateways.ecr import read_repository_policies


class SetStageTransitionAction(AwsAction[SetStageTransition]):
    """Closes the way into a stage with a reason, by which our own closing is told from somebody else's."""

    def _look(
        self, place: Place, steps: Sequence[SetStageTransition], operations: Mapping[str, str]
    ) -> dict[str, Look]:
        live = read_transitions(place.reading("codepipeline"), [step.pipeline for step in steps])
        return {step.key: _look_at(step, live.get((step.pipeline, step.stage))) for step in steps}

    def _act(self, place: Place, step: SetStageTransition, operation: str, look: Look) -> dict[str, Any]:
        client = place.acting("codepipeline", step)
        where = {"pipelineName": step.pipeline, "stageName": step.stage, "transitionType": "Inbound"}
        if step.enabled:
            client.enable_stage_transition(**where)
        else:
            client.disable_stage_transition(**where, reason=step.reason)
        return _state(step.enabled, step.reason)


class SetRepositoryPolicyAction(AwsAction[SetRepositoryPolicy]):
    """Puts one policy in the place of another, or takes it away: ECR has no call that changes a part of one.

    Nor has it one that puts it only over the very policy that was read: what somebody else puts between the look and
    the call, some tenths of a second, is replaced.
    """

    def _look(
        self, place: Place, steps: Sequence[SetRepositoryPolicy], operations: Mapping[str, str]
    ) -> dict[str, Look]:
        live = read_repository_policies(place.reading("ecr"), place.account, [step.repository for step in steps])
        return {
            step.key: _look_at_policy(step, live[step.repository])
            if step.repository in live
            else gone(f"repository {step.repository}")
            for step in steps
        }

    def _act(self, place: Place, step: SetRepositoryPolicy, operation: str, look: Look) -> dict[str, Any]:
        client, where = place.acting("ecr", step), {"registryId": place.account, "repositoryName": step.repository}
        if step.leaves is None:
            client.delete_repository_policy(**where)
        else:
            client.set_repository_policy(**where, policyText=step.leaves)
        return {"policy": step.leaves}


def _look_at(step: SetStageTransition, live: StageTransition | None) -> Look:
    if live is None:
        return gone(f"stage {step.stage} of pipeline {step.pipeline}")
    found = _state(live.enabled, live.reason)
    if live.enabled == step.enabled:
        return Look(status="as-left", found=found, result=found)
    if step.enabled and live.reason != step.reason:
        detail = f"the way into {step.stage} is closed for another reason than ours: {live.reason}"
        return Look(status="drifted", found=found, detail=detail)
    return Look(status="as-expected", found=found)


def _state(enabled: bool, reason: str | None) -> dict[str, Any]:
    """With the reason why it is closed, by which it is known who did it, and may open it."""
    return {"enabled": enabled, "reason": None if enabled else reason}


def _look_at_policy(step: SetRepositoryPolicy, live: str | None) -> Look:
    """Our own statement is taken away with whomever it leaves out by now: a deployment lets its roles pull."""
    look = compare_documents(live, step.expects, step.leaves, "policy")
    if look.status != "drifted" or not step.undoes or not _differ_in_ours_alone(live, step.expects):
        return look
    return Look(status="as-expected", found=look.found)


def _differ_in_ours_alone(live: str | None, expected: str | None) -> bool:
    try:
        ours = denies_pulls(live) and denies_pulls(expected)
        return ours and same_policy(with_pulls_allowed(live), with_pulls_allowed(expected))
    except Refused:
        return False
