"""What the approvers of a demonstration carry with them: an authenticator each, whose codes count once."""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from pyotp.totp import TOTP

from runbooks.codes import new_secret
from tasks.registering import add_approver, make_key, new_approver
from tasks.services import Services
from tasks.settings import Settings

NAMES = ("demo-alice", "demo-bob")
SLACK_TEAM = "T0SANDBOX"
SLACK_USERS = {"demo-alice": "U0ALICE", "demo-bob": "U0BOB"}
"""Who they are in the sandbox's Slack."""
STEP_SECONDS = 30
LOOK_SECONDS = 0.5


def enter_was_pressed() -> bool:
    """Whether somebody at this terminal has pressed Enter since this was last asked."""
    if not sys.stdin.isatty() or not select.select([sys.stdin], [], [], 0)[0]:
        return False
    return sys.stdin.readline() != ""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Authenticators:
    """One for each name. They belong to nobody but the demonstration, which keeps their secrets in its memory."""

    def __init__(self, names: Sequence[str] = NAMES, *, clock: Callable[[], datetime] = _utc_now) -> None:
        self._secrets = {name: new_secret() for name in names}
        self._given: dict[str, int] = {}
        self._clock = clock

    def register(self, settings: Settings) -> None:
        """Register everyone for every phase and environment, as `runbooks approvers add` does, with a new key."""
        have = Services(settings)
        make_key(have)
        try:
            for name, secret in self._secrets.items():
                slack = {"slack_user": user, "slack_team": SLACK_TEAM} if (user := SLACK_USERS.get(name)) else {}
                add_approver(have, new_approver(name, ("*@*",), secret, **slack), by="demo")
        finally:
            have.ledger.close()

    def take(self) -> tuple[str, str]:
        """Someone whose code was not given yet, and that code; waits for the next step where there is none."""
        while True:
            step = self._step()
            for name in self._secrets:
                if self._given.get(name, 0) < step:
                    self._given[name] = step
                    return name, self._code(name, step)
            time.sleep(LOOK_SECONDS)

    def shown(self) -> str:
        """What each authenticator shows now, in words."""
        step = self._step()
        left = (step + 1) * STEP_SECONDS - int(self._clock().timestamp())
        codes = ", ".join(f"{name} {self._code(name, step)}" for name in self._secrets)
        return f"{codes}: for {left} s more, and each once"

    def _step(self) -> int:
        return int(self._clock().timestamp()) // STEP_SECONDS

    def _code(self, name: str, step: int) -> str:
        return TOTP(self._secrets[name]).generate_otp(step)
