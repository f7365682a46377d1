"""The keys of this process: from the environment or from a file, never from the database."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path

from runbooks.errors import Unsafe
from runbooks.signing import KEY_BYTES, Signer, read_key
from tasks.settings import Settings


def signing_key_file(chosen: Settings) -> Path:
    """Where the signing key is looked for when the environment does not hold it."""
    return chosen.signing_key_file or chosen.home.resolve() / "keys" / "signing.key"


def read_signer(chosen: Settings) -> Signer:
    """The signer with this process's signing key.

    Raises:
        Unsafe: there is no key, or others may read its file.
        InvalidSetting: it is no key.
    """
    if chosen.signing_key is not None:
        return Signer(read_key(chosen.signing_key.get_secret_value()))
    return Signer(read_key_file(signing_key_file(chosen), "the first `runbooks approvers add` makes one"))


def read_key_file(file: Path, mend: str) -> bytes:
    """The key in a file that only its owner may read.

    Args:
        mend: what to do where there is none.

    Raises:
        Unsafe: there is none, or others may read it.
        InvalidSetting: it holds no key.
    """
    try:
        readable_by_others = file.stat().st_mode & 0o077
        text = file.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise Unsafe(f"there is no key at {file} ({error.strerror}); {mend}", code="no-signing-key") from error
    if readable_by_others:
        raise Unsafe(f"others may read the key at {file}; chmod 600 it", code="key-readable")
    return read_key(text)


def make_key_file(file: Path) -> None:
    """Write a new random key, readable by its owner only, unless there is one. Never overwrites."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "wb") as out:
        out.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
