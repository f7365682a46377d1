"""The GitHub gateway over HTTP, against the sandbox's GitHub."""

from __future__ import annotations

import json
import pickle
import re
import socket
import threading
from collections.abc import Iterator

import pytest

from deployments.sandbox.github import TOKEN
from runbooks.build_terms import Workflow
from runbooks.errors import AccessDenied, AnswerLost, Outside, RunbooksError
from tasks.gateways.github import UNREACHABLE, GitHubGateway, GitHubThrottled
from tests.tasks.gateways.aws_world import AwsWorld
from tests.tasks.gateways.hub import HOME, WORKFLOW, HubWorld, github
from tests.tasks.gateways.image_world import furnish

OPERATION = "rb-0123456789abcdef01234567"
INPUTS = {"IMAGE_TAG": "1.4.3", "REMEDIATION_OPERATION": OPERATION}
ELSEWHERE = Workflow.parse(f"{HOME}/rebuild.yml@feature")
BY_ITS_WHOLE_NAME = Workflow.parse(f"{HOME}/rebuild.yml@refs/heads/main")
NOWHERE = Workflow.parse(f"{HOME}/nothing.yml@main")


@pytest.fixture
def hub(aws: AwsWorld) -> Iterator[HubWorld]:
    furnish(aws)
    with github(aws) as world:
        yield world


def test_a_dispatch_tells_its_run_which_is_listed_a_moment_later_under_its_operation(hub: HubWorld) -> None:
    number = hub.gateway.dispatch(WORKFLOW, INPUTS)
    assert number is not None
    run = hub.gateway.run(WORKFLOW, number)
    assert run is not None
    assert (run.status, run.conclusion, OPERATION in run.title) == ("queued", None, True)
    assert run.url == f"{hub.url}/example/checkout/actions/runs/{number}"
    assert hub.gateway.runs(WORKFLOW, {OPERATION}) == {}
    hub.advance(2)
    listed = hub.gateway.runs(WORKFLOW, {OPERATION, "rb-ffffffffffffffffffffffff"})
    assert listed is not None
    assert {operation: found.number for operation, found in listed.items()} == {OPERATION: number}
    assert listed[OPERATION].status == "in_progress"
    hub.finish()
    ended = hub.gateway.run(WORKFLOW, number)
    assert ended is not None
    assert (ended.status, ended.conclusion) == ("completed", "success")
    assert [build.environment for build in hub.runs] == [INPUTS]


def test_of_two_runs_of_an_operation_the_older_one_counts_and_one_is_found_among_a_hundred_others(
    hub: HubWorld,
) -> None:
    ours = hub.gateway.dispatch(WORKFLOW, INPUTS)
    hub.advance(1)
    for number in range(120):
        hub.gateway.dispatch(WORKFLOW, {"REMEDIATION_OPERATION": f"rb-{number:024x}"})
    hub.advance(1)
    hub.gateway.dispatch(WORKFLOW, INPUTS)
    hub.advance(2)
    assert len(hub.runs) == 122
    found = hub.gateway.runs(WORKFLOW, {OPERATION})
    assert found is not None
    assert found[OPERATION].number == ours


def test_a_run_of_another_branch_is_nobodys_whatever_its_name(hub: HubWorld) -> None:
    hub.hub.branches.add("feature")
    theirs = hub.gateway.dispatch(ELSEWHERE, INPUTS)
    hub.advance(2)
    assert hub.gateway.runs(WORKFLOW, {OPERATION}) == {}
    ours = hub.gateway.dispatch(WORKFLOW, INPUTS)
    hub.advance(2)
    for workflow, number in ((WORKFLOW, ours), (ELSEWHERE, theirs), (BY_ITS_WHOLE_NAME, ours)):
        found = hub.gateway.runs(workflow, {OPERATION})
        assert found is not None
        assert {operation: run.number for operation, run in found.items()} == {OPERATION: number}


def test_a_branch_that_was_not_asked_for_counts_for_nothing() -> None:
    run = {
        "id": 7,
        "display_title": OPERATION,
        "head_branch": "feature",
        "status": "completed",
        "conclusion": "success",
    }
    url, seen = answering(an_answer("200 OK", json.dumps({"workflow_runs": [run]})))
    assert GitHubGateway(TOKEN, url, 5).runs(WORKFLOW, {OPERATION}) == {}
    assert b"branch=main" in seen[0]


def test_what_is_not_there_is_none_and_is_not_taken_for_a_workflow_without_runs(hub: HubWorld) -> None:
    assert hub.gateway.state(WORKFLOW) == "active"
    assert hub.gateway.state(NOWHERE) is None
    assert hub.gateway.runs(NOWHERE, {OPERATION}) is None
    assert hub.gateway.run(WORKFLOW, 1) is None
    with pytest.raises(Outside) as refused:
        hub.gateway.dispatch(NOWHERE, INPUTS)
    assert refused.value.code == "github-404"


@pytest.mark.parametrize(
    ("workflow", "inputs", "words"),
    [
        (
            WORKFLOW,
            INPUTS | {"SURPRISE": "x"},
            'GitHub refuses with HTTP 422: Unexpected inputs provided: ["SURPRISE"]',
        ),
        (Workflow.parse(f"{HOME}/rebuild.yml@gone"), INPUTS, "GitHub refuses with HTTP 422: No ref found for: gone"),
    ],
)
def test_a_refusal_says_what_github_said(hub: HubWorld, workflow: Workflow, inputs: dict[str, str], words: str) -> None:
    with pytest.raises(Outside) as refused:
        hub.gateway.dispatch(workflow, inputs)
    assert (refused.value.code, refused.value.detail) == ("github-422", words)
    assert hub.runs == []


def test_a_wrong_token_is_denied_and_in_no_message(hub: HubWorld) -> None:
    wrong = GitHubGateway("ghp-a-secret", hub.url, 5)
    with pytest.raises(AccessDenied) as refused:
        wrong.state(WORKFLOW)
    assert refused.value.detail == "GitHub refuses: Bad credentials"
    assert "ghp-a-secret" not in repr(refused.value) + repr(refused.value.__cause__)


def test_a_dispatch_whose_answer_was_lost_may_have_been_done_and_is_sent_once(hub: HubWorld) -> None:
    hub.hub.faults.add("POST dispatches", "answer-lost")
    with pytest.raises(AnswerLost):
        hub.gateway.dispatch(WORKFLOW, INPUTS)
    assert len(hub.runs) == 1


def test_a_server_error_leaves_the_effect_of_a_dispatch_unknown(hub: HubWorld) -> None:
    hub.hub.faults.add("POST dispatches", "server-error")
    with pytest.raises(AnswerLost):
        hub.gateway.dispatch(WORKFLOW, INPUTS)
    assert (hub.runs, hub.hub.faults.waiting) == ([], [])


def test_a_reading_is_tried_again_and_is_given_up_when_no_answer_comes(hub: HubWorld) -> None:
    hub.hub.faults.add("GET workflow", "server-error", times=2)
    assert hub.gateway.state(WORKFLOW) == "active"
    hub.hub.faults.add("GET workflow", "answer-lost", times=3)
    with pytest.raises(Outside) as failed:
        hub.gateway.state(WORKFLOW)
    assert (type(failed.value), failed.value.code, hub.hub.faults.waiting) == (Outside, UNREACHABLE, [])


def test_a_closed_door_is_no_unknown_effect() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Outside) as failed:
        GitHubGateway(TOKEN, f"http://127.0.0.1:{port}", 1).dispatch(WORKFLOW, INPUTS)
    assert (type(failed.value), failed.value.code) == (Outside, UNREACHABLE)


def test_who_is_asked_to_wait_sends_nothing_until_that_time_is_over(hub: HubWorld) -> None:
    hub.hub.faults.add("POST dispatches", "throttle", retry_after=30)
    with pytest.raises(GitHubThrottled, match="GitHub asks to wait 30 s"):
        hub.gateway.dispatch(WORKFLOW, INPUTS)
    with pytest.raises(GitHubThrottled, match="GitHub asked to wait, for 30 s more"):
        hub.gateway.dispatch(WORKFLOW, INPUTS)
    with pytest.raises(GitHubThrottled) as throttled:
        hub.gateway.runs(WORKFLOW, {OPERATION})
    assert 29 < throttled.value.retry_after <= 30
    assert (hub.runs, hub.hub.faults.waiting) == ([], [])
    copied = pickle.loads(pickle.dumps(throttled.value))
    assert (copied.retry_after, copied.code) == (throttled.value.retry_after, throttled.value.code)


def answering(*answers: bytes) -> tuple[str, list[bytes]]:
    """A server that gives these answers, one after another, and what it was sent."""
    seen: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener:
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    seen.append(connection.recv(65536))
                    connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}", seen


def an_answer(status: str, body: str, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers, "", body]
    return "\r\n".join(lines).encode()


@pytest.mark.parametrize(
    ("status", "body", "headers", "seconds"),
    [
        ("403 Forbidden", '{"message": "You have exceeded a secondary rate limit."}', (), 60),
        ("403 Forbidden", '{"message": "no"}', ("Retry-After: 17",), 17),
        ("429 Too Many Requests", "{}", ("Retry-After: soon",), 60),
        ("403 Forbidden", '{"message": "no"}', ("x-ratelimit-remaining: 0", "x-ratelimit-reset: 0"), 1),
    ],
)
def test_each_way_in_which_github_asks_to_wait_is_understood(
    status: str, body: str, headers: tuple[str, ...], seconds: float
) -> None:
    url, _ = answering(an_answer(status, body, *headers))
    with pytest.raises(GitHubThrottled) as throttled:
        GitHubGateway(TOKEN, url, 5).state(WORKFLOW)
    assert throttled.value.retry_after == seconds


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (an_answer("403 Forbidden", '{"message": "Resource not accessible"}'), AccessDenied, "access-denied"),
        (an_answer("301 Moved Permanently", "{}", "Location: http://127.0.0.1:1/"), Outside, "github-301"),
        (an_answer("422 Unprocessable Entity", "not json"), Outside, "github-422"),
    ],
)
def test_what_is_no_answer_to_the_question_is_refused_and_followed_nowhere(
    answer: bytes, kind: type[RunbooksError], code: str
) -> None:
    url, seen = answering(answer)
    with pytest.raises(kind) as refused:
        GitHubGateway(TOKEN, url, 5).state(WORKFLOW)
    assert (type(refused.value), refused.value.code, len(seen)) == (kind, code, 1)


@pytest.mark.parametrize("body", ["not json", "[]", "{}", '{"workflow_runs": null}'])
def test_an_answer_that_lists_nothing_is_never_taken_for_no_run(body: str) -> None:
    url, seen = answering(*[an_answer("200 OK", body)] * 3)
    with pytest.raises(Outside) as failed:
        GitHubGateway(TOKEN, url, 5).runs(WORKFLOW, {OPERATION})
    assert failed.value.code == UNREACHABLE
    assert all(each.startswith(b"GET /repos/example/checkout/actions/workflows/rebuild.yml/runs?") for each in seen)


def test_a_question_carries_the_token_and_the_version_of_the_api() -> None:
    url, seen = answering(an_answer("200 OK", '{"state": "active"}'))
    assert GitHubGateway(TOKEN, url + "/", 5).state(WORKFLOW) == "active"
    headers = {
        name.lower(): value for name, value in re.findall(r"^([\w-]+): (.*?)\r$", seen[0].decode(), re.MULTILINE)
    }
    wanted = {
        "authorization": f"Bearer {TOKEN}",
        "accept": "application/vnd.github+json",
        "x-github-api-version": "2022-11-28",
    }
    assert {name: headers[name] for name in wanted} == wanted
