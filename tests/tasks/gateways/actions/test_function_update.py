"""$LATEST is changed only as the plan found it, and a version is published once, whatever is lost on the way."""

from __future__ import annotations

import pytest

from deployments.sandbox.faults import FaultKind
from runbooks.errors import AnswerLost, Outside, Refused
from tests.tasks.gateways.aws_world import AwsWorld, operation, statuses
from tests.tasks.gateways.function_world import (
    IMAGE_FUNCTION,
    NAME,
    a_publication,
    a_stop,
    an_auth,
    an_image_update,
    an_update,
    another_image,
    carry_out,
    furnish,
    furnish_image_function,
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
    assert (look.status, look.result) == ("as-left", {"version": "2"})
    assert versions(aws) == ["$LATEST", "1", "2"]
    published = latest(aws) | aws.client("lambda").get_function_configuration(FunctionName=NAME, Qualifier="2")
    assert published["Description"] == operation(step)


def test_what_somebody_has_published_already_is_taken_for_it(aws: AwsWorld):
    built = furnish(aws)
    step = a_publication(aws, built)
    carry_out(aws, an_update(aws, built))
    aws.client("lambda").publish_version(FunctionName=NAME, Description="by hand")
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
