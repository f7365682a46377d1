"""Settings are checked when a process starts, and what is wrong is named without its value."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from runbooks.errors import InvalidSetting
from tasks.settings import Settings, settings

ONLY_HERE = "http:// is for this machine only (127.0.0.1, ::1, localhost): a token goes there; use https://"


@pytest.mark.parametrize("name", ["RUNBOOKS_SLACK_URL", "RUNBOOKS_JIRA_SERVER", "RUNBOOKS_GITHUB_API"])
@pytest.mark.parametrize(
    "address",
    [
        "http://slack.example.com/api/",
        "http://10.0.0.7/",
        "http://127.0.0.1@example.com/",
        "http://localhost.example.com/",
        "http://[secret]/",
        "http://",
    ],
)
def test_a_token_does_not_travel_in_the_clear(monkeypatch: pytest.MonkeyPatch, name: str, address: str) -> None:
    monkeypatch.setenv(name, address)
    settings.cache_clear()
    with pytest.raises(InvalidSetting) as refused:
        settings()
    assert refused.value.detail == f"{name}: {ONLY_HERE}"


@pytest.mark.parametrize(
    "address",
    [
        "https://slack.example.com/api/",
        "http://127.0.0.1:5555/",
        "http://127.8.9.1/",
        "http://[::1]:5555/",
        "http://localhost/",
    ],
)
def test_a_sandbox_on_this_machine_and_https_are_taken(address: str) -> None:
    made = Settings(slack_url=address, jira_server=address, github_api=address)
    assert (made.slack_url, made.jira_server, made.github_api) == (address, address, address)


def test_the_ui_may_be_anywhere_for_no_token_goes_there() -> None:
    assert Settings(ui_url="http://prefect.internal:4200").ui_url == "http://prefect.internal:4200"
    with pytest.raises(ValidationError, match="must begin with http:// or https://"):
        Settings(ui_url="prefect.internal")


def test_every_mistake_is_named_in_our_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBOOKS_ROLE_ARN", "arn:aws:iam::1:role/one")
    monkeypatch.setenv("RUNBOOKS_UI_URL", "prefect")
    settings.cache_clear()
    with pytest.raises(InvalidSetting) as refused:
        settings()
    assert refused.value.detail == (
        "RUNBOOKS_ROLE_ARN: must contain {account} and {role}; RUNBOOKS_UI_URL: must begin with http:// or https://"
    )


@pytest.mark.parametrize(
    "url",
    [
        "https://sqs.eu-west-1.amazonaws.com/123456789012/findings",
        "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/findings.fifo",
        "http://127.0.0.1:5000/123456789012/findings",
        "",
    ],
)
def test_a_queue_is_named_by_its_address(url: str) -> None:
    assert Settings(queue_url=url).queue_url == url


@pytest.mark.parametrize(
    "url",
    [
        "arn:aws:sqs:eu-west-1:123456789012:findings",
        "https://sqs.eu-west-1.amazonaws.com/findings",
        "https://sqs.eu-west-1.amazonaws.com/1234/findings",
        "https://sqs.eu-west-1.amazonaws.com/123456789012/findings?Action=DeleteQueue",
        "https://user:secret@sqs.eu-west-1.amazonaws.com/123456789012/findings",
        "http://sqs.eu-west-1.amazonaws.com/123456789012/findings",
        "http://127.0.0.1.example.com/123456789012/findings",
    ],
)
def test_what_is_no_queue_of_ours_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("RUNBOOKS_QUEUE_URL", url)
    settings.cache_clear()
    with pytest.raises(InvalidSetting, match=r"^RUNBOOKS_QUEUE_URL: ") as refused:
        settings()
    assert url not in refused.value.detail


@pytest.mark.parametrize("seconds", [-1, 21])
def test_a_queue_is_waited_for_no_longer_than_it_allows(seconds: int) -> None:
    with pytest.raises(ValidationError):
        Settings(queue_wait_seconds=seconds)


def test_topics_and_regions_are_lists() -> None:
    one, two = "arn:aws:sns:eu-west-1:123456789012:findings", "arn:aws-cn:sns:cn-north-1:123456789012:findings.fifo"
    chosen = Settings(sns_topics=f" {one},{two} ,", inspector_regions="eu-west-1, us-east-1")
    assert (chosen.topics, chosen.regions) == ((one, two), ("eu-west-1", "us-east-1"))


@pytest.mark.parametrize("topic", ["findings", "arn:aws:sqs:eu-west-1:123456789012:findings", "arn:aws:sns:::findings"])
def test_what_is_no_topic_is_refused(topic: str) -> None:
    with pytest.raises(ValidationError, match="must be ARNs of topics"):
        Settings(sns_topics=f"arn:aws:sns:eu-west-1:123456789012:findings,{topic}")


@pytest.mark.parametrize(
    "address", ["", "unix:///run/buildkit/buildkitd.sock", "docker-container://buildkit", "tcp://b:1"]
)
def test_buildkit_is_where_copa_takes_it_to_be(address: str) -> None:
    assert Settings(buildkit_address=address).buildkit_address == address


@pytest.mark.parametrize("address", ["--push", "buildkitd", "tcp://b:1 --report=x"])
def test_what_copa_could_take_for_another_argument_is_refused(address: str) -> None:
    with pytest.raises(ValidationError):
        Settings(buildkit_address=address)
