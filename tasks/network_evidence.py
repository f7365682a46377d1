"""Gathering the evidence on ways in: the path evaluated anew, the findings, and Inspector's coverage of the network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from runbooks.case import CaseKey
from runbooks.evidence import ABSENT, NetworkEvidence
from runbooks.finding import Finding, FindingStatus
from runbooks.network import opening_of, ways_in
from runbooks.network_verdict import EXPECTED
from runbooks.ports import PortRange, without
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.inspector import InspectorGateway
from tasks.gateways.ways_in import WaysInGateway


@dataclass(frozen=True)
class WaySubject:
    """A case to be judged, with what was to be closed."""

    case: str
    key: CaseKey
    findings: tuple[Finding, ...]
    closing: tuple[PortRange, ...]
    expected: tuple[PortRange, ...] = ()
    """What is meant to be open."""

    @property
    def counted(self) -> tuple[Finding, ...]:
        """The findings that count: on what was to be closed, and not accepted by a suppression rule before."""
        return self._of(direct=True)

    @property
    def beside(self) -> tuple[Finding, ...]:
        """The findings on paths that nothing was done about: while one is active, a person has to decide."""
        return self._of(direct=False)

    def _of(self, *, direct: bool) -> tuple[Finding, ...]:
        asked = (each for each in self.findings if each.status != FindingStatus.SUPPRESSED)
        read = ((each, opening) for each in asked if (opening := opening_of(each)) is not None)
        return tuple(
            each for each, opening in read if opening.direct is direct and without([opening.ports], self.expected)
        )


def gather_ways(aws: AwsSessions, subjects: Sequence[WaySubject]) -> dict[str, NetworkEvidence]:
    """Case -> the evidence on it."""
    places: dict[tuple[str, str], list[WaySubject]] = {}
    for subject in subjects:
        places.setdefault((subject.key.account, subject.key.region), []).append(subject)
    found: dict[str, NetworkEvidence] = {}
    for (account, region), members in places.items():
        found |= _of_a_place(aws, account, region, members)
    return found


def _of_a_place(
    aws: AwsSessions, account: str, region: str, subjects: Sequence[WaySubject]
) -> dict[str, NetworkEvidence]:
    inspector, ids = InspectorGateway(aws), sorted({each.key.resource_id for each in subjects})
    hosts = WaysInGateway(aws).hosts(account, region, ids)
    coverage = inspector.coverage(account, region, ids, "NETWORK")
    asked = (finding.arn for each in subjects for finding in (*each.counted, *each.beside))
    now = inspector.findings(account, region, [*asked])
    found: dict[str, NetworkEvidence] = {}
    for each in subjects:
        host = hosts[each.key.resource_id]
        live = {finding.arn: now.get(finding.arn) for finding in each.counted}
        closed = (one.updated_at for one in live.values() if one and one.status == FindingStatus.CLOSED)
        found[each.case] = NetworkEvidence(
            resource=each.key.resource_id,
            gone=host.instance is None or host.instance.state in ("terminated", "shutting-down"),
            ports=tuple(map(str, each.closing)),
            paths=tuple(map(str, ways_in(host, each.closing))),
            findings={arn: _status(one, each.expected) for arn, one in live.items()},
            beside=tuple(_still_open([now.get(finding.arn) for finding in each.beside], each.expected)),
            closed_at=max(closed, default=None),
            coverage=coverage.get(each.key.resource_id),
        )
    return found


def _still_open(findings: Sequence[Finding | None], expected: Sequence[PortRange]) -> Iterator[str]:
    for each in findings:
        opening = opening_of(each) if each is not None else None
        if opening is not None and _status(each, expected) == FindingStatus.ACTIVE:
            yield str(opening.ports)


def _status(finding: Finding | None, expected: Sequence[PortRange]) -> str:
    if finding is None:
        return ABSENT
    opening = opening_of(finding)
    meant = opening is not None and not without([opening.ports], expected)
    return EXPECTED if finding.status == FindingStatus.ACTIVE and meant else finding.status
