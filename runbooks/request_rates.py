"""How many requests AWS takes of an account in a region: the documented token buckets.

Every request takes a token out of its API's bucket, and tokens come back at a set rate; a request that finds none is
refused and has no effect (EC2 developer guide, "Request throttling for the Amazon EC2 API": each API is evaluated
individually). Amazon EC2 is the one service we call whose rates are documented. Its resource buckets, which count
instances instead of requests, are left out: naming one instance in a request, as we do, empties the request's first.
"""

from __future__ import annotations

from typing import NamedTuple


class RequestRate(NamedTuple):
    """The bucket that a request takes its token from."""

    bucket: str
    """Its name within the service, the account and the region."""
    capacity: int
    """Tokens in it when it is full: requests that may be sent at once."""
    per_second: float
    """Tokens that come back in a second."""


REFUSED_FOR_ITS_RATE = frozenset(
    {
        "EC2ThrottledException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
"""Error codes of a request that was refused before anything was done: it may be sent again as it is."""

_READING = ("Describe", "Get", "List", "Search")
_READS = (100, 20.0)
_WIDE_READS = (50, 10.0)
_CHANGES = (50, 5.0)
"""Of all that change something and have no bucket of their own size; "resource-intensive" ones have the same."""
_WIDE = frozenset(
    {
        "DescribeInstanceStatus",
        "DescribeInstances",
        "DescribeNetworkInterfaces",
        "DescribeSecurityGroups",
        "DescribeSnapshots",
        "DescribeSpotInstanceRequests",
        "DescribeVolumes",
    }
)
"""With neither a filter nor a page size, they take from a smaller bucket."""
_OWN_SIZE: dict[str, tuple[int, float]] = {
    "AssociateIamInstanceProfile": (100, 5.0),
    "CopyImage": (100, 1.0),
    "CreateLaunchTemplateVersion": (100, 5.0),
    "CreateNetworkInterface": (100, 5.0),
    "CreateSnapshot": (100, 5.0),
    "CreateSnapshots": (100, 5.0),
    "CreateTags": (100, 10.0),
    "CreateVolume": (100, 5.0),
    "DeleteSnapshot": (100, 5.0),
    "DeleteTags": (100, 10.0),
    "DeregisterImage": (100, 5.0),
    "DescribeInstanceTopology": (1, 1.0),
    "DescribeSecurityGroupReferences": (20, 5.0),
    "DescribeStaleSecurityGroups": (20, 5.0),
    "DisassociateIamInstanceProfile": (100, 5.0),
    "ModifyImageAttribute": (100, 5.0),
    "ModifyInstanceMetadataOptions": (100, 5.0),
    "ModifyLaunchTemplate": (100, 5.0),
    "ModifyNetworkInterfaceAttribute": (100, 5.0),
    "ModifySnapshotAttribute": (100, 5.0),
    "RunInstances": (5, 2.0),
    "StartInstances": (5, 2.0),
    "TerminateInstances": (100, 5.0),
}
"""The "uncategorized actions" that have to do with instances, their storage, their images and their interfaces."""


def request_rate(service: str, operation: str, *, narrowed: bool = True) -> RequestRate | None:
    """The documented rate of an API; None where AWS documents none.

    Args:
        service: as boto3 names it, such as `ec2`.
        operation: as the API names it, such as `CreateSnapshots`.
        narrowed: whether the request has a filter or a page size.
    """
    if service != "ec2":
        return None
    if operation in _WIDE and not narrowed:
        return RequestRate(f"{operation}, unfiltered", *_WIDE_READS)
    size = _OWN_SIZE.get(operation) or (_READS if operation.startswith(_READING) else _CHANGES)
    return RequestRate(operation, *size)


def seconds_for(requests: int, rate: RequestRate) -> float:
    """The least time in which so many requests can be sent, beginning with a full bucket."""
    return max(0.0, (requests - rate.capacity) / rate.per_second)
