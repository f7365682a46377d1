"""Slack's door: what was pressed in a message becomes an answer, verified and written down before Slack has its 200.

A request is believed only when Slack signed it, within five minutes, and once. Who pressed is told by Slack's user and
team ids alone; whether that is an approver, and whether Slack is proof enough, `submit` decides. Slack waits three
seconds (docs.slack.dev, Handling user interaction): what talks to others happens after the answer. If the process dies
in between, the answer is in the ledger, and the sweep finds that nobody was woken.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from slack_sdk.signature import Clock, SignatureVerifier
from starlette.background import BackgroundTask

from deployments.receiver.exchange import Fault, answer, our_fault, read_body
from deployments.receiver.refusals import Refusals
from deployments.receiver.slack_payload import Filled, Press, read_interaction
from runbooks.approval import Submission
from runbooks.errors import MalformedPayload, NotFound, Outside, RunbooksError
from runbooks.telling.answering import APPROVE_WITH_CODE, CODE, REJECT, PlanRef, code_view, said_back, said_view
from tasks.answering import Answered, submit
from tasks.flow_runs import wake
from tasks.journal import read_history
from tasks.services import Services

FRESH_SECONDS = 5 * 60
"""How old or early a request may be: Slack's own rule (docs.slack.dev, Verifying requests from Slack)."""
_WHAT = "a request to /slack/interactions"
_REFUSED = {
    "not-a-form": (415, "it is not application/x-www-form-urlencoded"),
    "not-signed": (401, "it has no signature, or no timestamp"),
    "stale-request": (401, "its timestamp is none, or further than five minutes from now"),
    "wrong-signature": (401, "its signature is not Slack's"),
    "replayed": (409, "it was received before"),
    "malformed-interaction": (400, "it is signed, and not what Slack sends"),
    "no-such-response": (400, "it is about a response that is not known"),
}
_LONGEST_ERROR = 300
_logger = logging.getLogger(__name__)


def interactions(have: Services, secret: str, body_seconds: float) -> APIRouter:
    """The door for Slack's interactions, which are signed with this secret."""
    door = _Door(have, secret, body_seconds)
    router = APIRouter()

    @router.post(
        "/slack/interactions",
        response_description="It was taken; in a modal's case with what the modal is to show.",
        responses={
            status: {"model": Fault, "description": words}
            for status, words in (
                (400, "It is signed, and not an interaction that could be read."),
                (401, "It is not signed by Slack, or not now."),
                (409, "It was received before."),
                (413, "It is too large."),
                (415, "It is not a form."),
                (503, "The answer could not be written down. Nothing was decided."),
            )
        },
        summary="Slack's interactivity request URL",
    )
    async def receive_interaction(request: Request) -> Response:
        return await door.receive(request)

    return router


class _Door:
    def __init__(self, have: Services, secret: str, body_seconds: float) -> None:
        self._have = have
        self._body_seconds = body_seconds
        self._verifier = SignatureVerifier(secret, _ClockOf(have))
        self._refusals = Refusals(have.ledger, _WHAT)
        self._seen: dict[str, float] = {}
        """Requests of the last minutes. The ledger knows them for ever; this keeps a flood of one away from it."""

    async def receive(self, request: Request) -> Response:
        headers = request.headers
        timestamp, signature = headers.get("x-slack-request-timestamp", ""), headers.get("x-slack-signature", "")
        if fault := self._outside_fault(headers, timestamp, signature):
            return await self._refuse(fault)
        body = await read_body(request, self._body_seconds, "Slack sends no such thing")
        if isinstance(body, Response):
            return body
        if not self._signed(body, timestamp, signature):
            return await self._refuse("wrong-signature")
        request_id = hashlib.sha256(f"{timestamp}:{signature}".encode()).hexdigest()
        if not self._first(request_id):
            return await self._refuse("replayed")
        try:
            return await self._take(body, request_id)
        except MalformedPayload as fault:
            _logger.warning("%s: %s", fault.code, fault.detail)
            return await self._refuse("malformed-interaction")
        except NotFound:
            return await self._refuse("no-such-response")
        except RunbooksError as fault:
            del self._seen[request_id]
            return our_fault(fault, "the answer could not be written down; nothing was decided")

    async def _take(self, body: bytes, request_id: str) -> Response:
        match read_interaction(body):
            case Press(action=action) as press if action == APPROVE_WITH_CODE:
                return Response(background=BackgroundTask(self._ask_for_code, press))
            case Press() as press:
                answered = await self._submit(press, "reject" if press.action == REJECT else "approve", request_id)
                return Response(background=BackgroundTask(self._after_press, press, answered))
            case Filled() as filled:
                answered = await self._submit(filled, "approve", request_id)
                return self._after_submission(filled, answered)
            case None:
                return Response()

    def _outside_fault(self, headers: Mapping[str, str], timestamp: str, signature: str) -> str | None:
        """What is wrong before anything is read."""
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            return "not-a-form"
        if not signature or not timestamp:
            return "not-signed"
        number = int(timestamp) if timestamp.isascii() and timestamp.isdecimal() and len(timestamp) < 15 else 0
        return None if abs(self._now() - number) <= FRESH_SECONDS else "stale-request"

    def _signed(self, body: bytes, timestamp: str, signature: str) -> bool:
        # The verifier raises on what is no text, in the body and in the signature.
        return body.isascii() and signature.isascii() and self._verifier.is_valid(body, timestamp, signature)

    def _first(self, request_id: str) -> bool:
        now = self._now()
        # Twice as long as a request stays fresh: it may have been early.
        self._seen = {each: at for each, at in self._seen.items() if now - at <= 2 * FRESH_SECONDS}
        if request_id in self._seen:
            return False
        self._seen[request_id] = now
        return True

    async def _submit(self, given: Press | Filled, says: Literal["approve", "reject"], request_id: str) -> Answered:
        filled = given if isinstance(given, Filled) else None
        code = filled.code if filled and filled.code.get_secret_value().strip() else None
        submission = Submission(
            response=given.plan.response,
            digest=given.plan.digest,
            says=says,
            claimed=given.who.user,
            code=code,
            slack=given.who,
            channel="slack",
            submitted_at=self._have.now(),
            request=request_id,
            comment=filled.comment if filled else "",
        )
        return await run_in_threadpool(submit, self._have, submission)

    def _after_submission(self, filled: Filled, answered: Answered) -> Response:
        if answered.answer.counts:
            shown = {"response_action": "update", "view": said_view(answered.answer, answered.decision)}
            return JSONResponse(shown, background=BackgroundTask(self._wake, filled.plan, answered))
        return _errors(said_back(answered.answer, answered.decision), BackgroundTask(self._wake, filled.plan, answered))

    async def _after_press(self, press: Press, answered: Answered) -> None:
        await self._tell(press, said_back(answered.answer, answered.decision))
        await self._wake(press.plan, answered)

    async def _wake(self, plan: PlanRef, answered: Answered) -> None:
        """The run that sleeps over the question; where that fails the sweep does it."""
        if answered.decision is None:
            return
        questions = await run_in_threadpool(self._have.ledger.approvals, plan.response)
        for question in reversed(questions):
            if question.digest == plan.digest and question.flow_run is not None:
                await wake(question.flow_run)
                return

    async def _ask_for_code(self, press: Press) -> None:
        slack = self._have.slack
        view = await run_in_threadpool(self._view, press.plan)
        if view is None:
            await self._tell(press, "The plan that this button is about is not known here.")
        elif slack is not None:
            try:
                await run_in_threadpool(slack.open_view, press.trigger, view)
            except Outside as fault:
                _logger.warning("The modal could not be opened: %s: %s", fault.code, fault.detail)
                await self._tell(press, "Slack did not open the form for the code. Press again, or follow the link.")

    def _view(self, wanted: PlanRef) -> dict[str, Any] | None:
        """The modal about this plan; None where the ledger has no such plan."""
        ledger = self._have.ledger
        plan = read_history(ledger, wanted.response).plans.get(wanted.digest)
        if plan is None:
            return None
        cases = (ledger.case(case) for case in plan.cases)
        return code_view(plan, {case.id: case.key for case in cases if case is not None})

    async def _tell(self, press: Press, words: str) -> None:
        """Say something that only who pressed sees. It is said by our own call, and not to an address that came in."""
        if (slack := self._have.slack) is None:
            return
        try:
            await run_in_threadpool(slack.tell, press.who.user, words, press.channel, press.thread)
        except Outside as fault:
            _logger.warning("Who pressed was not told: %s: %s", fault.code, fault.detail)

    def _now(self) -> float:
        return self._have.now().timestamp()

    async def _refuse(self, code: str) -> Response:
        status, reason = _REFUSED[code]
        await self._refusals.note(code, reason)
        return answer(status, Fault(code=code, detail=reason))


class _ClockOf(Clock):
    """The verifier's clock, as the services have it."""

    def __init__(self, have: Services) -> None:
        self._have = have

    def now(self) -> float:
        return self._have.now().timestamp()


def _errors(words: str, background: BackgroundTask | None = None) -> Response:
    """Shown in the modal, below the code; it stays open."""
    shown = {"response_action": "errors", "errors": {CODE: words[:_LONGEST_ERROR]}}
    return JSONResponse(shown, background=background)
