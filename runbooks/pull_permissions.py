"""Who besides its own account may pull from a repository, by its policy and the registry's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, cast

from runbooks.model import Model
from runbooks.repository_policy import PULLS, statements_of

ANY_ACCOUNT = "any account"

_ACCOUNT = re.compile(r"(arn:[\w-]+:[\w-]+:[\w-]*:)?(?P<account>\d{12})(:.+)?", re.ASCII)
_OPERATORS = ("StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike")
"""Those that a request without the key does not satisfy."""
_OF_ACCOUNTS = ("aws:principalaccount", "aws:principalarn", "aws:sourceaccount", "aws:sourcearn")
_OF_ORGANIZATIONS = ("aws:principalorgid", "aws:principalorgpaths", "aws:sourceorgid", "aws:sourceorgpaths")


class Pullers(Model):
    """Whom policies let pull."""

    accounts: frozenset[str] = frozenset()
    unbounded: tuple[str, ...] = ()
    """Whom it names without saying which accounts that are, such as `organization o-1a2b3c4d5e`."""


def who_may_pull(*policies: str | None) -> Pullers:
    """Everybody whom one of the policies allows a call that a pull consists of; what is denied is not looked at.

    Of the registry's a statement counts whatever repositories it is about (ECR user guide, "Private registry
    permissions": version 2, the default, is enforced in all requests).

    A service without a condition is not among them: it serves the repository's own account. For a function in another
    one that account has to be allowed by itself (Lambda developer guide, "Amazon ECR cross-account permissions").

    Raises:
        Refused: a text is no policy.
    """
    statements = (statement for policy in policies for statement in statements_of(policy))
    named = {each for statement in statements if _allows_pulls(statement) for each in _named(statement)}
    accounts = {each: found["account"] for each in named if (found := _ACCOUNT.fullmatch(each))}
    return Pullers(accounts=frozenset(accounts.values()), unbounded=tuple(sorted(named - set(accounts))))


def _allows_pulls(statement: Mapping[str, Any]) -> bool:
    if statement.get("Effect") != "Allow":
        return False
    # All but what it names: which of the calls that leaves is not looked into.
    patterns = ["*"] if "NotAction" in statement else _listed(statement.get("Action"))
    return any(fnmatchcase(call.lower(), pattern.lower()) for call in PULLS for pattern in patterns)


def _named(statement: Mapping[str, Any]) -> Iterator[str]:
    """Accounts and their ARNs, and in words whatever tells of no account."""
    bounds = tuple(_bounds(statement.get("Condition") or {}))
    principal = {"AWS": "*"} if "NotPrincipal" in statement else statement.get("Principal")
    kinds = cast("dict[str, Any]", principal) if isinstance(principal, dict) else {"AWS": principal}
    for kind, names in kinds.items():
        for name in _listed(names):
            if name == "*":
                yield from bounds or (ANY_ACCOUNT,)
            elif kind == "Service":
                yield from bounds
            else:
                yield name


def _bounds(condition: Mapping[str, Any]) -> Iterator[str]:
    """Whom the condition limits it to. Of several limits each holds: to count them all is never too few."""
    for operator, wanted in condition.items():
        if operator.removeprefix("ForAnyValue:") not in _OPERATORS:
            continue
        for key, values in wanted.items():
            if key.lower() in _OF_ACCOUNTS:
                yield from _listed(values)
            elif key.lower() in _OF_ORGANIZATIONS:
                yield from (f"organization {value}" for value in _listed(values))


def _listed(value: Any) -> list[str]:
    """One value stands for a list of one (IAM JSON policy reference)."""
    return [str(each) for each in cast("list[Any]", value if isinstance(value, list) else [value])]
