"""Where an attack takes place: an instance that is to be contained, a plan for it, and everyone who may say yes.

The world is furnished once for all attacks, for none of them changes anything in it; each has a ledger of its own.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from deployments.receiver import create_app
from runbooks.approval import Submission, form_submission
from runbooks.case import APPROVERS_STREAM, HALT_STREAM, SYSTEM_STREAM, response_stream
from runbooks.chain import Entry
from runbooks.errors import LeaseLost, NotApproved
from runbooks.plan import ApprovalRule, Phase, Plan
from runbooks.records import AnswerGiven, ApprovalAsked, ApproverAdded, Record, SetAsideRecord, Waiting
from runbooks.signing import Signer
from tasks import halting
from tasks.answering import Answered, submit
from tasks.authority import trust_now
from tasks.executor import Executor
from tasks.gateways.actions import actions
from tasks.gateways.ledger import Lease, Ledger
from tasks.journal import Journal
from tasks.program import code_digest
from tasks.run import Run, not_now
from tasks.services import Services, use
from tasks.settings import Settings
from tests.runbooks.signatures import JANE, JOE, SIGNER, added, code_of, made, signed
from tests.serving import serving
from tests.tasks.contained import OTHER
from tests.tasks.gateways.aws_world import INSTANCE, an_event
from tests.tasks.gateways.ledger.samples import Clock
from tests.tasks.harness import House

SLACK_SECRET = "what Slack signs with"
TEAM = "T0EXAMPLE"
SLACK_IDS = {JANE: "U0JANE", JOE: "U0JOE"}
LOGIN = "jdoe"
"""Under which Jane starts responses from a terminal."""
EVE = "eve@corp.example"
LEASE_SECONDS = 30.0


def everyone() -> tuple[ApproverAdded, ...]:
    """Jane and Joe, who may approve everything everywhere."""
    return (
        added(JANE, logins=(LOGIN,), slack_user=SLACK_IDS[JANE], slack_team=TEAM),
        added(JOE, slack_user=SLACK_IDS[JOE], slack_team=TEAM),
    )


@dataclass
class Stage:
    """The furnished world, with the ledger as it is before anybody responds, and the plan that a response makes."""

    house: House
    file: Path
    plan: Plan
    cases: tuple[str, str]

    @classmethod
    def build(cls, house: House, folder: Path) -> Stage:
        house.furnish(an_event())
        house.furnish(an_event(OTHER, number=2))
        (mine,), (others,) = house.ledger.find_cases(INSTANCE), house.ledger.find_cases(OTHER)
        file = folder / "before.db"
        with (
            closing(sqlite3.connect(str(house.ledger._database.url.database))) as now,
            closing(sqlite3.connect(file)) as kept,
        ):
            now.backup(kept)
        house.response = house.ledger.start_response(house.runbook.name, [mine.id], "webhook").id
        return cls(house, file, house.take_over().plan(Phase.CONTAIN), (mine.id, others.id))


@dataclass
class Scene:
    """One response that is asked about, and what an attacker can reach of it."""

    stage: Stage
    ledger: Ledger
    have: Services
    clock: Clock
    plan: Plan
    """What is to be carried out in the end."""
    other: Plan
    """Of another response, asked about too."""
    run: Lease | None = None
    """A run that has the lease already; None: a new one takes over."""

    @classmethod
    @contextmanager
    def set(
        cls,
        stage: Stage,
        folder: Path,
        *,
        rule: Mapping[str, Any],
        people: Sequence[ApproverAdded],
        started_by: str,
        asked: bool,
        code: str,
    ) -> Iterator[Scene]:
        """The scene, up to the question.

        Args:
            rule: what is particular about who has to say yes.
            asked: whether anybody was asked about the plan.
            code: digest of the program that made the plan; empty: this one.
        """
        file = folder / "ledger.db"
        shutil.copy(stage.file, file)
        clock = Clock(stage.house.now())
        ledger = Ledger.open(f"sqlite:///{file}", clock=clock, sign=SIGNER.signed)
        have = Services(Settings(slack_signing_secret=SecretStr(SLACK_SECRET)))
        vars(have).update(ledger=ledger, signer=SIGNER, now=clock)
        behind = len(ledger.entries(APPROVERS_STREAM))
        ledger.append(APPROVERS_STREAM, *signed(*people, behind=behind))
        runbook, (mine, others) = stage.house.runbook.name, stage.cases
        update = {"approval": ApprovalRule(**rule), "code": code or code_digest()}
        plan = stage.plan.model_copy(update={**update, "response": _started(ledger, runbook, mine, started_by)})
        elsewhere = {"response": _started(ledger, runbook, others, "webhook"), "cases": (others,)}
        scene = cls(stage, ledger, have, clock, plan, plan.model_copy(update=elsewhere))
        for each in (plan, scene.other):
            scene.write(made(each))
            if asked:
                scene.ask(each)
        stage.house.sandbox.cloud.record.clear()
        try:
            yield scene
        finally:
            ledger.close()

    # --- what happens by itself --------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        return self.clock.now

    def wait(self, minutes: float) -> None:
        self.clock.now += timedelta(minutes=minutes)

    def ask(self, plan: Plan | None = None, attempt: int = 1) -> None:
        """Everyone is asked about the plan."""
        plan = plan or self.plan
        until = self.now + timedelta(minutes=plan.approval.expires_minutes)
        asked = ApprovalAsked(digest=plan.digest, attempt=attempt, expires_at=until, act_until=until, flow_run="run")
        self.ledger.ask(plan.response, asked)

    def approve(self, *names: str, plan: Plan | None = None) -> None:
        """Honestly, with codes of their own."""
        answers = [self.answer(name, plan=plan) for name in names or (JANE,)]
        said = answers[-1]
        assert said.decision is not None, said.answer.reason
        assert said.decision.answer == "approved"

    def take_over(self) -> Lease:
        """A new run begins to act on the response."""
        response = self.plan.response
        attempt = self.ledger.next_attempt(response)
        return self.ledger.take_over(response, attempt, f"run-{attempt}", (), LEASE_SECONDS)

    def act(self) -> str:
        """A run carries the plan out, as its flow does. Why it did not, as a code; `acted` where nothing kept it."""
        lease = self.run or self.take_over()
        journal = Journal(self.ledger, self.plan.response, lease)
        row = self.ledger.response(self.plan.response)
        assert row is not None
        house = self.stage.house
        house.sessions.guard = Run(services=self.have, response=row, lease=lease, flow_run="run")._may_leave
        halt = halting.halted(self.have)
        why = halting.words(halt) if halt else None
        trust, limits = trust_now(self.have), house.runbook.limits
        executor = Executor(journal, actions(house.sessions), self.now, trust, limits=limits, halted=why)
        try:
            progress = executor.carry_out(self.plan, next(self.plan.stages()))
        except NotApproved as refused:
            return refused.code
        except LeaseLost as lost:
            with use(self.have):
                not_now(self.plan.response, lease.attempt, lost)
            return lost.code
        if progress.held is not None:
            self.ledger.wait(self.plan.response, progress.held, progress.waiting or "", self.now, lease=lease)
        return progress.held or "acted"

    # --- what an attacker does ---------------------------------------------------------------------------------------

    def answer(
        self, name: str = JANE, *, code: str | None = None, plan: Plan | None = None, **changes: Any
    ) -> Answered:
        """A yes that is handed in; right in everything that is not changed."""
        about = plan or self.plan
        known = code_of(name.lower(), self.now) if code is None and name.lower() in SLACK_IDS else code
        values: dict[str, Any] = {
            "response": about.response,
            "digest": about.digest,
            "says": "approve",
            "claimed": name,
            "code": SecretStr(known) if known else None,
            "channel": "command",
            "submitted_at": self.now,
        }
        return submit(self.have, Submission(**(values | changes)))

    def fill_in(self, attempt: int = 1, /, **given: Any) -> Answered:
        """Anything at all, as what came with the form."""
        request = f"{self.plan.digest}-{attempt}"
        return submit(self.have, form_submission(self.plan, attempt, given, self.now, request))

    def write(self, *records: Record, stream: str | None = None) -> None:
        """Entries behind the end of a stream, with hashes and head as they should be."""
        for record in records:
            about = getattr(getattr(record, "plan", None), "response", self.plan.response)
            self.ledger.append(stream or response_stream(about), record)

    def records(self, kind: type[Any], plan: Plan | None = None) -> list[Any]:
        """The response's records of a kind."""
        entries = self.ledger.entries(response_stream((plan or self.plan).response))
        return [record for entry in entries if isinstance(record := entry.record(), kind)]

    def replace_key(self, signer: Signer) -> None:
        vars(self.have)["signer"] = signer

    @contextmanager
    def receiver(self) -> Iterator[str]:
        """The address of Slack's door, at a receiver that has just been started."""
        with serving(create_app(self.ledger, "key", have=self.have)) as url:
            yield f"{url}/slack/interactions"

    # --- what is left of it ------------------------------------------------------------------------------------------

    @cached_property
    def _streams(self) -> tuple[str, ...]:
        return (response_stream(self.plan.response), response_stream(self.other.response), SYSTEM_STREAM, HALT_STREAM)

    def told(self) -> list[str]:
        """Every entry that tells of a refusal, in a few words; of the others the kind."""
        return [words(entry) for stream in self._streams for entry in self.ledger.entries(stream)]

    def changes(self) -> list[str]:
        """Everything that was changed in the world."""
        return self.stage.house.mutating_calls()


def _started(ledger: Ledger, runbook: str, case: str, by: str) -> str:
    return ledger.start_response(runbook, [case], by).id


def words(entry: Entry) -> str:
    """What kind of entry it is, and why something was refused, where it says so."""
    match entry.record():
        case AnswerGiven(code=code) | SetAsideRecord(code=code):
            return f"{entry.kind}: {code}"
        case Waiting(phase=phase):
            return f"{entry.kind}: {phase}"
        case _:
            return entry.kind
