"""The sweep as a service: whatever one pass meets with, the next one comes."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

import pytest

from deployments.cli.serving import Told
from deployments.cli.sweep import _for_ever
from runbooks.errors import BadInput, LedgerError, Outside, Refused, RunbooksError
from tasks.gateways.ledger import ApprovalRow, Ledger
from tasks.services import Services
from tasks.settings import Settings


class TroubledLedger(Ledger):
    """It fails for two passes, is well for one, and at the fourth the sweep is told to end."""

    trouble: RunbooksError
    passes = 0

    def expired_approvals(self, now: datetime) -> tuple[ApprovalRow, ...]:
        self.passes += 1
        if self.passes == 4:
            raise Told
        if self.passes < 3:
            raise self.trouble
        return super().expired_approvals(now)


@pytest.mark.parametrize("kind", [Outside, LedgerError, Refused, BadInput])
def test_a_trouble_of_any_kind_is_told_once_and_tried_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: type[RunbooksError]
) -> None:
    ledger = TroubledLedger.open(f"sqlite:///{tmp_path}/ledger.db")
    ledger.trouble = kind("no")
    have = Services(Settings(home=tmp_path, sweep_seconds=0.2))
    vars(have)["ledger"] = ledger

    with pytest.raises(Told):
        asyncio.run(_for_ever(have))

    ledger.close()
    (told,) = capsys.readouterr().err.splitlines()
    assert told.endswith(f"UTC  trouble: {kind.code}: no")
    assert ledger.passes == 4
