"""The webhook receiver: checks a delivery, keeps it in the inbox, answers. Everything else happens after, elsewhere.

EventBridge gives an API destination five seconds, tries again for a day after 401, 407, 409, 429 and 5xx, and drops
what is answered with any other 4xx (EventBridge user guide, "API destinations as targets"). So whatever is our fault
is a 5xx, and a 4xx says that sending the same again is of no use. A delivery that cannot be read is kept too, set
aside for a person.
"""

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Callable
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, Request, Response, Security
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyHeader
from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect

from runbooks import strict_json
from runbooks.errors import InvalidSetting, LedgerError, MalformedPayload, RunbooksError
from runbooks.event import read_payload
from tasks.gateways.ledger import Ledger
from tasks.settings import settings

SOURCE = "webhook"
_DISCARDED_BYTES = 8 * strict_json.MAX_BYTES
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_logger = logging.getLogger(__name__)


class Accepted(BaseModel):
    """The delivery is on disk."""

    delivery: str = Field(description="Its id in the inbox.")
    duplicate: bool = Field(description="Whether it had been delivered before.")


class Fault(BaseModel):
    """Why not."""

    code: str = Field(description="Stable: what to count by.")
    detail: str = Field(description="One line for a person.")


class Health(BaseModel):
    status: str = Field(description="`ok`: deliveries can be kept.")


_DESCRIPTION = {
    400: "It cannot be read. It is kept, set aside for a person; sending it again changes nothing.",
    401: "The API key is missing or wrong. Nothing was read.",
    408: "The body did not arrive in time.",
    413: f"The body is larger than {strict_json.MAX_BYTES} bytes.",
    503: "It could not be kept. Send it again.",
}


def create_app(
    ledger: Ledger, api_key: str | Callable[[], str], header: str = "x-api-key", *, body_seconds: float = 10.0
) -> FastAPI:
    """The receiver as an ASGI application.

    Args:
        ledger: Where deliveries are kept. The caller closes it.
        api_key: What senders must send in `header`; or a function that gives it, for a key that changes.
        header: The header's name.
        body_seconds: How long a body may take to arrive; more than EventBridge's own five seconds.

    Raises:
        InvalidSetting: The key is empty, or not ASCII.
    """
    expected = _key_reader(api_key)
    key_header = APIKeyHeader(name=header, auto_error=False, description="As set in the EventBridge connection.")
    # The document and no page of it: FastAPI's pages load scripts from elsewhere.
    app = FastAPI(title="Remediation runbooks: receiver", version="1", docs_url=None, redoc_url=None)

    @app.post(
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
            return _our_fault(fault, "the API key is not known here; send it again")
        if not _same(key or "", wanted):
            refused = Fault(code="wrong-key", detail=f"{header} is missing or wrong")
            return _answer(401, refused, {"WWW-Authenticate": f'ApiKey header="{header}"'})
        try:
            async with asyncio.timeout(body_seconds):
                body = await _read_body(request)
        except TimeoutError:
            slow = Fault(code="too-slow", detail=f"the body did not arrive within {body_seconds:g} seconds")
            return _answer(408, slow, {"Connection": "close"})
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        if body is None:
            detail = f"the body is larger than {strict_json.MAX_BYTES} bytes; send one event at a time"
            return _answer(413, Fault(code="too-large", detail=detail), {"Connection": "close"})
        return await run_in_threadpool(_keep, ledger, body)

    @app.get(
        "/healthz",
        response_model=Health,
        response_description="Deliveries can be kept.",
        responses={503: {"model": Fault, "description": "Deliveries cannot be kept."}},
        summary="Whether deliveries can be kept",
    )
    def health() -> Response:
        try:
            ledger.probe()
        except LedgerError as fault:
            return _our_fault(fault, "the ledger cannot be written")
        return _answer(200, Health(status="ok"))

    return app


def serve(ledger: Ledger, api_key: str | Callable[[], str], host: str = "127.0.0.1", port: int = 8080) -> None:
    """Serves until it is told to stop (SIGINT, SIGTERM)."""
    app = create_app(ledger, api_key)
    uvicorn.run(app, host=host, port=port, server_header=False, limit_concurrency=200, timeout_graceful_shutdown=10)


def main() -> None:
    """Serves as the settings say.

    Raises:
        InvalidSetting: There is no API key.
    """
    chosen = settings()
    if chosen.webhook_key is None:
        raise InvalidSetting("RUNBOOKS_WEBHOOK_KEY is not set: the receiver takes nothing without a key")
    ledger = Ledger.open(chosen.ledger, wait_seconds=3)  # EventBridge waits five
    try:
        serve(ledger, chosen.webhook_key.get_secret_value(), chosen.receiver_host, chosen.receiver_port)
    finally:
        ledger.close()


_ANY_OBJECT: dict[str, Any] = {
    "required": True,
    "description": "An EventBridge event, as EventBridge made it. Kinds that are not acted upon are kept too.",
    "content": {"application/json": {"schema": {"type": "object", "additionalProperties": True}}},
}


async def _read_body(request: Request) -> bytes | None:
    """The body; None when it is too large, whatever its Content-Length says.

    What is beyond the limit is read and thrown away for a while: a sender that is cut off while it still sends does
    not get to read the answer.
    """
    if _declared(request) > _DISCARDED_BYTES:
        return None
    kept, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > _DISCARDED_BYTES:
            return None
        if size <= strict_json.MAX_BYTES:
            kept += chunk
    return bytes(kept) if size <= strict_json.MAX_BYTES else None


def _declared(request: Request) -> int:
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() and len(length) < 20 else 0


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
        return _our_fault(fault, "the delivery could not be kept; send it again")
    return _answer(202, Accepted(delivery=receipt.id, duplicate=not receipt.new))


def _set_aside(ledger: Ledger, key: str, body: bytes, error: MalformedPayload) -> Response:
    try:
        ledger.receive_set_aside(key, SOURCE, body, error.code, error.detail)
    except LedgerError as fault:
        return _our_fault(fault, "the delivery could not be kept; send it again")
    return _answer(400, Fault(code=error.code, detail=error.detail))


def _our_fault(fault: RunbooksError, detail: str) -> Response:
    """The log says what is wrong and where; a sender has no business knowing."""
    _logger.error("%s: %s", fault.code, fault.detail)
    return _answer(503, Fault(code=fault.code, detail=detail), {"Retry-After": "5"})


def _answer(status: int, body: BaseModel, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(body.model_dump(), status, {**_HEADERS, **(headers or {})})


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
