"""The judgement: every vulnerability weighed by the gate's runbook, and what follows for the whole.

What is refused is refused even if something else could not be told; what could not be told never passes by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from pydantic import AwareDatetime

from runbooks.chain import canonical
from runbooks.finding import SEVERITIES
from runbooks.gating.definition import AcceptedRisk, Gate
from runbooks.gating.remedy import how_to_fix
from runbooks.gating.subject import Subject
from runbooks.gating.vulnerability import Vulnerability
from runbooks.model import Model
from runbooks.telling.words import counted, listed


class Ruling(StrEnum):
    """On the whole."""

    PASSED = "passed"
    REFUSED = "refused"
    CANNOT_TELL = "cannot-tell"


class Outcome(StrEnum):
    """For one vulnerability in one package."""

    REFUSED = "refused"
    ACCEPTED = "accepted"
    TOLERATED = "tolerated"


class Unscanned(Model):
    """A component of an SBOM that Inspector did not look at: nothing is known of it."""

    name: str
    version: str = ""
    why: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}".rstrip()


class Seen(Model):
    """What was found out about an image or an SBOM."""

    vulnerabilities: tuple[Vulnerability, ...] = ()
    scanned_at: AwareDatetime | None = None
    blocked_by: str | None = None
    """The open case that holds the image back."""
    unknown: tuple[str, ...] = ()
    """What could not be found out, in words; with any of it nothing passes as judged."""
    not_yet: bool = False
    """Whether time may tell: a scan is still to come, or an answer failed to."""
    unscanned: tuple[Unscanned, ...] = ()


class Weighed(Model):
    """A vulnerability, and what the gate makes of it."""

    vulnerability: Vulnerability
    outcome: Outcome
    reason: str
    how_to_fix: str
    accepted: AcceptedRisk | None = None
    """The accepted risk that lets it pass."""


class Judgement(Model):
    """What the gate says of one image or SBOM, at one moment."""

    subject: Subject
    gate: str
    gate_version: int
    gate_digest: str
    at: AwareDatetime
    ruling: Ruling
    lets_pass: bool
    """Whether the pipeline may go on: a gate may let pass what it cannot judge."""
    not_yet: bool = False
    """Of what cannot be told, whether it may be told later."""
    reasons: tuple[str, ...] = ()
    """Why, as far as it is about the whole and not about one vulnerability."""
    warnings: tuple[str, ...] = ()
    blocked_by: str | None = None
    """The open case that holds the image back."""
    scanned_at: AwareDatetime | None = None
    """When Inspector last scanned it; of an SBOM, when it was scanned for this judgement."""
    weighed: tuple[Weighed, ...] = ()
    """The refused first, then by severity, package and id."""
    unscanned: tuple[Unscanned, ...] = ()
    """All that Inspector did not look at, also what the gate's runbook lets go."""

    def of(self, outcome: Outcome) -> tuple[Weighed, ...]:
        return tuple(each for each in self.weighed if each.outcome is outcome)

    @property
    def digest(self) -> str:
        """SHA-256 of the judgement's canonical JSON; evidence names it."""
        return hashlib.sha256(canonical(self.model_dump(mode="json"))).hexdigest()


def judge(gate: Gate, subject: Subject, seen: Seen, now: datetime) -> Judgement:
    """What the gate's runbook makes of what was seen."""
    weighed = tuple(sorted((_weigh(each, gate, subject, now) for each in seen.vulnerabilities), key=_order))
    unknown = [*seen.unknown, *_not_looked_at(seen, gate), *_unknown_exploitation(weighed, gate)]
    if seen.blocked_by or any(each.outcome is Outcome.REFUSED for each in weighed):
        ruling = Ruling.REFUSED
    else:
        ruling = Ruling.CANNOT_TELL if unknown else Ruling.PASSED
    blocked = [f"{seen.blocked_by} is open for it, and holds it back until it is closed"] if seen.blocked_by else []
    return Judgement(
        subject=subject,
        gate=gate.name,
        gate_version=gate.version,
        gate_digest=gate.digest,
        at=now.astimezone(UTC),
        ruling=ruling,
        lets_pass=ruling is Ruling.PASSED or (ruling is Ruling.CANNOT_TELL and gate.cannot_tell == "pass"),
        not_yet=ruling is Ruling.CANNOT_TELL and seen.not_yet,
        reasons=(*blocked, *unknown),
        warnings=(*_lapsed(weighed, gate, subject, now), *_suppressed(weighed)),
        blocked_by=seen.blocked_by,
        scanned_at=seen.scanned_at,
        weighed=weighed,
        unscanned=seen.unscanned,
    )


def _weigh(each: Vulnerability, gate: Gate, subject: Subject, now: datetime) -> Weighed:
    outcome, reason, accepted = _decide(each, gate, subject, now)
    return Weighed(vulnerability=each, outcome=outcome, reason=reason, how_to_fix=how_to_fix(each), accepted=accepted)


def _decide(
    each: Vulnerability, gate: Gate, subject: Subject, now: datetime
) -> tuple[Outcome, str, AcceptedRisk | None]:
    if each.malicious:
        return Outcome.REFUSED, "the package is malicious", None
    if gate.refuse.known_exploited and (since := each.known_exploited_since) is not None:
        return Outcome.REFUSED, f"exploited in the wild: in CISA's catalogue since {since:%Y-%m-%d}", None
    grounds = " and ".join(_grounds(each, gate))
    if not grounds:
        return Outcome.TOLERATED, f"{each.severity} is not refused", None
    if gate.only_when_fix_available and not each.fix_available:
        return Outcome.TOLERATED, "no version fixes it yet", None
    if (until := _grace_ends(each, gate)) is not None and now < until:
        return Outcome.TOLERATED, f"its grace ends on {until:%Y-%m-%d}", None
    accepted = next((risk for risk in _covering(each, gate, subject) if not risk.has_expired(now)), None)
    if accepted is not None:
        return Outcome.ACCEPTED, f"accepted by {accepted.owner} until {accepted.expires}", accepted
    fixed = ", and a fix is available" if gate.only_when_fix_available else ""
    return Outcome.REFUSED, grounds + fixed, None


def _grounds(each: Vulnerability, gate: Gate) -> Iterator[str]:
    if each.severity in gate.refuse.severities:
        yield "not rated yet" if each.severity == "UNTRIAGED" else f"severity {each.severity}"
    threshold = gate.refuse.epss
    if threshold is not None and each.epss is not None and each.epss >= threshold:
        yield f"likely to be exploited (EPSS {each.epss:.2f}, refused from {threshold:.2f} on)"


def _grace_ends(each: Vulnerability, gate: Gate) -> datetime | None:
    """None where it has no grace: what nobody knows the age of has none."""
    days = gate.grace_days.get(each.severity, 0)
    return each.known_since + timedelta(days=days) if days and each.known_since else None


def _covering(each: Vulnerability, gate: Gate, subject: Subject) -> list[AcceptedRisk]:
    return [risk for risk in gate.accepted if risk.covers(each.id, each.package, subject.repository, subject.digest)]


def _not_looked_at(seen: Seen, gate: Gate) -> Iterator[str]:
    """What nobody looked at, and the gate's runbook does not let go."""
    lost = [each for each in seen.unscanned if not gate.lets_go(each.name)]
    if lost:
        yield f"Inspector did not look at {counted(len(lost), 'component')}: {listed(map(str, lost))}"


def _unknown_exploitation(weighed: Sequence[Weighed], gate: Gate) -> Iterator[str]:
    """What passes only because nobody could look whether it is exploited."""
    unknown = {
        each.vulnerability.id
        for each in weighed
        if each.outcome is not Outcome.REFUSED and not each.vulnerability.exploitation_known
    }
    if gate.refuse.known_exploited and unknown:
        yield f"whether {listed(sorted(unknown))} is in CISA's catalogue could not be looked up"


def _lapsed(weighed: Sequence[Weighed], gate: Gate, subject: Subject, now: datetime) -> list[str]:
    """Accepted risks that are about something that is here, and do not count any more."""
    told = (
        f"the accepted risk {risk.vulnerability} of {risk.owner} expired on {risk.expires}: it does not count"
        for each in weighed
        for risk in _covering(each.vulnerability, gate, subject)
        if risk.has_expired(now)
    )
    return list(dict.fromkeys(told))


def _suppressed(weighed: Sequence[Weighed]) -> list[str]:
    ids = dict.fromkeys(each.vulnerability.id for each in weighed if each.vulnerability.suppressed)
    return [
        f"{one} is suppressed in Inspector, which is nobody's accepted risk: it is weighed as any other" for one in ids
    ]


_OUTCOMES = tuple(Outcome)


def _order(each: Weighed) -> tuple[int, bool, int, str, str, str]:
    found = each.vulnerability
    rank = SEVERITIES.index(found.severity) if found.severity in SEVERITIES else -1
    exploited = found.known_exploited_since is None
    return _OUTCOMES.index(each.outcome), exploited, -rank, found.package, found.id, found.platform or ""
