"""Whom a repository's policy lets pull, and of whom it says no account."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runbooks.errors import Refused
from runbooks.pull_permissions import Pullers, who_may_pull
from runbooks.repository_policy import with_pulls_denied

PULLS = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
ONE, OTHER = "345678901234", "456789012345"
LAMBDA = {"Service": "lambda.amazonaws.com"}


def allowing(principal: Any, **changes: Any) -> str:
    statement = {"Sid": "Pull", "Effect": "Allow", "Principal": principal, "Action": PULLS} | changes
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def of(*accounts: str, unbounded: tuple[str, ...] = ()) -> Pullers:
    return Pullers(accounts=frozenset(accounts), unbounded=unbounded)


def test_a_repository_without_a_policy_lets_nobody_else_pull() -> None:
    assert who_may_pull(None) == of()


@pytest.mark.parametrize(
    "principal",
    [
        {"AWS": ONE},
        {"AWS": f"arn:aws:iam::{ONE}:root"},
        {"AWS": [f"arn:aws-cn:iam::{ONE}:role/path/checkout", f"arn:aws:sts::{ONE}:assumed-role/checkout/session"]},
    ],
)
def test_a_principal_tells_its_account(principal: Any) -> None:
    assert who_may_pull(allowing(principal)) == of(ONE)


@pytest.mark.parametrize(
    ("principal", "condition", "found"),
    [
        ("*", None, of(unbounded=("any account",))),
        ({"AWS": ["*", ONE]}, None, of(ONE, unbounded=("any account",))),
        ("*", {"StringEquals": {"aws:PrincipalOrgID": "o-1a2b"}}, of(unbounded=("organization o-1a2b",))),
        (
            {"AWS": "*"},
            {"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": ["o-1a2b/r-1/ou-1/*"]}},
            of(unbounded=("organization o-1a2b/r-1/ou-1/*",)),
        ),
        ("*", {"StringEquals": {"aws:PrincipalAccount": [ONE, OTHER]}}, of(ONE, OTHER)),
        ("*", {"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{ONE}:role/*"}}, of(ONE)),
        (
            "*",
            {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/pull"}},
            of(unbounded=("arn:aws:iam::*:role/pull",)),
        ),
        ("*", {"StringNotEquals": {"aws:PrincipalAccount": ONE}}, of(unbounded=("any account",))),
        ("*", {"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-1a2b"}}, of(unbounded=("any account",))),
        ("*", {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, of(unbounded=("any account",))),
        ({"AWS": "AROA1234567890EXAMPLE"}, None, of(unbounded=("AROA1234567890EXAMPLE",))),
        ({"Federated": "cognito-identity.amazonaws.com"}, None, of(unbounded=("cognito-identity.amazonaws.com",))),
    ],
)
def test_of_a_principal_without_an_account_its_conditions_tell(principal: Any, condition: Any, found: Pullers) -> None:
    assert who_may_pull(allowing(principal, **({"Condition": condition} if condition else {}))) == found


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (None, of()),
        ({"StringLike": {"aws:sourceArn": f"arn:aws:lambda:eu-west-1:{ONE}:function:*"}}, of(ONE)),
        ({"StringEquals": {"aws:SourceAccount": ONE}}, of(ONE)),
        ({"StringEquals": {"aws:SourceOrgID": "o-1a2b"}}, of(unbounded=("organization o-1a2b",))),
    ],
)
def test_lambda_pulls_for_its_own_account_and_for_those_that_a_condition_names(condition: Any, found: Pullers) -> None:
    assert who_may_pull(allowing(LAMBDA, **({"Condition": condition} if condition else {}))) == found


@pytest.mark.parametrize(
    "action", ["*", "ecr:*", "ECR:Batch*", "ecr:GetDownloadUrlForLayer", ["ecr:PutImage", PULLS[0]]]
)
def test_whatever_allows_a_part_of_a_pull_counts(action: Any) -> None:
    assert who_may_pull(allowing({"AWS": ONE}, Action=action)) == of(ONE)


def test_what_is_allowed_to_all_but_some_counts_for_everybody() -> None:
    but_for = {"Effect": "Allow", "NotPrincipal": {"AWS": ONE}, "NotAction": "ecr:DeleteRepository"}
    assert who_may_pull(json.dumps({"Statement": but_for})) == of(unbounded=("any account",))


def test_who_may_push_or_is_denied_pulls_is_nobody_who_may_pull() -> None:
    assert who_may_pull(allowing({"AWS": ONE}, Action=["ecr:PutImage", "ecr:DescribeImages"])) == of()
    assert who_may_pull(with_pulls_denied(None)) == of()
    assert who_may_pull(with_pulls_denied(allowing({"AWS": ONE}))) == of(ONE), "what was pulled before runs on"


def test_what_the_registry_lets_pull_counts_as_well() -> None:
    registry = allowing({"AWS": OTHER}, Action="ecr:*", Resource=f"arn:aws:ecr:eu-west-1:{ONE}:repository/*")
    assert who_may_pull(registry, allowing({"AWS": ONE})) == of(ONE, OTHER)
    assert who_may_pull(registry, None) == of(OTHER)
    assert who_may_pull(allowing({"AWS": OTHER}, Action=["ecr:ReplicateImage", "ecr:CreateRepository"]), None) == of()


def test_what_is_no_policy_is_refused() -> None:
    with pytest.raises(Refused):
        who_may_pull("[]")
