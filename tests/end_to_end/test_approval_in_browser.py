"""A person decides in the browser: reads the plan in Prefect's form, and nothing happens but what the person said."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from runbooks.plan import Plan
from runbooks.telling.plan_text import undo_in_words
from tests.end_to_end.product import Incident, Product

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("unanswered")]

PLAN = "article"
MOST_PRESSES = 6
WIDER_THAN_THE_FORM = """plan => [...plan.querySelectorAll("*")]
    .filter(each => each.getBoundingClientRect().right > plan.getBoundingClientRect().right + 1)
    .map(each => each.textContent)"""


def form_link(incident: Incident) -> str:
    """Where the newest question in the Slack thread sends its reader."""
    buttons = [
        element
        for message in incident.thread()
        for block in message["blocks"]
        for element in block.get("elements", ())
        if element.get("type") == "button" and "url" in element
    ]
    return buttons[-1]["url"]


def open_form(page: Page, incident: Incident, phase: str) -> tuple[Locator, Plan]:
    question = incident.question(phase)
    page.goto(form_link(incident))
    page.get_by_role("button", name="Resume").click()
    form = page.get_by_role("dialog")
    expect(form.get_by_text("Decision")).to_be_visible()
    return form, incident.history().plans[question.digest]


def decide(page: Page, form: Locator, decision: str, who: tuple[str, str], comment: str = "") -> None:
    """Fill the form in with a decision, an approver and their one-time code."""
    form.locator(".p-select-button__icon").click(force=True)
    page.get_by_role("option", name=decision).click()
    for number, text in enumerate((*who, comment)):
        form.get_by_role("textbox").nth(number).fill(text)
    submit(form)


def submit(form: Locator) -> None:
    """Prefect's API on SQLite answers 503 where another writer was quicker; a person sees it, and presses again."""
    for _ in range(MOST_PRESSES):
        form.get_by_role("button", name="Submit").click()
        with suppress(AssertionError):
            expect(form).to_be_hidden()
            return
    pytest.fail(f"the form was not taken in {MOST_PRESSES} presses of its button")


def plain(text: str) -> str:
    return "".join(text.split())


def everything_of(plan: Plan) -> list[str]:
    """What an approver must be able to read."""
    steps = [
        part
        for step in plan.steps
        for part in (step.describe(), *step.calls, step.target.id, step.expectation()[1:], undo_in_words(step))
    ]
    return [*plan.reasons, *steps, *plan.not_covered, *plan.cannot_be_put_back, plan.digest]


def before_and_after(incident: Incident) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of the world, what containment changes and a release puts back."""
    return _restorable(incident, incident.before), _restorable(incident, incident.world())


def _restorable(incident: Incident, world: dict[str, Any]) -> dict[str, Any]:
    mine = incident.instance
    return {
        "interfaces": {name: each for name, each in world["interfaces"].items() if each["instance_id"] == mine},
        "groups": {name: mine in each["instances"] for name, each in world["auto_scaling_groups"].items()},
        "targets": {
            name: [each for each in members if mine in str(each)] for name, members in world["target_groups"].items()
        },
        "instance": {name: world["instances"][mine][name] for name in ("state", "tags", "volumes")},
    }


def test_the_operator_reads_the_plan_approves_and_the_case_ends_fixed(product: Product, page: Page) -> None:
    incident, take = product.deliver(2), product.local.authenticators.take
    form, contain = open_form(page, incident, "contain")
    shown = form.locator(PLAN).first
    text = plain(shown.inner_text())
    assert [words for words in everything_of(contain) if plain(words) not in text] == []
    assert shown.evaluate(WIDER_THAN_THE_FORM) == []
    assert shown.evaluate("plan => plan.clientHeight") > 300, "the fields must leave room for the plan"

    form.get_by_role("button", name="Submit").click()
    expect(form.get_by_text("'decision' is a required property")).to_be_visible()
    assert incident.changes() == []

    decide(page, form, "approve", first := take(), "exposed and exploited")
    form, remediate = open_form(page, incident, "remediate")
    decide(page, form, "approve", second := take())
    assert incident.ended().result == "fixed"
    page.goto(f"{product.local.prefect}/runs/flow-run/{incident.response().flow_run}")
    expect(page.get_by_text("Fixed").first).to_be_visible()

    said = {plan.digest: incident.history().decisions[plan.digest] for plan in (contain, remediate)}
    assert [(each.answer, each.approver, each.channel) for each in said.values()] == [
        ("approved", first[0], "prefect"),
        ("approved", second[0], "prefect"),
    ]
    assert [each.verdict.kind for each in incident.verdicts()] == ["fixed"]
    before, after = before_and_after(incident)
    assert after == before
    assert incident.case().status == "closed"


def test_a_wrong_code_changes_nothing_and_the_form_is_asked_again(product: Product, page: Page) -> None:
    incident, take = product.deliver(11), product.local.authenticators.take
    form, contain = open_form(page, incident, "contain")
    name, code = take()
    decide(page, form, "approve", (name, f"{(int(code) + 1) % 1_000_000:06d}"))
    form, again = open_form(page, incident, "contain")
    assert (again, incident.changes()) == (contain, [])

    decide(page, form, "reject", other := take())
    assert (incident.ended().result, incident.changes()) == ("rejected", [])
    answers = [(each.approver, each.counts, each.code) for each in incident.history().answers[contain.digest]]
    assert answers == [(None, False, "wrong-code"), (other[0], True, "")]


def test_a_rejected_plan_changes_nothing_and_a_person_takes_over(product: Product, page: Page) -> None:
    incident = product.deliver(3)
    form, plan = open_form(page, incident, "contain")
    decide(page, form, "reject", approver := product.local.authenticators.take(), "the shop is in its busiest hour")
    ended = incident.ended()

    assert (ended.result, ended.contained) == ("rejected", False)
    assert incident.changes() == []
    decision = incident.history().decisions[plan.digest]
    assert (decision.answer, decision.approver) == ("rejected", approver[0])
    alert, person = (each for each in incident.tickets() if "Post-mortem" not in each["summary"])
    assert person["summary"] == f"A person is needed (rejected): {incident.instance} ({incident.account}, eu-central-1)"
    assert "the shop is in its busiest hour" in person["description"]
    assert [link["type"] for link in alert["links"]] != []
    told = [message["text"] for message in incident.thread()]
    assert any(text.startswith("Rejected") for text in told), told
    assert not any("Approve?" in text for text in told), told
    assert incident.case().status == "open"
