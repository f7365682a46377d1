"""Which functions of Lambda are made from some images, in one account and region."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from runbooks.container_image import ImageFunction
from runbooks.errors import Outside
from runbooks.function import LATEST
from tasks.gateways.aws_errors import code_of
from tasks.gateways.bulk import each, pages

Members = Mapping[str, Any]
_NOT_THERE = "ResourceNotFoundException"


def read_image_functions(
    client: Any, account: str, region: str, sought: Collection[str]
) -> list[tuple[ImageFunction, frozenset[str]]]:
    """Every version of every function that is made from one of these images, once for each alias that serves it, with
    the digests of its image.

    A published version that no alias serves is dormant where nothing else is seen to call it either: no event source,
    no permission of its own, no provisioned concurrency. Lambda fetches its image now and then all the same, and the
    version fails when that is gone (developer guide, "Function lifecycle" of container images).

    A call for fifty versions, and one for each image; where functions are made from those that are sought, one for each
    such function, and where some of their versions have no alias, one for a hundred event sources, one for each of
    these functions, and one for each such version.

    Args:
        sought: digests of the images, and of the indexes that list them.

    Raises:
        Outside: Lambda does not tell the image of one of them, or who calls it.
    """
    raws = [
        raw
        for raw in pages(client, "list_functions", "Functions", FunctionVersion="ALL")
        if raw.get("PackageType") == "Image"
    ]
    # Versions with the same code have the same image: it is asked for once.
    examples = {raw["CodeSha256"]: raw for raw in raws}
    digests = each(lambda code: _digests(client, examples[code]), sorted(examples))
    made = [raw for raw in raws if digests[raw["CodeSha256"]] & {*sought}]
    aliases = each(
        lambda name: list(pages(client, "list_aliases", "Aliases", FunctionName=name)),
        sorted({raw["FunctionName"] for raw in made}),
    )
    alone = [raw for raw in made if raw["Version"] != LATEST and not _serving(raw, aliases[raw["FunctionName"]])]
    dormant = {raw["FunctionArn"] for raw in alone} - _called(client, alone)
    return [
        (
            ImageFunction(
                account=account,
                region=region,
                name=raw["FunctionName"],
                arn=raw["FunctionArn"],
                alias=alias,
                version=raw["Version"],
                dormant=raw["FunctionArn"] in dormant,
            ),
            digests[raw["CodeSha256"]],
        )
        for raw in sorted(made, key=lambda raw: (raw["FunctionName"], raw["Version"]))
        for alias in _serving(raw, aliases[raw["FunctionName"]]) or [None]
    ]


def _digests(client: Any, function: Members) -> frozenset[str]:
    answer = client.get_function(FunctionName=function["FunctionName"], Qualifier=function["Version"])
    code = answer.get("Code") or {}
    references = [code.get("ImageUri", ""), code.get("ResolvedImageUri", "")]
    found = frozenset(reference.rpartition("@")[2] for reference in references if "@" in reference)
    if not found:
        raise Outside(f"which image {function['FunctionName']}:{function['Version']} runs cannot be read")
    return found


def _serving(raw: Members, aliases: Sequence[Members]) -> list[str]:
    """Names of the aliases that send calls to the version."""
    return sorted(alias["Name"] for alias in aliases if raw["Version"] in _versions_of(alias))


def _versions_of(alias: Members) -> set[str]:
    """Those it sends calls to: one, or two with weights."""
    return {alias["FunctionVersion"], *((alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {})}


def _called(client: Any, versions: Sequence[Members]) -> set[str]:
    """ARNs of those of the versions that somebody is seen to call, or to keep ready, by their number."""
    if not versions:
        return set()
    by_arn = {raw["FunctionArn"]: raw for raw in versions}
    sources = {raw.get("FunctionArn", "") for raw in pages(client, "list_event_source_mappings", "EventSourceMappings")}
    names = sorted({raw["FunctionName"] for raw in versions})
    ready = each(lambda name: _kept_ready(client, name), names)
    left = sorted(by_arn.keys() - sources - {arn for arns in ready.values() for arn in arns})
    allowed = each(lambda arn: _is_anybody_allowed(client, by_arn[arn]), left)
    return by_arn.keys() - {arn for arn in left if not allowed[arn]}


def _kept_ready(client: Any, name: str) -> set[str]:
    listed = "ProvisionedConcurrencyConfigs"
    return {
        raw["FunctionArn"] for raw in pages(client, "list_provisioned_concurrency_configs", listed, FunctionName=name)
    }


def _is_anybody_allowed(client: Any, version: Members) -> bool:
    """Whether this very version has a resource policy, by which others than the account's own roles call it."""
    try:
        client.get_policy(FunctionName=version["FunctionName"], Qualifier=version["Version"])
    except ClientError as error:
        if code_of(error) != _NOT_THERE:
            raise
        return False
    return True
