"""CodePipeline: transitions that are closed with a reason, and opened again."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.deployments.sandbox.container_images import furnished

PRODUCTION = {"pipelineName": "checkout", "stageName": "Production", "transitionType": "Inbound"}


def transitions(aws: Any) -> dict[str, tuple[bool, str | None]]:
    stages = aws("codepipeline").get_pipeline_state(name="checkout")["stageStates"]
    return {
        one["stageName"]: (
            one["inboundTransitionState"]["enabled"],
            one["inboundTransitionState"].get("disabledReason"),
        )
        for one in stages
        if "inboundTransitionState" in one
    }


def test_a_transition_is_closed_with_its_reason_and_opened_again(sandbox, aws):
    world = furnished(sandbox)
    assert world["stages"] == ["Source", "Build", "Staging", "Production"]
    untouched = {"Build": (True, None), "Staging": (True, None), "Production": (True, None)}
    assert transitions(aws) == untouched
    aws("codepipeline").disable_stage_transition(**PRODUCTION, reason="CVE-2024-5535 (case 12)")
    assert transitions(aws) == untouched | {"Production": (False, "CVE-2024-5535 (case 12)")}
    aws("codepipeline").enable_stage_transition(**PRODUCTION)
    assert transitions(aws) == untouched


def test_the_way_out_of_a_stage_is_the_way_into_the_next(sandbox, aws):
    furnished(sandbox)
    staging = {"pipelineName": "checkout", "stageName": "Staging", "transitionType": "Outbound"}
    aws("codepipeline").disable_stage_transition(**staging, reason="blocked")
    assert transitions(aws)["Production"] == (False, "blocked")


@pytest.mark.parametrize(
    "reason", ["arn:aws:ecr:eu-central-1:1:repository/shop", "a/b", "under_score", "one, two", "x" * 301]
)
def test_a_reason_that_codepipeline_does_not_take_is_refused_and_nothing_is_closed(sandbox, aws, reason):
    furnished(sandbox)
    with pytest.raises(ClientError, match="ValidationException"):
        aws("codepipeline").disable_stage_transition(**PRODUCTION, reason=reason)
    assert transitions(aws)["Production"] == (True, None)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"pipelineName": "none"}, "PipelineNotFoundException"),
        ({"stageName": "None"}, "StageNotFoundException"),
        ({"stageName": "Source"}, "ValidationException"),
    ],
)
def test_what_is_not_there_cannot_be_closed(sandbox, aws, changed, code):
    furnished(sandbox)
    with pytest.raises(ClientError, match=code):
        aws("codepipeline").disable_stage_transition(**(PRODUCTION | changed), reason="blocked")
