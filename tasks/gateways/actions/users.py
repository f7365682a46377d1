"""Who would be hurt if an image were retired now, in words for a person."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from runbooks.gating.subject import ImageName
from runbooks.image_users import out_of_sight
from tasks.gateways.actions.base import Place
from tasks.gateways.image_use import ImageUse, who_runs


def in_use(place: Place, images: Collection[tuple[str, str]], *, for_good: bool = False) -> dict[tuple[str, str], str]:
    """Those of the images that are `in use: ...`, or `perhaps in use: ...` where that cannot be ruled out.

    Args:
        images: repository and digest of each.
        for_good: whether they would be gone for ever: then whoever holds them, and was not seen to be called, counts.

    Raises:
        Outside: AWS did not say who runs them.
    """
    if not images:
        return {}
    arns = {_arn(place, *image): image for image in sorted(images)}
    found = who_runs(place.sessions, place.account, place.region, [*arns])
    said = {arns[arn]: _said([*_users(use, for_good=for_good)], [*_doubts(use)]) for arn, use in found.items()}
    return {image: words for image, words in said.items() if words}


def _said(users: Sequence[str], doubts: Sequence[str]) -> str:
    """Nothing where it is certain that nobody does."""
    if not users and not doubts:
        return ""
    return f"{'in use' if users else 'perhaps in use'}: {'; '.join((*users, *doubts))}"


def _users(use: ImageUse, *, for_good: bool) -> Iterator[str]:
    for service in use.services:
        yield f"service {service.name} of {service.cluster.rpartition('/')[2]} in {service.account} ({service.running})"
    for function in use.functions:
        yield f"function {function.name}:{function.alias or function.version} in {function.account}"
    for other in use.others:
        yield f"{other.kind.replace('-', ' ')} {other.arn}" + (f" ({other.count})" if other.count else "")
    for function in use.dormant if for_good else ():
        yield f"function {function.name}:{function.version} in {function.account}, which nobody was seen to call"


def _doubts(use: ImageUse) -> Iterator[str]:
    yield from out_of_sight(use.may_be_used_in)
    if not use.listed:
        yield "Inspector does not list it, so that nobody tells who else runs it"


def _arn(place: Place, repository: str, digest: str) -> str:
    return ImageName(account=place.account, region=place.region, repository=repository).arn(digest)
