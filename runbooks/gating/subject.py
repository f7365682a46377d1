"""What the gate is asked about: an image by its name in ECR or by Inspector's ARN, or the file of an SBOM."""

from __future__ import annotations

import re
from typing import Literal

from runbooks.errors import BadInput
from runbooks.model import Model

_REPOSITORY = r"(?P<repository>[a-z0-9][a-z0-9._/-]{1,255})"
_DIGEST = r"(?P<digest>sha256:[0-9a-f]{64})"
_NAME = re.compile(
    r"(?P<registry>(?P<account>\d{12})\.dkr[.-]ecr(-fips)?\.(?P<region>[a-z]{2}(-[a-z]+)+-\d)\."
    r"(amazonaws\.com(\.cn)?|on\.aws|on\.amazonwebservices\.com\.cn))/"
    rf"{_REPOSITORY}(:(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{{0,127}}))?(@{_DIGEST})?",
    re.ASCII,
)
"""A private ECR registry's host names, with IPv6 or FIPS or without (Amazon ECR user guide, "Private registry")."""
_ARN = re.compile(
    rf"arn:aws(-[a-z]+)*:ecr:(?P<region>[a-z0-9-]+):(?P<account>\d{{12}}):repository/{_REPOSITORY}/{_DIGEST}", re.ASCII
)
_BARE = re.compile(_DIGEST, re.ASCII)


class ImageName(Model):
    """An image of a private ECR registry: by digest where it has one, or else by tag."""

    account: str
    region: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> ImageName:
        """The image behind `ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME[:TAG][@sha256:...]`, or behind its ARN.

        As with docker, the tag is `latest` where neither tag nor digest is named, and a digest goes before a tag.

        Raises:
            BadInput: (not-an-image) It is neither.
        """
        if found := _NAME.fullmatch(text):
            digest = found["digest"]
            tag = None if digest else found["tag"] or "latest"
        elif found := _ARN.fullmatch(text):
            digest, tag = found["digest"], None
        else:
            raise BadInput(
                f"{text[:200]!r} is no image in ECR: give ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME:TAG or "
                "...NAME@sha256:DIGEST, Inspector's ARN of it, a digest, or the file of a CycloneDX SBOM",
                code="not-an-image",
            )
        place = {"account": found["account"], "region": found["region"], "repository": found["repository"]}
        return cls(**place, tag=tag, digest=digest)

    @property
    def partition(self) -> str:
        """The partition its region belongs to (AWS General Reference, "Partitions")."""
        return next((f"aws-{start}" for start in ("cn", "us-gov") if self.region.startswith(f"{start}-")), "aws")

    @property
    def uri(self) -> str:
        """Registry and repository, as docker knows them."""
        end = ".cn" if self.partition == "aws-cn" else ""
        return f"{self.account}.dkr.ecr.{self.region}.amazonaws.com{end}/{self.repository}"

    def arn(self, digest: str) -> str:
        """As Inspector names the image of this digest."""
        return f"arn:{self.partition}:ecr:{self.region}:{self.account}:repository/{self.repository}/{digest}"

    def __str__(self) -> str:
        return f"{self.uri}@{self.digest}" if self.digest else f"{self.uri}:{self.tag}"


class Platform(Model):
    """One of the images that an index lists."""

    name: str
    """For people, such as linux/arm64/v8."""
    digest: str


class Subject(Model):
    """What was judged, and what the evidence is bound to."""

    kind: Literal["image", "sbom"]
    name: str
    """The image without tag and digest, or the SBOM's file."""
    digest: str | None = None
    """sha256:... of the image's manifest, or of the SBOM's file; None where it could not be found out."""
    account: str | None = None
    region: str | None = None
    repository: str | None = None
    tags: tuple[str, ...] = ()
    platforms: tuple[Platform, ...] = ()
    """Of an index, which Inspector does not scan: the images that it lists, and by which it is judged."""

    @classmethod
    def of_image(
        cls,
        name: ImageName,
        digest: str | None = None,
        tags: tuple[str, ...] = (),
        platforms: tuple[Platform, ...] = (),
    ) -> Subject:
        place = {"account": name.account, "region": name.region, "repository": name.repository}
        named = tags or ((name.tag,) if name.tag else ())
        return cls(kind="image", name=name.uri, digest=digest or name.digest, tags=named, platforms=platforms, **place)

    @property
    def digests(self) -> tuple[str, ...]:
        """All that an open case may be about: its own, and those of its platforms."""
        own = (self.digest,) if self.digest else ()
        return tuple(dict.fromkeys((*own, *(each.digest for each in self.platforms))))

    def __str__(self) -> str:
        tags = f" ({', '.join(self.tags)})" if self.tags else ""
        return f"{self.name}@{self.digest}{tags}" if self.digest else f"{self.name}{tags}"


def is_image_arn(text: str) -> bool:
    """Whether the text is Inspector's ARN of an image, with its digest."""
    return _ARN.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    """Whether the text is a digest and nothing else."""
    return _BARE.fullmatch(text) is not None


GATE = "gate/"
"""What the names of those streams begin with."""
_STREAM = re.compile(rf"{GATE}(?P<account>\d{{12}})/(?P<region>[a-z0-9-]+)/{_REPOSITORY}@{_DIGEST}", re.ASCII)


def gate_stream(subject: Subject) -> str:
    """The ledger stream of what the gate said of a digest.

    Raises:
        BadInput: the digest is not known.
    """
    if subject.digest is None:
        raise BadInput(f"the digest of {subject.name} is not known: nothing can be bound to it", code="no-digest")
    if subject.kind == "sbom":
        return f"{GATE}sbom@{subject.digest}"
    return f"{GATE}{subject.account}/{subject.region}/{subject.repository}@{subject.digest}"


def image_of(stream: str) -> ImageName:
    """The image that a ledger stream of the gate is about.

    Raises:
        BadInput: (not-an-image) It is not about one.
    """
    if (found := _STREAM.fullmatch(stream)) is None:
        raise BadInput(f"{stream[:200]!r} is no stream of what the gate said of an image", code="not-an-image")
    return ImageName(**found.groupdict())
