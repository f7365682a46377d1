"""Keeping an image from going further: a closed pipeline stage, a repository whose policy denies pulls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runbooks.container_image import StageTransition
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
        return {"enabled": step.enabled}


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
            step.key: compare_documents(live[step.repository], step.expects, step.leaves, "policy")
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
    found = {"enabled": live.enabled, "reason": live.reason}
    if live.enabled == step.enabled:
        return Look(status="as-left", found=found, result={"enabled": live.enabled})
    if step.enabled and live.reason != step.reason:
        detail = f"the way into {step.stage} is closed for another reason than ours: {live.reason}"
        return Look(status="drifted", found=found, detail=detail)
    return Look(status="as-expected", found=found)
