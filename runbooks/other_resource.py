"""A resource that only people act upon: whatever Inspector scans and no playbook changes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from runbooks.model import Model


class OtherFacts(Model):
    """What the findings say of the resource, as Inspector has them now; nothing else is read of it."""

    kind: Literal["other"] = "other"
    type: str
    """As Inspector names it: AWS_LAMBDA_FUNCTION, CODE_REPOSITORY, MACHINE_IMAGE, ..."""
    id: str
    account: str
    region: str
    tags: dict[str, str] = Field(default_factory=dict)
