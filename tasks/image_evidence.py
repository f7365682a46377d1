"""Gathering the evidence on images: the scan of what was built, who runs the vulnerable one, and what runs instead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from runbooks.case import CaseKey
from runbooks.container_image import EcsService, OtherUse
from runbooks.errors import AccessDenied, BadInput
from runbooks.evidence import CandidateEvidence, Coverage, ImageEvidence
from runbooks.finding import Finding
from runbooks.gating.coverage import scan_state
from runbooks.gating.subject import ImageName
from runbooks.image_users import out_of_sight, users_in_words
from runbooks.image_verdict import reduced
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.ecr import EcrGateway
from tasks.gateways.image_indexes import IndexGateway
from tasks.gateways.image_tasks import run_now
from tasks.gateways.image_use import ImageUse, who_runs
from tasks.gateways.inspector import InspectorGateway

_WORST_FIRST = ("unable", "pending", "ready")


@dataclass(frozen=True)
class ImageSubject:
    """A case about an image that is to be judged."""

    case: str
    key: CaseKey
    successors: tuple[str, ...]
    """Digests of what was built in its place, in the same repository: these count where no service tells."""
    findings: tuple[Finding, ...]
    """As triage read them."""
    services: tuple[EcsService, ...] = ()
    """Those that triage saw run it: what they run now is what runs in its place."""
    others: frozenset[str] = frozenset()
    """ARNs of whoever else triage saw run it."""
    was_run: bool = False
    """Whether triage saw anybody run it."""
    deployed_to: frozenset[str] = frozenset()
    """ARNs of the services to which this response has deployed another image."""


def gather_candidate(aws: AwsSessions, key: CaseKey, digest: str) -> CandidateEvidence:
    """What Inspector says of an image that was built, before anybody runs it.

    Of an index it scans the images that this lists: as far as the one farthest back, with what is found on any of them.

    Args:
        key: of a case about an image of the same repository.

    Raises:
        Outside: AWS did not say.
    """
    return _Scans(aws).of(ImageName.parse(key.resource_id).model_copy(update={"digest": digest}))


def gather_images(aws: AwsSessions, subjects: Sequence[ImageSubject]) -> dict[str, ImageEvidence]:
    """Case -> who runs its image now, and what is known of the images that run in its place.

    Who runs them is asked for all cases of an account and region at once; what runs instead is read service by service,
    and each image's scan once.

    Raises:
        Outside: AWS did not say, and may say so later; what it denies is in the evidence, as not seen.
    """
    places: dict[tuple[str, str], list[ImageSubject]] = {}
    for subject in subjects:
        places.setdefault((subject.key.account, subject.key.region), []).append(subject)
    scans = _Scans(aws)
    found: dict[str, ImageEvidence] = {}
    for (account, region), members in places.items():
        uses = _uses(aws, account, region, [member.key.resource_id for member in members])
        found |= {each.case: _evidence(aws, each, uses, scans) for each in members}
    return found


class _Scans:
    """What ECR lists and Inspector says of images, each asked about once."""

    def __init__(self, aws: AwsSessions) -> None:
        self._aws = aws
        self._inspector = InspectorGateway(aws)
        self._platforms: dict[str, tuple[str, ...]] = {}
        self._known: dict[str, CandidateEvidence] = {}

    def platforms(self, name: ImageName) -> tuple[str, ...]:
        """The images that run under this name: those that an index lists, or just itself."""
        if str(name) not in self._platforms:
            digest = str(name.digest)
            listed = IndexGateway(self._aws).platforms(name.account, name.region, name.repository, digest)
            self._platforms[str(name)] = listed or (digest,)
        return self._platforms[str(name)]

    def of(self, name: ImageName) -> CandidateEvidence:
        """Of an index as far as the image that is farthest back, with what is found on any of them."""
        if str(name) not in self._known:
            arns = [name.arn(each) for each in self.platforms(name)]
            coverage = self._inspector.coverage(name.account, name.region, arns)
            self._known[str(name)] = CandidateEvidence(
                digest=str(name.digest),
                coverage=min((coverage[arn] for arn in arns), key=_how_far),
                findings=tuple(
                    finding for arn in arns for finding in self._inspector.findings_of(name.account, name.region, arn)
                ),
            )
        return self._known[str(name)]


def _how_far(coverage: Coverage | None) -> int:
    return _WORST_FIRST.index(scan_state(coverage).kind)


def _uses(aws: AwsSessions, account: str, region: str, images: Sequence[str]) -> dict[str, ImageUse] | str:
    """Who runs each image, or why that may not be read."""
    try:
        return who_runs(aws, account, region, images)
    except AccessDenied as error:
        return error.detail


def _evidence(aws: AwsSessions, subject: ImageSubject, uses: dict[str, ImageUse] | str, scans: _Scans) -> ImageEvidence:
    name = ImageName.parse(subject.key.resource_id)
    image = EcrGateway(aws).image(name.account, name.region, name.repository, digest=name.digest)
    use = ImageUse() if isinstance(uses, str) else uses[subject.key.resource_id]
    there = image is not None and not image.archived
    now = use.model_copy(update={"others": tuple(each for each in use.others if not _is_late(each))})
    return ImageEvidence(
        resource=subject.key.resource_id,
        gone=image is None,
        archived=image is not None and image.archived,
        users=tuple(users_in_words(now)),
        unseen=(uses,) if isinstance(uses, str) else tuple(_unseen(use, there=there)),
        was_run=subject.was_run,
        left=tuple(users_in_words(_left(use, subject))),
        deployed=bool(subject.deployed_to),
        successors=tuple(reduced(each, subject.findings) for each in _in_its_place(aws, subject, name, scans)),
    )


def _left(use: ImageUse, subject: ImageSubject) -> ImageUse:
    """Those to whom nothing was deployed, nor is by a case of their own: no waiting brings them to another image."""
    return ImageUse(
        services=tuple(each for each in use.services if each.arn not in subject.deployed_to),
        others=tuple(each for each in use.others if not _may_be_those_deployed_to(each, subject)),
    )


def _may_be_those_deployed_to(other: OtherUse, subject: ImageSubject) -> bool:
    """Inspector's count of whom it does not name, where it had none before: it is late, and may count old tasks."""
    return ":ecr:" in other.arn and other.arn not in subject.others and bool(subject.deployed_to)


def _unseen(use: ImageUse, *, there: bool) -> Iterator[str]:
    """Whom nobody but Inspector sees, which may count them though they run it no more, and where nobody looks."""
    yield from users_in_words(ImageUse(others=tuple(filter(_is_late, use.others))))
    yield from out_of_sight(use.may_be_used_in)
    if there and not use.listed:
        yield "Inspector does not list the image, so that nobody tells who else runs it"


def _is_late(other: OtherUse) -> bool:
    """Whether it is Inspector's word, up to 36 hours old, and not what AWS shows now."""
    return other.kind in ("eks-cluster", "other")


def _in_its_place(aws: AwsSessions, subject: ImageSubject, name: ImageName, scans: _Scans) -> list[CandidateEvidence]:
    """What the services run now that ran it, without the image itself; what was built, where they run nothing else."""
    running = sorted({reference for references in run_now(aws, subject.services).values() for reference in references})
    found = [scanned for reference in running if (scanned := _instead(reference, name, scans)) is not None]
    return found or [scans.of(name.model_copy(update={"digest": digest})) for digest in subject.successors]


def _instead(reference: str, name: ImageName, scans: _Scans) -> CandidateEvidence | None:
    """What is known of the image behind a reference; None where it is the vulnerable one itself."""
    digest = reference.rpartition("@")[2]
    try:
        other = ImageName.parse(reference)
        return None if name.digest in (digest, *scans.platforms(other)) else scans.of(other)
    except (AccessDenied, BadInput):
        # In another registry than ECR, or where this system may not look: whether it is any better is not known.
        return CandidateEvidence(digest=digest, coverage=None)
