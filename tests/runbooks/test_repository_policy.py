"""Denying pulls by one statement more, and finding and leaving everything else as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.errors import Refused
from runbooks.repository_policy import (
    LONGEST_POLICY,
    SID,
    denies_pulls,
    with_pulls_allowed,
    with_pulls_denied,
    with_pulls_for,
)
from runbooks.steps import SetRepositoryPolicy
from tests.runbooks.builders import a_target

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
statements = st.dictionaries(st.sampled_from(["Sid", "Effect", "Principal", "Action", "Condition"]), values)
documents = st.fixed_dictionaries(
    {"Statement": st.lists(statements, max_size=4) | statements},
    optional={"Version": st.sampled_from(["2008-10-17", "2012-10-17"]), "Id": st.text(max_size=9)},
)
policies = st.none() | st.builds(
    lambda document, indent: json.dumps(document, indent=indent), documents, st.none() | st.integers(0, 4)
)


def listed(document: dict[str, Any]) -> list[Any]:
    found = document.get("Statement", [])
    return list(found) if isinstance(found, list) else [found]


@given(policies)
def test_denying_and_putting_back_leaves_the_very_text_that_was_there(policy: str | None) -> None:
    step = SetRepositoryPolicy(
        target=a_target("repository", "shop"),
        cases=("case-1",),
        repository="shop",
        expects=policy,
        leaves=with_pulls_denied(policy),
    )
    world = {"shop": policy}
    assert world["shop"] == step.expects
    world["shop"] = step.leaves
    undo = step.undo
    assert isinstance(undo, SetRepositoryPolicy)
    assert world["shop"] == undo.expects
    assert undo.leaves == policy


@given(policies)
def test_one_statement_comes_after_all_that_was_there_and_nothing_else_changes(policy: str | None) -> None:
    before = json.loads(policy) if policy else {"Version": "2012-10-17", "Statement": []}
    after = json.loads(with_pulls_denied(policy))
    *kept, ours = after["Statement"]
    assert kept == listed(before)
    assert {name: value for name, value in after.items() if name != "Statement"} == {
        name: value for name, value in before.items() if name != "Statement"
    }
    assert (ours["Sid"], ours["Effect"], ours["Principal"]) == (SID, "Deny", "*")
    assert ours["Action"] == ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]


@given(policies)
def test_denying_twice_denies_once_and_allowing_takes_our_statement_alone(policy: str | None) -> None:
    denied = with_pulls_denied(policy)
    assert denies_pulls(denied)
    assert with_pulls_denied(denied) == denied
    allowed = with_pulls_allowed(denied)
    assert not denies_pulls(allowed)
    assert (listed(json.loads(allowed)) if allowed else []) == (listed(json.loads(policy)) if policy else [])


def test_what_is_not_denied_needs_no_allowing() -> None:
    policy = '{"Statement":   []}'
    assert with_pulls_allowed(policy) == policy
    assert with_pulls_allowed(None) is None
    assert with_pulls_allowed(with_pulls_denied(None)) is None


def test_inspector_this_system_and_who_the_runbook_names_may_pull_all_the_same() -> None:
    may_pull = ("arn:aws:iam::1:role/build", "arn:aws:iam::1:role/read")
    (ours,) = json.loads(with_pulls_denied(None, may_pull, "arn:aws:iam::1:role/read"))["Statement"]
    assert ours["Condition"] == {
        "ArnNotLike": {
            "aws:PrincipalArn": [
                "arn:*:iam::*:role/aws-service-role/inspector2.amazonaws.com/*",
                "arn:aws:iam::1:role/read",
                "arn:aws:iam::1:role/build",
            ]
        }
    }


ROLES = st.lists(st.from_regex(r"arn:aws:iam::[0-9]{12}:role/[a-z]{1,9}", fullmatch=True), max_size=3)


@given(policies, ROLES, ROLES)
def test_a_denial_leaves_out_more_roles_and_nothing_else_of_it_changes(
    policy: str | None, before: list[str], more: list[str]
) -> None:
    denied = with_pulls_denied(policy, before)
    wider = with_pulls_for(denied, more)
    assert denies_pulls(wider)
    assert with_pulls_for(wider, more) == wider
    was, now = json.loads(denied), json.loads(wider)
    *_, ours = now["Statement"]
    left_out = ours["Condition"]["ArnNotLike"].pop("aws:PrincipalArn")
    *_, theirs = was["Statement"]
    known = theirs["Condition"]["ArnNotLike"].pop("aws:PrincipalArn")
    assert left_out == [*known, *(role for role in dict.fromkeys(more) if role not in known)]
    assert was == now
    assert with_pulls_allowed(wider) == with_pulls_allowed(denied)


def test_a_policy_that_denies_nobody_lets_nobody_pull_more() -> None:
    policy = '{"Statement":   []}'
    assert with_pulls_for(policy, ("arn:aws:iam::1:role/build",)) == policy


@pytest.mark.parametrize("condition", [{}, {"ArnNotLike": {}}, {"ArnNotLike": {"aws:PrincipalArn": "arn"}}, None])
def test_a_statement_of_ours_that_somebody_has_rewritten_is_a_persons_matter(condition: Any) -> None:
    document = json.loads(with_pulls_denied(None))
    document["Statement"][0]["Condition"] = condition
    with pytest.raises(Refused, match=f"statement {SID}") as refused:
        with_pulls_for(json.dumps(document), ("arn:aws:iam::1:role/build",))
    assert refused.value.code == "person"


def test_a_policy_without_room_for_one_more_role_is_a_persons_matter() -> None:
    denied = with_pulls_denied(json.dumps({"Statement": [{"Sid": "x" * (LONGEST_POLICY - 700)}]}))
    with pytest.raises(Refused, match=f"of {LONGEST_POLICY} characters"):
        with_pulls_for(denied, ("arn:aws:iam::210987654321:role/" + "x" * 400,))


@pytest.mark.parametrize("text", ["no JSON", "[]", '"text"', '{"Statement": ["text"]}', '{"Statement": 7}'])
def test_what_is_no_policy_is_a_persons_matter(text: str) -> None:
    for act in (with_pulls_denied, denies_pulls):
        with pytest.raises(Refused) as refused:
            act(text)
        assert refused.value.code == "person"


def test_a_policy_without_room_for_one_more_statement_is_a_persons_matter() -> None:
    long = json.dumps({"Statement": [{"Sid": "x" * (LONGEST_POLICY - 300)}]})
    with pytest.raises(Refused, match=f"of {LONGEST_POLICY} characters"):
        with_pulls_denied(long)
