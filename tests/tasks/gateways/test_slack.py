"""The Slack gateway, with the real client over HTTP, against the sandbox's Slack."""

from __future__ import annotations

import pickle
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from deployments.sandbox.slack import slack_app
from deployments.sandbox.slack_workspace import TOKEN, Channel, Workspace
from runbooks.errors import AccessDenied, AnswerLost, Outside, Throttled
from tasks.gateways.slack import MessageRef, SlackGateway, SlackThrottled, escape
from tests.serving import serving

BEGAN = datetime.now(UTC)
BLOCKS = [{"type": "section", "text": {"type": "mrkdwn", "text": "*Contain* i-0abc"}}]


@pytest.fixture
def workspace() -> Workspace:
    return Workspace([Channel("C0SECURITY", "security"), Channel("C0PRIVATE0", "private", joined=False)])


@pytest.fixture
def address(workspace: Workspace) -> Iterator[str]:
    with serving(slack_app(workspace)) as url:
        yield url + "/api/"


@pytest.fixture
def slack(address: str) -> SlackGateway:
    return SlackGateway(TOKEN, address, "#security", timeout=5)


def texts(workspace: Workspace) -> list[str]:
    return [message.text for message in workspace.messages]


def test_a_message_is_posted_with_its_operation_and_found_by_it(slack: SlackGateway, workspace: Workspace) -> None:
    posted = slack.post("Contain i-0abc", BLOCKS, "op-1")

    (message,) = workspace.messages
    assert (message.text, message.blocks, message.thread_ts) == ("Contain i-0abc", BLOCKS, None)
    assert message.metadata == {"event_type": "remediation_runbooks", "event_payload": {"operation": "op-1"}}
    assert posted == MessageRef(channel="C0SECURITY", ts=message.ts, permalink=workspace.link(message))
    assert slack.find("op-1", BEGAN) == posted
    assert slack.find("op-10", BEGAN) is None


def test_a_lost_answer_is_told_and_find_prevents_the_second_message(slack: SlackGateway, workspace: Workspace) -> None:
    workspace.faults.add("chat.postMessage", "answer-lost")

    with pytest.raises(AnswerLost):
        slack.post("once", BLOCKS, "op-1")

    found = slack.find("op-1", BEGAN)
    assert found is not None
    assert [(m.ts, m.text) for m in workspace.messages] == [(found.ts, "once")]


def test_a_server_error_leaves_the_effect_unknown_and_find_says_there_is_none(
    slack: SlackGateway, workspace: Workspace
) -> None:
    workspace.faults.add("chat.postMessage", "server-error")

    with pytest.raises(AnswerLost):
        slack.post("once", BLOCKS, "op-1")

    assert slack.find("op-1", BEGAN) is None
    assert workspace.messages == []
    assert workspace.faults.waiting == []


def test_a_lost_reading_is_not_an_unknown_effect(slack: SlackGateway, workspace: Workspace) -> None:
    workspace.faults.add("auth.test", "answer-lost")

    with pytest.raises(Outside) as failed:
        slack.identity()

    assert type(failed.value) is Outside


def test_a_silent_server_is_an_answer_lost_after_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # accepts, reads, never answers
        silent = SlackGateway(TOKEN, f"http://127.0.0.1:{listener.getsockname()[1]}/api/", "security", timeout=1)
        with pytest.raises(AnswerLost):
            silent.post("once", BLOCKS, "op-1")


def test_a_post_whose_line_breaks_is_sent_once() -> None:
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            for _ in range(2):
                connection, _ = listener.accept()
                seen.append(connection.recv(4))
                connection.close()

        broken = threading.Thread(target=hang_up)
        broken.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(AnswerLost):
            SlackGateway(TOKEN, url + "/api/", "security", timeout=5).post("once", BLOCKS, "op-1")
        with socket.create_connection(listener.getsockname()) as last:
            last.sendall(b"LAST")
            broken.join()

    assert seen == [b"POST", b"LAST"]


def test_a_closed_door_is_no_unknown_effect() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    closed = SlackGateway(TOKEN, f"http://127.0.0.1:{port}/api/", "security", timeout=1)

    with pytest.raises(Outside) as failed:
        closed.post("never sent", BLOCKS, "op-1")

    assert (type(failed.value), failed.value.code) == (Outside, "slack-unreachable")


def test_throttling_keeps_the_seconds_slack_asked_for_and_is_not_tried_again(
    slack: SlackGateway, workspace: Workspace
) -> None:
    workspace.faults.add("chat.postMessage", "throttle", retry_after=30)

    with pytest.raises(SlackThrottled) as asked:
        slack.post("later", BLOCKS, "op-1")

    copy = pickle.loads(pickle.dumps(asked.value))
    assert [(e.retry_after, e.code, e.detail) for e in (asked.value, copy)] == [
        (30.0, "throttled", "Slack asks to wait 30 s")
    ] * 2
    assert issubclass(SlackThrottled, Throttled)
    assert workspace.messages == []


def test_a_missing_permalink_does_not_hide_the_message(slack: SlackGateway, workspace: Workspace) -> None:
    workspace.faults.add("chat.getPermalink", "server-error")

    posted = slack.post("there", BLOCKS, "op-1")

    assert posted == MessageRef(channel="C0SECURITY", ts=workspace.messages[0].ts, permalink=None)


def test_replies_are_found_in_new_threads_and_in_an_old_thread_that_is_named(address: str) -> None:
    now = [1_700_000_000.0]
    workspace = Workspace(clock=lambda: now[0])
    with serving(slack_app(workspace)) as url:
        slack = SlackGateway(TOKEN, url + "/api/", "security", timeout=5)
        case = slack.post("case", BLOCKS, "op-1")
        now[0] += 7 * 86_400
        answer = slack.post("step 1", BLOCKS, "op-2", thread=case)
        week_ago, yesterday = (datetime.fromtimestamp(now[0], UTC) - timedelta(days=days) for days in (8, 1))

        assert slack.find("op-2", week_ago) == answer
        assert slack.find("op-2", yesterday, thread=case) == answer
        assert slack.find("op-1", yesterday) is None
        assert [m.thread_ts for m in workspace.messages] == [None, case.ts]


def test_a_message_is_found_on_a_later_page_of_the_history(slack: SlackGateway, workspace: Workspace) -> None:
    first = slack.post("first", BLOCKS, "op-first")
    for number in range(205):
        workspace.call("chat.postMessage", {"channel": "security", "text": str(number)}, TOKEN)

    assert slack.find("op-first", BEGAN) == first


def test_an_update_replaces_the_text_and_keeps_the_operation(slack: SlackGateway, workspace: Workspace) -> None:
    posted = slack.post("waiting", BLOCKS, "op-1")

    slack.update(posted, "approved", [])
    slack.update(posted, "approved", [])

    assert [(m.text, m.blocks) for m in workspace.messages] == [("approved", [])]
    assert slack.find("op-1", BEGAN) == posted


def test_text_is_escaped_and_cut_without_breaking_an_escape(slack: SlackGateway, workspace: Workspace) -> None:
    slack.post("<!channel> a & b", BLOCKS, "op-1")
    slack.post("&" * 5_000, BLOCKS, "op-2")

    short, long = texts(workspace)
    assert short == "&lt;!channel&gt; a &amp; b" == escape("<!channel> a & b")
    assert len(long) <= 4_000
    assert long.removesuffix(" … (cut)").replace("&amp;", "") == ""


@pytest.mark.parametrize(
    ("token", "channel", "error", "code"),
    [
        ("xoxb-wrong", "security", AccessDenied, "access-denied"),
        ("", "security", AccessDenied, "access-denied"),
        (TOKEN, "private", AccessDenied, "access-denied"),
        (TOKEN, "nowhere", Outside, "slack-channel-not-found"),
    ],
)
def test_refusals_are_told_by_their_code(
    address: str, workspace: Workspace, token: str, channel: str, error: type[Outside], code: str
) -> None:
    with pytest.raises(error) as refused:
        SlackGateway(token, address, channel, timeout=5).post("no", BLOCKS, "op-1")

    assert (type(refused.value), refused.value.code) == (error, code)
    assert workspace.messages == []


def test_bad_blocks_are_refused_with_the_place_slack_named(slack: SlackGateway) -> None:
    with pytest.raises(Outside, match=r"json-pointer:/blocks/0/text/text") as refused:
        slack.post("no", [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}], "op-1")

    assert refused.value.code == "slack-invalid-blocks"


def test_a_channel_that_is_not_shown_cannot_be_searched(address: str) -> None:
    with pytest.raises(Outside, match="nowhere"):
        SlackGateway(TOKEN, address, "nowhere", timeout=5).find("op-1", BEGAN)


def test_identity_says_who_we_are(slack: SlackGateway) -> None:
    assert slack.identity().model_dump() == {
        "team": "Sandbox",
        "user": "runbooks",
        "user_id": "U0RUNBOOKS",
        "url": "http://127.0.0.1/",
    }


def test_what_is_told_to_one_person_is_in_no_history(slack: SlackGateway, workspace: Workspace) -> None:
    posted = slack.post("Contain i-0abc", BLOCKS, "op-1")

    slack.tell("U0ALICE", "not accepted: <!channel>", posted.channel, posted.ts)

    (whisper,) = workspace.whispers
    assert (whisper.channel, whisper.user, whisper.thread_ts) == ("C0SECURITY", "U0ALICE", posted.ts)
    assert whisper.text == "not accepted: &lt;!channel&gt;"
    assert texts(workspace) == ["Contain i-0abc"]
    with pytest.raises(Outside) as refused:
        slack.tell("U0NOBODY", "x", posted.channel)
    assert refused.value.code == "slack-user-not-in-channel"


def test_a_modal_is_opened_once_for_a_trigger(slack: SlackGateway, workspace: Workspace) -> None:
    view = {"type": "modal", "title": {"type": "plain_text", "text": "Approve"}, "blocks": BLOCKS}
    trigger = workspace.trigger("U0ALICE")

    slack.open_view(trigger, view)

    assert {user: opened.content for user, opened in workspace.views.items()} == {"U0ALICE": view}
    with pytest.raises(Outside) as refused:
        slack.open_view(trigger, view)
    assert refused.value.code == "slack-exchanged-trigger-id"
    assert len(workspace.views) == 1
