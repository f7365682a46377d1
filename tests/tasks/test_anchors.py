"""The key may be in KMS and the checkpoints in S3, in an account of their own."""

from __future__ import annotations

import random
from collections.abc import Iterator

import boto3
import pytest

from deployments.sandbox.server import Sandbox
from runbooks.checkpoint import make_checkpoint
from runbooks.errors import AccessDenied, InvalidSetting, Outside
from runbooks.merkle import Range
from tasks.anchoring import anchor
from tasks.anchors import checkpoint_signer
from tasks.auditing import verify
from tests.tasks.anchored import Open, open_audited, refusal
from tests.tasks.gateways.ledger.samples import Clock
from tests.tasks.kms import ARN, FakeKms, fake_kms

__all__ = ["open_audited"]


@pytest.fixture
def kms(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKms]:
    with fake_kms() as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", running.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        yield running


def test_kms_signs_and_its_public_key_checks(open_audited: Open, kms: FakeKms) -> None:
    have = open_audited(checkpoint_kms_key=ARN)
    have.grow(300)
    made = anchor(have)
    assert made is not None
    assert made.is_signed_by(kms.key.public_key().public_bytes_raw())
    assert kms.calls == ["GetPublicKey", "Sign"]
    assert verify(have).ok
    assert not (have.settings.home / "keys").exists()


def test_what_kms_signs_stays_below_its_4096_bytes(open_audited: Open, kms: FakeKms) -> None:
    """A tree of 2^40 - 1 entries has the most peaks that a ledger of this world can have."""
    signer = checkpoint_signer(open_audited(checkpoint_kms_key=ARN).settings)
    tree = Range(2**40 - 1, [b"p" * 32] * 40)
    made = make_checkpoint("remediation-runbooks/0123456789abcdef", tree, [], {}, Clock().now, signer).checkpoint
    assert made.is_signed_by(signer.public_key)


def test_what_kms_refuses_or_signs_wrongly_anchors_nothing(open_audited: Open, kms: FakeKms) -> None:
    have = open_audited(checkpoint_kms_key=ARN)
    have.grow(3)
    kms.fails_with = "AccessDeniedException"
    assert isinstance(refusal(have), AccessDenied)
    kms.fails_with = None
    kms.signs_wrongly = True
    assert refusal(have).code == "bad-signature"
    kms.signs_wrongly = False
    assert have.anchor() == 3


def test_a_kms_key_that_is_no_ed25519_key_says_what_to_make(open_audited: Open, kms: FakeKms) -> None:
    have = open_audited(checkpoint_kms_key=ARN)
    have.grow(3)
    kms.becomes_rsa()
    assert "make one of key spec ECC_NIST_EDWARDS25519" in refusal(have).detail


def test_a_kms_key_is_named_by_its_arn(open_audited: Open) -> None:
    have = open_audited(checkpoint_kms_key="alias/checkpoints")
    have.grow(3)
    with pytest.raises(InvalidSetting, match="give the key's ARN"):
        anchor(have)


def test_the_ledger_is_anchored_in_s3_under_the_audit_role(
    open_audited: Open, executor_aws: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor_aws.reset()
    monkeypatch.setenv("AWS_ENDPOINT_URL", executor_aws.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    account = "210987654321"
    have = open_audited(anchor="s3://company-audit/ledger", anchor_account=account)
    have.grow(3)
    with pytest.raises(Outside) as refused:
        anchor(have)
    assert refused.value.code == "NoSuchBucket"
    role = boto3.client("sts", region_name="us-east-1").assume_role(
        RoleArn=f"arn:aws:iam::{account}:role/remediation-runbooks-audit", RoleSessionName="owner"
    )["Credentials"]
    owner = boto3.client(
        "s3",
        region_name="us-east-1",
        aws_access_key_id=role["AccessKeyId"],
        aws_secret_access_key=role["SecretAccessKey"],
        aws_session_token=role["SessionToken"],
    )
    owner.create_bucket(Bucket="company-audit", ObjectLockEnabledForBucket=True)
    assert have.anchor() == 3
    have.grow(120, random.Random(1))
    assert have.anchor() == 123
    found = verify(have)
    assert (found.ok, found.checkpoints, found.anchored) == (True, 2, 123)
    listed = [each.get("Key") for each in owner.list_objects_v2(Bucket="company-audit").get("Contents", [])]
    assert listed == ["ledger/000/000/000/003", "ledger/000/000/000/123"]
