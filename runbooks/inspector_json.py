"""The members of Amazon Inspector's finding that this system understands, as the API reference ("Finding") names them.

What is required here is what a case cannot be opened without; everything else may be missing, and every member that is
not named here is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from runbooks import timestamps

Members = dict[str, Any]
Moment = Annotated[datetime, BeforeValidator(timestamps.read)]
Text = Annotated[str, Field(min_length=1)]
LONGEST_NAME = 1_024
"""Characters. What is longer fits no database's index; a finding's ARN has 100 at most, and resources have some 300."""
Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]


class Sent(BaseModel):
    """One object of Inspector's JSON. A null member is one that was not sent; unknown members are kept."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        return {name: member for name, member in cast(Mapping[object, object], value).items() if member is not None}

    @property
    def rest(self) -> Members:
        """The members that this class does not name."""
        return dict(self.model_extra or {})

    @property
    def members(self) -> Members:
        """Every member that was sent, by the name it was sent under."""
        return self.model_dump(by_alias=True, exclude_unset=True)


class SentScore(Sent):
    base_score: float | None = None


class SentEpss(Sent):
    score: float | None = None


class SentExploitability(Sent):
    last_known_exploit_at: Moment | None = None


class SentPackage(Sent):
    name: Text
    version: str
    epoch: int = 0
    release: str | None = None
    arch: str | None = None
    package_manager: str = "UNKNOWN"
    fixed_in_version: str = ""
    remediation: str | None = None
    file_path: str | None = None


class SentPackageDetails(Sent):
    vulnerability_id: str | None = None
    vulnerable_packages: tuple[SentPackage, ...] = ()
    cvss: tuple[SentScore, ...] = ()
    source_url: str | None = None
    vendor_created_at: Moment | None = None
    vendor_severity: str | None = None

    @property
    def highest_score(self) -> float | None:
        """The highest CVSS base score of the list, which may hold several versions and sources."""
        return max((cvss.base_score for cvss in self.cvss if cvss.base_score is not None), default=None)

    @property
    def rest(self) -> Members:
        """With the scores, unless there is one and it is nothing but its base score."""
        wholly_read = len(self.cvss) <= 1 and not any(cvss.rest for cvss in self.cvss)
        return super().rest | ({} if wholly_read else {"cvss": [cvss.members for cvss in self.cvss]})


class SentResource(Sent):
    type: Name
    id: Name
    partition: Name | None = None
    region: Name | None = None
    tags: dict[str, str] = {}
    details: Members = {}

    @property
    def in_aws(self) -> bool:
        """AWS's types are one word, and its ids no path; Azure's and Google's are paths, some with a host's name."""
        in_path = set("/.") & set(self.type) or self.id.startswith("/")
        return self.rest.get("provider", "AWS") == "AWS" and not in_path


class SentFinding(Sent):
    finding_arn: Name
    aws_account_id: Annotated[str, Field(pattern=r"^[0-9]{12}$")]
    type: Name
    status: Name
    severity: Name
    title: str | None = None
    description: str = ""
    resources: Annotated[tuple[SentResource, ...], Field(min_length=1)]
    first_observed_at: Moment
    last_observed_at: Moment
    updated_at: Moment | None = None
    inspector_score: float | None = None
    epss: SentEpss = SentEpss()
    exploit_available: str | None = None
    exploitability_details: SentExploitability = SentExploitability()
    fix_available: str | None = None
    package_vulnerability_details: SentPackageDetails = SentPackageDetails()
