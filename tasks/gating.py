"""The gate at work: what Inspector says of a digest or of an SBOM, judged.

It changes nothing in AWS. What cannot be read is no reason to let something pass: it becomes the judgement that nobody
can tell, and only the gate's runbook says whether that passes. Nor does it hide what could be read: what is refused is
refused.

Inspector does not scan an index, the list of images of several platforms: it is judged by all of these.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from runbooks.container_image import ContainerImage
from runbooks.errors import BadInput, LedgerError, NotFound, Outside, RunbooksError
from runbooks.finding import Finding, FindingStatus
from runbooks.gating import Gate, ImageName, Judgement, Seen, Subject, judge, of_findings
from runbooks.gating.coverage import INDEX_MEDIA_TYPES, ScanState, scan_state
from runbooks.gating.sbom import check_sbom, read_scan
from runbooks.instance import Exploitation
from runbooks.telling.words import duration
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.ecr import EcrGateway
from tasks.gateways.image_indexes import IndexGateway
from tasks.gateways.inspector import InspectorGateway
from tasks.gateways.sbom_scan import SbomScanGateway
from tasks.services import Services

LOOK_EVERY_SECONDS = 10.0
"""Between two looks at the coverage of an image that waits for its initial scan."""
SAY_EVERY = timedelta(minutes=1)


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Patience:
    """How long an initial scan is waited for, and how that is done and told."""

    limit: timedelta
    pause: Callable[[float], object]
    """Lets so many seconds pass."""
    tell: Callable[[str], object]
    now: Callable[[], datetime] = _utc_now
    since: datetime | None = None
    """When the waiting began; None: with the first look."""


def judge_image(
    have: Services | None, sessions: AwsSessions, name: ImageName, gate: Gate, patience: Patience
) -> Judgement:
    """What the gate says of an image, after its initial scan or after the time there is for it.

    Args:
        have: whose ledger is asked for an open case of the image; None where there is none.

    Raises:
        NotFound: (no-such-image) ECR has no such image.
    """
    subject = Subject.of_image(name)
    try:
        image = _found(sessions, name)
        subject = Subject.of_image(name, image.digest, image.tags)
        images: dict[str, str | None] = {name.arn(image.digest): None}
        if image.media_type in INDEX_MEDIA_TYPES:
            platforms = IndexGateway(sessions).listed(name.account, name.region, name.repository, image.digest)
            subject = Subject.of_image(name, image.digest, image.tags, platforms)
            images = {name.arn(each.digest): each.name for each in platforms}
        seen = _see(InspectorGateway(sessions), name, images, patience)
    except Outside as error:
        seen = Seen(unknown=(_said(error),), not_yet=True)
    return judge(gate, subject, _held_back(have, name, subject, seen), patience.now())


def judge_sbom(
    sessions: AwsSessions, region: str, name: str, content: bytes, sbom: object, gate: Gate, now: datetime
) -> Judgement:
    """What the gate says of what an SBOM lists.

    Args:
        name: of its file.
        content: of its file; evidence is bound to the digest of it.
        sbom: the value that the file holds.

    Raises:
        BadInput: Inspector would not take it, or did not.
    """
    document: Mapping[str, Any] = check_sbom(sbom)
    subject = Subject(kind="sbom", name=name, digest=f"sha256:{hashlib.sha256(content).hexdigest()}")
    try:
        scanned = read_scan(SbomScanGateway(sessions).scan("", region, document), document)
    except Outside as error:
        return judge(gate, subject, Seen(unknown=(_said(error),), not_yet=True), now)
    seen = Seen(
        vulnerabilities=scanned.vulnerabilities,
        scanned_at=now,
        unknown=() if scanned.packages else ("it lists no package",),
        unscanned=scanned.unscanned,
    )
    return judge(gate, subject, seen, now)


def image_of_digest(sessions: AwsSessions, account: str, region: str, digest: str) -> ImageName:
    """The image behind a digest, by Inspector's coverage.

    Raises:
        NotFound: (no-such-image) Inspector knows no image of this digest there.
        BadInput: (several-images) Several repositories have it.
        Outside: Inspector did not say.
    """
    names = [ImageName.parse(arn) for arn in InspectorGateway(sessions).images(account, region, digest)]
    if not names:
        raise NotFound(
            f"Inspector knows no image {digest} in {account}, {region}, and no index at all: name its repository, too",
            code="no-such-image",
        )
    if len(names) > 1:
        raise BadInput(f"several repositories have it: name one of {', '.join(map(str, names))}", code="several-images")
    return names[0]


def _found(sessions: AwsSessions, name: ImageName) -> ContainerImage:
    image = EcrGateway(sessions).image(name.account, name.region, name.repository, tag=name.tag, digest=name.digest)
    if image is None:
        raise NotFound(f"ECR has no image {name}: was it pushed there, under this name?", code="no-such-image")
    return image


def _held_back(have: Services | None, name: ImageName, subject: Subject, seen: Seen) -> Seen:
    """With the oldest open case of the image or a platform, whatever its runbook: it blocks promotion until closed."""
    if have is None:
        return seen
    try:
        cases = have.ledger.cases_on([name.arn(digest) for digest in subject.digests])
    except LedgerError as error:
        return seen.model_copy(update={"unknown": (*seen.unknown, _said(error)), "not_yet": True})
    blocked_by = next((case.id for case in cases if case.status == "open"), None)
    return seen.model_copy(update={"blocked_by": blocked_by})


def _see(inspector: InspectorGateway, name: ImageName, images: Mapping[str, str | None], patience: Patience) -> Seen:
    """What Inspector says of these images, ARN -> platform, as far as it says it."""
    if not images:
        return Seen(unknown=("it is an index that lists no image",))
    scans = _scanned(inspector, name, images, patience)
    unknown = {arn: scan.state.words for arn, scan in scans.items() if scan.state.kind != "ready"}
    found: dict[str, tuple[Finding, ...]] = {}
    for arn in [arn for arn in scans if arn not in unknown]:
        try:
            found[arn] = inspector.findings_of(name.account, name.region, arn)
        except Outside as error:
            unknown[arn] = _said(error)
    exploitation = _exploitation(inspector, name, found.values())
    times = [scans[arn].at for arn in found]
    return Seen(
        vulnerabilities=tuple(
            each for arn, findings in found.items() for each in of_findings(findings, exploitation, images[arn])
        ),
        scanned_at=min((at for at in times if at is not None), default=None),
        unknown=_in_words(unknown, images),
        not_yet=None in exploitation.values() or any(scans[arn].state.kind != "unable" for arn in unknown),
    )


def _exploitation(
    inspector: InspectorGateway, name: ImageName, found: Iterable[Sequence[Finding]]
) -> Mapping[str, Exploitation | None]:
    alive = {
        each.arn: each.vulnerability_id
        for findings in found
        for each in findings
        if each.status != FindingStatus.CLOSED
    }
    try:
        return inspector.exploitation(name.account, name.region, list(alive), alive)
    except Outside:
        return dict.fromkeys(alive)


class _Scan(NamedTuple):
    state: ScanState
    at: datetime | None


def _scanned(
    inspector: InspectorGateway, name: ImageName, images: Mapping[str, str | None], patience: Patience
) -> dict[str, _Scan]:
    """How far Inspector is with each: as soon as that is decided of all, or when there is no time left."""
    now = patience.now()
    began, told, told_at = patience.since or now, "", now
    while True:
        coverage = inspector.coverage(name.account, name.region, list(images))
        scans = {arn: _Scan(scan_state(seen), seen.last_scanned_at if seen else None) for arn, seen in coverage.items()}
        pending = {arn: scan.state.words for arn, scan in scans.items() if scan.state.kind == "pending"}
        waited = patience.now() - began
        if not pending:
            return scans
        if waited >= patience.limit:
            return scans | {arn: _waited_for(scans[arn], waited) for arn in pending}
        words = "; ".join(_in_words(pending, images))
        if words != told or patience.now() - told_at >= SAY_EVERY:
            told, told_at = words, patience.now()
            patience.tell(f"waiting, {duration(waited)} of {duration(patience.limit)}: {words}")
        patience.pause(min(LOOK_EVERY_SECONDS, (patience.limit - waited).total_seconds()))


def _waited_for(scan: _Scan, waited: timedelta) -> _Scan:
    if waited < timedelta(seconds=1):
        return scan
    return scan._replace(state=scan.state._replace(words=f"after {duration(waited)}: {scan.state.words}"))


def _in_words(said: Mapping[str, str], images: Mapping[str, str | None]) -> tuple[str, ...]:
    """What is said of each image, once for all platforms of which it is said."""
    alike: dict[str, list[str]] = {}
    for arn, words in said.items():
        platform = images[arn]
        alike.setdefault(words, []).extend([platform] if platform else [])
    return tuple(f"{', '.join(platforms)}: {words}" if platforms else words for words, platforms in alike.items())


def _said(error: RunbooksError) -> str:
    return f"{error.code}: {error.detail}"
