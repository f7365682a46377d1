"""The sandbox's Jira, as the jira client and a person meet it over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from jira import JIRA, JIRAError

from deployments.sandbox.jira import jira_app
from deployments.sandbox.jira_site import TOKEN, Site
from tests.deployments.sandbox.conftest import PATIENCE_SECONDS
from tests.serving import serving

WIKI = """h2. Why <script>
* *known* exploit in {{openssl}}
# first

||Package||Fixed||
|openssl|[3.0.2|https://example.com/a]|
{code:bash}
apt-get <update>
{code}
See [https://example.com/plan] and [evil|javascript:alert(1)].
"""
LOGIN = ("runbooks@example.com", TOKEN)


class Clock:
    def __init__(self) -> None:
        self.now = 1_772_366_400.0  # 2026-03-01 12:00 UTC

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def site(clock: Clock) -> Site:
    return Site({"SEC": "Security", "OPS": "Operations"}, search_delay=2, clock=clock)


@pytest.fixture
def address(site: Site) -> Iterator[str]:
    with serving(jira_app(site)) as url:
        yield url


@pytest.fixture
def client(address: str) -> JIRA:
    return JIRA(address, basic_auth=LOGIN, max_retries=0, timeout=PATIENCE_SECONDS)


def fields(summary: str = "Patch", project: str = "SEC", **more: Any) -> dict[str, Any]:
    return {"project": {"key": project}, "issuetype": {"name": "Task"}, "summary": summary, **more}


def test_the_client_takes_it_for_a_cloud_site(client: JIRA) -> None:
    assert client._is_cloud
    assert client.myself()["emailAddress"] == "runbooks@example.com"
    assert [(p.key, p.name) for p in client.projects()] == [("SEC", "Security"), ("OPS", "Operations")]
    assert client.project("OPS").name == "Operations"
    (offered,) = client.createmeta(projectKeys="SEC")["projects"]
    assert [each["name"] for each in offered["issuetypes"]] == ["Task", "Bug", "Story"]
    assert [each.name for each in client.issue_types()] == ["Task", "Bug", "Story"]
    assert [each.name for each in client.priorities()] == ["Highest", "High", "Medium", "Low", "Lowest"]


def test_a_new_issue_is_read_by_key_at_once_and_found_by_search_later(client: JIRA, clock: Clock) -> None:
    key = client.create_issue(fields(labels=["op-1"])).key

    assert client.issue(key).fields.summary == "Patch"
    assert client.enhanced_search_issues('labels = "op-1"') == []
    clock.now += 1.9
    assert client.enhanced_search_issues('labels = "op-1"') == []
    clock.now += 0.1
    assert [issue.key for issue in client.enhanced_search_issues('labels = "op-1"')] == [key]


def test_search_understands_the_subset_and_refuses_the_rest(client: JIRA, clock: Clock) -> None:
    for project, label in (("SEC", "a"), ("OPS", "a"), ("SEC", "b"), ("SEC", "a")):
        client.create_issue(fields(project=project, labels=[label, "AND more".replace(" ", "-")]), prefetch=False)
        clock.now += 10
    client.transition_issue("SEC-3", "In Progress")

    def keys(jql: str) -> list[str]:
        return [issue.key for issue in client.enhanced_search_issues(jql, maxResults=0)]

    assert keys('project = SEC AND labels = "a" ORDER BY created') == ["SEC-3", "SEC-1"]
    assert keys('project = "SEC" and labels = a order by created asc') == ["SEC-1", "SEC-3"]
    assert keys('key = "OPS-1"') == ["OPS-1"]
    assert keys('status = "In Progress" AND labels = A') == ["SEC-3"]
    for jql, said in (("", "Unbounded"), ("labels ~ a", "not understood"), ("assignee = me", "not understood")):
        with pytest.raises(JIRAError, match=said) as refused:
            client.enhanced_search_issues(jql)
        assert refused.value.status_code == 400


def test_search_comes_in_pages_by_token_and_shows_only_what_was_asked_for(
    client: JIRA, address: str, clock: Clock
) -> None:
    for number in range(5):
        client.create_issue(fields(str(number)), prefetch=False)
    clock.now += 2

    def page(**asked: Any) -> dict[str, Any]:
        jql = {"jql": "project = SEC ORDER BY created ASC", "maxResults": 2}
        return httpx.get(address + "/rest/api/3/search/jql", params=jql | asked, auth=LOGIN).json()

    first = page(fields="summary")
    second = page(fields="summary", nextPageToken=first["nextPageToken"])
    third = page(nextPageToken=second["nextPageToken"])

    assert [issue["fields"] for issue in first["issues"]] == [{"summary": "0"}, {"summary": "1"}]
    assert [issue["key"] for issue in second["issues"]] == ["SEC-3", "SEC-4"]
    assert third == {"issues": [{"id": "10004"}], "isLast": True}


def test_the_old_search_is_gone(address: str) -> None:
    for version in ("2", "3"):
        answer = httpx.get(f"{address}/rest/api/{version}/search", params={"jql": "project = SEC"}, auth=LOGIN)
        assert answer.status_code == 410
        assert "has been removed" in answer.json()["errorMessages"][0]


def test_refusals_have_jiras_shape(client: JIRA, address: str, site: Site) -> None:
    def told(verb: str, path: str, body: dict[str, Any] | None = None, auth: Any = LOGIN) -> tuple[int, Any]:
        answer = httpx.request(verb, f"{address}/rest/api/2/{path}", json=body, auth=auth)
        assert set(answer.json()) == {"errorMessages", "errors"}
        return answer.status_code, sorted(answer.json()["errors"]) or answer.json()["errorMessages"][0][:12]

    wrong = fields("two\nlines", "NOPE", labels=["a b"], priority={"name": "Huge"}, description="x" * 32_768)
    assert told("POST", "issue", {"fields": wrong | {"issuetype": {"name": "Epos"}}}) == (
        400,
        ["description", "issuetype", "labels", "priority", "project", "summary"],
    )
    assert told("POST", "issue", {"fields": fields("")}) == (400, ["summary"])
    assert told("POST", "issue", {"fields": fields("x" * 256)}) == (400, ["summary"])
    assert told("GET", "issue/SEC-9") == (404, "Issue does n")
    assert told("GET", "project/NOPE") == (404, "No project c")
    assert told("GET", "myself", auth=("runbooks@example.com", "wrong")) == (401, "Client must ")
    assert told("GET", "myself", auth=None) == (401, "Client must ")
    assert site.issues == {}
    key = client.create_issue(fields("x" * 255)).key
    assert told("POST", f"issue/{key}/comment", {"body": ""}) == (400, ["comment"])
    assert told("POST", f"issue/{key}/transitions", {"transition": {"id": "31"}}) == (400, "It seems tha")
    assert told("GET", f"issue/{key}/properties/none") == (404, "The property")


def test_version_3_takes_documents_and_version_2_takes_strings(address: str, site: Site) -> None:
    document = {"type": "doc", "version": 1, "content": []}

    def status(version: str, description: Any) -> int:
        body = {"fields": fields(description=description)}
        return httpx.post(f"{address}/rest/api/{version}/issue", json=body, auth=LOGIN).status_code

    assert [status("2", "h1. Text"), status("2", document), status("3", "h1. Text"), status("3", document)] == [
        201,
        400,
        400,
        201,
    ]
    assert [issue.description for issue in site.issues.values()] == ["h1. Text", document]


def test_an_issue_lives_through_edits_comments_properties_links_and_the_workflow(client: JIRA, site: Site) -> None:
    issue, other = client.create_issue(fields(labels=["a"])), client.create_issue(fields("Other"))

    issue.update(summary="Patched", priority={"name": "High"})
    issue.add_field_value("labels", "b")
    client.add_comment(issue, "one")
    client.add_comment(issue, "two")
    client.add_issue_property(issue.key, "runbooks", {"operation": "op-1"})
    client.create_issue_link("Blocks", issue.key, other.key)
    with pytest.warns(Warning, match="applicationlinks"):
        client.add_remote_link(issue.key, {"url": "https://example.com/1", "title": "Case"}, globalId="case-1")
    with pytest.warns(Warning, match="applicationlinks"):
        client.add_remote_link(issue.key, {"url": "https://example.com/2", "title": "Case"}, globalId="case-1")
    client.transition_issue(issue, "In Progress")

    seen = client.issue(issue.key)
    assert (seen.fields.summary, seen.fields.priority.name, seen.fields.labels) == ("Patched", "High", ["a", "b"])
    assert [c.body for c in client.comments(issue.key, order_by="-created")] == ["two", "one"]
    assert [(p.key, p.value.operation) for p in client.issue_properties(issue.key)] == [("runbooks", "op-1")]
    assert [(link.type.outward, link.outwardIssue.key) for link in seen.fields.issuelinks] == [("blocks", other.key)]
    assert [link.object.url for link in client.remote_links(issue.key)] == ["https://example.com/2"]
    assert seen.fields.status.name == "In Progress"
    assert [step["name"] for step in client.transitions(issue.key)] == ["To Do", "Done"]
    assert site.issues[other.key].links == [{"type": "Blocks", "side": "inward", "key": issue.key}]


def test_many_threads_at_once_never_share_a_key(client: JIRA, site: Site) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda n: client.create_issue(fields(str(n)), prefetch=False).key, range(30)))

    assert sorted(keys) == sorted(site.issues) == sorted(f"SEC-{n}" for n in range(1, 31))


def test_faults_are_asked_for_by_call_and_used_up(address: str, site: Site) -> None:
    def post() -> httpx.Response:
        return httpx.post(address + "/rest/api/2/issue", json={"fields": fields()}, auth=LOGIN)

    for kind in ("throttle", "server-error", "answer-lost"):
        wanted = {"method": "POST issue", "kind": kind, "times": 1, "retry_after": 9}
        assert httpx.post(address + "/sandbox/faults", json=wanted).status_code == 200

    throttled, failed = post(), post()
    assert (throttled.status_code, throttled.headers["Retry-After"], failed.status_code) == (429, "9", 500)
    assert site.issues == {}
    with pytest.raises(httpx.RemoteProtocolError):
        post()
    assert list(site.issues) == ["SEC-1"]
    assert post().status_code == 201


def test_people_see_a_board_and_tickets_and_nothing_can_be_smuggled_in(client: JIRA, address: str) -> None:
    issue, other = client.create_issue(fields("<b>Patch</b>", description=WIKI)), client.create_issue(fields("Other"))
    client.add_comment(issue, "_Contained._")
    client.create_issue_link("Blocks", issue.key, other.key)
    client.transition_issue(other, "In Progress")

    board, page = httpx.get(address + "/").text, httpx.get(f"{address}/browse/{issue.key}")

    assert ["To Do · 1" in board, "In Progress · 1" in board, "Done · 0" in board] == [True, True, True]
    assert "&lt;b&gt;Patch&lt;/b&gt;" in board
    for shown in (
        "<h2>Why &lt;script&gt;</h2>",
        "<ul><li><b>known</b> exploit in <code>openssl</code></li></ul><ol><li>first</li></ol>",
        "<table><tr><th>Package</th><th>Fixed</th></tr><tr><td>openssl</td>",
        '<td><a href="https://example.com/a">3.0.2</a></td></tr></table>',
        "<pre>apt-get &lt;update&gt;\n</pre>",
        '<a href="https://example.com/plan">https://example.com/plan</a>',
        "<i>Contained.</i>",
        f'<dt>blocks</dt><dd><a href="/browse/{other.key}">{other.key}</a></dd>',
    ):
        assert shown in page.text
    assert "<script" not in page.text
    assert 'href="javascript' not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert "is blocked by" in httpx.get(f"{address}/browse/{other.key}").text
    assert httpx.get(address + "/browse/SEC-99").status_code == 404
    assert [each["key"] for each in httpx.get(address + "/sandbox/issues").json()] == ["SEC-1", "SEC-2"]
