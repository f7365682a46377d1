from __future__ import annotations

import json
from typing import Any

import pytest

from deployments.sandbox.faults import FaultKind
from runbooks.errors import AnswerLost
from runbooks.lifecycle_policy import mark_of
from runbooks.steps.base import Role
from tasks.gateways.actions.lifecycle import NEW_ENOUGH
from tests.tasks.gateways.aws_world import ACCOUNT, AwsWorld, operation, statuses
from tests.tasks.gateways.image_world import (
    EXPIRES_ALL_BUT_ONE,
    REPOSITORY,
    a_dormant_version,
    a_lifecycle,
    another_image,
    furnish,
    images,
    run_it,
    undo_of,
)
from tests.tasks.gateways.running_images import push, push_index

ARCHIVES_ALL_BUT_ONE = EXPIRES_ALL_BUT_ONE.replace(
    '{"type":"expire"}', '{"type":"transition","targetStorageClass":"archive"}'
)
FORMER = json.dumps(
    {
        "rules": [
            {
                "rulePriority": 1,
                "selection": {"tagStatus": "untagged", "countType": "imageCountMoreThan", "countNumber": 50},
                "action": {"type": "expire"},
            }
        ]
    },
    indent=1,
)


def policy(aws: AwsWorld) -> str | None:
    client = aws.client("ecr")
    try:
        return client.get_lifecycle_policy(repositoryName=REPOSITORY)["lifecyclePolicyText"]
    except client.exceptions.LifecyclePolicyNotFoundException:
        return None


def give_policy(aws: AwsWorld, text: str) -> None:
    aws.client("ecr", Role.PATCH).put_lifecycle_policy(repositoryName=REPOSITORY, lifecyclePolicyText=text)
    aws.sandbox.cloud.record.clear()


def start_preview(aws: AwsWorld, text: str) -> None:
    aws.client("ecr", Role.PATCH).start_lifecycle_policy_preview(repositoryName=REPOSITORY, lifecyclePolicyText=text)
    aws.sandbox.cloud.record.clear()


def put(aws: AwsWorld, step: Any) -> None:
    """Have it previewed and put."""
    assert statuses(aws.look(step)) == ["as-expected"]
    assert aws.act(step) == {"previewed": False}
    assert statuses(aws.look(step)) == ["in-progress"]
    aws.sandbox.advance(5)
    (look,) = aws.look(step)
    assert (look.status, look.result) == ("as-expected", {"previewed": True})
    assert aws.act(step) == {"policy": step.leaves}
    assert statuses(aws.look(step)) == ["as-left"]


def test_a_policy_is_previewed_before_it_is_put_and_the_very_text_from_before_is_put_back(aws: AwsWorld):
    furnish(aws)
    give_policy(aws, FORMER)
    step = a_lifecycle(expects=FORMER)
    put(aws, step)
    assert policy(aws) == EXPIRES_ALL_BUT_ONE
    undo = undo_of(step)
    assert statuses(aws.look(undo)) == ["as-expected"]
    aws.act(undo)
    assert statuses(aws.look(undo)) == ["as-left"]
    assert policy(aws) == FORMER
    assert aws.calls(mutating=True) == [
        "ecr:StartLifecyclePolicyPreview",
        "ecr:PutLifecyclePolicy",
        "ecr:PutLifecyclePolicy",
    ]


def test_a_repository_without_a_policy_is_left_without_one(aws: AwsWorld):
    furnish(aws)
    step = a_lifecycle()
    put(aws, step)
    undo = undo_of(step)
    assert statuses(aws.look(undo)) == ["as-expected"]
    aws.act(undo)
    assert statuses(aws.look(undo)) == ["as-left"]
    assert policy(aws) is None


def test_a_policy_that_would_take_an_image_somebody_runs_is_not_put(aws: AwsWorld):
    built = furnish(aws)
    newer = another_image(aws, "1.4.3")
    run_it(aws, built["image"])
    step = a_lifecycle()
    aws.look(step)
    aws.act(step)
    aws.sandbox.advance(5)
    (look,) = aws.look(step)
    assert (look.status, look.found) == ("drifted", {"policy": None, "takes": [built["digest"]]})
    who = f"in use: service checkout of shop in {ACCOUNT} (2)"
    assert look.detail == f"it would take {built['digest']}, {who}"
    assert policy(aws) is None
    assert set(images(aws)) == {built["digest"], newer}


def test_a_policy_that_takes_only_what_nobody_runs_is_put_and_the_ledger_says_what(aws: AwsWorld):
    built = furnish(aws)
    another_image(aws, "1.4.3")
    step = a_lifecycle()
    aws.look(step)
    aws.act(step)
    aws.sandbox.advance(5)
    (look,) = aws.look(step)
    assert (look.status, look.found) == ("as-expected", {"policy": None, "takes": [built["digest"]]})


def an_index_with_an_attestation(aws: AwsWorld, built: dict[str, Any]) -> tuple[str, str]:
    """As BuildKit pushes the image under the tag `multi`; the index and the attestation, which Inspector leaves out."""
    attestation = push(aws, built, "attestation")
    nowhere = {"os": "unknown", "architecture": "unknown"}
    index = push_index(aws, built, "multi", built["digest"], **{attestation: nowhere})

    def leave_out(parsed: dict[str, Any], **_: Any) -> None:
        rows = parsed["coveredResources"]
        parsed["coveredResources"] = [row for row in rows if not row["resourceId"].endswith((index, attestation))]

    aws.client("inspector2").meta.events.register("after-call.inspector2.ListCoverage", leave_out)
    return index, attestation


def test_a_policy_may_take_an_index_and_an_attestation_that_inspector_leaves_out(aws: AwsWorld):
    built = furnish(aws)
    taken = {built["digest"], *an_index_with_an_attestation(aws, built)}
    another_image(aws, "1.4.3")
    step = a_lifecycle()
    aws.look(step)
    aws.act(step)
    aws.sandbox.advance(5)
    (look,) = aws.look(step)
    assert (look.status, look.found) == ("as-expected", {"policy": None, "takes": sorted(taken)})


def test_a_policy_that_would_take_the_index_that_somebody_runs_is_not_put(aws: AwsWorld):
    built = furnish(aws)
    index, attestation = an_index_with_an_attestation(aws, built)
    another_image(aws, "1.4.3")
    run_it(aws, f"{built['repository_uri']}:multi")
    step = a_lifecycle()
    aws.look(step)
    aws.act(step)
    aws.sandbox.advance(5)
    (look,) = aws.look(step)
    who = f"in use: service checkout of shop in {ACCOUNT} (2)"
    hurt = "; ".join(f"{digest}, {who}" for digest in sorted((built["digest"], index)))
    assert (look.status, look.detail) == ("drifted", f"it would take {hurt}")
    assert attestation in look.found["takes"]


def test_killed_after_the_preview_was_asked_for_it_goes_on_from_there(aws: AwsWorld):
    furnish(aws)
    step = a_lifecycle()
    aws.look(step)
    aws.fault("ecr:StartLifecyclePolicyPreview", FaultKind.TIMEOUT_AFTER_EFFECT)
    with pytest.raises(AnswerLost):
        aws.act(step)
    aws.forget_everything()
    assert statuses(aws.look(step)) == ["in-progress"]
    aws.sandbox.advance(5)
    aws.look(step)
    assert aws.act(step) == {"policy": EXPIRES_ALL_BUT_ONE}
    assert aws.calls(mutating=True) == ["ecr:StartLifecyclePolicyPreview", "ecr:PutLifecyclePolicy"]


def test_a_policy_whose_answer_was_lost_is_found(aws: AwsWorld):
    furnish(aws)
    step = a_lifecycle()
    aws.look(step)
    aws.act(step)
    aws.sandbox.advance(5)
    aws.look(step)
    aws.fault("ecr:PutLifecyclePolicy", FaultKind.TIMEOUT_AFTER_EFFECT)
    with pytest.raises(AnswerLost):
        aws.act(step)
    aws.forget_everything()
    assert statuses(aws.look(step)) == ["as-left"]


def test_the_preview_of_another_policy_is_waited_for_and_not_taken_for_this_ones(aws: AwsWorld):
    furnish(aws)
    start_preview(aws, FORMER)
    step = a_lifecycle()
    assert statuses(aws.look(step)) == ["in-progress"]
    aws.sandbox.advance(5)
    (look,) = aws.look(step)
    assert (look.status, look.result.get("previewed")) == ("as-expected", None)
    assert aws.act(step) == {"previewed": False}


def test_a_preview_of_the_same_policy_that_somebody_asked_for_before_says_nothing_of_what_was_pushed_since(
    aws: AwsWorld,
):
    built = furnish(aws)
    start_preview(aws, EXPIRES_ALL_BUT_ONE)
    aws.sandbox.advance(5)
    run_it(aws, built["image"])
    another_image(aws, "1.4.3")  # it pushes the one that runs out of the count
    step = a_lifecycle()
    (look,) = aws.look(step)
    assert (look.status, look.result.get("previewed")) == ("as-expected", None)
    assert aws.act(step) == {"previewed": False}
    aws.sandbox.advance(5)
    (look,) = aws.look(step)
    assert (look.status, look.found["takes"]) == ("drifted", [built["digest"]])
    assert policy(aws) is None


def test_a_preview_of_its_own_that_has_grown_old_is_asked_for_again(aws: AwsWorld):
    built = furnish(aws)
    step = a_lifecycle()
    aws.look(step)
    aws.act(step)
    aws.sandbox.advance(5)
    (look,) = aws.look(step)
    assert look.result == {"previewed": True}
    another_image(aws, "1.4.3")
    aws.sandbox.advance(NEW_ENOUGH.total_seconds())
    aws.forget_everything()
    (look,) = aws.look(step)
    assert (look.status, look.result.get("previewed")) == ("as-expected", None)
    assert aws.act(step) == {"previewed": False}
    aws.sandbox.advance(5)
    (look,) = aws.look(step)
    assert look.found["takes"] == [built["digest"]]


def test_what_is_previewed_is_the_policy_itself_but_for_the_mark(aws: AwsWorld):
    furnish(aws)
    step = a_lifecycle()
    put(aws, step)
    (sent,) = aws.parameters("StartLifecyclePolicyPreview")
    mark = mark_of(sent["lifecyclePolicyText"], EXPIRES_ALL_BUT_ONE)
    assert mark is not None
    assert mark.startswith(f"{operation(step)}/")
    assert policy(aws) == EXPIRES_ALL_BUT_ONE


@pytest.mark.parametrize(("text", "spared"), [(EXPIRES_ALL_BUT_ONE, False), (ARCHIVES_ALL_BUT_ONE, True)])
def test_a_version_that_nobody_calls_keeps_its_image_from_expiring_and_not_from_the_archive(
    aws: AwsWorld, text: str, spared: bool
):
    built = furnish(aws)
    a_dormant_version(aws, built["image"])
    another_image(aws, "1.4.3")
    step = a_lifecycle(leaves=text)
    aws.look(step)
    aws.act(step)
    aws.sandbox.advance(5)
    (look,) = aws.look(step)
    assert look.found["takes"] == [built["digest"]]
    assert look.status == ("as-expected" if spared else "drifted")
    assert ("function exporter:1" in look.detail) is not spared


def test_a_policy_that_was_changed_since_the_plan_stays_as_it_is(aws: AwsWorld):
    furnish(aws)
    give_policy(aws, FORMER)
    (look,) = aws.look(a_lifecycle())
    assert (look.status, look.detail) == ("drifted", "the policy is another one since the plan was made")
    assert policy(aws) == FORMER


def test_a_policy_of_a_repository_that_is_gone_is_drift(aws: AwsWorld):
    assert statuses(aws.look(a_lifecycle())) == ["drifted"]
