"""Retiring the old image: what is reversible first, deletion last and only where the runbook says so."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks.container_image import ImageFunction
from runbooks.errors import Refused
from runbooks.plan import Phase, Plan
from runbooks.planning.images.deprecating import plan_deprecation
from runbooks.steps import DeleteImage, PutLifecyclePolicy, SetImageArchived, SetImageTag, SetTagMutability
from tests.runbooks.builders import ACCOUNT, REGION, RESPONSE, a_target
from tests.runbooks.image_builders import (
    IMAGE_CASE,
    NAME,
    a_candidate,
    a_repository,
    an_image,
    an_image_assessment,
    an_image_case,
    an_image_runbook,
)
from tests.runbooks.image_steps import DIGEST

POLICY = (
    '{"rules": [{"rulePriority": 1, "selection": {"tagStatus": "untagged", "countType": "sinceImagePushed", '
    '"countUnit": "days", "countNumber": 14}, "action": {"type": "expire"}}]}'
)


def retired(choice: dict[str, Any] | None = None, candidate: Any = None, **changes: Any) -> Plan:
    runbook = an_image_runbook(deprecate=choice or {})
    return plan_deprecation(
        RESPONSE, runbook, [an_image_assessment(runbook=runbook, **changes)], candidate or a_candidate(), revision=2
    )


def kinds(plan: Plan) -> list[str]:
    return [step.kind for step in plan.steps]


def test_the_tags_but_one_are_taken_off_and_then_the_image_is_archived() -> None:
    plan = retired()
    image = {"cases": (IMAGE_CASE,), "repository": NAME, "digest": DIGEST}
    assert plan.steps == (
        SetImageTag(target=a_target("image", f"{NAME}:latest"), tag="latest", **image),
        SetImageArchived(target=a_target("image", f"{NAME}@{DIGEST}"), **image),
    )
    assert (plan.phase, plan.revision, plan.cases) == (Phase.DEPRECATE, 2, (IMAGE_CASE,))
    assert plan.approval.required
    assert plan.cannot_be_put_back == ()
    assert all(step.undo is not None for step in plan.steps)


def test_deletion_is_for_good_and_only_where_the_image_is_not_archived() -> None:
    both, deleted = retired({"delete": True}), retired({"delete": True, "archive": False})
    assert kinds(both) == ["set-image-tag", "set-image-archived"]
    assert "an image that is archived is not deleted as well" in both.not_covered
    assert deleted.steps == (
        DeleteImage(target=a_target("image", f"{NAME}@{DIGEST}"), cases=(IMAGE_CASE,), repository=NAME, digest=DIGEST),
    )
    assert deleted.cannot_be_put_back == ("shop/checkout@sha256:0123456789ab is deleted for good",)


def test_a_policy_that_expires_images_is_named_among_what_cannot_be_put_back() -> None:
    archives = POLICY.replace('{"type": "expire"}', '{"type": "transition", "targetStorageClass": "archive"}')
    assert retired({"lifecycle_policy": archives}).cannot_be_put_back == ()
    (words,) = retired({"lifecycle_policy": POLICY}).cannot_be_put_back
    assert words == (
        "what the lifecycle policy of shop/checkout expires is deleted for good, within 24 hours of its change and as "
        "long as it is there: the former policy brings none of it back, and whether somebody runs what is expired "
        "later is not looked at"
    )
    unchanged = retired({"lifecycle_policy": POLICY}, repository=a_repository(lifecycle_policy=POLICY))
    assert unchanged.cannot_be_put_back == ()


def test_everything_that_can_be_put_back_comes_before_a_deletion() -> None:
    everything = {"delete": True, "archive": False, "lifecycle_policy": POLICY, "immutable_tags": True}
    assert kinds(retired(everything)) == ["put-lifecycle-policy", "set-tag-mutability", "delete-image"]


def test_the_repositorys_rules_are_changed_where_they_are_others() -> None:
    choice = {"remove_tags": False, "archive": False, "lifecycle_policy": POLICY, "immutable_tags": True}
    repository = {"target": a_target("repository", NAME), "cases": (IMAGE_CASE,), "repository": NAME}
    assert retired(choice, repository=a_repository(lifecycle_policy="{}")).steps == (
        PutLifecyclePolicy(expects="{}", leaves=POLICY, **repository),
        SetTagMutability(expects="MUTABLE", leaves="IMMUTABLE", **repository),
    )
    same = a_repository(lifecycle_policy=POLICY.replace(" ", ""), tag_mutability="IMMUTABLE")
    assert retired(choice, repository=same).steps == ()


def test_a_rule_for_tags_that_has_exceptions_is_left_alone() -> None:
    plan = retired({"immutable_tags": True}, repository=a_repository(tag_mutability="MUTABLE_WITH_EXCLUSION"))
    assert "set-tag-mutability" not in kinds(plan)
    assert "the rule for the tags of shop/checkout has exceptions, and is left as it is" in plan.not_covered


@pytest.mark.parametrize(
    ("tags", "off"),
    [(("latest", "1.4.2", "2024"), ["latest", "2024"]), (("latest",), []), ((), []), (("b", "a"), ["b"])],
)
def test_the_last_tag_is_never_taken_off_for_ecr_would_delete_the_image(tags: tuple[str, ...], off: list[str]) -> None:
    plan = retired({"archive": False}, image=an_image(tags=tags))
    assert [step.tag for step in plan.steps if isinstance(step, SetImageTag)] == off
    if len(tags) == 1:
        assert plan.not_covered[0] == (
            "shop/checkout:latest@sha256:0123456789ab keeps its tag latest, and can be pulled by it: without its last "
            "tag ECR deletes it"
        )


@pytest.mark.parametrize(
    ("choice", "steps", "words"),
    [
        (
            {},
            ["set-image-archived"],
            ": pulled by it on that image's platform, nothing comes until the image is active again",
        ),
        (
            {"archive": False},
            [],
            ": it can be pulled by it",
        ),
        (
            {"archive": False, "delete": True},
            [],
            ", which ECR therefore does not delete: it can be pulled by it",
        ),
    ],
)
def test_the_tags_that_stay_with_an_index_are_named(choice: dict[str, Any], steps: list[str], words: str) -> None:
    plan = retired(choice, image=an_image(tags=(), index_tags=("2.0",)))
    assert kinds(plan) == steps
    assert plan.not_covered[0] == f"2.0 stays with the index that lists shop/checkout@sha256:0123456789ab{words}"
    assert plan.cannot_be_put_back == ()


@pytest.mark.parametrize("choice", [{}, {"archive": False, "delete": True}])
def test_an_image_that_may_be_used_where_nobody_can_look_is_not_retired_and_the_plan_says_why(
    choice: dict[str, Any],
) -> None:
    plan = retired(choice | {"immutable_tags": True}, may_be_used_in=("account 345678901234",))
    assert kinds(plan) == ["set-tag-mutability"]
    assert plan.cannot_be_put_back == ()
    assert (
        "not retired, shop/checkout:1.4.2@sha256:0123456789ab: it may be used in account 345678901234: whoever is "
        "there may pull it, and this system cannot look there"
    ) in plan.not_covered
    assert not [words for words in plan.not_covered if "keeps its tag" in words]


def test_the_image_that_was_built_is_never_retired() -> None:
    plan = retired(candidate=a_candidate(digest=DIGEST))
    assert (plan.steps, plan.cases) == ((), ())


def test_an_image_that_is_gone_or_archived_needs_no_retiring() -> None:
    assert retired(image=None).steps == ()
    assert retired(image=an_image(archived=True)).steps == ()


def a_version(number: str, **changes: Any) -> ImageFunction:
    values = {"account": ACCOUNT, "region": REGION, "name": "export", "arn": f"arn:export:{number}", "version": number}
    return ImageFunction.model_validate(values | changes)


def test_an_image_that_a_version_is_made_from_is_not_deleted_though_nobody_is_seen_to_call_it() -> None:
    """When the plan was made an alias may have served it still: then its own case has brought that to another."""
    for made in ({"dormant": (a_version("7", dormant=True),)}, {"functions": (a_version("7", alias="live"),)}):
        plan = retired({"delete": True, "archive": False, "remove_tags": False}, **made)
        assert (plan.steps, plan.cannot_be_put_back) == ((), ())
        assert (
            "shop/checkout:1.4.2@sha256:0123456789ab is not deleted as long as there is version 7 of function export, "
            "even if nobody calls it" in plan.not_covered
        )


def test_versions_that_miss_an_archived_image_are_named_each_once() -> None:
    served = tuple(a_version("7", alias=alias) for alias in ("live", "next"))
    plan = retired(functions=(*served, a_version("$LATEST")), dormant=(a_version("6", dormant=True),))
    assert kinds(plan) == ["set-image-tag", "set-image-archived"]
    assert (
        "archived, shop/checkout:1.4.2@sha256:0123456789ab is missed by version 7 of function export and version 6 of "
        "function export: called, it fails until the image is active again" in plan.not_covered
    )
    assert not [words for words in retired().not_covered if "missed" in words]


def test_images_of_two_repositories_are_never_in_one_plan() -> None:
    runbook = an_image_runbook()
    other = an_image_case(repository=a_repository(name="other", uri="other"))
    with pytest.raises(Refused, match="one response is about one repository"):
        plan_deprecation(
            RESPONSE,
            runbook,
            [an_image_assessment(runbook=runbook), an_image_assessment(other, runbook)],
            a_candidate(),
        )
