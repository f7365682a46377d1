"""What a runtime gets when it pulls a container image: a digest, or the reason why it cannot.

Images of a private ECR repository are looked up there, in whatever account it is: an archived or deleted one is not
handed out, nor is any that the repository's policy denies. A reference to another registry always works, and its
digest is made up from the reference.
"""

from __future__ import annotations

import hashlib
import json
import re
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from moto.ecr.models import ecr_backends

from deployments.sandbox.container_images import ContainerImage
from deployments.sandbox.world import World

_ECR = re.compile(
    r"^(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/(?P<repository>[^@:]+)"
    r"(?::(?P<tag>[^@]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?$"
)
_PULLING = frozenset({"ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:*", "*"})


class CannotPull(Exception):
    """The image is not to be had; the message says why, as a container runtime does."""


class EcrReference(NamedTuple):
    """An image of a private repository, by tag or by digest."""

    account: str
    region: str
    repository: str
    tag: str
    digest: str | None


def ecr_reference(image: str) -> EcrReference | None:
    """The parts of a private ECR image reference; None when it names another registry."""
    match = _ECR.match(image)
    if match is None:
        return None
    return EcrReference(
        match["account"], match["region"], match["repository"], match["tag"] or "latest", match["digest"]
    )


def pull(world: World, image: str, role: str | None = None) -> str:
    """The digest of the image a reference means now, to a runtime in this world.

    Args:
        role: ARN of the role it is pulled with; None for one that no policy knows.

    Raises:
        CannotPull: there is no such image, or it is not handed out.
    """
    reference = ecr_reference(image)
    if reference is None:
        digest = image.partition("@")[2]
        return digest or f"sha256:{hashlib.sha256(image.encode()).hexdigest()}"
    home = world.elsewhere(reference.account, reference.region)
    if not _may_pull(world.account, role, reference):
        raise CannotPull(f"{image}: 403 Forbidden: the repository policy does not let {role or world.account} pull")
    found = next((one for one in home.container_images.values() if _is_meant(one, reference)), None)
    if found is None:
        raise CannotPull(f"{image}: not found")
    found.pulled_at = world.now
    return found.digest


def by_digest(image: str, digest: str) -> str:
    """The same image, named by its digest alone."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}@{digest}"


def _is_meant(known: ContainerImage, reference: EcrReference) -> bool:
    if known.repository != reference.repository or known.status != "ACTIVE":
        return False
    return known.digest == reference.digest if reference.digest else reference.tag in known.tags


def _may_pull(account: str, role: str | None, reference: EcrReference) -> bool:
    """Whether the repository's policy lets an account pull: its own unless denied, another only when allowed."""
    repository = ecr_backends[reference.account][reference.region].repositories.get(reference.repository)
    statements = _listed(json.loads(repository.policy)["Statement"]) if repository and repository.policy else []
    effects = {one["Effect"] for one in statements if _is_about(one, account) and _applies_to(one, role)}
    return "Deny" not in effects and (account == reference.account or "Allow" in effects)


def _is_about(statement: dict[str, Any], account: str) -> bool:
    principal = statement.get("Principal") or {}
    named = _listed(principal if isinstance(principal, str) else principal.get("AWS", []))
    who = any(one == "*" or account in one.split(":") for one in named)
    return who and not _PULLING.isdisjoint(_listed(statement.get("Action", [])))


def _applies_to(statement: dict[str, Any], role: str | None) -> bool:
    """By the one condition that is known here: a negated one holds too where there is nothing to hold it against."""
    excepted = (statement.get("Condition") or {}).get("ArnNotLike", {}).get("aws:PrincipalArn", [])
    return role is None or not any(fnmatchcase(role, pattern) for pattern in _listed(excepted))


def _listed(value: Any) -> list[Any]:
    return [value] if isinstance(value, str | dict) else list(value)
