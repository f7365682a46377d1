"""An image is retired only when nobody runs it, by one reversible step after the other."""

from __future__ import annotations

from typing import Any

import pytest

from deployments.sandbox.faults import FaultKind
from runbooks.errors import AnswerLost, Outside
from runbooks.steps import Step
from runbooks.steps.base import Role
from tests.tasks.gateways.aws_world import ACCOUNT, AwsWorld, statuses
from tests.tasks.gateways.image_world import (
    REPOSITORY,
    a_deletion,
    a_dormant_version,
    a_mutability,
    a_tag_removal,
    an_archiving,
    another_image,
    furnish,
    images,
    run_it,
    undo_of,
)
from tests.tasks.gateways.running_images import a_definition, a_job, a_rule, a_service, let_pull


def done(aws: AwsWorld, step: Step) -> None:
    """Look, act, look: from as expected to as left."""
    assert statuses(aws.look(step)) == ["as-expected"]
    aws.act(step)
    assert statuses(aws.look(step)) == ["as-left"]


# --- tags ------------------------------------------------------------------------------------------------------------


def test_a_tag_is_taken_off_and_put_back_on_the_very_same_image(aws: AwsWorld):
    digest = furnish(aws)["digest"]
    before = images(aws)
    step = a_tag_removal(digest)
    done(aws, step)
    assert images(aws) == {digest: ("ACTIVE", ["1.4.2"])}
    done(aws, undo_of(step))
    assert images(aws) == before
    assert aws.calls(mutating=True) == ["ecr:BatchDeleteImage", "ecr:PutImage"]


def test_the_last_tag_is_never_taken_off_for_ecr_would_delete_the_image_with_it(aws: AwsWorld):
    digest = furnish(aws, tags=("production",))["digest"]
    (look,) = aws.look(a_tag_removal(digest))
    assert (look.status, look.found) == ("drifted", {"tags": ["production"]})
    assert images(aws) == {digest: ("ACTIVE", ["production"])}


def test_tags_that_are_taken_off_together_do_not_leave_the_image_without_any(aws: AwsWorld):
    digest = furnish(aws)["digest"]
    steps = [a_tag_removal(digest, tag) for tag in ("1.4.2", "production")]
    assert statuses(aws.look(*steps)) == ["drifted", "drifted"]


def test_a_tag_that_moved_to_another_image_stays_there(aws: AwsWorld):
    digest = furnish(aws)["digest"]
    newer = another_image(aws, "production")
    step = a_tag_removal(digest)
    assert statuses(aws.look(step)) == ["as-left"]
    (look,) = aws.look(undo_of(step))
    assert (look.status, look.detail) == ("drifted", f"production is a tag of {newer} now")
    assert images(aws) == {digest: ("ACTIVE", ["1.4.2"]), newer: ("ACTIVE", ["production"])}


def test_a_tag_that_moves_between_the_look_and_the_call_is_not_taken_off_the_image_that_has_it_now(aws: AwsWorld):
    digest = furnish(aws)["digest"]
    step = a_tag_removal(digest)
    assert statuses(aws.look(step)) == ["as-expected"]
    newer = another_image(aws, "production")  # its only tag: without it ECR would delete the image
    with pytest.raises(Outside) as refused:
        aws.act(step)
    assert refused.value.code == "tag-moved"
    assert images(aws) == {digest: ("ACTIVE", ["1.4.2"]), newer: ("ACTIVE", ["production"])}


def test_a_tag_waits_for_its_image_to_come_back_from_the_archive(aws: AwsWorld):
    digest = furnish(aws)["digest"]
    removal, archiving = a_tag_removal(digest), an_archiving(digest)
    done(aws, removal)
    done(aws, archiving)
    (look,) = aws.look(undo_of(removal))
    assert (look.status, look.detail) == ("drifted", "the image is archived, and takes no tag")
    aws.look(undo_of(archiving))
    aws.act(undo_of(archiving))
    assert statuses(aws.look(undo_of(removal))) == ["in-progress"]
    aws.sandbox.advance(60)
    done(aws, undo_of(removal))
    assert images(aws) == {digest: ("ACTIVE", ["1.4.2", "production"])}


def test_a_removal_whose_answer_was_lost_is_found(aws: AwsWorld):
    digest = furnish(aws)["digest"]
    aws.look(a_tag_removal(digest))
    aws.fault("ecr:BatchDeleteImage", FaultKind.TIMEOUT_AFTER_EFFECT)
    with pytest.raises(AnswerLost):
        aws.act(a_tag_removal(digest))
    aws.forget_everything()
    assert statuses(aws.look(a_tag_removal(digest))) == ["as-left"]


def test_what_ecr_could_not_do_for_one_image_is_not_taken_for_done(aws: AwsWorld):
    digest = furnish(aws)["digest"]
    step = a_deletion(digest)
    aws.look(step)
    aws.client("ecr", Role.PATCH).batch_delete_image(repositoryName=REPOSITORY, imageIds=[{"imageDigest": digest}])
    with pytest.raises(Outside) as raised:
        aws.act(step)
    assert raised.value.code == "ImageNotFound"


# --- the archive -----------------------------------------------------------------------------------------------------


def test_an_image_is_archived_and_comes_back_after_a_while(aws: AwsWorld):
    digest = furnish(aws)["digest"]
    before = images(aws)
    step = an_archiving(digest)
    done(aws, step)
    assert images(aws) == {digest: ("ARCHIVED", ["1.4.2", "production"])}
    undo = undo_of(step)
    assert statuses(aws.look(undo)) == ["as-expected"]
    assert aws.act(undo) == {"status": "ACTIVATING"}
    assert statuses(aws.look(undo)) == ["in-progress"]
    assert statuses(aws.look(step)) == ["drifted"]
    aws.sandbox.advance(60)
    assert statuses(aws.look(undo)) == ["as-left"]
    assert images(aws) == before


def test_an_archiving_whose_answer_was_lost_is_found(aws: AwsWorld):
    digest = furnish(aws)["digest"]
    aws.look(an_archiving(digest))
    aws.fault("ecr:UpdateImageStorageClass", FaultKind.TIMEOUT_AFTER_EFFECT)
    with pytest.raises(AnswerLost):
        aws.act(an_archiving(digest))
    aws.forget_everything()
    assert statuses(aws.look(an_archiving(digest))) == ["as-left"]


def test_an_image_that_is_gone_is_drift_but_for_its_deletion(aws: AwsWorld):
    digest = furnish(aws)["digest"]
    done(aws, a_deletion(digest))
    assert images(aws) == {}
    for step in (an_archiving(digest), undo_of(an_archiving(digest)), a_tag_removal(digest)):
        assert statuses(aws.look(step)) == ["drifted"]


def test_a_deletion_whose_answer_was_lost_is_found(aws: AwsWorld):
    digest = furnish(aws)["digest"]
    aws.look(a_deletion(digest))
    aws.fault("ecr:BatchDeleteImage", FaultKind.TIMEOUT_AFTER_EFFECT)
    with pytest.raises(AnswerLost):
        aws.act(a_deletion(digest))
    aws.forget_everything()
    assert statuses(aws.look(a_deletion(digest))) == ["as-left"]


# --- who runs it -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [a_tag_removal, an_archiving, a_deletion])
def test_an_image_that_a_service_runs_is_left_as_it_is_and_the_look_says_who(aws: AwsWorld, make: type):
    built = furnish(aws)
    run_it(aws, built["image"])
    before = images(aws)
    (look,) = aws.look(make(built["digest"]))
    assert look.status == "drifted"
    assert look.detail == f"the image is in use: service checkout of shop in {ACCOUNT} (2)"
    assert images(aws) == before
    assert aws.calls(mutating=True) == []


def test_somebody_who_starts_it_after_the_plan_was_approved_stops_its_deletion(aws: AwsWorld):
    built = furnish(aws)
    assert statuses(aws.look(a_deletion(built["digest"]))) == ["as-expected"]
    run_it(aws, built["image"])
    assert statuses(aws.look(a_deletion(built["digest"]))) == ["drifted"]


def test_what_puts_an_image_back_asks_nobody(aws: AwsWorld):
    built = furnish(aws)
    done(aws, an_archiving(built["digest"]))
    aws.sandbox.cloud.record.clear()
    aws.look(undo_of(an_archiving(built["digest"])))
    assert aws.calls() == ["ecr:DescribeImages"]


def test_an_image_that_runs_nowhere_but_in_the_view_of_a_service_scaled_to_nothing_is_in_use(aws: AwsWorld):
    built = furnish(aws)
    service = run_it(aws, built["image"])
    client = aws.client("ecs", Role.PATCH)
    client.update_service(cluster=service["cluster"], service=service["service"], desiredCount=0)
    aws.sandbox.advance(120)
    (look,) = aws.look(a_deletion(built["digest"]))
    assert look.status == "drifted"
    assert "service checkout of shop" in look.detail


def test_images_of_many_steps_are_read_in_one_call_and_so_is_who_runs_them(aws: AwsWorld):
    digest = furnish(aws)["digest"]
    other = another_image(aws, "1.4.3")
    aws.look(an_archiving(digest))
    one = sorted(aws.calls())
    aws.sandbox.cloud.record.clear()
    looks = aws.look(an_archiving(digest), an_archiving(other))
    assert statuses(looks) == ["as-expected", "as-expected"]
    # Inspector names the clusters of one image at a time.
    assert sorted(aws.calls()) == sorted([*one, "inspector2:GetClustersForImage"])


@pytest.mark.parametrize("make", [a_tag_removal, an_archiving])
def test_a_version_that_nobody_calls_keeps_its_image_from_neither_untagging_nor_the_archive(aws: AwsWorld, make: type):
    built = furnish(aws)
    a_dormant_version(aws, built["image"])
    assert statuses(aws.look(make(built["digest"]))) == ["as-expected"]


def test_a_version_that_nobody_calls_keeps_its_image_from_being_deleted(aws: AwsWorld):
    built = furnish(aws)
    a_dormant_version(aws, built["image"])
    (look,) = aws.look(a_deletion(built["digest"]))
    assert look.status == "drifted"
    assert look.detail == (f"the image is in use: function exporter:1 in {ACCOUNT}, which nobody was seen to call")
    assert set(images(aws)) == {built["digest"]}


def a_later_start(aws: AwsWorld, built: dict[str, Any]) -> str:
    a_rule(aws, "nightly", a_service(aws, "public.example/other:1")["cluster_arn"], a_definition(aws, built["image"]))
    return "event rule arn:aws:events:eu-west-1:210987654321:rule/nightly"


def a_later_job(aws: AwsWorld, built: dict[str, Any]) -> str:
    return f"job definition {a_job(aws, built['image'])} (1)"


@pytest.mark.parametrize("make", [a_tag_removal, an_archiving, a_deletion])
@pytest.mark.parametrize("later", [a_later_start, a_later_job])
def test_an_image_that_is_only_started_later_is_left_as_it_is(aws: AwsWorld, later: Any, make: type):
    built = furnish(aws)
    who = later(aws, built)
    (look,) = aws.look(make(built["digest"]))
    assert (look.status, look.detail) == ("drifted", f"the image is in use: {who}")


@pytest.mark.parametrize("make", [a_tag_removal, an_archiving, a_deletion])
def test_an_image_that_may_be_used_where_nobody_can_look_is_left_as_it_is(aws: AwsWorld, make: type):
    built = furnish(aws)
    let_pull(aws, built, "*")
    (look,) = aws.look(make(built["digest"]))
    assert look.status == "drifted"
    assert look.detail == (
        "the image is perhaps in use: it may be used in any account: whoever is there may pull it, and this system "
        "cannot look there"
    )


# --- the rule for tags -----------------------------------------------------------------------------------------------


def mutability(aws: AwsWorld) -> str:
    (raw,) = aws.client("ecr").describe_repositories(repositoryNames=[REPOSITORY])["repositories"]
    return raw["imageTagMutability"]


def test_tags_are_made_immutable_and_mutable_again(aws: AwsWorld):
    furnish(aws)
    step = a_mutability()
    done(aws, step)
    assert mutability(aws) == "IMMUTABLE"
    done(aws, undo_of(step))
    assert mutability(aws) == "MUTABLE"


def test_a_rule_with_exceptions_is_left_alone_for_they_could_not_be_put_back(aws: AwsWorld):
    furnish(aws)
    exception = {"filterType": "WILDCARD", "filter": "dev-*"}
    aws.client("ecr", Role.PATCH).put_image_tag_mutability(
        repositoryName=REPOSITORY,
        imageTagMutability="MUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=[exception],
    )
    (look,) = aws.look(a_mutability(expects="MUTABLE_WITH_EXCLUSION"))
    assert (look.status, look.found) == ("drifted", {"mutability": "MUTABLE_WITH_EXCLUSION"})


def test_a_rule_that_was_changed_since_the_plan_is_drift(aws: AwsWorld):
    furnish(aws, immutable=True)
    assert statuses(aws.look(undo_of(a_mutability()))) == ["as-expected"]
    assert statuses(aws.look(a_mutability())) == ["as-left"]
    (look,) = aws.look(a_mutability(expects="MUTABLE", leaves="MUTABLE_WITH_EXCLUSION"))
    assert (look.status, look.detail) == ("drifted", "mutability is IMMUTABLE, and the plan found MUTABLE")
