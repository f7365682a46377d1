"""An approval that nobody gives is no approval."""

from __future__ import annotations

import httpx
import pytest

from runbooks.errors import Outside
from tests.end_to_end.product import Incident, Product


def test_a_question_that_nobody_answers_ends_with_a_person_and_a_late_yes_changes_nothing(
    product: Product, unanswered: Incident
) -> None:
    ended = unanswered.ended()
    assert (ended.result, ended.contained, unanswered.changes()) == ("expired", False, [])
    alert, person = (each for each in unanswered.tickets() if "Post-mortem" not in each["summary"])
    assert person["summary"].startswith("A person is needed (expired)")
    assert alert["status"] != "Done"

    (question,) = product.ledger.approvals(unanswered.response().id)
    assert (question.answer, question.approver, question.channel) == ("expired", None, "sweep")
    written = unanswered.history().entries
    with pytest.raises(Outside, match="did not take the answer"):
        product.operator.answer(str(question.flow_run))
    address = f"{product.local.prefect}/api/flow_runs/{question.flow_run}"
    state = httpx.get(address, trust_env=False, timeout=60).json()["state"]
    assert (state["type"], state["message"]) == ("CANCELLED", "the approval expired")
    assert unanswered.history().entries == written
    assert unanswered.changes() == []
    assert unanswered.case().status == "open"
