from __future__ import annotations

from typing import Any

import pytest

from deployments.sandbox.faults import FaultKind
from runbooks.errors import AnswerLost
from runbooks.steps.base import Role
from tasks.gateways.codebuild import OPERATION_VARIABLE, read_builds
from tests.tasks.gateways.aws_world import AwsWorld, operation, statuses
from tests.tasks.gateways.image_world import NEW_TAG, REPOSITORY, a_rebuild, a_test, another_image, furnish, images


def builds(aws: AwsWorld, project: str = "checkout-image") -> list[dict[str, Any]]:
    client = aws.client("codebuild")
    ids = client.list_builds_for_project(projectName=project)["ids"]
    return client.batch_get_builds(ids=ids)["builds"] if ids else []


def variables(build: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in build["environment"]["environmentVariables"]}


def finish(aws: AwsWorld) -> None:
    for _ in range(10):
        aws.sandbox.advance(3)


def test_a_build_is_followed_phase_by_phase_to_the_digest_it_pushed(aws: AwsWorld):
    built = furnish(aws)
    step = a_rebuild()
    (look,) = aws.look(step)
    assert (look.status, look.found) == ("as-expected", {"build": None, "digest": None})
    started = aws.act(step)
    seen = []
    for _ in range(40):
        (look,) = aws.look(step)
        if look.status != "in-progress":
            break
        assert look.result["build"] == started["build"]
        seen.append(look.result["phase"])
        aws.sandbox.advance(0.3)
    assert list(dict.fromkeys(seen))[:3] == ["QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE"]
    (made,) = images(aws).keys() - {built["digest"]}
    assert images(aws)[made] == ("ACTIVE", [NEW_TAG])
    assert (look.status, look.result) == ("as-left", {"build": started["build"], "digest": made})


def test_a_build_is_given_its_variables_and_whose_it_is(aws: AwsWorld):
    furnish(aws)
    step = a_rebuild()
    aws.act(step)
    (build,) = builds(aws)
    assert variables(build) == {"IMAGE_TAG": NEW_TAG, "PACKAGES": "all", OPERATION_VARIABLE: operation(step)}
    (sent,) = aws.parameters("StartBuild")
    assert sent["idempotencyToken"] == operation(step)
    assert {one["type"] for one in sent["environmentVariablesOverride"]} == {"PLAINTEXT"}


def test_a_build_whose_answer_was_lost_is_found_long_after_its_token_was_forgotten(aws: AwsWorld):
    furnish(aws)
    step = a_rebuild()
    aws.look(step)
    aws.fault("codebuild:StartBuild", FaultKind.TIMEOUT_AFTER_EFFECT)
    with pytest.raises(AnswerLost):
        aws.act(step)
    aws.forget_everything()
    finish(aws)
    aws.sandbox.advance(3600)
    (look,) = aws.look(step)
    assert look.status == "as-left"
    assert look.result["digest"] in images(aws)
    assert aws.act(step) == look.result
    assert len(builds(aws)) == 1


def test_a_build_that_does_not_show_yet_is_not_started_twice(aws: AwsWorld):
    furnish(aws)
    step = a_rebuild()
    aws.look(step)
    aws.fault("codebuild:StartBuild", FaultKind.TIMEOUT_AFTER_EFFECT)
    with pytest.raises(AnswerLost):
        aws.act(step)
    aws.fault("codebuild:ListBuildsForProject", FaultKind.STALE_READ)
    assert statuses(aws.look(step)) == ["as-expected"]
    aws.act(step)
    assert len(builds(aws)) == 1


def test_a_build_that_is_listed_and_not_shown_yet_is_no_reason_to_start_another(aws: AwsWorld):
    furnish(aws)
    step = a_rebuild()
    aws.look(step)
    aws.act(step)
    client = aws.client("codebuild")

    def shows_none(parsed: dict[str, Any], **_: Any) -> None:
        parsed |= {"builds": [], "buildsNotFound": [each["id"] for each in parsed["builds"]]}

    client.meta.events.register("after-call.codebuild.BatchGetBuilds", shows_none)
    with pytest.raises(AnswerLost, match="and does not show it yet"):
        read_builds(client, step.project, {operation(step)})
    client.meta.events.unregister("after-call.codebuild.BatchGetBuilds", shows_none)
    assert list(read_builds(client, step.project, {operation(step)}) or {}) == [operation(step)]


def test_the_build_is_found_among_a_hundred_newer_ones(aws: AwsWorld):
    furnish(aws)
    step = a_rebuild()
    aws.act(step)
    client = aws.client("codebuild", Role.PATCH)
    for _ in range(120):
        client.start_build(projectName="checkout-image")
    (look,) = aws.look(step)
    assert look.status == "in-progress"


def test_a_build_that_somebody_else_starts_for_the_operation_does_not_stand_in_for_its_own(aws: AwsWorld):
    furnish(aws, build="fails")
    step = a_rebuild()
    started = aws.act(step)
    finish(aws)
    claimed = [{"name": OPERATION_VARIABLE, "value": operation(step), "type": "PLAINTEXT"}]
    client = aws.client("codebuild", Role.PATCH)
    client.start_build(projectName="checkout-image", environmentVariablesOverride=claimed)
    (look,) = aws.look(step)
    assert (look.status, look.result) == ("failed", started)


def test_builds_of_others_are_not_taken_for_this_one(aws: AwsWorld):
    furnish(aws)
    another_image(aws, "1.4.3")
    assert statuses(aws.look(a_rebuild())) == ["as-expected"]


def test_an_image_that_has_the_tag_already_is_drift(aws: AwsWorld):
    furnish(aws)
    made = another_image(aws, NEW_TAG)
    (look,) = aws.look(a_rebuild())
    assert (look.status, look.found) == ("drifted", {"build": None, "digest": made})
    assert look.detail == f"{REPOSITORY} has an image with tag {NEW_TAG} already: {made}"


def test_a_build_that_fails_says_where_and_why(aws: AwsWorld):
    furnish(aws, build="fails")
    step = a_rebuild()
    started = aws.act(step)
    finish(aws)
    (look,) = aws.look(step)
    assert (look.status, look.result) == ("failed", {"build": started["build"]})
    why = "BUILD: Error while executing command. Reason: exit status 1"
    assert look.detail == f"build {started['build']} ended as FAILED ({why})"


def test_a_build_that_was_stopped_has_failed(aws: AwsWorld):
    furnish(aws)
    step = a_rebuild()
    started = aws.act(step)
    aws.client("codebuild", Role.PATCH).stop_build(id=started["build"])
    (look,) = aws.look(step)
    assert look.status == "failed"
    assert "ended as STOPPED" in look.detail


def test_a_build_that_pushed_nothing_under_the_tag_has_failed(aws: AwsWorld):
    furnish(aws)
    step = a_rebuild(variables={"IMAGE_TAG": "elsewhere", "PACKAGES": "all"})
    started = aws.act(step)
    finish(aws)
    (look,) = aws.look(step)
    detail = f"build {started['build']} succeeded, and {REPOSITORY} has no image with tag {NEW_TAG}"
    assert (look.status, look.detail) == ("failed", detail)


@pytest.mark.parametrize("step", [a_rebuild(project="nothing"), a_test("x", project="nothing")])
def test_a_project_that_is_gone_is_drift(aws: AwsWorld, step: Any):
    furnish(aws)
    (look,) = aws.look(step)
    assert (look.status, look.detail) == ("drifted", "build project nothing does not exist any more")


def test_a_test_is_run_against_the_image_by_its_digest(aws: AwsWorld):
    built = furnish(aws)
    step = a_test(built["image"])
    (look,) = aws.look(step)
    assert (look.status, look.found) == ("as-expected", {"build": None})
    started = aws.act(step)
    assert statuses(aws.look(step)) == ["in-progress"]
    finish(aws)
    (look,) = aws.look(step)
    assert (look.status, look.result) == ("as-left", {"build": started["build"]})
    (build,) = builds(aws, "checkout-test")
    assert variables(build) == {"IMAGE_URI": built["image"], OPERATION_VARIABLE: operation(step)}


def test_a_test_that_fails_has_failed(aws: AwsWorld):
    built = furnish(aws, test="fails")
    step = a_test(built["image"])
    aws.act(step)
    finish(aws)
    assert statuses(aws.look(step)) == ["failed"]


def test_builds_of_a_project_are_read_once_for_all_steps(aws: AwsWorld):
    furnish(aws)
    first, second = a_rebuild(), a_rebuild(tag="other", variables={"IMAGE_TAG": "other"})
    aws.act(first)
    aws.act(second)
    aws.sandbox.cloud.record.clear()
    assert statuses(aws.look(first, second)) == ["in-progress", "in-progress"]
    # One tag that is not there yet fails the call for both: they are asked for one by one.
    assert aws.calls() == [
        "codebuild:ListBuildsForProject",
        "codebuild:BatchGetBuilds",
        *["ecr:DescribeImages"] * 3,
    ]
