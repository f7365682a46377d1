"""A post-mortem as values: what is told of an incident, before it is told in some markup.

Text that came from people stands alone in its field (`who`, `said`, `comment`), so that each markup can set it apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from runbooks.case import CaseKey
from runbooks.definition import Runbook
from runbooks.finding import Finding
from runbooks.history import Dated, ResponseHistory
from runbooks.model import Model
from runbooks.triage import Assessment
from runbooks.verdict import Verdict

MomentKind = Literal["found", "decided", "asked", "changed", "failed", "waited", "proven", "ended"]
SpanKind = Literal["approval", "contain", "rebuild", "test", "remediate", "verify", "release", "deprecate"]


class Moment(Model):
    """One line of the timeline."""

    at: datetime
    until: datetime | None = None
    """When it was over, for what took time."""
    what: str
    kind: MomentKind
    who: str = ""
    said: str = ""


class Duration(Model):
    """How long one part took; `value` is None where a beginning or an end is not known, and `words` say so."""

    name: str
    value: timedelta | None
    words: str


class Span(Model):
    """A bar of the picture."""

    name: str
    kind: SpanKind
    start: datetime
    end: datetime


class Vulnerability(Model):
    id: str
    severity: str
    score: float | None
    source_url: str | None


class Change(Model):
    """One step that was taken, and what has become of it."""

    what: str
    phase: str
    result: str
    remains: str
    """Whether it was put back, or stays and why."""
    in_place: bool
    """Whether the change is still there."""


class Answer(Model):
    """One answer to one question, accepted or not."""

    at: datetime | None
    plan: str
    answer: str
    who: str
    channel: str
    digest: str
    comment: str
    reason: str


class PostMortem(Model):
    """Everything a post-mortem says; `post_mortem_markdown` and `post_mortem_ticket` render it."""

    response: str
    runbook: str
    runbook_title: str
    result: str
    summary: str
    resources: tuple[str, ...]
    vulnerabilities: tuple[Vulnerability, ...]
    timeline: tuple[Moment, ...]
    spans: tuple[Span, ...]
    durations: tuple[Duration, ...]
    root_cause: tuple[str, ...]
    changes: tuple[Change, ...]
    answers: tuple[Answer, ...]
    evidence: tuple[str, ...]
    stays_open: tuple[str, ...]
    prevention: tuple[str, ...]


@dataclass(frozen=True)
class Material:
    """All that a post-mortem is written from."""

    history: ResponseHistory
    keys: Mapping[str, CaseKey]
    findings: Mapping[str, tuple[Finding, ...]]
    assessments: Sequence[Assessment]
    verdicts: Sequence[Verdict]
    runbook: Runbook
    entries: tuple[Dated, ...]
    """The response's entries and those of its cases, in order of time."""

    @property
    def every_finding(self) -> tuple[Finding, ...]:
        return tuple(finding for each in self.findings.values() for finding in each)
