"""An image that is patched in place by copa, and known again by the layers that it leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runbooks.errors import Outside, Refused
from runbooks.steps.base import Role
from tasks.gateways.actions import image_patching
from tasks.gateways.actions.image_patching import BY_COPA, _is_made_from
from tests.tasks.gateways.aws_world import AwsWorld, statuses
from tests.tasks.gateways.copa import REGISTRY, Copa, a_patch, pushing
from tests.tasks.gateways.image_world import NEW_TAG, REPOSITORY, furnish, images

MADE_BY_COPA = {
    "ecr:BatchCheckLayerAvailability",
    "ecr:CompleteLayerUpload",
    "ecr:GetDownloadUrlForLayer",
    "ecr:InitiateLayerUpload",
    "ecr:UploadLayerPart",
}
"""What the real one calls as well, and the one of these tests does not."""


@pytest.fixture
def copa(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Copa:
    return Copa.install(tmp_path, monkeypatch)


@pytest.fixture
def built(aws: AwsWorld, copa: Copa) -> dict[str, Any]:
    world = furnish(aws)
    copa.tell(**pushing(aws.sandbox, world["digest"]))
    return world


def under_the_tag(aws: AwsWorld) -> str:
    (digest,) = (digest for digest, (_, tags) in images(aws).items() if NEW_TAG in tags)
    return digest


def test_what_it_pushes_under_the_tag_is_its_result_and_is_known_again(
    aws: AwsWorld, copa: Copa, built: dict[str, Any]
) -> None:
    step = a_patch(built)
    (look,) = aws.look(step)
    assert (look.status, look.found) == ("as-expected", {"build": None, "digest": None})
    done = aws.act(step)
    assert done == {"build": BY_COPA, "digest": under_the_tag(aws)}
    (call,) = copa.calls
    assert call["arguments"] == {"image": step.image, "tag": NEW_TAG, "push": "", "timeout": "5400s"}
    aws.forget_everything()
    (look,) = aws.look(step)
    assert (look.status, look.result) == ("as-left", done)
    assert aws.act(step) == done
    assert len(copa.calls) == 1


def test_it_is_logged_in_as_whoever_acts_and_calls_no_more_than_it_may(
    aws: AwsWorld, copa: Copa, built: dict[str, Any]
) -> None:
    step = a_patch(built)
    aws.look(step)
    aws.act(step)
    assert aws.calls(mutating=True) == ["ecr:PutImage"]
    assert set(aws.calls()) == set(step.permissions) - MADE_BY_COPA
    assert aws.guarded[:2] == ["GetAuthorizationToken", "PutImage"]
    roles = {one["RoleArn"].rpartition("-")[2] for one in aws.parameters("AssumeRole")}
    assert roles == {"read", "patch"}
    granted = aws.client("ecr", Role.PATCH).get_authorization_token()["authorizationData"][0]
    assert copa.calls[0]["config"] == {"auths": {REGISTRY: {"auth": granted["authorizationToken"]}}}


def test_somebody_elses_image_under_the_tag_is_drift(aws: AwsWorld, copa: Copa, built: dict[str, Any]) -> None:
    client, base = aws.client("ecr", Role.PATCH), built["base_repository"]
    (raw,) = client.batch_get_image(repositoryName=base, imageIds=[{"imageDigest": built["newer_base_digest"]}])[
        "images"
    ]
    client.put_image(repositoryName=REPOSITORY, imageManifest=raw["imageManifest"], imageTag=NEW_TAG)
    (look,) = aws.look(a_patch(built))
    assert look.status == "drifted"
    assert look.detail == (
        f"{REPOSITORY} has an image with tag {NEW_TAG} already, which is not made from {built['digest']}: "
        f"{under_the_tag(aws)}"
    )
    with pytest.raises(Refused):
        aws.act(a_patch(built))
    assert copa.calls == []


@pytest.mark.parametrize(
    ("layers", "source", "made"),
    [
        (("base", "app", "patch"), ("base", "app"), True),
        (("base", "app", "new patch"), ("base", "app", "old patch"), True),
        (("base", "app"), ("base", "app"), False),
        (("base", "other", "patch"), ("base", "app", "patch"), False),
        (("other", "patch"), ("only",), False),
        (("only", "patch"), ("only",), True),
        ((), ("base", "app"), False),
        (("base",), ("base", "app"), False),
        (("base", "app", "patch", "more"), ("base", "app"), False),
        (("base", "app", "patch"), ("base", "app", "old patch", "more"), False),
        ((), (), False),
    ],
)
def test_a_patched_image_has_the_layers_below_a_patch_of_its_own(
    layers: tuple[str, ...], source: tuple[str, ...], made: bool
) -> None:
    assert _is_made_from(layers, source) is made


def test_a_copa_that_ends_well_and_pushes_nothing_has_not_patched(
    aws: AwsWorld, copa: Copa, built: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_patching, "_VISIBLE_WITHIN_SECONDS", 0)
    copa.tell(manifest=None)
    with pytest.raises(Outside) as failed:
        aws.act(a_patch(built))
    assert failed.value.code == "nothing-pushed"
    assert statuses(aws.look(a_patch(built))) == ["as-expected"]


def test_without_copa_nothing_is_begun_and_what_it_has_left_is_still_found(
    aws: AwsWorld, copa: Copa, built: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = (tmp_path / "empty").mkdir() or str(tmp_path / "empty")
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("PATH", path)
        (look,) = aws.look(a_patch(built))
        assert (look.status, look.detail) == ("drifted", "copa is not on the path of this worker")
    aws.forget_everything()
    aws.act(a_patch(built))
    monkeypatch.setenv("PATH", path)
    assert statuses(aws.look(a_patch(built))) == ["as-left"]


def test_an_image_that_is_gone_is_drift(aws: AwsWorld, copa: Copa, built: dict[str, Any]) -> None:
    aws.client("ecr", Role.PATCH).batch_delete_image(
        repositoryName=REPOSITORY, imageIds=[{"imageDigest": built["digest"]}]
    )
    step = a_patch(built)
    (look,) = aws.look(step)
    assert (look.status, look.detail) == ("drifted", f"image {step.image} does not exist any more")


def test_the_patched_image_has_what_is_fixed(aws: AwsWorld, copa: Copa, built: dict[str, Any]) -> None:
    aws.act(a_patch(built))
    aws.sandbox.advance(60)
    found = aws.client("inspector2").list_findings(
        filterCriteria={"ecrImageHash": [{"comparison": "EQUALS", "value": under_the_tag(aws)}]}
    )["findings"]
    assert [each for each in found if each["status"] == "ACTIVE"] == [], json.dumps(found, default=str)
