"""SNS's door: a message is believed only when SNS signed it, for a topic that is named here, within the hour.

SNS tries again after 429 and 5xx, and drops what is answered with any other 4xx (SNS Developer Guide, "Message delivery
retries"). So a certificate that cannot be fetched now is a 503, and what is not believed is a 403. A subscription is
confirmed only for a topic that is named, and after the signature of the request to confirm it.
"""

from __future__ import annotations

import logging
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field

from deployments.receiver.exchange import Fault, answer, our_fault, read_body
from deployments.receiver.refusals import Refusals
from deployments.receiver.webhook import Accepted
from runbooks.delivery_key import delivery_key
from runbooks.errors import MalformedPayload, RunbooksError
from runbooks.sns import (
    NOTIFICATION,
    SUBSCRIPTION,
    Refusal,
    SnsMessage,
    confirms,
    is_signed,
    read_message,
    refusal,
)
from tasks.gateways.ledger import Ledger
from tasks.gateways.sns import SnsGateway
from tasks.services import Services

SOURCE = "sns"
_WHAT = "a request to /sns"
_REASONS = {
    Refusal.OTHER_TOPIC: "its topic is none of RUNBOOKS_SNS_TOPICS",
    Refusal.OLD_SIGNATURE: "its signature is not of version 2; set the topic's attribute SignatureVersion to 2",
    Refusal.OTHER_ADDRESS: "its certificate is not at SNS's address in the region of the topic",
    Refusal.STALE: "its timestamp is more than an hour old, or not yet",
    Refusal.UNTRUSTED: "its certificate is not SNS's, not valid now, or issued by nobody who is trusted",
    Refusal.WRONG_SIGNATURE: "its signature is not that of its certificate",
}
_logger = logging.getLogger(__name__)


class Noted(BaseModel):
    """Nothing to look at, and written down."""

    code: str = Field(description="`sns-subscribed` or `sns-unsubscribed`.")


def sns(have: Services, gateway: SnsGateway, body_seconds: float) -> APIRouter:
    """The door for the topics of the settings."""
    door = _Door(have, gateway, body_seconds)
    router = APIRouter()

    @router.post(
        "/sns",
        response_model=Accepted | Noted,
        response_description="It is kept, and will be looked at; or a subscription was confirmed.",
        responses={
            status: {"model": Fault, "description": words}
            for status, words in (
                (400, "It cannot be read. Signed, it is kept, set aside for a person."),
                (403, "It is not believed. Nothing of it is kept."),
                (408, "The body did not arrive in time."),
                (413, "It is too large."),
                (503, "It could not be verified, or not be kept. Send it again."),
            )
        },
        openapi_extra={"requestBody": _ANY_TEXT},
        summary="Deliver a message from Amazon SNS",
    )
    async def receive_message(request: Request) -> Response:
        return await door.receive(request)

    return router


_ANY_TEXT: dict[str, Any] = {
    "required": True,
    "description": "A message of SNS, as SNS made it, without raw message delivery.",
    "content": {"text/plain": {"schema": {"type": "string"}}},
}


class _Door:
    def __init__(self, have: Services, gateway: SnsGateway, body_seconds: float) -> None:
        self._have = have
        self._gateway = gateway
        self._body_seconds = body_seconds
        self._refusals = Refusals(have.ledger, _WHAT)

    async def receive(self, request: Request) -> Response:
        body = await read_body(request, self._body_seconds, "SNS sends no such thing")
        if isinstance(body, Response):
            return body
        try:
            message = read_message(body)
            fault = await run_in_threadpool(self._fault, message)
        except MalformedPayload as error:
            await self._refusals.note(error.code, "it is no message of SNS")
            return answer(400, Fault(code=error.code, detail=error.detail))
        except RunbooksError as error:
            return our_fault(error, "the message cannot be verified now; send it again")
        if fault is not None:
            await self._refusals.note(fault, _REASONS[fault])
            return answer(403, Fault(code=fault, detail=_REASONS[fault]))
        try:
            return await run_in_threadpool(self._take, message, body)
        except RunbooksError as error:
            return our_fault(error, "the message could not be kept; send it again")

    def _fault(self, message: SnsMessage) -> Refusal | None:
        """Why it is not believed."""
        now = self._have.now()
        if fault := refusal(message, self._have.settings.topics, now):
            return fault
        certificate = self._gateway.certificate(message.certificate_url, message.topic, now)
        if certificate is None:
            return Refusal.UNTRUSTED
        return None if is_signed(message, certificate) else Refusal.WRONG_SIGNATURE

    def _take(self, message: SnsMessage, body: bytes) -> Response:
        if message.type != NOTIFICATION:
            return self._subscription(message)
        ledger, known_by = self._have.ledger, f"sns/{message.id}"
        try:
            key = delivery_key(body, known_by)
        except MalformedPayload as error:
            ledger.receive_set_aside(known_by, SOURCE, body, error.code, error.detail)
            return answer(400, Fault(code=error.code, detail=error.detail))
        receipt = ledger.receive(key, SOURCE, body)
        return answer(200, Accepted(delivery=receipt.id, duplicate=not receipt.new))

    def _subscription(self, message: SnsMessage) -> Response:
        """Confirm it, or note that it was ended: nobody here asks for that, so a person is told."""
        if message.type == SUBSCRIPTION:
            if not confirms(message):
                reason = "its address does something else than to confirm this subscription"
                return self._noted(message, "sns-not-subscribed", reason)
            self._gateway.confirm(message.subscribe_url, self._have.now())
            return self._noted(message, "sns-subscribed", f"the subscription to {message.topic} was confirmed")
        return self._noted(message, "sns-unsubscribed", f"the subscription to {message.topic} was ended")

    def _noted(self, message: SnsMessage, code: str, reason: str) -> Response:
        _note(self._have.ledger, message, code, reason)
        return answer(200, Noted(code=code))


def _note(ledger: Ledger, message: SnsMessage, code: str, reason: str) -> None:
    """In the inbox, by its id, so once; its token, which could confirm it once more, is not kept."""
    body = f"{message.type} {message.id} of {message.topic}".encode()
    if ledger.receive_set_aside(f"sns/{message.id}", SOURCE, body, code, reason).new:
        _logger.warning("%s: %s", code, reason)
