"""The tags of one EC2 resource, looked up.

moto goes through the tags of everything there is for each resource it shows, and the sandbox looks at every instance
after every change: with a thousand of them, one change took a second.
"""

from __future__ import annotations

from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, get_prefix


def _tags(resource: TaggedEC2Resource) -> list[dict[str, str]]:
    """As moto's own, whose members it has."""
    identifier: str = resource.id  # type: ignore[attr-defined]
    known: dict[str, str] = resource.ec2_backend.tags.get(identifier) or {}  # type: ignore[attr-defined]
    kind = EC2_PREFIX_TO_RESOURCE.get(get_prefix(identifier), "") if known else ""
    return [
        {"resource_id": identifier, "key": key, "value": value, "resource_type": kind} for key, value in known.items()
    ]


TaggedEC2Resource.get_tags = _tags  # type: ignore[method-assign]
