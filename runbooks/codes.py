"""One-time codes (RFC 6238): six digits, thirty seconds each, as every authenticator app shows them."""

from __future__ import annotations

import hmac
from datetime import datetime

import pyotp
from pyotp.totp import TOTP

TOLERANCE = 1
"""Steps of 30 seconds by which an authenticator may be early or late (RFC 6238, section 6)."""
ISSUER = "Remediation Runbooks"


def timecode_of(secret: str, code: str, at: datetime) -> int | None:
    """The 30 second step that the code is of, at this time, or one step either way; None where it is of neither.

    Args:
        secret: in Base32.
        code: as a person typed it; spaces do not matter.
    """
    typed = "".join(code.split()).encode()
    generator = TOTP(secret)
    now = generator.timecode(at)
    steps = range(max(now - TOLERANCE, 0), now + TOLERANCE + 1)
    # Each is compared, so that the time it takes tells nothing; of two equal codes the later one is meant.
    matching = [step for step in steps if hmac.compare_digest(generator.generate_otp(step).encode(), typed)]
    return max(matching, default=None)


def provisioning_uri(secret: str, name: str) -> str:
    """The `otpauth:` address that an authenticator app reads from a QR code."""
    return TOTP(secret).provisioning_uri(name=name, issuer_name=ISSUER)


def new_secret() -> str:
    """A secret of 160 bits, in Base32 (RFC 4226, section 4)."""
    return pyotp.random_base32()
