"""A lifecycle policy is checked when its runbook is read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runbooks.lifecycle_policy import checked_lifecycle_policy, expires_images, mark_of, same_policy, with_mark

SELECTION = {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14}
RULE: dict[str, Any] = {"rulePriority": 1, "selection": SELECTION, "action": {"type": "expire"}}
ANY = SELECTION | {"tagStatus": "any"}


def policy(*rules: dict[str, Any]) -> str:
    return json.dumps({"rules": list(rules)}, indent=4)


@pytest.mark.parametrize(
    "rule",
    [
        RULE,
        RULE | {"description": "untagged go"},
        RULE | {"selection": SELECTION | {"tagStatus": "tagged", "tagPatternList": ["prod*"]}},
        RULE | {"selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 9}},
        RULE | {"action": {"type": "transition", "targetStorageClass": "archive"}},
    ],
)
def test_what_ecr_takes_is_kept_to_the_letter(rule: dict[str, Any]) -> None:
    assert checked_lifecycle_policy(policy(rule)) == policy(rule)


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ([], "characters"),
        ([RULE | {"rulePriority": 0}], "rules.0.rulePriority"),
        ([RULE | {"priority": 1}], "rules.0.priority"),
        ([RULE | {"selection": SELECTION | {"tagStatus": "tagged"}}], "tagPatternList or tagPrefixList goes with"),
        ([RULE | {"selection": SELECTION | {"tagPrefixList": ["a"]}}], "tagPatternList or tagPrefixList goes with"),
        ([RULE | {"selection": SELECTION | {"countUnit": None}}], "countUnit days goes with"),
        ([RULE | {"action": {"type": "transition"}}], "targetStorageClass goes with type transition"),
        ([RULE | {"action": {"type": "delete"}}], "rules.0.action.type"),
        ([RULE, RULE], "every rule has a rulePriority of its own"),
        ([RULE | {"selection": ANY}, RULE | {"rulePriority": 2}], "a rule with tagStatus any comes last"),
    ],
)
def test_what_ecr_would_refuse_is_refused_with_its_place(rules: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        checked_lifecycle_policy(policy(*rules))


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(ValueError, match="the policy: Invalid JSON"):
        checked_lifecycle_policy("{" * 200)


def test_policies_are_compared_by_what_they_say() -> None:
    assert same_policy(policy(RULE), json.dumps({"rules": [RULE]}))
    assert same_policy(None, None)
    assert same_policy("text", "text")
    assert not same_policy(policy(RULE), None)
    assert not same_policy(policy(RULE), policy(RULE | {"rulePriority": 2}))
    assert not same_policy("text", policy(RULE))


@pytest.mark.parametrize("rule", [RULE, RULE | {"description": "untagged go"}, RULE | {"description": "go (14 days)"}])
def test_a_mark_is_found_again_and_changes_nothing_but_a_description(rule: dict[str, Any]) -> None:
    text, last = policy(rule, RULE | {"rulePriority": 2}), {"rules": [{"description": "untagged go (another)"}]}
    marked = with_mark(text, "rb-1/1760000000")
    assert mark_of(marked, text) == "rb-1/1760000000"
    assert checked_lifecycle_policy(marked) == marked
    first, *rest = json.loads(marked)["rules"]
    assert [first | {"description": ""}, *rest] == [rule | {"description": ""}, RULE | {"rulePriority": 2}]
    for other in (text, policy(RULE | {"rulePriority": 7}), "no JSON", "[]", '{"rules": []}', json.dumps(last)):
        assert mark_of(other, text) is None
    assert mark_of(marked, policy(rule)) is None


@pytest.mark.parametrize(
    ("text", "expires"),
    [
        (None, False),
        (policy(RULE | {"action": {"type": "transition", "targetStorageClass": "archive"}}), False),
        (policy(RULE | {"action": {"type": "transition"}}, RULE | {"rulePriority": 2}), True),
        ("{}", True),
        ("no policy", True),
        ("[]", True),
    ],
)
def test_a_policy_deletes_images_unless_it_is_read_to_archive_them(text: str | None, expires: bool) -> None:
    assert expires_images(text) is expires
