"""A repository's policy as text: with pulls denied to everybody, and whether they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

from runbooks.errors import Refused

SID = "RemediationDenyPulls"
"""Of the one statement that is ours."""
LONGEST_POLICY = 10_240
"""Characters (ECR API reference, SetRepositoryPolicy)."""

PULLS = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
"""What a pull consists of."""
_SCANNER = "arn:*:iam::*:role/aws-service-role/inspector2.amazonaws.com/*"
"""Inspector's own role: the patched image is in the same repository, and has to be scanned."""


def denies_pulls(policy: str | None) -> bool:
    """Whether our statement is in it."""
    return any(each.get("Sid") == SID for each in statements_of(policy))


def with_pulls_denied(policy: str | None, may_pull: Sequence[str] = (), reader: str | None = None) -> str:
    """The policy with one statement more, which denies pulls to everybody but Inspector and these roles.

    Nothing of what was there is changed; the text it was is what puts it back. ECR has no condition on an image or a
    tag: the statement is about the whole repository.

    Args:
        policy: as ECR keeps it; None where there is none.
        may_pull: ARNs of roles, with wildcards, that may go on pulling.
        reader: ARN of this system's own role for reading: what an index lists is seen by a pull, and by nothing else.

    Raises:
        Refused: the text is no policy, or would become longer than ECR takes.
    """
    if denies_pulls(policy):
        return policy or ""
    document = _document(policy)
    left_out = list(dict.fromkeys((_SCANNER, *((reader,) if reader else ()), *may_pull)))
    statement = {
        "Sid": SID,
        "Effect": "Deny",
        "Principal": "*",
        "Action": list(PULLS),
        "Condition": {"ArnNotLike": {"aws:PrincipalArn": left_out}},
    }
    return _that_fits(document | {"Statement": [*_statements(document), statement]})


def with_pulls_for(denied: str, roles: Sequence[str]) -> str:
    """The policy, whose denial of pulls leaves these roles out as well; as it is where it does so already.

    Whoever may pull one image of a repository may pull every one: ECR has no condition that tells them apart.

    Args:
        denied: as `with_pulls_denied` made it.

    Raises:
        Refused: our statement has been changed by somebody else, or would become longer than ECR takes.
    """
    document = _document(denied)
    listed = [_left_out(each) for each in _statements(document) if each.get("Sid") == SID]
    more = [role for role in dict.fromkeys(roles) if any(role not in known for known in listed)]
    for known in listed if more else ():
        known += [role for role in more if role not in known]
    return _that_fits(document) if more else denied


def with_pulls_allowed(policy: str | None) -> str | None:
    """The policy without our statement; None where nothing else was in it.

    What denied them knows the very text that was there; this is for whoever finds the statement and does not.
    """
    if policy is None or not denies_pulls(policy):
        return policy
    document = _document(policy)
    left = [each for each in _statements(document) if each.get("Sid") != SID]
    return json.dumps(document | {"Statement": left}, indent=2) if left else None


def statements_of(policy: str | None) -> list[dict[str, Any]]:
    """What the policy says; nothing where there is none.

    Raises:
        Refused: the text is no policy.
    """
    return _statements(_document(policy))


def _left_out(statement: dict[str, Any]) -> list[str]:
    """Whom our statement leaves out, in its own list."""
    try:
        found = statement["Condition"]["ArnNotLike"]["aws:PrincipalArn"]
    except (KeyError, TypeError):
        found = None
    if not isinstance(found, list):
        raise Refused(f"statement {SID} of the repository's policy was changed by somebody else", code="person")
    return cast("list[str]", found)


def _that_fits(document: dict[str, Any]) -> str:
    text = json.dumps(document, indent=2)
    if len(text) > LONGEST_POLICY:
        raise Refused(
            f"the repository's policy has no room for one more statement: {len(text)} of {LONGEST_POLICY} characters",
            code="person",
        )
    return text


def _document(policy: str | None) -> dict[str, Any]:
    if policy is None:
        return {"Version": "2012-10-17", "Statement": []}
    try:
        document = json.loads(policy)
    except ValueError as error:
        raise Refused(f"the repository's policy cannot be read: {error}", code="person") from error
    if not isinstance(document, dict):
        raise Refused("the repository's policy is no JSON object", code="person")
    return cast("dict[str, Any]", document)


def _statements(document: dict[str, Any]) -> list[dict[str, Any]]:
    """A policy may hold one statement, or a list of them (IAM JSON policy reference, "Statement")."""
    found = document.get("Statement", [])
    each = cast("list[Any]", found if isinstance(found, list) else [found])
    if not all(isinstance(one, dict) for one in each):
        raise Refused("the repository's policy has a statement that is none", code="person")
    return cast("list[dict[str, Any]]", each)
