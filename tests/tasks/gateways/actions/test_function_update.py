"""$LATEST is changed only as the plan found it, and a version is published once, whatever is lost on the way."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from typing import Any

import pytest

from deployments.sandbox import functions
from deployments.sandbox.faults import FaultKind
from deployments.sandbox.package_builds import code_with
from runbooks.errors import AnswerLost, Outside, Refused
from runbooks.function_package import LARGEST_UPLOAD_BYTES, FunctionPackage
from runbooks.steps import PublishVersion
from tasks.gateways.actions import actions
from tests.tasks.gateways.aws_world import ACCOUNT, REGION, AwsWorld, operation, statuses
from tests.tasks.gateways.function_world import (
    IMAGE_FUNCTION,
    NAME,
    PROJECT,
    ZIP,
    a_code_update,
    a_package,
    a_publication,
    a_stop,
    an_auth,
    an_image_update,
    an_update,
    another_image,
    carry_out,
    furnish,
    furnish_image_function,
    furnish_own_code,
    latest,
)

UPDATING, PUBLISHING = "UpdateFunctionConfiguration", "PublishVersion"


def layers(aws: AwsWorld) -> list[str]:
    return [layer["Arn"] for layer in latest(aws)["Layers"]]


def versions(aws: AwsWorld) -> list[str]:
    return [raw["Version"] for raw in aws.client("lambda").list_versions_by_function(FunctionName=NAME)["Versions"]]


def test_exactly_one_layer_is_exchanged_and_the_others_keep_their_places(aws: AwsWorld):
    built = furnish(aws)
    client = aws.client("lambda")
    other = client.publish_layer_version(LayerName="tracing", Content={"ZipFile": b"PK\x05\x06" + b"\0" * 18})
    first, last = other["LayerVersionArn"], built["layer_version_arn"]
    client.update_function_configuration(FunctionName=NAME, Layers=[first, last])
    aws.sandbox.advance(5)
    step = an_update(aws, built)
    step = step.model_copy(
        update={"leaves": step.expects.model_copy(update={"layers": (first, step.leaves.layers[0])})}
    )
    assert carry_out(aws, step) == "as-left"
    assert layers(aws) == [first, built["patched_layer_version_arn"]]
    (given,) = aws.parameters(UPDATING)
    assert {name for name in given if name not in ("FunctionName", "RevisionId")} == {"Layers"}


def test_an_update_is_in_progress_until_lambda_has_made_it(aws: AwsWorld):
    step = an_update(aws, furnish(aws))
    aws.look(step)
    aws.act(step)
    (look,) = aws.look(step)
    assert (look.status, look.detail) == ("in-progress", f"Lambda is updating {NAME}")
    aws.sandbox.advance(5)
    assert statuses(aws.look(step)) == ["as-left"]


def test_an_update_whose_answer_was_lost_is_found_again_and_not_sent_again(aws: AwsWorld):
    step = an_update(aws, furnish(aws))
    aws.look(step)
    aws.fault(f"lambda:{UPDATING}", FaultKind.TIMEOUT_AFTER_EFFECT)
    with pytest.raises(AnswerLost):
        aws.act(step)
    aws.forget_everything()
    aws.sandbox.advance(5)
    assert statuses(aws.look(step)) == ["as-left"]
    assert len(aws.parameters(UPDATING)) == 1


def test_whatever_else_of_the_function_was_changed_since_is_not_published_with_it(aws: AwsWorld):
    step = an_update(aws, furnish(aws))
    aws.sandbox.advance(60)
    aws.client("lambda").update_function_configuration(FunctionName=NAME, Environment={"Variables": {"DEBUG": "1"}})
    aws.sandbox.advance(5)
    (look,) = aws.look(step)
    assert look.status == "drifted"
    assert look.detail.startswith(f"$LATEST of {NAME} was changed since the plan was made")
    with pytest.raises(Refused):
        aws.act(step)


def test_what_somebody_changes_between_the_look_and_the_call_refuses_the_call(aws: AwsWorld):
    step = an_update(aws, furnish(aws))
    aws.look(step)
    aws.client("lambda").update_function_configuration(FunctionName=NAME, Timeout=60)
    aws.sandbox.advance(5)
    with pytest.raises(Outside) as refused:
        aws.act(step)
    assert refused.value.code == "PreconditionFailedException"
    assert layers(aws)[0].endswith(":1")


def test_a_version_carries_the_operation_in_its_description_and_is_published_once(aws: AwsWorld):
    built = furnish(aws)
    step = a_publication(aws, built)
    assert statuses(aws.look(step)) == ["drifted"]
    carry_out(aws, an_update(aws, built))
    aws.look(step)
    aws.fault(f"lambda:{PUBLISHING}", FaultKind.TIMEOUT_AFTER_EFFECT)
    with pytest.raises(AnswerLost):
        aws.act(step)
    aws.forget_everything()
    (look,) = aws.look(step)
    assert (look.status, look.result) == ("in-progress", {"version": "2"})
    aws.sandbox.advance(5)
    (look,) = aws.look(step)
    assert (look.status, look.result) == ("as-left", {"version": "2"})
    assert versions(aws) == ["$LATEST", "1", "2"]
    published = latest(aws) | aws.client("lambda").get_function_configuration(FunctionName=NAME, Qualifier="2")
    assert published["Description"] == operation(step)


def publishing(aws: AwsWorld) -> PublishVersion:
    """Published a moment ago."""
    built = furnish(aws)
    step = a_publication(aws, built)
    carry_out(aws, an_update(aws, built))
    aws.look(step)
    aws.act(step)
    return step


def test_a_version_is_not_done_before_it_can_be_invoked(aws: AwsWorld):
    step = publishing(aws)
    (look,) = aws.look(step)
    assert (look.status, look.detail) == ("in-progress", f"Lambda is making version 2 of {NAME} ready")
    aws.sandbox.advance(5)
    assert statuses(aws.look(step)) == ["as-left"]
    assert len(aws.parameters(PUBLISHING)) == 1


def test_a_version_that_never_can_be_invoked_is_a_failure_and_lambda_says_why(aws: AwsWorld):
    step = publishing(aws)
    aws.sandbox.cloud.world(ACCOUNT, REGION).functions[NAME].failed["2"] = "its initialization has failed"
    aws.sandbox.advance(5)
    (look,) = aws.look(step)
    detail = f"version 2 of {NAME} cannot be invoked: its initialization has failed"
    assert (look.status, look.detail) == ("failed", detail)
    assert len(aws.parameters(PUBLISHING)) == 1


def test_what_somebody_has_published_already_is_taken_for_it(aws: AwsWorld):
    built = furnish(aws)
    step = a_publication(aws, built)
    carry_out(aws, an_update(aws, built))
    aws.client("lambda").publish_version(FunctionName=NAME, Description="by hand")
    assert statuses(aws.look(step)) == ["in-progress"]
    aws.sandbox.advance(5)
    (look,) = aws.look(step)
    assert (look.status, look.result) == ("as-left", {"version": "2"})


def test_a_version_is_not_published_of_what_has_become_of_latest_since(aws: AwsWorld):
    built = furnish(aws)
    step = a_publication(aws, built)
    carry_out(aws, an_update(aws, built))
    aws.look(step)
    aws.client("lambda").update_function_configuration(FunctionName=NAME, Layers=[built["layer_version_arn"]])
    aws.sandbox.advance(5)
    with pytest.raises(Outside):
        aws.act(step)
    (look,) = aws.look(step)
    assert (look.status, look.detail) == ("drifted", f"$LATEST of {NAME} is not what this plan left")


def test_an_image_is_exchanged_by_its_digest(aws: AwsWorld):
    built = furnish_image_function(aws)
    image = another_image(aws, built)
    step = an_image_update(aws, built, image)
    assert carry_out(aws, step) == "as-left"
    code = aws.client("lambda").get_function(FunctionName=IMAGE_FUNCTION)["Code"]
    assert code["ResolvedImageUri"] == image


def test_the_code_of_a_build_is_put_in_by_the_very_version_that_was_built(aws: AwsWorld):
    built = furnish_own_code(aws)
    package = a_package(aws, built)
    aws.client("s3").put_object(Bucket=package.bucket, Key=package.key, Body=b"exchanged meanwhile")
    step = a_code_update(aws, package)
    assert carry_out(aws, step) == "as-left"
    (given,) = aws.parameters("UpdateFunctionCode")
    assert {name: value for name, value in given.items() if name != "RevisionId"} == {
        "FunctionName": NAME,
        "S3Bucket": package.bucket,
        "S3Key": package.key,
        "S3ObjectVersion": package.version,
        "Publish": False,
    }
    assert latest(aws)["CodeSha256"] == package.code_sha256


@pytest.mark.parametrize("versioned", [True, False])
def test_what_was_exchanged_before_it_was_looked_at_is_not_put_in(aws: AwsWorld, versioned: bool):
    built = furnish_own_code(aws, versioned=versioned)
    package = a_package(aws, built)
    stored = aws.client("s3").put_object(Bucket=package.bucket, Key=package.key, Body=b"exchanged meanwhile")
    step = a_code_update(aws, package.model_copy(update={"version": stored.get("VersionId")}))
    before = latest(aws)["CodeSha256"]
    with pytest.raises(Outside, match=r"is not what build .* has made") as refused:
        carry_out(aws, step)
    assert refused.value.code == "not-what-was-built"
    assert statuses(aws.look(step)) == ["as-expected"]
    assert (latest(aws)["CodeSha256"], aws.parameters("UpdateFunctionCode")) == (before, [])


def test_what_is_exchanged_right_before_lambda_takes_it_is_not_taken_for_the_builds(aws: AwsWorld):
    built = furnish_own_code(aws, versioned=False)
    package = a_package(aws, built)

    def exchange(call: str) -> None:
        if call == "UpdateFunctionCode":
            aws.client("s3").put_object(Bucket=package.bucket, Key=package.key, Body=b"exchanged meanwhile")

    step = a_code_update(aws, package)
    aws.sessions = aws.new_sessions(guard=exchange)
    aws.actions = actions(aws.sessions)
    assert carry_out(aws, step) == "drifted"
    assert versions(aws) == ["$LATEST", "1"]


def test_a_code_update_whose_answer_was_lost_is_found_again_and_not_sent_again(aws: AwsWorld):
    step = a_code_update(aws, a_package(aws, furnish_own_code(aws)))
    aws.look(step)
    aws.fault("lambda:UpdateFunctionCode", FaultKind.TIMEOUT_AFTER_EFFECT)
    with pytest.raises(AnswerLost):
        aws.act(step)
    aws.forget_everything()
    assert statuses(aws.look(step)) == ["in-progress"]
    aws.sandbox.advance(5)
    assert statuses(aws.look(step)) == ["as-left"]
    assert len(aws.parameters("UpdateFunctionCode")) == 1


def test_a_layer_is_exchanged_after_the_code_that_the_same_plan_has_put_in(aws: AwsWorld):
    built = furnish(aws, project=PROJECT)
    content = code_with({"pyyaml": "5.4"})
    stored = aws.client("s3").put_object(Bucket=built["artifacts"], Key=ZIP, Body=content)
    sha = b64encode(hashlib.sha256(content).digest()).decode()
    package = FunctionPackage(bucket=built["artifacts"], key=ZIP, version=stored["VersionId"], code_sha256=sha)
    code, found = a_code_update(aws, package), latest(aws)["LastModified"]
    assert carry_out(aws, code) == "as-left"
    with_layer = code.leaves.model_copy(update={"layers": (built["patched_layer_version_arn"],)})
    after = {"expects": code.leaves, "leaves": with_layer}
    assert carry_out(aws, an_update(aws, built, **after, last_modified=found)) == "drifted"
    step = an_update(aws, built, **after, last_modified=None)
    assert carry_out(aws, step) == "as-left"
    raw = latest(aws)
    assert (raw["CodeSha256"], layers(aws)) == (sha, [built["patched_layer_version_arn"]])
    for undo in (step.undo, code.undo):
        assert undo is not None
        assert carry_out(aws, undo) == "as-left"
    assert (latest(aws)["CodeSha256"], layers(aws)) == (code.expects.code_sha256, [built["layer_version_arn"]])


def test_the_code_that_was_there_is_put_back_to_the_last_byte_from_the_version_that_kept_it(aws: AwsWorld):
    built = furnish_own_code(aws)
    step = a_code_update(aws, a_package(aws, built))
    before = latest(aws)
    carry_out(aws, step)
    undo = step.undo
    assert undo is not None
    assert carry_out(aws, undo) == "as-left"
    after = latest(aws)
    assert {name for name in before if before[name] != after[name]} <= {
        "LastModified",
        "RevisionId",
        "ResponseMetadata",
    }
    *_, given = aws.parameters("UpdateFunctionCode")
    assert sorted(given) == ["FunctionName", "Publish", "RevisionId", "ZipFile"]


def test_code_that_no_version_keeps_is_not_said_to_be_put_back(aws: AwsWorld):
    step = a_code_update(aws, a_package(aws, furnish_own_code(aws)))
    carry_out(aws, step)
    client = aws.client("lambda")
    client.delete_alias(FunctionName=NAME, Name="live")
    client.delete_function(FunctionName=NAME, Qualifier="1")
    undo = step.undo
    assert undo is not None
    (look,) = aws.look(undo)
    assert (look.status, look.detail) == ("drifted", f"no version of {NAME} has the code that it had")


def kept(aws: AwsWorld) -> Any:
    """Version 1, as the far end has it."""
    world = aws.sandbox.cloud.world(ACCOUNT, REGION)
    return functions.backend(world).get_function(NAME, "1")


def test_code_that_is_too_large_to_be_handed_over_is_left_to_a_person(aws: AwsWorld):
    step = a_code_update(aws, a_package(aws, furnish_own_code(aws)))
    carry_out(aws, step)
    kept(aws).code_size = LARGEST_UPLOAD_BYTES + 1
    undo = step.undo
    assert undo is not None
    (look,) = aws.look(undo)
    detail = f"version 1 of {NAME} has the code that it had, too large to hand over"
    assert (look.status, look.detail) == ("drifted", detail)


def test_code_that_is_not_what_lambda_says_is_not_put_back(aws: AwsWorld):
    package = a_package(aws, furnish_own_code(aws))
    step = a_code_update(aws, package)
    carry_out(aws, step)
    kept(aws).code_bytes = b"another"
    undo = step.undo
    assert undo is not None
    assert statuses(aws.look(undo)) == ["as-expected"]
    with pytest.raises(Outside, match="is not what Lambda says that it is"):
        aws.act(undo)
    assert latest(aws)["CodeSha256"] == package.code_sha256


def test_nothing_that_is_written_down_says_where_the_code_can_be_had(aws: AwsWorld, caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO")
    step = a_code_update(aws, a_package(aws, furnish_own_code(aws)))
    carry_out(aws, step)
    undo = step.undo
    assert undo is not None
    looks = aws.look(undo)
    made = aws.act(undo)
    assert "Signature" not in f"{looks} {made} {caplog.text}"


def test_a_reservation_that_somebody_else_has_changed_is_left_alone(aws: AwsWorld):
    furnish(aws)
    client = aws.client("lambda")
    client.put_function_concurrency(FunctionName=NAME, ReservedConcurrentExecutions=5)
    (look,) = aws.look(a_stop())
    assert (look.status, look.found) == ("drifted", {"reserved_concurrency": 5})
    assert carry_out(aws, a_stop(expects=5)) == "as-left"
    undo = a_stop(expects=5).undo
    assert undo is not None
    assert carry_out(aws, undo) == "as-left"
    assert client.get_function_concurrency(FunctionName=NAME)["ReservedConcurrentExecutions"] == 5


def test_what_is_gone_is_said_to_be_gone(aws: AwsWorld):
    built = furnish(aws)
    steps = (an_update(aws, built), a_publication(aws, built), a_stop(), an_auth())
    aws.client("lambda").delete_function(FunctionName=NAME)
    for step in steps:
        (look,) = aws.look(step)
        assert (look.status, look.detail) == ("drifted", f"function {NAME} does not exist any more"), step.kind
