"""Who runs an image, in words, whoever starts it later included."""

from __future__ import annotations

import pytest

from runbooks.container_image import OtherUse
from runbooks.image_users import left_to_others, named_users, unnamed_users
from tests.runbooks.image_builders import image_facts

PLACE = "eu-west-1:210987654321"


@pytest.mark.parametrize(
    ("kind", "arn", "count", "words"),
    [
        ("event-rule", f"arn:aws:events:{PLACE}:rule/shop/nightly", 0, "EventBridge rule nightly (starts it later)"),
        ("schedule", f"arn:aws:scheduler:{PLACE}:schedule/shop/w", 0, "EventBridge schedule w (starts it later)"),
        (
            "job-definition",
            f"arn:aws:batch:{PLACE}:job-definition/r:3",
            1,
            "Batch job definition r:3 (starts it later)",
        ),
        (
            "job-definition",
            f"arn:aws:batch:{PLACE}:job-definition/r:3",
            3,
            "Batch job definition r:3 and 2 other revisions (starts it later)",
        ),
        ("ecs-task", f"arn:aws:ecs:{PLACE}:task/shop/0123", 2, "ECS task of no service 0123 (2)"),
        ("eks-cluster", f"arn:aws:eks:{PLACE}:cluster/platform", 7, "EKS cluster platform (7)"),
    ],
)
def test_whoever_else_uses_it_is_named_and_left_to_a_person(kind: str, arn: str, count: int, words: str) -> None:
    use = OtherUse.model_validate({"kind": kind, "arn": arn, "count": count})
    facts = image_facts(services=(), others=(use,))
    assert list(named_users(facts)) == [words]
    assert list(unnamed_users(facts)) == []
    assert list(left_to_others(facts)) == [f"{words}: not deployed by this plan, a person brings it to another image"]
    assert facts.running
