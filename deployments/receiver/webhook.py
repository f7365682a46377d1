"""The webhook: checks a delivery, keeps it in the inbox, answers. Everything else happens after, elsewhere.

EventBridge gives an API destination five seconds, tries again for a day after 401, 407, 409, 429 and 5xx, and drops
what is answered with any other 4xx (EventBridge user guide, "API destinations as targets"). So whatever is our fault
is a 5xx, and a 4xx says that sending the same again is of no use. What is no event and cannot be read is kept too, set
aside for a person; the finding in an event is read when it is taken from the inbox, and set aside then.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request, Response, Security
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader
from pydantic import BaseModel, Field
from starlette.routing import request_response

from deployments.receiver.exchange import Fault, answer, our_fault, read_body
from deployments.receiver.group_commit import GroupCommit
from runbooks import strict_json
from runbooks.delivery_key import body_key, delivery_key
from runbooks.errors import BadInput, InvalidSetting, LedgerError, RunbooksError
from tasks.gateways.ledger import Ledger

SOURCE = "webhook"
PATH = "/webhooks/inspector"
Keep = Callable[[bytes], Awaitable[Response]]
"""Takes a body, and answers for it."""
_LARGE_BYTES = 64 * 1024
"""A body beyond this is looked at in a thread: it would hold up the others for milliseconds."""


class Accepted(BaseModel):
    """The delivery is on disk."""

    delivery: str = Field(description="Its id in the inbox.")
    duplicate: bool = Field(description="Whether it had been delivered before.")


_DESCRIPTION = {
    400: "It is no event, and cannot be read. It is kept, set aside for a person; sending it again changes nothing.",
    401: "The API key is missing or wrong. Nothing was read.",
    408: "The body did not arrive in time.",
    413: f"The body is larger than {strict_json.MAX_BYTES} bytes.",
    503: "It could not be kept. Send it again.",
}


def webhook(keep: Keep, api_key: str | Callable[[], str], header: str, body_seconds: float) -> APIRoute:
    """The door for EventBridge: whoever has the key gets his body to `keep`.

    Raises:
        InvalidSetting: The key is empty, or not ASCII.
    """
    expected = _key_reader(api_key)
    unknown = Fault(code="wrong-key", detail=f"{header} is missing or wrong")
    challenge = {"WWW-Authenticate": f'ApiKey header="{header}"'}

    async def receive_event(request: Request) -> Response:
        try:
            wanted = expected()
        except RunbooksError as fault:
            return our_fault(fault, "the API key is not known here; send it again")
        if not _same(request.headers.get(header, ""), wanted):
            return answer(401, unknown, challenge)
        body = await read_body(request, body_seconds, "send one event at a time")
        return body if isinstance(body, Response) else await keep(body)

    return _PlainRoute(
        PATH,
        receive_event,
        methods=["POST"],
        status_code=202,
        response_model=Accepted,
        response_description="It is kept, and will be looked at.",
        responses={status: {"model": Fault, "description": words} for status, words in _DESCRIPTION.items()},
        dependencies=[Security(APIKeyHeader(name=header, description="As set in the EventBridge connection."))],
        openapi_extra={"requestBody": _ANY_OBJECT},
        summary="Deliver an event from Amazon EventBridge",
    )


def keeping(ledger: Ledger) -> Keep:
    """What keeps deliveries in the ledger's inbox, those that come together in one transaction."""
    group = GroupCommit(ledger.receive_all)

    async def keep(body: bytes) -> Response:
        try:
            receipt = await group.keep(await _key_of(body), SOURCE, body)
        except BadInput as error:
            return await run_in_threadpool(_set_aside, ledger, body, error)
        except LedgerError as fault:
            return our_fault(fault, _NOT_KEPT)
        return answer(202, Accepted(delivery=receipt.id, duplicate=not receipt.new))

    return keep


class _PlainRoute(APIRoute):
    """In the document as any other, but called as Starlette calls its own, with the request alone.

    FastAPI's own way to a function costs more than it does to keep a delivery, and it would find nothing to do: the key
    is asked for before anything is read, and the body is kept as it is.
    """

    def __init__(self, path: str, endpoint: Callable[[Request], Awaitable[Response]], **described: Any) -> None:
        super().__init__(path, endpoint, **described)
        self.app = request_response(endpoint)


_ANY_OBJECT: dict[str, Any] = {
    "required": True,
    "description": "An EventBridge event, as EventBridge made it. Kinds that are not acted upon are kept too.",
    "content": {"application/json": {"schema": {"type": "object", "additionalProperties": True}}},
}
_NOT_KEPT = "the delivery could not be kept; send it again"


async def _key_of(body: bytes) -> str:
    return delivery_key(body) if len(body) <= _LARGE_BYTES else await run_in_threadpool(delivery_key, body)


def _set_aside(ledger: Ledger, body: bytes, error: BadInput) -> Response:
    try:
        ledger.receive_set_aside(body_key(body), SOURCE, body, error.code, error.detail)
    except RunbooksError as fault:
        return our_fault(fault, _NOT_KEPT)
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
