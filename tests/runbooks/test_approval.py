"""What a form's answer is taken for, whatever came with it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from runbooks.approval import Refusal, Submission, form_submission
from tests.runbooks.builders import RECEIVED, a_contain_plan

PLAN = a_contain_plan()
AT = RECEIVED + timedelta(minutes=3)


def read(**values: Any) -> Submission:
    return form_submission(PLAN, 3, values, AT, "request-1")


def test_an_answer_names_the_plan_the_form_and_who_gives_it() -> None:
    given_values = {"decision": "approve", "approver": "jane", "one_time_code": "123456", "comment": "go ahead"}
    assert read(**given_values) == Submission(
        response=PLAN.response,
        digest=PLAN.digest,
        attempt=3,
        says="approve",
        claimed="jane",
        code=SecretStr("123456"),
        channel="prefect",
        submitted_at=AT,
        request="request-1",
        comment="go ahead",
    )


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"decision": "yes", "approver": "jane"},
        {"approver": "jane"},
        {"decision": "approve", "approver": "jane", "extra": 1},
        {"decision": "approve", "approver": "jane", "comment": "x" * 1001},
        {"decision": "approve", "approver": "j" * 121},
        {"decision": "approve", "approver": {"name": "jane"}},
        {"decision": "approve"},
        {"decision": "approve", "approver": "  ", "one_time_code": "123456"},
        {"decision": "reject", "approver": "", "one_time_code": "", "comment": ""},
    ],
)
def test_what_is_no_answer_says_nothing(values: dict[str, Any]) -> None:
    assert read(**values).says == ""


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3))


@given(st.dictionaries(st.sampled_from(["decision", "approver", "one_time_code", "comment", "x"]), JSON))
def test_whatever_was_stored_it_is_read_and_approves_only_by_the_word(values: dict[str, Any]) -> None:
    found = read(**values)
    assert (found.says == "approve") <= (values.get("decision") == "approve" and bool(str(values["approver"]).strip()))


def test_the_code_is_not_shown_where_a_submission_is_printed() -> None:
    assert "123456" not in f"{read(decision='approve', approver='jane', one_time_code='123456')!r}"


def test_every_reason_to_refuse_has_a_code_of_its_own() -> None:
    assert len({each.value for each in Refusal}) == len(Refusal) == 19
