"""The demonstration: one event, from the webhook to the post-mortem, on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from deployments.demo.authenticators import enter_was_pressed
from deployments.demo.burst import BurstStory, deliver
from deployments.demo.operator import Operator
from deployments.demo.report import Report, make_report
from deployments.demo.story import Story
from deployments.local import WEBHOOK_KEY, Local
from deployments.processes import Stack
from runbooks.case import case_stream, response_stream
from runbooks.chain import Entry
from runbooks.errors import Outside
from tasks.gateways.ledger import Ledger, ResponseRow

LOOK_SECONDS = 0.3
LONGEST_SECONDS = 900


@dataclass
class Demonstration:
    """Delivers an event and follows it to its end, telling its story and, unless a person does, answering the forms."""

    stack: Stack
    local: Local
    ledger: Ledger
    story: Story | BurstStory | None
    """None: nothing is told on the way."""
    operator: Operator | None
    """None: a person answers in the browser."""
    progress: Callable[[str], None]

    def run(self, event: dict[str, Any]) -> Report:
        """The whole way of the event.

        Raises:
            Outside: a service failed, or the end did not come within fifteen minutes (with a person, a day).
        """
        return self._follow([self._deliver(event)])

    def run_burst(self, events: list[dict[str, Any]]) -> Report:
        """The whole way of many events that come at once.

        Raises:
            Outside: as `run` does.
        """
        began = time.monotonic()
        deliveries = deliver(self.local, events)
        if self.story:
            self.story.chapter("Webhook")
            self.story.say(
                f"{len(events)} findings delivered in {time.monotonic() - began:.1f} s, each answered with 202"
            )
        return self._follow(deliveries)

    def _follow(self, deliveries: list[str]) -> Report:
        began = time.monotonic()
        limit = began + (LONGEST_SECONDS if self.operator else 24 * 3600)
        told: dict[str, int] = {}
        answered: set[str] = set()
        while not self._over(deliveries):
            if time.monotonic() > limit:
                raise Outside("the response did not end in time; the logs are in the folder", code="demo-timeout")
            self.stack.check()
            self._tell(told)
            self._answer(answered)
            time.sleep(LOOK_SECONDS)
        self._tell(told)
        return make_report(self.ledger, self.local, deliveries[0], seconds=time.monotonic() - began)

    def _deliver(self, event: dict[str, Any]) -> str:
        """POST it as EventBridge does, and give the delivery's id."""
        answer = httpx.post(
            f"{self.local.receiver}/webhooks/inspector",
            json=event,
            headers={"x-api-key": WEBHOOK_KEY, "user-agent": "Amazon/EventBridge/ApiDestinations"},
            trust_env=False,
            timeout=30,
        )
        if answer.status_code != httpx.codes.ACCEPTED:
            raise Outside(f"the receiver answered {answer.status_code}: {answer.text[:300]}", code="not-accepted")
        delivery = str(answer.json()["delivery"])
        if self.story:
            self.story.chapter("Webhook")
            self.story.say(f"POST {self.local.receiver}/webhooks/inspector -> 202 {delivery}")
        return delivery

    def _responses(self) -> tuple[ResponseRow, ...]:
        return self.ledger.responses()

    def _over(self, deliveries: list[str]) -> bool:
        arrived = self.ledger.delivery(deliveries[-1])
        if arrived is None or arrived.state == "pending" or self.ledger.pending(1):
            return False
        # A case may wait for others like it before anything acts on it.
        if any(case.last_response_id is None for case in self.ledger.cases("open")):
            return False
        return all(response.status == "ended" for response in self._responses())

    def _tell(self, told: dict[str, int]) -> None:
        entries: list[Entry] = []
        for stream in self._streams():
            found = self.ledger.entries(stream)
            entries += found[told.get(stream, 0) :]
            told[stream] = len(found)
        for entry in sorted(entries, key=lambda each: each.at):
            if self.story:
                self.story.tell(entry)
        self.progress(self._doing())

    def _streams(self) -> list[str]:
        several = isinstance(self.story, BurstStory)
        cases = [] if several else [case_stream(case.id) for case in self.ledger.cases()]
        return cases + [response_stream(response.id) for response in self._responses()]

    def _doing(self) -> str:
        words = {
            "new": "starting a run",
            "starting": "a run is starting",
            "running": "a run is at work",
            "asking": "waiting for a person's answer",
            "waiting": "waiting for AWS",
        }
        live = [response for response in self._responses() if response.status != "ended"]
        return "; ".join(response.waiting_for or words[response.status] for response in live) or "reading the inbox"

    def _answer(self, answered: set[str]) -> None:
        if self.operator is None:
            self._help(answered)
            return
        for question in self.ledger.approvals():
            name = f"{question.digest}/{question.attempt}"
            if question.flow_run is None or name in answered or self.operator.form(question.flow_run) is None:
                continue
            if self.story:
                self.story.say("The demo plays the operator: it reads the form, and submits it as the UI does.")
            self.operator.answer(question.flow_run)
            answered.add(name)

    def _help(self, told: set[str]) -> None:
        """The person in front of the form has no authenticator: the terminal shows what one would."""
        open_now = {f"{question.digest}/{question.attempt}" for question in self.ledger.approvals()}
        if self.story and open_now - told:
            self.story.say(f"Answer it as one of these, with the code. {self.local.authenticators.shown()}.")
            self.story.say("Press Enter here for the codes of another time.")
        elif self.story and enter_was_pressed():
            self.story.say(f"{self.local.authenticators.shown()}.")
        told |= open_now
