"""One-time codes, against the examples of RFC 6238, appendix B (SHA-1, the last six digits)."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest

from runbooks.codes import new_secret, provisioning_uri, timecode_of

SECRET = base64.b32encode(b"12345678901234567890").decode()


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (2000000000, "279037")],
)
def test_the_examples_of_the_standard(seconds: int, code: str) -> None:
    at = datetime.fromtimestamp(seconds, UTC)
    assert timecode_of(SECRET, code, at) == seconds // 30
    assert timecode_of(SECRET, f" {code[:3]} {code[3:]}\n", at) == seconds // 30


@pytest.mark.parametrize(("late", "step"), [(-30, 0), (-31, None), (0, 0), (30, 0), (59, 0), (90, None), (-90, None)])
def test_an_authenticator_may_be_one_step_early_or_late(late: int, step: int | None) -> None:
    moment = datetime.fromtimestamp(1111111110, UTC)
    given = timecode_of(SECRET, "050471", moment + timedelta(seconds=late))
    assert given == (None if step is None else 1111111110 // 30)


@pytest.mark.parametrize(
    "code", ["", "0", "05047", "0504711", "abcdef", "\uff10\uff15\uff10\uff14\uff17\uff11", "-50471"]
)
def test_what_is_no_code_is_of_no_step(code: str) -> None:
    assert timecode_of(SECRET, code, datetime.fromtimestamp(1111111111, UTC)) is None


def test_a_time_at_the_beginning_of_all_times_is_no_error() -> None:
    assert timecode_of(SECRET, "755224", datetime.fromtimestamp(0, UTC)) == 0


def test_every_secret_is_another_and_its_address_names_who_and_what() -> None:
    secret = new_secret()
    assert (len(secret), secret == new_secret()) == (32, False)
    uri = provisioning_uri(secret, "jane@corp.example")
    assert uri.startswith("otpauth://totp/Remediation%20Runbooks:jane%40corp.example?secret=" + secret)
