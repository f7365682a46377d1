"""Asking for many things at once, in portions that AWS takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

TWO_HUNDRED = 200
"""Values of one EC2 filter (EC2 user guide, "Filter your resources"); rows of a page of Inspector's coverage."""
HUNDRED = 100
"""Findings of a page (Inspector API reference, ListFindings)."""
FIFTY = 50
"""Ids that Systems Manager and Auto Scaling take in one call."""
TEN = 10
"""Ids that Inspector takes in one call."""

_SIDE_BY_SIDE = 4
"""Few on purpose: EC2 refills 20 reads a second, and retries that pile up fail (token bucket, EC2 API throttling)."""


def portions(items: Sequence[ItemT], size: int) -> Iterator[Sequence[ItemT]]:
    """The items in portions of at most `size`, in order."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def each(function: Callable[[str], ResultT], ids: Sequence[str]) -> dict[str, ResultT]:
    """The function's result for each id, a few side by side: for what AWS answers one at a time only."""
    if not ids:
        return {}
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        return dict(zip(ids, pool.map(function, ids), strict=True))


def pages(client: Any, operation: str, result: str, **request: Any) -> Iterator[Mapping[str, Any]]:
    """Every item of every page of a paginated operation."""
    for page in client.get_paginator(operation).paginate(**request):
        yield from page.get(result) or ()


def by_fifty(client: Any, operation: str, result: str, **request: Any) -> Iterator[Mapping[str, Any]]:
    """As `pages`, of Systems Manager: fifty items in a page, where it gives ten to whom does not say."""
    return pages(client, operation, result, PaginationConfig={"PageSize": FIFTY}, **request)


def described(
    client: Any, operation: str, result: str, filter_name: str, values: Sequence[str], *more: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    """What an EC2 Describe call shows for these values of a filter; a value that matches nothing is just absent."""
    for portion in portions(sorted(set(values)), TWO_HUNDRED):
        filters = [{"Name": filter_name, "Values": list(portion)}, *more]
        yield from pages(client, operation, result, Filters=filters)


def tags_of(resource: Mapping[str, Any]) -> dict[str, str]:
    """The tags of an AWS resource as a mapping, by key."""
    return {tag["Key"]: tag.get("Value", "") for tag in sorted(resource.get("Tags") or (), key=lambda tag: tag["Key"])}
