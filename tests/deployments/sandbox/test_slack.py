"""The sandbox's Slack, as slack_sdk and a person meet it over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.web import SlackResponse

from deployments.sandbox.slack import slack_app
from deployments.sandbox.slack_workspace import TOKEN, Channel, Workspace
from tests.serving import serving


@pytest.fixture
def workspace() -> Workspace:
    # A clock that stands still: timestamps must be unique all the same.
    return Workspace([Channel("C0SECURITY", "security"), Channel("C0OTHER000", "other")], clock=lambda: 1_700_000_000.0)


@pytest.fixture
def address(workspace: Workspace) -> Iterator[str]:
    with serving(slack_app(workspace)) as url:
        yield url


@pytest.fixture
def client(address: str) -> WebClient:
    return WebClient(TOKEN, base_url=address + "/api/", retry_handlers=[])


def got(response: SlackResponse, name: str) -> Any:
    assert isinstance(response.data, dict)
    return response.data[name]


def refusal(call: Any, **arguments: Any) -> str:
    with pytest.raises(SlackApiError) as refused:
        call(**arguments)
    assert refused.value.response.status_code == 200
    return str(refused.value.response["error"])


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def test_messages_are_read_newest_first_with_their_threads_apart(client: WebClient) -> None:
    first = got(client.chat_postMessage(channel="#security", text="first"), "ts")
    second = got(client.chat_postMessage(channel="security", text="second"), "ts")
    reply = got(client.chat_postMessage(channel="C0SECURITY", text="reply", thread_ts=first), "ts")
    client.chat_postMessage(channel="other", text="elsewhere")

    history = got(client.conversations_history(channel="C0SECURITY"), "messages")
    thread = got(client.conversations_replies(channel="C0SECURITY", ts=first), "messages")

    assert [(m["ts"], m["text"], m.get("reply_count")) for m in history] == [
        (second, "second", None),
        (first, "first", 1),
    ]
    assert [(m["ts"], m["thread_ts"]) for m in thread] == [(first, first), (reply, first)]


def test_history_comes_in_pages_and_between_two_moments(client: WebClient) -> None:
    stamps = [got(client.chat_postMessage(channel="security", text=str(n)), "ts") for n in range(5)]

    pages = [got(page, "messages") for page in client.conversations_history(channel="C0SECURITY", limit=2)]
    window = {"channel": "C0SECURITY", "oldest": stamps[1], "latest": stamps[3]}
    outside = got(client.conversations_history(**window), "messages")
    inside = got(client.conversations_history(**window, inclusive=True), "messages")

    assert [[m["text"] for m in page] for page in pages] == [["4", "3"], ["2", "1"], ["0"]]
    assert [m["text"] for m in outside] == ["2"]
    assert [m["text"] for m in inside] == ["3", "2", "1"]


def test_metadata_is_shown_only_to_who_asks_and_survives_an_update(client: WebClient, workspace: Workspace) -> None:
    metadata = {"event_type": "remediation_runbooks", "event_payload": {"operation": "op-1"}}
    ts = got(
        client.chat_postMessage(channel="security", text="waiting", blocks=[section("*x*")], metadata=metadata), "ts"
    )
    client.chat_update(channel="C0SECURITY", ts=ts, text="approved")

    (silent,) = got(client.conversations_history(channel="C0SECURITY"), "messages")
    (telling,) = got(client.conversations_history(channel="C0SECURITY", include_all_metadata=True), "messages")

    assert "metadata" not in silent
    assert (telling["metadata"], telling["text"], telling["blocks"]) == (metadata, "approved", [])
    assert client.chat_getPermalink(channel="C0SECURITY", message_ts=ts)["permalink"] == workspace.link(
        workspace.messages[0]
    )


def test_refusals_are_slacks_own(client: WebClient, address: str, workspace: Workspace) -> None:
    post, update = client.chat_postMessage, client.chat_update
    ts = got(post(channel="security", text="there"), "ts")

    assert {
        "unknown channel": refusal(post, channel="nowhere", text="x"),
        "reading by name": refusal(client.conversations_history, channel="security"),
        "no text": refusal(client.api_call, api_method="chat.postMessage", params={"channel": "security"}),
        "long": refusal(post, channel="security", text="x" * 40_001),
        "long update": refusal(update, channel="C0SECURITY", ts=ts, text="x" * 4_001),
        "no such message": refusal(update, channel="C0SECURITY", ts="1.0", text="x"),
        "no such thread": refusal(post, channel="security", text="x", thread_ts="1.0"),
        "metadata": refusal(post, channel="security", text="x", metadata={"event_type": "a"}),
        "cursor": refusal(client.conversations_history, channel="C0SECURITY", cursor="bm9uZQ=="),
        "method": refusal(client.api_call, api_method="chat.shout"),
        "token": refusal(WebClient("xoxb-wrong", base_url=address + "/api/").auth_test),
        "no token": httpx.post(address + "/api/auth.test").json()["error"],
    } == {
        "unknown channel": "channel_not_found",
        "reading by name": "channel_not_found",
        "no text": "no_text",
        "long": "msg_too_long",
        "long update": "msg_too_long",
        "no such message": "message_not_found",
        "no such thread": "invalid_thread_ts",
        "metadata": "invalid_metadata_format",
        "cursor": "invalid_cursor",
        "method": "unknown_method",
        "token": "invalid_auth",
        "no token": "not_authed",
    }
    assert [m.text for m in workspace.messages] == ["there"]


@pytest.mark.parametrize(
    ("blocks", "where"),
    [
        ([section("x")] * 51, "/blocks"),
        ([{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}], "/blocks/0/text/text"),
        ([section("x"), section("x" * 3_001)], "/blocks/1/text/text"),
        ([{"type": "section"}], "/blocks/0/text/text"),
        ([{"type": "section", "fields": [{"type": "mrkdwn", "text": "x"}] * 11}], "/blocks/0/fields"),
        ([{"type": "section", "fields": [{"type": "mrkdwn", "text": "x" * 2_001}]}], "/blocks/0/fields/0/text"),
        ([{"type": "actions", "elements": []}], "/blocks/0/elements"),
        (
            [{"type": "actions", "elements": [{"type": "button", "text": {"type": "plain_text", "text": "x" * 76}}]}],
            "/blocks/0/elements/0/text/text",
        ),
        ([{"type": "marquee"}], "/blocks/0"),
    ],
)
def test_blocks_that_slack_would_refuse_are_refused_with_the_place(
    client: WebClient, workspace: Workspace, blocks: list[dict[str, Any]], where: str
) -> None:
    with pytest.raises(SlackApiError) as refused:
        client.chat_postMessage(channel="security", text="x", blocks=blocks)

    assert refused.value.response["error"] == "invalid_blocks"
    assert any(f"json-pointer:{where}]" in said for said in refused.value.response["response_metadata"]["messages"])
    assert workspace.messages == []


def test_blocks_at_the_limit_are_taken_also_from_a_form(address: str, workspace: Workspace) -> None:
    blocks = '[{"type": "header", "text": {"type": "plain_text", "text": "%s"}}]' % ("x" * 150)
    form = {"token": TOKEN, "channel": "security", "text": "fallback", "blocks": blocks}

    assert httpx.post(address + "/api/chat.postMessage", data=form).json()["ok"] is True
    assert [m.blocks[0]["text"]["text"] for m in workspace.messages] == ["x" * 150]


def test_many_threads_at_once_never_share_a_timestamp(client: WebClient, workspace: Workspace) -> None:
    with ThreadPoolExecutor(8) as pool:
        texts = [str(n) for n in range(40)]
        list(pool.map(lambda text: client.chat_postMessage(channel="security", text=text), texts))

    assert sorted(m.text for m in workspace.messages) == sorted(texts)
    assert len({m.ts for m in workspace.messages}) == 40


def test_faults_are_asked_for_by_method_and_used_up(client: WebClient, address: str, workspace: Workspace) -> None:
    def ask(kind: str) -> httpx.Response:
        return httpx.post(address + "/sandbox/faults", json={"method": "chat.postMessage", "kind": kind, "times": 1})

    assert ask("earthquake").status_code == 400
    assert [ask(kind).status_code for kind in ("throttle", "server-error", "answer-lost")] == [200, 200, 200]
    headers = {"Authorization": f"Bearer {TOKEN}"}
    client.auth_test()

    def post() -> httpx.Response:
        body = {"channel": "security", "text": "x"}
        return httpx.post(address + "/api/chat.postMessage", json=body, headers=headers)

    throttled, failed = post(), post()
    assert (throttled.status_code, throttled.headers["Retry-After"], failed.status_code) == (429, "1", 500)
    assert workspace.messages == []
    with pytest.raises(httpx.RemoteProtocolError):
        post()
    assert len(workspace.messages) == 1
    assert post().json()["ok"] is True


def test_people_see_blocks_and_threads_and_nothing_can_be_smuggled_into_the_page(
    client: WebClient, address: str, workspace: Workspace
) -> None:
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": "Contain <i-0abc>"}},
        {**section("*Critical* `openssl` <https://example.com/?a=1&amp;b=2|the plan> <javascript:alert(1)|bad>")},
        {"type": "section", "fields": [{"type": "mrkdwn", "text": "_Due_ &lt;script&gt;"}]},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": "case RB-1"}]},
        {
            "type": "actions",
            "elements": [
                {"type": "button", "text": {"type": "plain_text", "text": "Reject"}, "style": "danger"},
                {"type": "button", "text": {"type": "plain_text", "text": "Review"}, "url": "https://example.com/r"},
                {"type": "button", "text": {"type": "plain_text", "text": "Evil"}, "url": "javascript:alert(1)"},
            ],
        },
    ]
    top = got(client.chat_postMessage(channel="security", text="fallback", blocks=blocks), "ts")
    client.chat_postMessage(channel="security", text="<script>alert(1)</script>", thread_ts=top)

    page = httpx.get(address + "/")

    for shown in (
        "<h3>Contain &lt;i-0abc&gt;</h3>",
        '<b>Critical</b> <code>openssl</code> <a href="https://example.com/?a=1&amp;b=2">the plan</a> <b>bad</b>',
        "<i>Due</i> &lt;script&gt;",
        "<span>case RB-1</span>",
        '<button class="danger" disabled>Reject</button>',
        '<a class="button " href="https://example.com/r">Review</a>',
        '<div class="replies">',
        f'id="p{top.replace(".", "")}"',
    ):
        assert shown in page.text
    assert "<script" not in page.text
    assert "javascript:" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    told = httpx.get(address + "/sandbox/messages").json()
    assert [(m["text"], m["thread_ts"]) for m in told] == [("fallback", None), ("<script>alert(1)</script>", top)]
    assert "Nothing has been posted yet." in httpx.get(address + "/?channel=C0OTHER000").text
