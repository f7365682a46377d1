"""What the ledger holds: one typed record for each thing that happened. A record is never changed, only followed."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, TypeAdapter

from runbooks.records.of_approvers import (
    ApproverAdded,
    ApproverRevoked,
    ApproverUnlocked,
    CodeTried,
)
from runbooks.records.of_cases import (
    CaseClosed,
    CaseOpened,
    CaseSuccessors,
    CaseTriaged,
    CaseVerdict,
    CoverageLost,
    FindingSeen,
    Recurred,
)
from runbooks.records.of_gates import GateJudged, GateWaiting
from runbooks.records.of_responses import (
    Admitted,
    AnswerGiven,
    ApprovalAsked,
    CandidateExamined,
    CasesJoined,
    Channel,
    Decision,
    Intent,
    Outcome,
    PhaseEnded,
    PlanMade,
    Purpose,
    Reminded,
    ResponseEnded,
    ResponseStarted,
    RunStarted,
    Waiting,
    WaveEnded,
    WavesSteered,
)
from runbooks.records.of_the_system import (
    CoverageAsked,
    CoverageReported,
    Halted,
    Missed,
    NoticeGiven,
    NoticeRaised,
    Reconciled,
    Replayed,
    Restarted,
    Resumed,
    SetAsideRecord,
)

__all__ = [
    "Admitted",
    "AnswerGiven",
    "ApprovalAsked",
    "ApproverAdded",
    "ApproverRevoked",
    "ApproverUnlocked",
    "CandidateExamined",
    "CaseClosed",
    "CaseOpened",
    "CaseSuccessors",
    "CaseTriaged",
    "CaseVerdict",
    "CasesJoined",
    "Channel",
    "CodeTried",
    "CoverageAsked",
    "CoverageLost",
    "CoverageReported",
    "Decision",
    "FindingSeen",
    "GateJudged",
    "GateWaiting",
    "Halted",
    "Intent",
    "Missed",
    "NoticeGiven",
    "NoticeRaised",
    "Outcome",
    "PhaseEnded",
    "PlanMade",
    "Purpose",
    "Reconciled",
    "Record",
    "Recurred",
    "Reminded",
    "Replayed",
    "ResponseEnded",
    "ResponseStarted",
    "Restarted",
    "Resumed",
    "RunStarted",
    "SetAsideRecord",
    "Waiting",
    "WaveEnded",
    "WavesSteered",
    "record_adapter",
]

Record = Annotated[
    CaseOpened
    | FindingSeen
    | CaseTriaged
    | CaseVerdict
    | CaseSuccessors
    | CaseClosed
    | CoverageLost
    | Recurred
    | ResponseStarted
    | CasesJoined
    | RunStarted
    | PlanMade
    | ApprovalAsked
    | Reminded
    | AnswerGiven
    | Decision
    | Admitted
    | Intent
    | Outcome
    | Waiting
    | WaveEnded
    | WavesSteered
    | CandidateExamined
    | PhaseEnded
    | ResponseEnded
    | SetAsideRecord
    | Restarted
    | Missed
    | Reconciled
    | Replayed
    | NoticeRaised
    | NoticeGiven
    | CoverageReported
    | CoverageAsked
    | Halted
    | Resumed
    | ApproverAdded
    | ApproverRevoked
    | ApproverUnlocked
    | CodeTried
    | GateJudged
    | GateWaiting,
    Field(discriminator="kind"),
]

record_adapter: TypeAdapter[Record] = TypeAdapter(Record)
