"""A person decides in Slack: presses a button, gives a code, and the run that sleeps over the question goes on."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from pyotp.totp import TOTP

from runbooks.codes import new_secret
from tasks.registering import add_approver, new_approver
from tasks.services import Services
from tasks.settings import Settings
from tests.end_to_end.product import Incident, Product

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("unanswered")]

TEAM = "T0SANDBOX"
PEOPLE = {"slack-alice": "U0ALICE", "slack-bob": "U0BOB"}
STRANGER = "U0CAROL"


def register(product: Product) -> dict[str, str]:
    """Both are registered with their Slack ids; their authenticators' secrets, by Slack id."""
    here = Settings(home=product.local.folder, ledger_url=product.local.ledger, signing_key=None, signing_key_file=None)
    secrets = {user: new_secret() for user in PEOPLE.values()}
    have = Services(here)
    with closing(have.ledger):
        for name, user in PEOPLE.items():
            approver = new_approver(name, ("*@*",), secrets[user], slack_user=user, slack_team=TEAM)
            add_approver(have, approver, by="test")
    return secrets


def question_of(page: Page, incident: Incident, phase: str, user: str) -> Locator:
    """The question about a phase, on the page as this person sees it."""
    question = incident.question(phase)
    page.goto(product_page(incident, user))
    asked = page.locator("article article").filter(has_text=question.digest).filter(has_text="Approve?")
    expect(asked).to_be_visible()
    return asked


def product_page(incident: Incident, user: str) -> str:
    return incident.product.local.slack.replace("/api/", f"/?as={user}")


def reject(page: Page, asked: Locator) -> None:
    asked.get_by_role("button", name="Reject", exact=True).click()
    asked.locator("[popover]").get_by_role("button", name="Reject", exact=True).click()


def give_code(page: Page, code: str) -> None:
    modal = page.get_by_role("dialog")
    modal.get_by_label("One-time code").fill(code)
    modal.get_by_role("button", name="Approve").click()


def buttons(message: dict[str, Any]) -> list[str]:
    elements = [element for block in message["blocks"] for element in block.get("elements", ())]
    return [element["action_id"] for element in elements if element.get("type") == "button"]


def test_a_plan_approved_in_slack_runs_a_rejected_one_does_not_and_the_messages_say_who_decided(
    product: Product, page: Page
) -> None:
    secrets = register(product)
    incident = product.deliver(9)
    product.until(lambda: incident.case().response_id, "a response")

    reject(page, question_of(page, incident, "contain", STRANGER))
    expect(page.get_by_text(f"Not accepted: {STRANGER} is no registered approver")).to_be_visible()
    asked = question_of(page, incident, "contain", "U0ALICE")
    asked.get_by_role("button", name="Approve with a code").click()
    give_code(page, "000000")
    expect(page.get_by_role("alert")).to_contain_text("the one-time code is wrong")
    assert incident.changes() == []
    give_code(page, TOTP(secrets["U0ALICE"]).at(datetime.now(UTC)))
    expect(page.get_by_text("Recorded: you approved.")).to_be_visible()

    reject(page, question_of(page, incident, "remediate", "U0BOB"))
    expect(page.get_by_text("Recorded: you rejected.")).to_be_visible()
    ended = incident.ended()

    assert (ended.result, ended.contained) == ("rejected", True)
    history = incident.history()
    decided = [(history.plans[digest].phase.value, said) for digest, said in history.decisions.items()]
    assert [(phase, said.answer, said.approver, said.channel) for phase, said in decided] == [
        ("contain", "approved", "slack-alice", "slack"),
        ("remediate", "rejected", "slack-bob", "slack"),
    ]
    told = {message["text"]: buttons(message) for message in incident.thread()}
    assert not any("Approve?" in text for text in told), told
    assert [told[text] for text in told if text.endswith((": approved", ": rejected"))] == [[], []]
