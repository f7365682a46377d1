"""The receiver as one application: the webhook, and the doors of Slack and SNS where they are configured."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import uvicorn
from fastapi import FastAPI, Response
from pydantic import BaseModel, Field

from deployments.receiver.exchange import Fault, answer, our_fault
from deployments.receiver.sns import sns
from deployments.receiver.webhook import keeping, webhook
from runbooks.errors import InvalidSetting, LedgerError
from tasks.gateways.ledger import Ledger
from tasks.gateways.sns import SnsGateway
from tasks.safety import require_safe
from tasks.services import Services
from tasks.settings import settings

LEDGER_SECONDS = 2.0
"""How long to wait for another writer: Slack waits three seconds, EventBridge five."""


class Health(BaseModel):
    status: str = Field(description="`ok`: deliveries can be kept.")


def create_app(
    ledger: Ledger,
    api_key: str | Callable[[], str],
    header: str = "x-api-key",
    *,
    body_seconds: float = 10.0,
    have: Services | None = None,
    gateway: SnsGateway | None = None,
) -> FastAPI:
    """The receiver as an ASGI application.

    Args:
        ledger: Where deliveries are kept. The caller closes it.
        api_key: What senders must send in `header`; or a function that gives it, for a key that changes.
        header: The header's name.
        body_seconds: How long a body may take to arrive; more than EventBridge's own five seconds.
        have: What answers from Slack and messages from SNS are verified with. Without it, or without a signing secret
            or a topic in its settings, there is no door for them.
        gateway: What SNS is asked with; none for the network, and the authorities that everyone trusts.

    Raises:
        InvalidSetting: The key is empty, or not ASCII.
    """
    # The document and no page of it: FastAPI's pages load scripts from elsewhere.
    app = FastAPI(title="Remediation runbooks: receiver", version="1", docs_url=None, redoc_url=None)
    app.router.routes.append(webhook(keeping(ledger), api_key, header, body_seconds))
    if have is not None and have.settings.slack_signing_secret is not None:
        # It brings Prefect with it, which a webhook alone does not need.
        from deployments.receiver.interactions import interactions

        app.include_router(interactions(have, have.settings.slack_signing_secret.get_secret_value(), body_seconds))
    if have is not None and have.settings.topics:
        app.include_router(sns(have, gateway or SnsGateway(), body_seconds))

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
            return our_fault(fault, "the ledger cannot be written")
        return answer(200, Health(status="ok"))

    return app


def serve(
    ledger: Ledger,
    api_key: str | Callable[[], str],
    host: str = "127.0.0.1",
    port: int = 8080,
    have: Services | None = None,
) -> None:
    """Serves until it is told to stop (SIGINT, SIGTERM)."""
    listen(create_app(ledger, api_key, have=have), host, port)


def listen(app: FastAPI, host: str, port: int) -> None:
    """Serves an application until it is told to stop; what was begun is answered, for ten seconds at most."""
    # What is there by now stays: to go through it all again and again would hold up everybody for tens of milliseconds.
    gc.freeze()
    uvicorn.run(app, host=host, port=port, server_header=False, limit_concurrency=200, timeout_graceful_shutdown=10)


def main() -> None:
    """Serves as the settings say.

    Raises:
        InvalidSetting: There is no API key.
        Unsafe: The start-up guard refuses.
    """
    chosen = settings()
    if chosen.webhook_key is None:
        raise InvalidSetting("RUNBOOKS_WEBHOOK_KEY is not set: the receiver takes nothing without a key")
    have = _Impatient(chosen)
    ledger = have.ledger
    try:
        require_safe(have)
        serve(ledger, chosen.webhook_key.get_secret_value(), chosen.receiver_host, chosen.receiver_port, have)
    finally:
        ledger.close()


@dataclass(frozen=True)
class _Impatient(Services):
    """Services with a ledger that keeps no caller waiting."""

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger.open(self.settings.ledger, wait_seconds=LEDGER_SECONDS, sign=self.sign)
