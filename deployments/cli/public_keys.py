"""Public keys that a command is given."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from runbooks.errors import InvalidSetting

PublicKeys = Annotated[tuple[str, ...], Parameter(negative="", show_default=False)]


def read_public_key(given: str) -> bytes:
    """The key in a PEM file, or of 64 hexadecimal digits.

    Raises:
        InvalidSetting: it is neither.
    """
    from cryptography.exceptions import UnsupportedAlgorithm

    from deployments.verify_bundle import read_key

    try:
        return read_key(given)
    except (OSError, TypeError, UnsupportedAlgorithm, ValueError) as error:
        raise InvalidSetting(f"--public-key {given}: {error}; give a PEM file or 64 hexadecimal digits") from error
