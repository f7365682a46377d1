"""Which anchor, and which key for checkpoints, the settings name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from runbooks.checkpoint import CheckpointSigner
from runbooks.errors import InvalidSetting, NotFound
from runbooks.signing import read_key
from runbooks.steps.base import Role
from tasks.gateways.anchors import Anchor, FolderAnchor, S3Anchor
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.checkpoint_keys import KmsKey, OwnKey
from tasks.keys import make_key_file, read_key_file
from tasks.settings import Settings

_AUDIT_ROLE = "audit"
_ANY_REGION = "us-east-1"
"""Where no region is set: S3 says itself which one a bucket is in."""


def anchor_at(chosen: Settings, place: str | None = None) -> Anchor:
    """The anchor at a place: a folder or s3://bucket/prefix; that of the settings where none is named.

    Raises:
        InvalidSetting: there is no such place.
    """
    place = chosen.anchor if place is None else place
    if place.startswith("s3://"):
        parts = urlsplit(place)
        prefix = parts.path.strip("/") + "/" if parts.path.strip("/") else ""
        retention = timedelta(days=chosen.anchor_retention_days)
        return S3Anchor(_client(chosen, "s3"), parts.netloc, prefix, retention, lambda: datetime.now(UTC))
    if place and not Path(place).is_dir():
        # Not made here: where it is a mount that is missing, checkpoints would come to lie beside the ledger.
        raise InvalidSetting(f"the anchor {place} is no folder; make it, or mount it")
    return FolderAnchor(Path(place) if place else chosen.home.resolve() / "anchors")


def checkpoint_signer(chosen: Settings, *, make: bool = False) -> CheckpointSigner:
    """Who signs: KMS, the key in the environment, or the one in the file.

    A missing file is made, if asked for, only where nobody said which file it is.

    Raises:
        Unsafe, InvalidSetting: there is no key, or none that could be used.
    """
    if chosen.checkpoint_kms_key:
        return KmsKey(_client(chosen, "kms", _region(chosen.checkpoint_kms_key)), chosen.checkpoint_kms_key)
    if chosen.checkpoint_key is not None:
        return OwnKey(read_key(chosen.checkpoint_key.get_secret_value()))
    if make and chosen.checkpoint_key_file is None:
        try:
            make_key_file(_key_file(chosen))
        except OSError as error:
            raise InvalidSetting(f"no key can be made at {_key_file(chosen)}: {error.strerror}") from error
    return OwnKey(read_key_file(_key_file(chosen), "see RUNBOOKS_CHECKPOINT_KEY_FILE"))


def own_public_key(chosen: Settings) -> bytes:
    """The public key of the key that checkpoints are signed with. Makes none.

    Raises:
        NotFound: there is no key.
    """
    if not chosen.checkpoint_kms_key and chosen.checkpoint_key is None and not _key_file(chosen).exists():
        raise NotFound(
            f"there is no key at {_key_file(chosen)} to check the checkpoints with; give one with --public-key",
            code="no-checkpoint-key",
        )
    return checkpoint_signer(chosen).public_key


def _key_file(chosen: Settings) -> Path:
    return chosen.checkpoint_key_file or chosen.home.resolve() / "keys" / "checkpoint.key"


def _region(arn: str) -> str:
    parts = arn.split(":")
    if len(parts) != 6 or parts[2] != "kms":
        raise InvalidSetting("RUNBOOKS_CHECKPOINT_KMS_KEY: give the key's ARN, arn:aws:kms:<region>:<account>:key/<id>")
    return parts[3]


def _client(chosen: Settings, service: str, region: str | None = None) -> Any:
    """A client under the audit role of the anchor's account, or under this process's own credentials."""
    import boto3
    from botocore.config import Config

    own = boto3.Session()
    region = region or own.region_name or _ANY_REGION
    if not chosen.anchor_account:
        config = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 5})
        make: Callable[..., Any] = own.client
        return make(service, region_name=region, config=config)
    sessions = AwsSessions(
        chosen.role_arn.replace("{role}", _AUDIT_ROLE),
        own.get_partition_for_region(region),
        session_name="runbooks-anchor",
        external_id=chosen.external_id,
    )
    return sessions.client(service, chosen.anchor_account, region, Role.READ)
