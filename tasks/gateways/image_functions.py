"""Which functions of Lambda are made from some images, in one account and region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runbooks.container_image import ImageFunction
from runbooks.errors import Outside
from tasks.gateways.bulk import each, pages

Members = Mapping[str, Any]


def read_image_functions(client: Any, account: str, region: str) -> list[tuple[ImageFunction, frozenset[str]]]:
    """Every version of every function that is made from an image, once for each alias that serves it, with the digests
    of its image.

    A version that no alias serves counts by itself: whoever knows its number can call it. A call for fifty versions,
    one for each function, one for each image.

    Raises:
        Outside: Lambda does not tell the image of one of them.
    """
    raws = [
        raw
        for raw in pages(client, "list_functions", "Functions", FunctionVersion="ALL")
        if raw.get("PackageType") == "Image"
    ]
    # Versions with the same code have the same image: it is asked for once.
    examples = {raw["CodeSha256"]: raw for raw in raws}
    digests = each(lambda code: _digests(client, examples[code]), sorted(examples))
    aliases = each(
        lambda name: list(pages(client, "list_aliases", "Aliases", FunctionName=name)),
        sorted({raw["FunctionName"] for raw in raws}),
    )
    return [
        (function, digests[raw["CodeSha256"]])
        for raw in sorted(raws, key=lambda raw: (raw["FunctionName"], raw["Version"]))
        for function in _by_alias(account, region, raw, aliases[raw["FunctionName"]])
    ]


def _digests(client: Any, function: Members) -> frozenset[str]:
    answer = client.get_function(FunctionName=function["FunctionName"], Qualifier=function["Version"])
    code = answer.get("Code") or {}
    references = [code.get("ImageUri", ""), code.get("ResolvedImageUri", "")]
    found = frozenset(reference.rpartition("@")[2] for reference in references if "@" in reference)
    if not found:
        raise Outside(f"which image {function['FunctionName']}:{function['Version']} runs cannot be read")
    return found


def _by_alias(account: str, region: str, raw: Members, aliases: Sequence[Members]) -> list[ImageFunction]:
    serving = [alias["Name"] for alias in aliases if raw["Version"] in _versions_of(alias)]
    return [
        ImageFunction(
            account=account,
            region=region,
            name=raw["FunctionName"],
            arn=raw["FunctionArn"],
            alias=alias,
            version=raw["Version"],
        )
        for alias in sorted(serving) or [None]
    ]


def _versions_of(alias: Members) -> set[str]:
    """Those it sends calls to: one, or two with weights."""
    return {alias["FunctionVersion"], *((alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {})}
