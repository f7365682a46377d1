"""What the workspace sends when somebody presses a button, and what is said to whom then."""

from __future__ import annotations

from typing import Any

from runbooks.telling.answering import APPROVE, answer_value
from tests.deployments.receiver.conftest import ALICE, House


def told(house: House) -> list[tuple[str, str]]:
    """What was said to whom, and nobody else, in the end."""
    house.finish()
    return [(whisper.user, whisper.text) for whisper in house.workspace.whispers]


def payload(house: House, action: str = APPROVE, **changes: Any) -> dict[str, Any]:
    """A press, as the workspace sends it."""
    return {
        "type": "block_actions",
        "team": {"id": "T0SANDBOX", "domain": "sandbox"},
        "user": {"id": ALICE, "username": "alice", "name": "alice", "team_id": "T0SANDBOX"},
        "api_app_id": "A0RUNBOOKS",
        "trigger_id": "1.2.abc",
        "container": {"type": "message", "message_ts": house.question, "channel_id": "C0SECURITY"},
        "response_url": "https://hooks.slack.com/actions/T0SANDBOX/1",
        "actions": [{"type": "button", "action_id": action, "value": answer_value(house.plan), "action_ts": "1.2"}],
        **changes,
    }
