"""The post-mortem in markdown, for the Prefect artifact and a file."""

from __future__ import annotations

from collections.abc import Sequence

from runbooks.telling.chart import data_address, timeline_svg
from runbooks.telling.escaping import code, markdown, markdown_link
from runbooks.telling.incident import Answer, Moment, PostMortem, Vulnerability
from runbooks.telling.layout import blocks, bullets, section, table
from runbooks.telling.words import duration, sentence
from runbooks.timestamps import moment


def post_mortem_markdown(pm: PostMortem) -> str:
    """What matters first: the result, what is open, what was changed; then the timeline, as a picture and in full."""
    return blocks(
        f"# Post-mortem: {markdown(pm.runbook_title)}",
        f"**Result: {markdown(pm.result.replace('-', ' '))}.** {markdown(pm.summary)}",
        section("What stays open", bullets(map(markdown, pm.stays_open)) or "Nothing.", level=2),
        section("What it was about", _about(pm), level=2),
        section("How long it took", table(("Part", "Time"), _durations(pm)), level=2),
        section("Root cause", bullets(map(markdown, pm.root_cause)), level=2),
        section("What was changed", _changes(pm), level=2),
        section("Who allowed what", _answers(pm), level=2),
        section("What proves it", bullets(map(markdown, pm.evidence)) or "There is no verdict.", level=2),
        section("What would prevent it", bullets(map(markdown, pm.prevention)), level=2),
        section("Timeline", _timeline(pm), level=2),
    )


def _about(pm: PostMortem) -> str:
    where = bullets(map(markdown, pm.resources))
    header = ("Vulnerability", "Severity", "Score")
    named = f"Response {code(pm.response)}, runbook {code(pm.runbook)}."
    return blocks(table(header, map(_vulnerability, pm.vulnerabilities)), where, named).rstrip("\n")


def _vulnerability(each: Vulnerability) -> Sequence[str]:
    rated = "not scored" if each.score is None else f"{each.score:g}"
    return markdown_link(each.id, each.source_url), markdown(each.severity), rated


def _durations(pm: PostMortem) -> list[tuple[str, str]]:
    return [(markdown(each.name), markdown(each.words)) for each in pm.durations]


def _changes(pm: PostMortem) -> str:
    rows = [
        (markdown(each.phase), markdown(each.what), markdown(each.result), markdown(sentence(each.remains)))
        for each in pm.changes
    ]
    return table(("Phase", "What was done", "Result", "What has become of it"), rows) or "Nothing was changed."


def _answers(pm: PostMortem) -> str:
    header = ("When", "Plan", "Answer", "Who", "Through", "Comment", "Reason", "Plan digest")
    return table(header, map(_answer, pm.answers)) or "Nobody was asked."


def _answer(each: Answer) -> Sequence[str]:
    return (
        moment(each.at) if each.at else "",
        markdown(each.plan),
        markdown(sentence(each.answer)),
        code(each.who),
        markdown(each.channel),
        code(each.comment),
        markdown(each.reason),
        code(each.digest),
    )


def _timeline(pm: PostMortem) -> str:
    picture = f"![Timeline of the response]({data_address(timeline_svg(pm))})"
    return blocks(picture, table(("When", "What happened", "Took"), map(_moment, pm.timeline))).rstrip("\n")


def _moment(each: Moment) -> Sequence[str]:
    by = f" by {code(each.who)}" if each.who else ""
    said = f", saying {code(each.said)}" if each.said else ""
    took = duration(each.until - each.at) if each.until else ""
    return moment(each.at), f"{markdown(each.what)}{by}{said}", took
