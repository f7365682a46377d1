"""ECR lifecycle policies: previewed first, acting within a day, by priority."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.deployments.sandbox.container_images import REPOSITORY, push, tags


@pytest.fixture
def pushed(sandbox: Any, aws: Any) -> dict[str, str]:
    """Four images, a day apart: one untagged, two releases, one tagged as in production."""
    aws("ecr").create_repository(repositoryName=REPOSITORY)
    digests = {}
    for layer, tag in (("a", None), ("b", "release-1"), ("c", "release-2"), ("d", "production")):
        digests[tag or "untagged"] = push(aws, layer, tag=tag)
        sandbox.advance(86400)
    return digests


def rule(priority: int, action: str = "expire", **selection: Any) -> dict[str, Any]:
    target = {"targetStorageClass": "archive"} if action == "transition" else {}
    stated = {"countType": "imageCountMoreThan", "countNumber": 1} | selection
    return {
        "rulePriority": priority,
        "description": "A rule of the tests of lifecycle policies.",
        "selection": stated,
        "action": {"type": action} | target,
    }


def policy(*rules: dict[str, Any]) -> str:
    return json.dumps({"rules": rules}, indent=2)


def preview(sandbox: Any, aws: Any, text: str) -> dict[str, tuple[str, int]]:
    started = aws("ecr").start_lifecycle_policy_preview(repositoryName=REPOSITORY, lifecyclePolicyText=text)
    assert started["status"] == "IN_PROGRESS"
    assert aws("ecr").get_lifecycle_policy_preview(repositoryName=REPOSITORY)["status"] == "IN_PROGRESS"
    sandbox.advance(2)
    answer = aws("ecr").get_lifecycle_policy_preview(repositoryName=REPOSITORY)
    assert answer["status"] == "COMPLETE"
    found = {
        one["imageDigest"]: (one["action"]["type"], one["appliedRulePriority"]) for one in answer["previewResults"]
    }
    expired = sum(action == "EXPIRE" for action, _ in found.values())
    assert answer["summary"]["expiringImageTotalCount"] == expired
    return found


def test_a_preview_shows_what_would_go_and_changes_nothing(sandbox, aws, pushed):
    before = tags(aws)
    assert preview(sandbox, aws, policy(rule(1, tagStatus="any", countNumber=2))) == {
        pushed["untagged"]: ("EXPIRE", 1),
        pushed["release-1"]: ("EXPIRE", 1),
    }
    assert tags(aws) == before
    with pytest.raises(ClientError, match="LifecyclePolicyNotFoundException"):
        aws("ecr").get_lifecycle_policy(repositoryName=REPOSITORY)


def test_an_image_that_a_rule_is_about_is_safe_from_later_rules(sandbox, aws, pushed):
    keeps = rule(1, tagStatus="tagged", tagPatternList=["*-1"], countNumber=5)
    assert preview(sandbox, aws, policy(keeps, rule(2, tagStatus="any"))) == {
        pushed["untagged"]: ("EXPIRE", 2),
        pushed["release-2"]: ("EXPIRE", 2),
    }


def test_ages_prefixes_and_the_archive(sandbox, aws, pushed):
    releases = rule(
        1, "transition", tagStatus="tagged", tagPrefixList=["release-"], countType="sinceImagePushed", countUnit="days",
        countNumber=2,
    )  # fmt: skip
    untagged = rule(2, tagStatus="untagged", countType="sinceImagePulled", countUnit="days", countNumber=3)
    expected = {
        pushed["untagged"]: ("EXPIRE", 2),
        pushed["release-1"]: ("TRANSITION", 1),
        pushed["release-2"]: ("TRANSITION", 1),
    }
    assert preview(sandbox, aws, policy(releases, untagged)) == expected
    aws("ecr").put_lifecycle_policy(repositoryName=REPOSITORY, lifecyclePolicyText=policy(releases, untagged))
    assert len(tags(aws, status="ACTIVE")) == 4
    sandbox.advance(86401)
    assert tags(aws, status="ACTIVE") == {pushed["production"]: ["production"]}
    assert tags(aws, status="ARCHIVED") == {pushed["release-1"]: ["release-1"], pushed["release-2"]: ["release-2"]}


def test_a_policy_that_was_taken_away_does_nothing_any_more(sandbox, aws, pushed):
    text = policy(rule(1, tagStatus="any"))
    aws("ecr").put_lifecycle_policy(repositoryName=REPOSITORY, lifecyclePolicyText=text)
    assert aws("ecr").get_lifecycle_policy(repositoryName=REPOSITORY)["lifecyclePolicyText"] == text
    assert aws("ecr").delete_lifecycle_policy(repositoryName=REPOSITORY)["lifecyclePolicyText"] == text
    sandbox.advance(2 * 86400)
    assert len(tags(aws)) == 4


@pytest.mark.parametrize(
    "text",
    [
        policy(rule(1, tagStatus="any"), rule(2, tagStatus="untagged")),
        policy(rule(1, tagStatus="untagged"), rule(1, tagStatus="any")),
        policy(rule(1, tagStatus="tagged")),
        policy(rule(1, tagStatus="untagged", countType="sinceImagePushed")),
        "no policy at all, but as long as a policy has to be by the service model of ECR: one hundred characters",
    ],
)
def test_what_is_no_policy_is_refused(aws, pushed, text):
    for call in (aws("ecr").put_lifecycle_policy, aws("ecr").start_lifecycle_policy_preview):
        with pytest.raises(ClientError, match="InvalidParameterException"):
            call(repositoryName=REPOSITORY, lifecyclePolicyText=text)
