"""The Jira gateway, with the real client over HTTP, against the sandbox's Jira."""

from __future__ import annotations

import pickle
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from deployments.sandbox.jira import jira_app
from deployments.sandbox.jira_site import TOKEN, Site
from runbooks.errors import AccessDenied, AnswerLost, Outside, Throttled
from tasks.gateways.jira import JiraGateway, JiraThrottled, TicketRef, operation_label
from tests.serving import serving

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EMAIL = "runbooks@example.com"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now.timestamp()

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def site(clock: Clock) -> Site:
    return Site(clock=clock)


@pytest.fixture
def address(site: Site) -> Iterator[str]:
    with serving(jira_app(site)) as url:
        yield url


def gateway(address: str, email: str = EMAIL, token: str = TOKEN, project: str = "SEC") -> JiraGateway:
    return JiraGateway(address, email, token, project, "Task", timeout=5)


@pytest.fixture
def jira(address: str) -> JiraGateway:
    return gateway(address)


def opened(jira: JiraGateway, operation: str = "op-1") -> str:
    return jira.create("Patch i-0abc", "h2. Why", ["inspector"], operation).key


def test_a_ticket_is_opened_with_its_operation_as_label_and_property(
    jira: JiraGateway, site: Site, address: str
) -> None:
    ref = jira.create("Patch i-0abc", "h2. Why", ["inspector"], "op-1", priority="High")

    (issue,) = site.issues.values()
    assert ref == TicketRef(key="SEC-1", url=f"{address}/browse/SEC-1")
    assert (issue.key, issue.summary, issue.description) == ("SEC-1", "Patch i-0abc", "h2. Why")
    assert (issue.labels, issue.priority, issue.issue_type) == (["inspector", "runbooks-op-1"], "High", "Task")
    assert issue.properties == {"remediation-runbooks": {"operation": "op-1"}}


def test_search_lags_so_a_fresh_ticket_is_found_only_later(jira: JiraGateway, clock: Clock) -> None:
    key = opened(jira)

    assert jira.find("op-1", NOW) is None
    assert jira.describe(key).operation == "op-1"
    clock.advance(1)
    found = jira.find("op-1", NOW)
    assert found is not None
    assert found.key == key
    assert jira.find("op-10", NOW) is None


def test_a_lost_answer_is_told_and_find_recovers_the_ticket(jira: JiraGateway, site: Site, clock: Clock) -> None:
    site.faults.add("POST issue", "answer-lost")

    with pytest.raises(AnswerLost):
        opened(jira)

    clock.advance(1)
    found = jira.find("op-1", NOW)
    assert found is not None
    assert list(site.issues) == [found.key]


def test_a_clone_and_an_older_ledgers_ticket_are_not_mistaken_for_ours(
    jira: JiraGateway, site: Site, clock: Clock
) -> None:
    stale = opened(jira)
    clock.advance(3600)
    ours = opened(jira)
    clock.advance(60)
    clone = opened(jira)
    clock.advance(1)

    found = jira.find("op-1", NOW + timedelta(hours=1))

    assert (stale, clone) == ("SEC-1", "SEC-3")
    assert found is not None
    assert found.key == ours == "SEC-2"


@pytest.mark.parametrize("fault", ["server-error", "throttle"])
def test_a_refused_post_is_not_sent_again_by_the_client(jira: JiraGateway, site: Site, fault: str) -> None:
    site.faults.add("POST issue", fault, retry_after=7)

    with pytest.raises(Outside) as failed:
        opened(jira)

    assert type(failed.value) is (JiraThrottled if fault == "throttle" else AnswerLost)
    assert site.issues == {}
    assert site.faults.waiting == []


def test_throttling_keeps_the_seconds_jira_asked_for(jira: JiraGateway, site: Site) -> None:
    site.faults.add("GET myself", "throttle", retry_after=7)

    with pytest.raises(JiraThrottled) as asked:
        jira.identity()

    copy = pickle.loads(pickle.dumps(asked.value))
    assert issubclass(JiraThrottled, Throttled)
    assert [(e.retry_after, e.code) for e in (asked.value, copy)] == [(7.0, "throttled")] * 2


def test_a_silent_server_is_an_answer_lost_and_a_closed_door_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # takes the connection, never answers
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(AnswerLost):
            opened(JiraGateway(url, EMAIL, TOKEN, "SEC", "Task", timeout=0.5))

    with pytest.raises(Outside) as failed:
        opened(gateway(url))
    assert (type(failed.value), failed.value.code) == (Outside, "jira-unreachable")


def test_a_lost_reading_is_not_an_unknown_effect(jira: JiraGateway, site: Site) -> None:
    site.faults.add("GET myself", "answer-lost")
    site.faults.add("GET myself", "server-error")

    for _ in range(2):
        with pytest.raises(Outside) as failed:
            jira.identity()
        assert type(failed.value) is Outside


def test_texts_are_made_to_fit(jira: JiraGateway, site: Site) -> None:
    key = jira.create("one\r\ntwo " + "x" * 300, "y" * 40_000, [], "op-1").key
    jira.comment(key, "z" * 40_000, "op-2")

    issue = site.issues[key]
    assert (len(issue.summary), issue.summary[:8], issue.summary[-1]) == (255, "one two ", "…")
    assert len(issue.description) == 32_767
    assert issue.description.endswith("(Cut here: the whole text has 40,000 characters, more than Jira takes.)")
    assert len(issue.comments[0]["body"]) == 32_767
    assert jira.has_comment(key, "op-2")


def test_a_comment_is_written_once_for_its_operation(jira: JiraGateway, site: Site) -> None:
    key = opened(jira)
    jira.comment(key, "Patched.", "op-20")
    site.faults.add("POST issue/{key}/comment", "answer-lost")

    with pytest.raises(AnswerLost):
        jira.comment(key, "Contained.", "op-2")
    jira.comment(key, "Contained.", "op-2")

    assert [c["body"] for c in site.issues[key].comments] == [
        "Patched.\n\nRunbooks operation: runbooks-op-20",
        "Contained.\n\nRunbooks operation: runbooks-op-2",
    ]


def test_an_old_comment_is_found_behind_many_newer_ones(jira: JiraGateway, site: Site) -> None:
    key = opened(jira)
    jira.comment(key, "Contained.", "op-2")
    site.issues[key].comments += [{"id": str(n), "body": f"talk {n}"} for n in range(2, 130)]

    jira.comment(key, "Contained.", "op-2")

    assert len(site.issues[key].comments) == 129
    assert not jira.has_comment(key, "op-3")


def test_a_link_reads_from_the_first_ticket_and_is_made_once(jira: JiraGateway, site: Site) -> None:
    first, second = opened(jira, "op-1"), opened(jira, "op-2")

    jira.link(first, second, "Blocks")
    jira.link(first, second, "Blocks")

    assert [issue.links for issue in site.issues.values()] == [
        [{"type": "Blocks", "side": "outward", "key": second}],
        [{"type": "Blocks", "side": "inward", "key": first}],
    ]


def test_a_ticket_moves_by_name_and_being_there_is_an_answer(jira: JiraGateway, site: Site) -> None:
    key = opened(jira)

    jira.transition(key, "in progress")
    jira.transition(key, "In Progress")
    jira.transition(key, "Done")

    assert site.issues[key].status == jira.describe(key).status == "Done"


def test_a_step_the_workflow_does_not_have_is_refused_with_what_it_has(jira: JiraGateway, site: Site) -> None:
    key = opened(jira)

    with pytest.raises(Outside, match="SEC-1 is To Do and leads to In Progress, not to Done") as refused:
        jira.transition(key, "Done")

    assert refused.value.code == "jira-no-such-transition"
    assert site.issues[key].status == "To Do"


def test_describe_reads_a_ticket_as_it_stands(jira: JiraGateway, site: Site, address: str) -> None:
    key = opened(jira)
    site.issues[key].properties.clear()

    assert jira.describe(key).model_dump() == {
        "ref": {"key": "SEC-1", "url": f"{address}/browse/SEC-1"},
        "summary": "Patch i-0abc",
        "description": "h2. Why",
        "status": "To Do",
        "priority": "Medium",
        "labels": ("inspector", "runbooks-op-1"),
        "created": NOW,
        "operation": None,
    }


@pytest.mark.parametrize(
    ("changed", "error", "code", "said"),
    [
        ({"token": "wrong"}, AccessDenied, "access-denied", "must be authenticated"),
        ({"project": "NOPE"}, Outside, "jira-400", "valid project is required"),
    ],
)
def test_refusals_are_told_by_their_code_and_never_show_the_token(
    address: str, changed: dict[str, str], error: type[Outside], code: str, said: str
) -> None:
    with pytest.raises(error, match=said) as refused:
        opened(gateway(address, **changed))

    assert (type(refused.value), refused.value.code) == (error, code)
    assert "wrong" not in refused.value.detail


def test_a_ticket_that_is_not_there_is_told_by_its_code(jira: JiraGateway) -> None:
    with pytest.raises(Outside) as refused:
        jira.describe("SEC-99")

    assert refused.value.code == "jira-404"


def test_a_bearer_token_is_taken_for_data_center_whose_search_cloud_no_longer_answers(address: str) -> None:
    data_center = gateway(address, email="")

    assert data_center.identity() == "Remediation runbooks"
    with pytest.raises(Outside, match="has been removed") as refused:
        data_center.find("op-1", NOW)
    assert refused.value.code == "jira-410"


def test_building_the_client_calls_nobody(site: Site) -> None:
    assert JiraGateway("http://127.0.0.1:1", EMAIL, TOKEN, "SEC", "Task", timeout=1)._client is not None


def test_labels_are_safe_and_never_shared() -> None:
    ids = ["op-1", "OP-1", "op 1", "op_1", "case/7:plan", "a" * 300, "a" * 301]

    labels = [operation_label(each) for each in ids]

    assert labels[0] == "runbooks-op-1"
    assert len(set(labels)) == len(ids)
    assert all(len(label) <= 255 and label == label.lower() and " " not in label for label in labels)
