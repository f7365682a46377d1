"""The state of AWS CodePipeline: what each stage ran last, and which transitions are closed.

Pipelines are moto's. A transition lies between two stages: closing the way out of one is closing the way into the next.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from moto.codepipeline.models import CodePipeline, codepipeline_backends

from deployments.sandbox.operations import Call, operation
from deployments.sandbox.wire import AwsError

_REASON = re.compile(r"[a-zA-Z0-9!@ \(\)\.\*\?\-]{1,300}")
_NAMESPACE = uuid.UUID("6f0c9b1e-6d35-4b8a-9a51-0f6f2c1d9a77")


@dataclass(frozen=True)
class Transition:
    """The way into a stage, once somebody changed it."""

    enabled: bool
    changed_by: str
    changed_at: datetime
    reason: str | None = None


@operation("codepipeline", "GetPipelineState")
def get_pipeline_state(call: Call) -> dict[str, Any]:
    """Each stage with the way into it, and with the execution that was there last."""
    pipeline = _pipeline(call, "name")
    stated = pipeline.pipeline
    return {
        "pipelineName": stated["name"],
        "pipelineVersion": stated["version"],
        "stageStates": [_stage_state(call, pipeline, stage) for stage in stated["stages"]],
        "created": pipeline._created,
        "updated": pipeline._updated,
    }


@operation("codepipeline", "DisableStageTransition")
def disable_stage_transition(call: Call) -> dict[str, Any]:
    """Close the way into a stage, or out of it. What is in the stage already goes on."""
    reason = call.params["reason"]
    if not _REASON.fullmatch(reason):
        raise AwsError(
            "ValidationException",
            f"Value '{reason}' at 'reason' failed to satisfy constraint: Member must satisfy regular expression "
            r"pattern: [a-zA-Z0-9!@ \(\)\.\*\?\-]+ and have length between 1 and 300",
        )
    _change(call, enabled=False, reason=reason)
    return {}


@operation("codepipeline", "EnableStageTransition")
def enable_stage_transition(call: Call) -> dict[str, Any]:
    """Open the way again."""
    _change(call, enabled=True)
    return {}


def _pipeline(call: Call, parameter: str) -> CodePipeline:
    name = call.params[parameter]
    pipeline = codepipeline_backends[call.account][call.region].pipelines.get(name)
    if pipeline is None:
        raise AwsError(
            "PipelineNotFoundException", f"Account '{call.account}' does not have a pipeline with name '{name}'"
        )
    return pipeline


def _change(call: Call, *, enabled: bool, reason: str | None = None) -> None:
    pipeline = _pipeline(call, "pipelineName")
    kind = call.params["transitionType"]
    if kind not in ("Inbound", "Outbound"):
        raise AwsError("ValidationException", "transitionType must be Inbound or Outbound")
    names = [stage["name"] for stage in pipeline.pipeline["stages"]]
    if call.params["stageName"] not in names:
        raise AwsError("StageNotFoundException", f"The stage {call.params['stageName']} does not exist")
    into = names.index(call.params["stageName"]) + (kind == "Outbound")
    if not 0 < into < len(names):
        raise AwsError("ValidationException", f"There is no {kind.lower()} transition at {call.params['stageName']}")
    changed_by = f"arn:aws:iam::{call.account}:root"
    key = (pipeline.pipeline["name"], names[into])
    call.world.transitions[key] = Transition(enabled, changed_by, call.now, reason)


def _stage_state(call: Call, pipeline: CodePipeline, stage: dict[str, Any]) -> dict[str, Any]:
    name = pipeline.pipeline["name"]
    first = stage["name"] == pipeline.pipeline["stages"][0]["name"]
    execution = {
        "pipelineExecutionId": next(reversed(pipeline.executions), str(uuid.uuid5(_NAMESPACE, name))),
        "status": "Succeeded",
    }
    state: dict[str, Any] = {
        "stageName": stage["name"],
        "actionStates": [{"actionName": action["name"]} for action in stage["actions"]],
        "latestExecution": execution,
    }
    return state if first else state | {"inboundTransitionState": _transition(call, name, stage["name"])}


def _transition(call: Call, pipeline: str, stage: str) -> dict[str, Any]:
    known = call.world.transitions.get((pipeline, stage))
    if known is None:
        return {"enabled": True}
    shown = {"enabled": known.enabled, "lastChangedBy": known.changed_by, "lastChangedAt": known.changed_at}
    return shown | ({"disabledReason": known.reason} if known.reason else {})
