"""Asking Inspector about the open cases that nobody acts on: what it reports no more is ended, or looked at.

Their responses have ended without a proven fix: handed over in a ticket, refused by an approver, still contained. A
delivery may say that it is over by now, or none may ever come (EventBridge delivers by best effort). Neither word nor
silence decides anything: Inspector is asked at once where word has come, and else from time to time.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from runbooks.case import case_stream
from runbooks.chain import Entry
from runbooks.definition import Runbook
from runbooks.errors import Outside
from runbooks.finding import Finding, FindingStatus
from runbooks.records import Reconciled
from runbooks.verdict import VerdictKind
from tasks.containments import is_contained
from tasks.gateways.bulk import HUNDRED, portions
from tasks.gateways.ledger import CaseRow, ResponseRow
from tasks.services import Services
from tasks.sweeping.ending import Over, end_cases
from tasks.sweeping.swept import Swept
from tasks.triage import assessments_of
from tasks.verdicts import SWEEP, verdicts_on

ASKED_EVERY = timedelta(hours=6)
"""How long Inspector is not asked again about cases of which no word has come."""
OPEN_CASES = "open-cases/"
"""What the names of the streams begin with that hold what was asked; one for each account and region."""
OVER = (FindingStatus.CLOSED, FindingStatus.SUPPRESSED)
_ACCEPTED = "a suppression rule covers it, so its owner has accepted the risk"
_HANDED_OVER = "it was handed over in a ticket, and whether it is fixed was not looked at"

Place = tuple[str, str]


async def look_at_what_is_over(have: Services, now: datetime, swept: Swept) -> None:
    """Ask where word has come, or where it is time."""
    idle = have.ledger.idle_since()
    if not idle:
        return
    asked = {entry.stream: entry for entry in have.ledger.newest(OPEN_CASES, "reconciled")}
    told: dict[Place, datetime] = {}
    for row in have.ledger.over(runbook.name for runbook in have.catalog):
        told[_place(row)] = max(row.updated_at, told.get(_place(row), row.updated_at))
    for place, since in idle.items():
        if _is_due(have, asked.get(_stream(place)), since, told.get(place), now):
            await swept.guarded(f"open cases {'/'.join(place)}", _ask(have, place, now, swept))


def _is_due(have: Services, last: Entry | None, since: datetime, told: datetime | None, now: datetime) -> bool:
    """`since`: when the stillest of the cases was heard of; `told`: when word came that one of them is over."""
    if last is None:
        return told is not None or now - since >= ASKED_EVERY
    record = last.record()
    if isinstance(record, Reconciled) and record.trouble:
        return now - last.at >= timedelta(minutes=have.settings.reconcile_minutes)
    return (told is not None and told > last.at) or now - max(last.at, since) >= ASKED_EVERY


async def _ask(have: Services, place: Place, now: datetime, swept: Swept) -> None:
    known = {runbook.name: runbook for runbook in have.catalog}
    asked = _Asked()
    try:
        for some in portions(_idle(have, place, known), HUNDRED):
            asked.compare(have, place, some)
        _answer(have, known, asked.over, swept)
    except Outside as error:
        _note(have, place, now, asked, trouble=f"{error.code}: {error.detail}")
        raise
    _note(have, place, now, asked)


def _idle(have: Services, place: Place, known: Container[str]) -> list[CaseRow]:
    rows = [row for row in have.ledger.cases("open") if _place(row) == place and row.key.runbook in known]
    return [row for row in rows if row.response_id is None and row.last_response_id is not None]


@dataclass
class _Asked:
    """What came of asking."""

    over: list[Over] = field(default_factory=list[Over])
    listed: int = 0
    """Findings that Inspector reports still."""
    missed: int = 0
    """Findings that are over, and of which no delivery has said so."""

    def compare(self, have: Services, place: Place, rows: Sequence[CaseRow]) -> None:
        """Add what Inspector says of the findings of these cases."""
        heads = {row.id: have.ledger.head(case_stream(row.id)) for row in rows}
        seen = have.ledger.findings_of(heads)
        live = _live(have, place, seen.values())
        for row in rows:
            findings = tuple(live.get(each.arn) for each in seen[row.id])
            reported = sum(each is not None and each.status not in OVER for each in findings)
            self.listed += reported
            if not reported:
                self.over.append(Over(row, heads[row.id], findings))
                self.missed += sum(each.status == FindingStatus.ACTIVE for each in seen[row.id])


def _live(have: Services, place: Place, seen: Iterable[Sequence[Finding]]) -> Mapping[str, Finding | None]:
    from tasks.gateways.aws_session import AwsSessions
    from tasks.gateways.inspector import InspectorGateway, partition_of

    chosen, (account, region) = have.settings, place
    sessions = AwsSessions(
        chosen.role_arn, partition_of(region), session_name="open-cases", external_id=chosen.external_id
    )
    hints = {each.arn: each.vulnerability_id for some in seen for each in some if each.arn_is_valid}
    return InspectorGateway(sessions).findings(account, region, [*hints], hints)


def _answer(have: Services, known: Mapping[str, Runbook], over: Sequence[Over], swept: Swept) -> None:
    """End those in which nothing is left to prove or to put back, and have the evidence on the others gathered."""
    tickets = [each for each in over if known[each.row.key.runbook].playbook == "ticket"]
    ending = {each.row.id: each.because(_ACCEPTED if each.is_accepted else _HANDED_OVER) for each in tickets}
    looking: list[CaseRow] = []
    for last, members in _by_last_response([each for each in over if each.row.id not in ending]).items():
        response = have.ledger.response(last)
        if response is None:
            continue
        word = _LastWord(have, response, members)
        for each in members:
            if (why := word.end_of(each)) is not None:
                ending[each.row.id] = each.because(why)
            elif not word.is_judged(each):
                looking.append(each.row)
    end_cases(have, list(ending.values()), swept)
    _look(have, known, looking, swept)


def _by_last_response(over: Sequence[Over]) -> dict[str, list[Over]]:
    found: dict[str, list[Over]] = {}
    for each in over:
        found.setdefault(each.row.last_response_id or "", []).append(each)
    return found


class _LastWord:
    """What the last response on some cases has found."""

    def __init__(self, have: Services, response: ResponseRow, members: Sequence[Over]) -> None:
        cases = [each.row.id for each in members]
        self._is_contained = is_contained(have.ledger, response)
        self._verdicts = verdicts_on(have, response, None)
        self._seen = assessments_of(have.ledger, response.id, cases)

    def end_of(self, each: Over) -> str | None:
        """Why nothing is left to prove or to put back: an accepted risk, a resource that is gone. None where it is."""
        if self._is_contained:
            return None
        if each.is_accepted:
            return _ACCEPTED
        verdict = self._verdicts.get(each.row.id)
        is_gone = verdict is not None and bool(verdict.evidence) and all(one.gone for one in verdict.evidence)
        return "; ".join(verdict.reasons) if verdict is not None and is_gone else None

    def is_judged(self, each: Over) -> bool:
        """Whether it has been seen as it is now, or the fix is proven: then only a person can end it."""
        verdict, seen = self._verdicts.get(each.row.id), self._seen.get(each.row.id)
        is_seen = seen is not None and all(finding.status in OVER for finding in seen.facts.findings)
        return is_seen or (verdict is not None and verdict.kind is VerdictKind.FIXED)


def _look(have: Services, known: Mapping[str, Runbook], rows: Sequence[CaseRow], swept: Swept) -> None:
    """Closed is not fixed: the evidence says."""
    for name in dict.fromkeys(row.key.runbook for row in rows):
        cases = [row.id for row in rows if row.key.runbook == name]
        for some in portions(cases, known[name].limits.maximum_cases):
            swept.looked_again.append(have.ledger.start_response(name, some, SWEEP, purpose="verify").id)


def _note(have: Services, place: Place, now: datetime, asked: _Asked, trouble: str = "") -> None:
    account, region = place
    told = {"account": account, "region": region, "until": now, "trouble": trouble[:1000]}
    record = Reconciled.model_validate(told | {"listed": asked.listed, "missed": asked.missed})
    have.ledger.append(_stream(place), record)


def _stream(place: Place) -> str:
    return f"{OPEN_CASES}{'/'.join(place)}"


def _place(row: CaseRow) -> Place:
    return row.key.account, row.key.region
