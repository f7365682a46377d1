"""What people are told of that belongs to no case: a kind that is new here, a resource that nobody scans."""

from __future__ import annotations

from runbooks.records import NoticeRaised
from runbooks.telling.escaping import plain, wiki, wiki_code
from runbooks.telling.layout import bullets, wiki_section
from runbooks.telling.messages import Message, note
from runbooks.telling.tickets import COMMON_LABEL, Ticket, jira_label, ticket

_TITLES = {
    "unknown-kind": "Something new has been delivered",
    "coverage-gap": "Inspector does not scan a resource",
}
_TO_DO = {
    "unknown-kind": (
        "Nothing acts on it: every delivery of the kind is kept, and this is the only notice of it.",
        "Update this system, or cover it by a runbook of your own.",
        "Then replay what was set aside: runbooks inbox replay --code unknown-kind",
    ),
    "coverage-gap": (
        "No case rests on its scans; what is vulnerable there is not found.",
        "Mend the reason, or exclude the resource on purpose. There is one ticket for each resource and reason.",
    ),
}
_FOR = {"unknown-kind": "security-operations", "coverage-gap": "platform-team"}


def notice_ticket(raised: NoticeRaised) -> Ticket:
    """The ticket, for those whose work it is."""
    delivery = f"Delivery {wiki_code(raised.delivery)}" if raised.delivery else ""
    return ticket(
        f"{_TITLES[raised.topic]}: {plain(raised.subject)}",
        (
            wiki(raised.detail),
            wiki_section("What to do", bullets(map(wiki, _TO_DO[raised.topic]), "#")),
            delivery,
        ),
        map(jira_label, (COMMON_LABEL, raised.topic, _FOR[raised.topic])),
        None,
    )


def notice_message(raised: NoticeRaised) -> Message:
    """The message, for the SOC's channel."""
    return note(f"⚠️ {_TITLES[raised.topic]}: {raised.subject}. {raised.detail}. {' '.join(_TO_DO[raised.topic])}")
