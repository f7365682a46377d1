"""Each kind of step about a function: the calls it makes, under which role, and what it may read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runbooks.steps import (
    STEP_KINDS,
    PublishVersion,
    RebuildPackage,
    SetFunctionUrlAuth,
    SetReservedConcurrency,
    ShiftAlias,
    Step,
    UpdateFunctionCode,
    UpdateFunctionConfiguration,
    UpdateFunctionImage,
)
from tests.tasks.gateways.actions.test_every_kind import OF_FUNCTIONS
from tests.tasks.gateways.aws_world import AwsWorld, statuses
from tests.tasks.gateways.function_world import (
    a_code_update,
    a_package,
    a_package_build,
    a_publication,
    a_shift,
    a_stop,
    an_auth,
    an_image_update,
    an_update,
    another_image,
    carry_out,
    furnish,
    furnish_image_function,
    furnish_own_code,
    state,
    updated_and_published,
)


def published(aws: AwsWorld) -> Step:
    built = furnish(aws)
    step = a_publication(aws, built)
    carry_out(aws, an_update(aws, built))
    return step


def shifted(aws: AwsWorld) -> Step:
    updated_and_published(aws, furnish(aws))
    return a_shift()


def with_another_image(aws: AwsWorld) -> Step:
    built = furnish_image_function(aws)
    return an_image_update(aws, built, another_image(aws, built))


def with_its_own_build(aws: AwsWorld) -> Step:
    return a_package_build(aws, furnish_own_code(aws))


def with_code_of_a_build(aws: AwsWorld) -> Step:
    return a_code_update(aws, a_package(aws, furnish_own_code(aws)))


def with_a_layer(aws: AwsWorld) -> Step:
    return an_update(aws, furnish(aws))


def contained(step: Callable[[], Step]) -> Callable[[AwsWorld], Step]:
    def make(aws: AwsWorld) -> Step:
        furnish(aws)
        return step()

    return make


ALLOWED_BY = {"s3:HeadObject": "s3:GetObject"}
"""What allows a call whose own name is no IAM action."""
SAYS_NOT_FOUND = {"s3:ListBucket"}
"""Without it S3 says "access denied" of an object that is not there."""

MAKES: dict[type[Step], Callable[[AwsWorld], Step]] = {
    SetFunctionUrlAuth: contained(an_auth),
    SetReservedConcurrency: contained(a_stop),
    UpdateFunctionConfiguration: with_a_layer,
    UpdateFunctionImage: with_another_image,
    RebuildPackage: with_its_own_build,
    UpdateFunctionCode: with_code_of_a_build,
    PublishVersion: published,
    ShiftAlias: shifted,
}


def test_every_kind_about_functions_is_tried_here():
    assert set(MAKES) == {kind for kind in STEP_KINDS if kind.__module__.startswith(OF_FUNCTIONS)}


@pytest.mark.parametrize("kind", MAKES)
def test_each_kind_makes_the_calls_it_says_and_its_undo_puts_back(aws: AwsWorld, kind: type[Step]):
    step = MAKES[kind](aws)
    before = state(aws)
    aws.sandbox.cloud.record.clear()
    aws.guarded.clear()
    assert statuses(aws.look(step)) == ["as-expected"]
    assert carry_out(aws, step) == "as-left"
    forward = {one["RoleArn"].rpartition("-")[2] for one in aws.parameters("AssumeRole")}
    assert forward <= {"read", step.role.value}
    if (undo := step.undo) is not None:
        assert carry_out(aws, undo) == "as-left"
    assert sorted(set(aws.calls(mutating=True))) == sorted(step.calls)
    reads = {call.partition(":")[2] for call in step.acting_reads}
    changes = [call for call in aws.guarded if call not in reads]
    assert changes == [call.partition(":")[2] for call in aws.calls(mutating=True)]
    needed = {ALLOWED_BY.get(call, call) for call in aws.calls()}
    assert needed <= set(step.permissions)
    assert set(step.permissions) - needed <= {*step.acting_reads} | SAYS_NOT_FOUND
    roles = {one["RoleArn"].rpartition("-")[2] for one in aws.parameters("AssumeRole")}
    assert roles <= {"read", step.role.value, "restore"}
    if undo is not None:
        assert state(aws) == before


def test_an_undone_update_may_be_looked_at_with_what_the_first_plan_found(aws: AwsWorld):
    """What is put back has another time of its last change: the plan that is made anew names that one."""
    built = furnish(aws)
    step: Any = an_update(aws, built)
    carry_out(aws, step)
    undo = step.undo
    carry_out(aws, undo)
    (look,) = aws.look(step)
    assert (look.status, "was changed since the plan was made" in look.detail) == ("drifted", True)
