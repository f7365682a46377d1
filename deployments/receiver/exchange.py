"""Reading a body and giving an answer, alike at every door."""

from __future__ import annotations

import asyncio
import logging

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect

from runbooks import strict_json
from runbooks.errors import RunbooksError

_DISCARDED_BYTES = 8 * strict_json.MAX_BYTES
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_logger = logging.getLogger(__name__)


class Fault(BaseModel):
    """Why not."""

    code: str = Field(description="Stable: what to count by.")
    detail: str = Field(description="One line for a person.")


async def read_body(request: Request, seconds: float, hint: str) -> bytes | Response:
    """The body; or the answer to one that is too large, whatever its Content-Length says, or too slow.

    Args:
        hint: What to do about one that is too large.
    """
    try:
        async with asyncio.timeout(seconds):
            body = await _read(request)
    except TimeoutError:
        slow = Fault(code="too-slow", detail=f"the body did not arrive within {seconds:g} seconds")
        return answer(408, slow, {"Connection": "close"})
    except ClientDisconnect:
        return Response(status_code=400)  # nobody is there to read it
    if body is None:
        detail = f"the body is larger than {strict_json.MAX_BYTES} bytes; {hint}"
        return answer(413, Fault(code="too-large", detail=detail), {"Connection": "close"})
    return body


def our_fault(fault: RunbooksError, detail: str) -> Response:
    """The log says what is wrong and where; a sender has no business knowing."""
    _logger.error("%s: %s", fault.code, fault.detail)
    return answer(503, Fault(code=fault.code, detail=detail), {"Retry-After": "5"})


def answer(
    status: int,
    body: BaseModel,
    headers: dict[str, str] | None = None,
    background: BackgroundTask | None = None,
) -> Response:
    return JSONResponse(body.model_dump(), status, {**_HEADERS, **(headers or {})}, background=background)


async def _read(request: Request) -> bytes | None:
    """The body; None when it is too large.

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
