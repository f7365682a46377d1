"""The webhook: checks a delivery, keeps it in the inbox, answers. Everything else happens after, elsewhere.

EventBridge gives an API destination five seconds, tries again for a day after 401, 407, 409, 429 and 5xx, and drops
what is answered with any other 4xx (EventBridge user guide, "API destinations as targets"). So whatever is our fault
is a 5xx, and a 4xx says that sending the same again is of no use. A delivery that cannot be read is kept too, set
aside for a person.
"""

import hashlib
import hmac
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response, Security
from fastapi.concurrency import run_in_threadpool
from fastapi.security import APIKeyHeader
from pydantic import BaseModel, Field

from deployments.receiver.exchange import Fault, answer, our_fault, read_body
from runbooks import strict_json
from runbooks.errors import InvalidSetting, LedgerError, MalformedPayload, RunbooksError
from runbooks.event import read_payload
from tasks.gateways.ledger import Ledger

SOURCE = "webhook"


class Accepted(BaseModel):
    """The delivery is on disk."""

    delivery: str = Field(description="Its id in the inbox.")
    duplicate: bool = Field(description="Whether it had been delivered before.")


_DESCRIPTION = {
    400: "It cannot be read. It is kept, set aside for a person; sending it again changes nothing.",
    401: "The API key is missing or wrong. Nothing was read.",
    408: "The body did not arrive in time.",
    413: f"The body is larger than {strict_json.MAX_BYTES} bytes.",
    503: "It could not be kept. Send it again.",
}


def webhook(ledger: Ledger, api_key: str | Callable[[], str], header: str, body_seconds: float) -> APIRouter:
    """The door for EventBridge.

    Raises:
        InvalidSetting: The key is empty, or not ASCII.
    """
    expected = _key_reader(api_key)
    key_header = APIKeyHeader(name=header, auto_error=False, description="As set in the EventBridge connection.")
    router = APIRouter()

    @router.post(
        "/webhooks/inspector",
        status_code=202,
        response_model=Accepted,
        response_description="It is kept, and will be looked at.",
        responses={status: {"model": Fault, "description": words} for status, words in _DESCRIPTION.items()},
        openapi_extra={"requestBody": _ANY_OBJECT},
        summary="Deliver an event from Amazon EventBridge",
    )
    async def receive_event(request: Request, key: Annotated[str | None, Security(key_header)]) -> Response:
        try:
            wanted = expected()
        except RunbooksError as fault:
            return our_fault(fault, "the API key is not known here; send it again")
        if not _same(key or "", wanted):
            refused = Fault(code="wrong-key", detail=f"{header} is missing or wrong")
            return answer(401, refused, {"WWW-Authenticate": f'ApiKey header="{header}"'})
        body = await read_body(request, body_seconds, "send one event at a time")
        return body if isinstance(body, Response) else await run_in_threadpool(_keep, ledger, body)

    return router


_ANY_OBJECT: dict[str, Any] = {
    "required": True,
    "description": "An EventBridge event, as EventBridge made it. Kinds that are not acted upon are kept too.",
    "content": {"application/json": {"schema": {"type": "object", "additionalProperties": True}}},
}


def _keep(ledger: Ledger, body: bytes) -> Response:
    digest = hashlib.sha256(body).hexdigest()
    try:
        delivery = read_payload(body)
    except MalformedPayload as error:
        return _set_aside(ledger, f"body/{digest}", body, error)
    event = delivery.event_id
    key = f"event/{event}" if event is not None and len(event) <= 200 else f"body/{digest}"
    try:
        receipt = ledger.receive(key, SOURCE, body)
    except LedgerError as fault:
        return our_fault(fault, "the delivery could not be kept; send it again")
    return answer(202, Accepted(delivery=receipt.id, duplicate=not receipt.new))


def _set_aside(ledger: Ledger, key: str, body: bytes, error: MalformedPayload) -> Response:
    try:
        ledger.receive_set_aside(key, SOURCE, body, error.code, error.detail)
    except LedgerError as fault:
        return our_fault(fault, "the delivery could not be kept; send it again")
    return answer(400, Fault(code=error.code, detail=error.detail))


def _key_reader(api_key: str | Callable[[], str]) -> Callable[[], str]:
    if isinstance(api_key, str):
        _checked(api_key)
        return lambda: api_key
    return lambda: _checked(api_key())


def _checked(key: str) -> str:
    if not key or not key.isascii():
        raise InvalidSetting("the receiver's API key is empty or not ASCII")
    return key


def _same(given: str, wanted: str) -> bool:
    """Takes as long whatever is given: digests have one length."""
    return hmac.compare_digest(_digest(given), _digest(wanted))


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
