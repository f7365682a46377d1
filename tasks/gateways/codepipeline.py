"""AWS CodePipeline: whether the way into a stage is open."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from runbooks.container_image import StageTransition
from runbooks.steps.base import Role
from tasks.gateways.aws_errors import code_of, reads
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.bulk import each


class CodePipelineGateway:
    """Reads CodePipeline, which tells of one pipeline in a call."""

    def __init__(self, sessions: AwsSessions) -> None:
        self._sessions = sessions

    @reads()
    def transitions(self, account: str, region: str, names: Sequence[str]) -> tuple[StageTransition, ...]:
        """The way into each of these stages; one that is not there is left out.

        Args:
            names: pipeline and stage, with a slash between.
        """
        client = self._sessions.client("codepipeline", account, region, Role.READ)
        pairs = [tuple(name.split("/", 1)) for name in dict.fromkeys(names)]
        found = read_transitions(client, [pipeline for pipeline, _ in pairs])
        return tuple(found[pair] for pair in pairs if pair in found)


def read_transitions(client: Any, pipelines: Iterable[str]) -> dict[tuple[str, ...], StageTransition]:
    """Pipeline and stage -> the way into it, of every stage of the pipelines that are there."""
    states = each(lambda pipeline: _stages(client, pipeline), sorted(set(pipelines)))
    return {
        (pipeline, state["stageName"]): _transition(pipeline, state)
        for pipeline, stages in states.items()
        for state in stages
    }


def _stages(client: Any, pipeline: str) -> Sequence[Mapping[str, Any]]:
    try:
        return client.get_pipeline_state(name=pipeline).get("stageStates") or ()
    except ClientError as error:
        if code_of(error) != "PipelineNotFoundException":
            raise
        return ()


def _transition(pipeline: str, state: Mapping[str, Any]) -> StageTransition:
    inbound = state.get("inboundTransitionState") or {}
    enabled = inbound.get("enabled", True)
    return StageTransition(
        pipeline=pipeline,
        stage=state["stageName"],
        enabled=enabled,
        reason=None if enabled else inbound.get("disabledReason"),
    )
