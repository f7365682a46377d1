"""Requests to Slack's door that must not count: forged, replayed, or Slack's own and from the wrong person."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import httpx
from slack_sdk.signature import SignatureVerifier

from runbooks.telling.answering import APPROVE, APPROVE_WITH_CODE, CODE, answer_value
from tasks.registering import revoke_approver
from tests.attacks.attack import Attack
from tests.attacks.scene import SLACK_IDS, SLACK_SECRET, TEAM, Scene
from tests.runbooks.signatures import JANE, code_of

SUFFICES = {"slack_suffices": True}
OLD = 301
"""Seconds: a second more than a request stays fresh."""


def a_press(scene: Scene, user: str = SLACK_IDS[JANE], team: str = TEAM, **changes: Any) -> bytes:
    """What Slack sends when somebody presses our button, as its body."""
    payload = {
        "type": "block_actions",
        "team": {"id": team},
        "user": {"id": user, "team_id": team, "name": JANE, "username": JANE},
        "trigger_id": "1.2.abc",
        "container": {"type": "message", "message_ts": "1.2", "channel_id": "C0SECURITY"},
        "actions": [{"type": "button", "action_id": APPROVE, "value": answer_value(scene.plan)}],
    }
    return urlencode({"payload": json.dumps(payload | changes)}).encode()


def a_form(scene: Scene, code: str) -> bytes:
    """What Slack sends when somebody submits our modal."""
    view = {
        "callback_id": APPROVE_WITH_CODE,
        "private_metadata": answer_value(scene.plan),
        "state": {"values": {CODE: {CODE: {"value": code}}}},
    }
    return a_press(scene, type="view_submission", view=view)


def send(scene: Scene, *bodies: bytes, secret: str = SLACK_SECRET, late: int = 0, signed: bytes | None = None) -> None:
    """The requests, one after another, to one receiver.

    Args:
        secret: what they are signed with; empty: nothing.
        late: seconds that they are on their way.
        signed: the body that was signed, where it is not the one that is sent.
    """
    at = str(int(scene.now.timestamp()) - late)
    with scene.receiver() as door:
        for body in bodies:
            headers = {"content-type": "application/x-www-form-urlencoded", "x-slack-request-timestamp": at}
            if secret:
                signature = SignatureVerifier(secret).generate_signature(timestamp=at, body=signed or body)
                headers["x-slack-signature"] = str(signature)
            httpx.post(door, content=body, headers=headers, trust_env=False, timeout=60)


def to_another_receiver(scene: Scene) -> None:
    send(scene, a_press(scene))
    send(scene, a_press(scene))


def altered(scene: Scene) -> None:
    """Somebody else's press, signed by Slack, with Jane's id in it."""
    theirs = a_press(scene, "U0MALLORY")
    send(scene, a_press(scene), signed=theirs)


def revoked(scene: Scene) -> None:
    revoke_approver(scene.have, JANE, by="root")
    send(scene, a_press(scene))


def here_and_there(scene: Scene) -> None:
    send(scene, a_press(scene))
    scene.answer()


def used(scene: Scene) -> None:
    """The code that Jane has just given at a terminal."""
    scene.answer(plan=scene.other, says="reject")
    send(scene, a_form(scene, code_of(JANE, scene.now)))


ATTACKS = (
    Attack(
        "Slack: signed with another secret",
        "set-aside: wrong-signature",
        lambda s: send(s, a_press(s), secret="another application's"),
        rule=SUFFICES,
    ),
    Attack("Slack: changed after it was signed", "set-aside: wrong-signature", altered, rule=SUFFICES),
    Attack(
        "Slack: not signed at all", "set-aside: not-signed", lambda s: send(s, a_press(s), secret=""), rule=SUFFICES
    ),
    Attack(
        "Slack: a request of long ago",
        "set-aside: stale-request",
        lambda s: send(s, a_press(s), late=OLD),
        rule=SUFFICES,
    ),
    Attack(
        "Slack: a request of the future",
        "set-aside: stale-request",
        lambda s: send(s, a_press(s), late=-OLD),
        rule=SUFFICES,
    ),
    Attack(
        "Slack: one request replayed, for the second yes",
        "set-aside: replayed",
        lambda s: send(s, a_press(s), a_press(s)),
        rule=SUFFICES | {"quorum": 2},
    ),
    Attack(
        "Slack: one request replayed to another receiver",
        "answer-given: replayed",
        to_another_receiver,
        rule=SUFFICES | {"quorum": 2},
    ),
    Attack(
        "Slack: an approver's id in another team",
        "answer-given: not-registered",
        lambda s: send(s, a_press(s, team="T0OTHER")),
        rule=SUFFICES,
    ),
    Attack(
        "Slack: another user with an approver's name",
        "answer-given: not-registered",
        lambda s: send(s, a_press(s, "U0MALLORY")),
        rule=SUFFICES,
    ),
    Attack("Slack: a revoked approver", "answer-given: not-registered", revoked, rule=SUFFICES),
    Attack("Slack: a press where a code is needed", "answer-given: code-missing", lambda s: send(s, a_press(s))),
    Attack("Slack: a wrong code", "answer-given: wrong-code", lambda s: send(s, a_form(s, "000000"))),
    Attack("Slack: a code that was used at a terminal", "answer-given: used-code", used),
    Attack(
        "Slack: a button of another response's plan",
        "answer-given: unknown-plan",
        lambda s: send(s, a_press(s, actions=[{"action_id": APPROVE, "value": f"{s.plan.response}|{s.other.digest}"}])),
        rule=SUFFICES,
    ),
    Attack(
        "Slack: one person in Slack and at a terminal",
        "answer-given: same-person",
        here_and_there,
        rule=SUFFICES | {"quorum": 2},
    ),
)
