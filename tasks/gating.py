"""The gate at work: what Inspector says of a digest or of an SBOM, judged.

It changes nothing in AWS. What cannot be read is no reason to let something pass: it becomes the judgement that nobody
can tell, and only the gate's runbook says whether that passes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from runbooks.catalog import gate_file, read_gate
from runbooks.container_image import ContainerImage
from runbooks.errors import BadInput, LedgerError, NotFound, Outside
from runbooks.finding import FindingStatus
from runbooks.gating import (
    Gate,
    ImageName,
    Judgement,
    Seen,
    Subject,
    judge,
    of_findings,
)
from runbooks.gating.coverage import INDEX_MEDIA_TYPES, ScanState, scan_state
from runbooks.gating.sbom import check_sbom, read_scan
from runbooks.telling.words import duration
from runbooks.verdict import Coverage
from tasks.gate_evidence import is_recorded, record
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.ecr import EcrGateway
from tasks.gateways.inspector import InspectorGateway
from tasks.gateways.sbom_scan import SbomScanGateway
from tasks.services import Services

DEFAULT_GATE = "default"
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
        seen = _see(have, sessions, name, image, patience)
    except (Outside, LedgerError) as error:
        seen = Seen(unknown=(f"{error.code}: {error.detail}",))
    return judge(gate, subject, seen, patience.now())


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
        scanned = read_scan(SbomScanGateway(sessions).scan("", region, document))
    except Outside as error:
        return judge(gate, subject, Seen(unknown=(f"{error.code}: {error.detail}",)), now)
    skipped = f"Inspector has no rules for {scanned.skipped} of {scanned.components} components"
    seen = Seen(
        vulnerabilities=scanned.vulnerabilities,
        scanned_at=now,
        unknown=() if scanned.components > scanned.skipped else ("it lists nothing that Inspector has rules for",),
        warnings=(skipped,) if scanned.skipped else (),
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
            f"Inspector knows no image {digest} in {account}, {region}: name its repository, too", code="no-such-image"
        )
    if len(names) > 1:
        raise BadInput(f"several repositories have it: name one of {', '.join(map(str, names))}", code="several-images")
    return names[0]


def judge_scanned(have: Services, arn: str, delivery: str) -> Judgement:
    """Judges an image by the default gate, because a delivery says that its initial scan is complete.

    What the delivery says is a hint: everything is read anew. Asked again about the same scan it writes nothing more.

    Raises:
        BadInput: ECR has no such image, or the gate's runbook is not valid.
        Unsafe: there is no signing key.
        LedgerError: it cannot be written.
    """
    name = ImageName.parse(arn)
    gate = read_gate(gate_file(DEFAULT_GATE, *have.settings.library_folders))
    chosen = have.settings
    sessions = AwsSessions(
        chosen.role_arn, name.partition, session_name="runbooks-gate", external_id=chosen.external_id
    )
    at_once = Patience(timedelta(0), pause=lambda _: None, tell=lambda _: None, now=have.now)
    judgement = judge_image(have, sessions, name, gate, at_once)
    if not is_recorded(have, judgement):
        record(have, judgement, f"delivery:{delivery}")
    return judgement


def _found(sessions: AwsSessions, name: ImageName) -> ContainerImage:
    image = EcrGateway(sessions).image(name.account, name.region, name.repository, tag=name.tag, digest=name.digest)
    if image is None:
        raise NotFound(f"ECR has no image {name}: was it pushed there, under this name?", code="no-such-image")
    return image


def _see(
    have: Services | None, sessions: AwsSessions, name: ImageName, image: ContainerImage, patience: Patience
) -> Seen:
    arn = name.arn(image.digest)
    blocked_by = _open_case(have, arn)
    if image.media_type in INDEX_MEDIA_TYPES:
        what = "it is a list of images of several platforms, and Inspector scans those: gate the digest of each"
        return Seen(blocked_by=blocked_by, unknown=(what,))
    inspector = InspectorGateway(sessions)
    scan, coverage = _scanned(inspector, name, arn, patience)
    if scan.kind != "ready":
        return Seen(blocked_by=blocked_by, unknown=(scan.words,))
    findings = inspector.findings_of(name.account, name.region, arn)
    alive = {each.arn: each.vulnerability_id for each in findings if each.status != FindingStatus.CLOSED}
    exploitation = inspector.exploitation(name.account, name.region, list(alive), alive)
    return Seen(
        vulnerabilities=of_findings(findings, exploitation),
        scanned_at=coverage.last_scanned_at if coverage else None,
        blocked_by=blocked_by,
    )


def _open_case(have: Services | None, arn: str) -> str | None:
    """The oldest open case of the image, under whatever runbook: promotion is blocked while there is one."""
    cases = have.ledger.cases_on([arn]) if have else ()
    return next((case.id for case in cases if case.status == "open"), None)


def _scanned(
    inspector: InspectorGateway, name: ImageName, arn: str, patience: Patience
) -> tuple[ScanState, Coverage | None]:
    """How far Inspector is: as soon as that is decided, or when there is no time left."""
    began, told, told_at = patience.now(), "", patience.now()
    while True:
        coverage = inspector.coverage(name.account, name.region, [arn])[arn]
        scan, waited = scan_state(coverage), patience.now() - began
        if scan.kind != "pending":
            return scan, coverage
        if waited >= patience.limit:
            return scan._replace(words=f"after {duration(waited)}: {scan.words}"), coverage
        if scan.words != told or patience.now() - told_at >= SAY_EVERY:
            told, told_at = scan.words, patience.now()
            patience.tell(f"waiting, {duration(waited)} of {duration(patience.limit)}: {scan.words}")
        patience.pause(min(LOOK_EVERY_SECONDS, (patience.limit - waited).total_seconds()))
