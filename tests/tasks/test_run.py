"""A run takes its response over as it is at that moment: also where a case has just joined it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from tasks.gateways.ledger import CaseRow, Ledger
from tasks.run import running
from tasks.services import use
from tests.tasks.gateways.ledger.samples import RUNBOOK, open_case
from tests.tasks.sweep_house import sweep_house


class BusyLedger(Ledger):
    """Somebody else does something right after the cases were first read."""

    meanwhile: Callable[[], object] | None = None

    def cases_of(self, case_ids: Iterable[str]) -> tuple[CaseRow, ...]:
        found = super().cases_of(case_ids)
        act, self.meanwhile = self.meanwhile, None
        if act is not None:
            act()
        return found


def test_a_case_that_joins_while_a_run_begins_is_in_the_run_with_its_lease(tmp_path: Path) -> None:
    with sweep_house(tmp_path) as house:
        ledger = BusyLedger.open(house.settings.ledger, clock=house.clock, sign=house.sign)
        vars(house)["ledger"] = ledger
        first, second = (open_case(ledger, resource) for resource in ("i-0a", "i-0b"))
        (response,) = ledger.group_cases(RUNBOOK, "a" * 16, [first], "webhook", 50)
        attempt = ledger.next_attempt(response)
        ledger.meanwhile = lambda: ledger.group_cases(RUNBOOK, "a" * 16, [second], "webhook", 50)
        with use(house), running(response, attempt, "run-1") as run:
            assert (tuple(run.cases), tuple(run.keys)) == ((first, second), (first, second))
            place = "111122223333/eu-west-1"
            assert run.lease.resources == (f"{place}/i-0a", f"{place}/i-0b", response)
        ledger.close()
