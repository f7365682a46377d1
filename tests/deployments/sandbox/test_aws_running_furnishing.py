"""What runs something is furnished over the control routes, as a demo does: a service of an image, and a function."""

from __future__ import annotations

from typing import Any

import httpx

from tests.deployments.sandbox.conftest import ACCOUNT, PATIENCE_SECONDS, REGION


def furnish(sandbox: Any, what: str, **options: Any) -> httpx.Response:
    return httpx.post(f"{sandbox.url}/sandbox/furnish/{what}", json={"options": options}, timeout=PATIENCE_SECONDS)


def test_a_service_runs_the_furnished_image_and_inspector_counts_its_tasks(sandbox, aws):
    image = furnish(sandbox, "image", account=ACCOUNT, region=REGION).json()
    world = furnish(sandbox, "service", account=ACCOUNT, region=REGION, image=image["image"], tasks=3).json()
    assert (world["image_digest"], len(world["task_arns"])) == (image["digest"], 3)
    wanted = {"findingArn": [{"comparison": "EQUALS", "value": image["finding_arn"]}]}
    (finding,) = aws("inspector2").list_findings(filterCriteria=wanted)["findings"]
    assert finding["resources"][0]["details"]["awsEcrContainerImage"]["inUseCount"] == 3


def test_an_image_that_cannot_be_pulled_furnishes_nothing(sandbox, aws):
    image = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/none:1"
    answer = furnish(sandbox, "service", account=ACCOUNT, region=REGION, image=image)
    assert (answer.status_code, "not found" in answer.json()["error"]) == (400, True)
    assert aws("ecs").list_clusters()["clusterArns"] == []


def test_a_function_is_furnished_and_an_unknown_option_is_refused(sandbox, aws):
    world = furnish(sandbox, "function", account=ACCOUNT, region=REGION).json()
    (function,) = aws("lambda").list_functions()["Functions"]
    assert function["FunctionArn"] == world["function_arn"]
    refused = furnish(sandbox, "function", shape="round")
    assert (refused.status_code, "shape" in refused.json()["error"]) == (400, True)
