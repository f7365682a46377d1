"""The gate's runbook: what it refuses, what it waits for, and which risks somebody has taken on. Never logic."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from typing import Annotated, Literal

import rfc8785
from pydantic import Field

from runbooks.definition import SeverityName
from runbooks.model import Model

LONGEST_WAIT_MINUTES = 120
Days = Annotated[int, Field(ge=0, le=365)]
Text = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"\S")]
Pattern = Annotated[str, Field(min_length=1, max_length=256)]
"""Letters, `*` for any of them, `?` for one; as a shell matches a name, and case counts."""


class Refuse(Model):
    """What alone is enough to be refused."""

    known_exploited: bool = True
    """CISA's catalogue lists the vulnerability. Neither a missing fix, nor grace, nor an accepted risk lets it pass."""
    severities: tuple[SeverityName, ...] = ("CRITICAL", "HIGH", "UNTRIAGED")
    """UNTRIAGED is what nobody has rated yet."""
    epss: Annotated[float, Field(ge=0, le=1)] | None = None
    """From this probability of exploitation on, whatever the severity. None: EPSS does not decide."""


class AcceptedRisk(Model):
    """A vulnerability that somebody answers for, until a day."""

    vulnerability: Text
    """Its whole id, such as CVE-2026-1234."""
    package: Pattern | None = None
    repository: Pattern | None = None
    digest: Pattern | None = None
    """sha256:... of the image, or of the SBOM's file. A new build has another one."""
    owner: Text
    """Who answers for it."""
    reason: Text
    compensating_controls: Annotated[tuple[Text, ...], Field(min_length=1)]
    """What keeps it from being exploited meanwhile."""
    expires: date
    """The last day (UTC) on which it counts."""

    def covers(self, vulnerability: str, package: str, repository: str | None, digest: str | None) -> bool:
        """Whether it is about this; a pattern for what is not known matches nothing."""
        asked = ((self.package, package), (self.repository, repository), (self.digest, digest))
        return vulnerability == self.vulnerability and all(
            pattern is None or (value is not None and fnmatchcase(value, pattern)) for pattern, value in asked
        )

    def has_expired(self, now: datetime) -> bool:
        return now.astimezone(UTC).date() > self.expires


class Gate(Model):
    """The values and choices of one gate."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    title: str
    version: int = 1
    refuse: Refuse = Refuse()
    only_when_fix_available: bool = True
    """Let pass what no version fixes yet: a new build would have it, too."""
    grace_days: dict[SeverityName, Days] = Field(default_factory=dict[SeverityName, Days])
    """How long what is new may pass: days since it was published or first observed, what was earlier."""
    accepted: tuple[AcceptedRisk, ...] = ()
    unscanned_components: tuple[Pattern, ...] = ()
    """Names of an SBOM's components that may pass although Inspector did not look at them; any other cannot be told."""
    cannot_tell: Literal["refuse", "pass"] = "refuse"
    """What becomes of an image that cannot be judged."""
    wait_minutes: Annotated[int, Field(ge=0, le=LONGEST_WAIT_MINUTES)] = 15
    """How long Inspector's initial scan is waited for."""
    statement_hours: Annotated[int, Field(ge=1, le=24 * 365)] = 24
    """How old a signed statement of what has passed may be when it is verified."""

    def lets_go(self, component: str) -> bool:
        """Whether a component of this name may pass although nobody looked at it."""
        return any(fnmatchcase(component, pattern) for pattern in self.unscanned_components)

    @property
    def digest(self) -> str:
        """SHA-256 of the gate's canonical JSON; evidence names it."""
        return hashlib.sha256(rfc8785.dumps(self.model_dump(mode="json"))).hexdigest()
