"""Whoever can reach Prefect's API can wake a run, end it and delete it; approve anything they cannot.

What is tried within one process is in `tests/attacks`.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing

import pytest

from runbooks.case import SYSTEM_STREAM
from runbooks.records import AnswerGiven, Restarted, SetAsideRecord
from tests.end_to_end.intruder import Intruder
from tests.end_to_end.product import Incident, Product

VICTIM = "approver-8"
YES = {"decision": "approve", "approver": VICTIM, "one_time_code": "000000", "comment": ""}
TEMPLATE = {"__prefect_kind": "jinja", "template": "{{ 'approver-' ~ (4 + 4) }}"}


def refused(incident: Incident) -> Counter[str]:
    """Why answers did not count, by code."""
    records = (each.record for each in incident.history().entries)
    return Counter(each.code for each in records if isinstance(each, AnswerGiven))


def told_of(incident: Incident) -> Counter[str]:
    """What the system's own stream tells of the response: why it was restarted, and what was set aside."""
    response = incident.response().id
    records = [entry.record() for entry in incident.product.ledger.entries(SYSTEM_STREAM)]
    restarted = [each.reason for each in records if isinstance(each, Restarted) and each.response == response]
    aside = [each.code for each in records if isinstance(each, SetAsideRecord) and response in each.what]
    return Counter([*restarted, *aside])


def asked(incident: Incident, attempt: int, but: str = "") -> str:
    """The flow run with the open form of this number, which is another one than `but`."""

    def found() -> str | None:
        rows = incident.product.ledger.approvals(incident.response().id)
        open_ones = ((each.attempt, str(each.flow_run)) for each in rows if each.answer is None)
        return next((run for number, run in open_ones if number == attempt and run != but), None)

    incident.product.until(found, f"question number {attempt}")
    return str(incident.question("contain").flow_run)


def forge_answers(intruder: Intruder, incident: Incident) -> None:
    """With the form's own door, and past it. Each answer that reaches the system is refused, and asked for again."""
    run, digest = asked(incident, 1), incident.question("contain").digest
    for given in (None, {}, {"approver": VICTIM}, YES | {"counts": True}, YES | {"decision": "approved"}):
        assert intruder.resume(run, given) == "REJECT"
    assert intruder.resume(run, YES | {"approver": TEMPLATE}) == "ACCEPT"
    run = asked(incident, 2)
    intruder.write_answer(run, f"{digest}-2", YES | {"one_time_code": ""}, sender="slack:U_CISO")
    intruder.set_state(run, "SCHEDULED")
    asked(incident, 3)
    assert refused(incident) == {"wrong-code": 1, "code-missing": 1}


def take_the_run_away(intruder: Intruder, incident: Incident) -> None:
    """However the run is ended, the question is asked again by another one."""
    run = asked(incident, 3)
    intruder.set_state(run, "RUNNING")
    intruder.set_state(run, "COMPLETED")
    run = asked(incident, 3, but=run)
    intruder.delete(run)
    asked(incident, 3, but=run)
    incident.product.start_by_hand("respond", response=incident.response().id, attempt="1")
    incident.product.until(lambda: told_of(incident)["lease-lost"], "an entry about the run that was started again")
    assert told_of(incident) == {"its question lost its form": 2, "lease-lost": 1}


@pytest.mark.timeout(600)  # Eight flow runs, one after another, and each takes its time to begin.
def test_nothing_that_is_done_to_a_run_in_prefect_approves_its_plan(product: Product) -> None:
    incident = product.deliver(12)
    product.until(lambda: incident.case().response_id, "a response to it")
    with closing(Intruder(product.local.prefect)) as intruder:
        forge_answers(intruder, incident)
        take_the_run_away(intruder, incident)
    assert incident.changes() == []
    assert incident.interfaces() == incident.interfaces(incident.before)

    incident.approve("contain")
    incident.reject("remediate")

    ended = incident.ended()
    assert (ended.result, ended.contained) == ("rejected", True)
    assert incident.changes() != []
