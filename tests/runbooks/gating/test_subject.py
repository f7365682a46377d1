"""How an image is named, and what evidence is bound to."""

from __future__ import annotations

import pytest

from runbooks.errors import BadInput
from runbooks.gating import ImageName, Subject, gate_stream
from runbooks.gating.subject import Platform, image_of, is_digest
from tests.runbooks.gating.gated import ACCOUNT, ARN, DIGEST, REGION, REPOSITORY, URI, a_subject


@pytest.mark.parametrize(
    ("text", "tag", "digest"),
    [
        (URI, "latest", None),
        (f"{URI}:1.4.0", "1.4.0", None),
        (f"{URI}@{DIGEST}", None, DIGEST),
        (f"{URI}:1.4.0@{DIGEST}", None, DIGEST),
        (ARN, None, DIGEST),
    ],
)
def test_an_image_is_named_by_tag_by_digest_or_by_arn(text: str, tag: str | None, digest: str | None) -> None:
    name = ImageName.parse(text)
    assert name == ImageName(account=ACCOUNT, region=REGION, repository=REPOSITORY, tag=tag, digest=digest)
    assert name.arn(DIGEST) == ARN


@pytest.mark.parametrize(
    ("text", "arn"),
    [
        ("111122223333.dkr.ecr-fips.us-gov-west-1.amazonaws.com/app:1", "arn:aws-us-gov:ecr:us-gov-west-1"),
        ("111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn/app:1", "arn:aws-cn:ecr:cn-north-1"),
        ("111122223333.dkr-ecr.eu-west-1.on.aws/app:1", "arn:aws:ecr:eu-west-1"),
    ],
)
def test_every_kind_of_registry_is_known(text: str, arn: str) -> None:
    assert ImageName.parse(text).arn(DIGEST) == f"{arn}:111122223333:repository/app/{DIGEST}"


def test_a_name_is_written_as_docker_reads_it() -> None:
    assert [str(ImageName.parse(text)) for text in (f"{URI}:1.4.0@{DIGEST}", f"{URI}:1.4.0", URI)] == [
        f"{URI}@{DIGEST}",
        f"{URI}:1.4.0",
        f"{URI}:latest",
    ]
    assert ImageName.parse("111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn/app").uri.endswith(".com.cn/app")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "checkout:1.4.0",
        "docker.io/library/nginx:1",
        "public.ecr.aws/nginx/nginx:1",
        f"{URI}@sha256:5e",
        f"{URI}@sha512:{'5e' * 32}",
        f"{URI}:1.4.0 ",
        f"{URI}:a/b",
        "evil.example/210987654321.dkr.ecr.eu-west-1.amazonaws.com/checkout:1",
        "210987654321.dkr.ecr.eu-west-1.amazonaws.com.evil.example/checkout:1",
        ARN.replace("ecr", "ecs"),
    ],
)
def test_what_is_no_image_in_a_private_registry_is_bad_input(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        ImageName.parse(text)
    assert refused.value.code == "not-an-image"


def test_a_digest_alone_is_recognised() -> None:
    assert [is_digest(text) for text in (DIGEST, DIGEST.upper(), f"{URI}@{DIGEST}", "sha256:5e")] == [
        True,
        False,
        False,
        False,
    ]


def test_evidence_is_in_the_stream_of_the_digest() -> None:
    assert gate_stream(a_subject()) == f"gate/{ACCOUNT}/{REGION}/{REPOSITORY}@{DIGEST}"
    assert gate_stream(Subject(kind="sbom", name="sbom.json", digest=DIGEST)) == f"gate/sbom@{DIGEST}"
    with pytest.raises(BadInput, match="not known") as refused:
        gate_stream(a_subject(digest=None))
    assert refused.value.code == "no-digest"


def test_the_stream_of_an_image_leads_back_to_it_and_another_leads_nowhere() -> None:
    assert image_of(gate_stream(a_subject())) == ImageName.parse(ARN)
    for other in (gate_stream(Subject(kind="sbom", name="sbom.json", digest=DIGEST)), f"case/{ARN}", "gate/"):
        with pytest.raises(BadInput) as refused:
            image_of(other)
        assert refused.value.code == "not-an-image"


def test_an_index_is_as_many_digests_as_it_has_platforms_and_its_own() -> None:
    other = f"sha256:{'6f' * 32}"
    platforms = (Platform(name="linux/amd64", digest=other), Platform(name="linux/arm64", digest=other))
    assert a_subject(platforms=platforms).digests == (DIGEST, other)
    assert a_subject().digests == (DIGEST,)
    assert a_subject(digest=None).digests == ()


def test_a_subject_is_shown_with_digest_and_tags() -> None:
    assert str(a_subject()) == f"{URI}@{DIGEST} (1.4.0)"
    assert str(Subject.of_image(ImageName.parse(f"{URI}:2"))) == f"{URI} (2)"
