"""What a person starts by hand for a case: have it looked at again, or end its containment."""

from __future__ import annotations

import pytest

from tests.end_to_end.product import Incident, Product


@pytest.fixture(scope="module")
def fixed_and_contained(product: Product, survivor: Incident) -> Incident:
    """Fixed, and when it was asked about its release, the answer was: not yet."""
    survivor.approve("contain", "remediate")
    product.advance(seconds=90)
    survivor.reject("release")
    ended = survivor.ended()
    assert (ended.result, ended.contained) == ("fixed", True)
    return survivor


def test_a_case_is_verified_again_by_the_command(product: Product, fixed_and_contained: Incident) -> None:
    before = fixed_and_contained.changes()
    done = product.run("verify", fixed_and_contained.instance)
    assert (done.returncode, done.stdout.split(": ")[1]) == (0, "fixed"), done.stderr
    assert [each.verdict.kind for each in fixed_and_contained.verdicts()] == ["fixed", "fixed"]
    assert set(fixed_and_contained.changes()[len(before) :]) <= {"ssm:StartAssociationsOnce"}
    assert fixed_and_contained.history().contained is False, "a verify response contains nothing itself"


def test_a_containment_is_ended_from_the_run_form_after_a_yes(product: Product, fixed_and_contained: Incident) -> None:
    contained = fixed_and_contained.interfaces()
    product.start_by_hand("release", case=fixed_and_contained.instance)
    product.until(lambda: fixed_and_contained.response().purpose == "release", "a response that releases")
    question = fixed_and_contained.question("release")
    assert fixed_and_contained.interfaces() == contained
    product.operator.answer(str(question.flow_run))
    assert fixed_and_contained.ended().result == "released"
    assert {run.flow_run for run in fixed_and_contained.history().runs} == {question.flow_run}
    assert fixed_and_contained.interfaces() == fixed_and_contained.interfaces(fixed_and_contained.before)
