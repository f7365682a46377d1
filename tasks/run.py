"""One run of a response: its lease, kept alive while it works, and what its tasks need to know."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from runbooks.case import SYSTEM_STREAM, CaseKey
from runbooks.definition import Runbook
from runbooks.errors import LeaseLost, NotFound, Overtaken, Refused, RunbooksError
from runbooks.history import ResponseHistory
from runbooks.plan import Plan
from runbooks.records import Purpose, SetAsideRecord
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.ledger import CaseRow, Lease, ResponseRow
from tasks.halting import require_running
from tasks.journal import Journal
from tasks.services import Services, services

SHARED = ("security-group", "launch-template", "auto-scaling-group", "pipeline-stage", "repository", "service")
"""Types of targets that other responses may change at the same time: a plan holds a lease on each that it touches."""
TO_START = "start"
"""What a response waits for, in place of a phase, while another run holds what its own needs to begin."""


@dataclass
class Run:
    """A flow run that holds the lease of its response."""

    services: Services
    response: ResponseRow
    lease: Lease
    flow_run: str
    stopped: threading.Event = field(default_factory=threading.Event)

    @cached_property
    def runbook(self) -> Runbook:
        return self.services.catalog.named(self.response.runbook)

    @cached_property
    def cases(self) -> dict[str, CaseRow]:
        return {row.id: row for row in self.services.ledger.cases_of(self.response.cases)}

    @cached_property
    def keys(self) -> dict[str, CaseKey]:
        return {case: row.key for case, row in self.cases.items()}

    @cached_property
    def journal(self) -> Journal:
        return Journal(self.services.ledger, self.response.id, self.lease)

    @cached_property
    def aws(self) -> AwsSessions:
        """Sessions whose every acting call checks lease and kill switch immediately before it leaves."""
        chosen = self.services.settings
        # One partition has the accounts of a response: its cases share one.
        some = self.response.cases[:1]
        findings = (finding for each in self.services.ledger.findings_of(some).values() for finding in each)
        return AwsSessions(
            chosen.role_arn,
            next((finding.resource.partition for finding in findings), "aws"),
            session_name=self.response.id,
            external_id=chosen.external_id,
            guard=self._may_leave,
            pacing=self.services.pacing,
        )

    def _may_leave(self, operation: str) -> None:
        """Asked before each acting request: is this run still the one to act, and may anything be changed at all?"""
        self.services.ledger.check(self.lease)
        require_running(self.services)

    def hold(self, plan: Plan) -> None:
        """Take a lease on everything shared that the plan touches.

        Raises:
            LeaseLost: another response is at work on it (`lease-held`), or this run's own lease is lost.
        """
        shared = {str(step.target) for step in plan.steps if step.target.type in SHARED}
        if shared - set(self.lease.resources):
            chosen = self.services.settings
            self.lease = self.journal.lease = self.services.ledger.extend_lease(
                self.lease, shared, chosen.lease_seconds, settle_seconds=chosen.settle_seconds
            )

    def history(self) -> ResponseHistory:
        return self.journal.history()

    def now(self) -> datetime:
        return self.services.now()


_current: ContextVar[Run] = ContextVar("run")


def current() -> Run:
    """The run that this task belongs to."""
    return _current.get()


@contextmanager
def running(response: str, attempt: int, flow_run: str) -> Iterator[Run]:
    """Take the response over for this flow run, and keep its lease alive until the block ends.

    Args:
        attempt: the attempt this flow run was started for; 0 takes a new one (started by hand).

    Raises:
        LeaseLost: another run holds the response, or a later attempt has been started.
        NotFound: there is no such response.
    """
    have = services()
    row, lease = _take_over(have, response, attempt, flow_run)
    run = Run(services=have, response=row, lease=lease, flow_run=flow_run)
    renewal = threading.Thread(target=_keep_alive, args=(run,), name=f"lease of {response}", daemon=True)
    renewal.start()
    token = _current.set(run)
    try:
        yield run
    finally:
        _current.reset(token)
        run.stopped.set()
        renewal.join()


def _take_over(have: Services, response: str, attempt: int, flow_run: str) -> tuple[ResponseRow, Lease]:
    """The response as it was taken over: with all cases that had joined it by then, and with no other one after."""
    row = have.ledger.response(response)
    if row is None:
        raise NotFound(f"no response has the id {response!r}", code="no-such-response")
    chosen = attempt or have.ledger.next_attempt(response)
    while True:
        keys = [case.key for case in have.ledger.cases_of(row.cases)]
        # Two runbooks may hold cases on one instance: the lease is on the instance, not only on the response.
        resources = tuple(dict.fromkeys(f"{key.account}/{key.region}/{key.resource_id}" for key in keys))
        try:
            return row, have.ledger.take_over(
                response,
                chosen,
                flow_run,
                resources,
                have.settings.lease_seconds,
                settle_seconds=have.settings.settle_seconds,
                cases=row.cases,
            )
        except Overtaken:
            row = have.ledger.response(response) or row


def _keep_alive(run: Run) -> None:
    """Renew the lease three times in its life. When it is lost there is nothing to do here: every call checks it."""
    seconds = run.services.settings.lease_seconds
    while not run.stopped.wait(seconds / 3):
        try:
            run.services.ledger.renew(run.lease, seconds)
        except LeaseLost:
            return
        except RunbooksError:
            continue


def open_response(purpose: Purpose, text: str, flow_run: str | None = None, *, started_by: str = "prefect") -> str:
    """A new response for one case, started by hand; `text` is the case's id or its resource's.

    Args:
        started_by: for the record; Prefect does not know who started a run in its UI.
        flow_run: the run that opens it. Run again from its first line after an answer, it gets what it opened before.

    Raises:
        NotFound: no case, or more than one, goes by that name.
    """
    have = services()
    found = have.ledger.find_cases(text)
    if len(found) != 1:
        named = ", ".join(case.id for case in found) or "none"
        raise NotFound(f"{text!r} names {len(found)} cases ({named}); give the id of one", code="no-such-case")
    case = found[0]
    if case.response_id is not None:
        acting = have.ledger.response(case.response_id)
        if flow_run is not None and acting is not None and acting.flow_run == flow_run:
            return acting.id
        raise Refused(f"{case.id} is being acted on by {case.response_id}; wait for it to end", code="case-busy")
    return have.ledger.start_response(case.key.runbook, (case.id,), started_by, purpose=purpose).id


def not_now(response: str, attempt: int, lost: LeaseLost) -> None:
    """What becomes of a run without its lease.

    Where another run holds its instance, or the one before has not settled yet, the response waits a little. Where
    another run has taken the response over, this one is over, and that is written down: it may have been started again
    by hand, or by somebody who should not.
    """
    have = services()
    if lost.code != "lease-held":
        record = SetAsideRecord(delivery=None, code=lost.code, what=f"run {attempt} of {response}", reason=lost.detail)
        have.ledger.append(SYSTEM_STREAM, record)
        return
    row = have.ledger.response(response)
    if row is not None and row.status == "starting" and attempt in (0, row.attempt):
        until = have.now() + timedelta(seconds=have.settings.lease_seconds / 2)
        have.ledger.wait(response, TO_START, lost.detail, until)
