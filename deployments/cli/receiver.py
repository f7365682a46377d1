"""`runbooks receiver`: the webhook."""

from __future__ import annotations

from cyclopts import App

from deployments.cli.opening import read_settings
from deployments.cli.output import say
from runbooks.errors import InvalidSetting, Outside

app = App(
    name="receiver",
    help_epilogue="""\
Examples:

  RUNBOOKS_WEBHOOK_KEY=... runbooks receiver
  RUNBOOKS_RECEIVER_HOST=0.0.0.0 RUNBOOKS_RECEIVER_PORT=8443 runbooks receiver

It only keeps what arrives; the sweep does the rest: runbooks sweep.
""",
)


@app.default
def receiver() -> None:
    """Serve the webhook that EventBridge calls, until it is stopped. It does not start without a key."""
    chosen = read_settings()
    if chosen.webhook_key is None:
        raise InvalidSetting("RUNBOOKS_WEBHOOK_KEY is not set: the receiver takes nothing without a key")
    from deployments.receiver import main

    address = f"http://{chosen.receiver_host}:{chosen.receiver_port}"
    say(f"POST {address}/webhooks/inspector, with x-api-key")
    if chosen.slack_signing_secret is not None:
        say(f"POST {address}/slack/interactions, signed by Slack")
    if chosen.topics:
        say(f"POST {address}/sns, signed by Amazon SNS")
    try:
        main()
    except SystemExit as end:
        # uvicorn leaves so when it cannot listen, after it has said why.
        if end.code:
            raise Outside("the receiver could not be served", code="receiver-failed") from None
