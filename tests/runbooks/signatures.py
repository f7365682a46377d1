"""A signing key, two approvers registered under it, and their codes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pyotp.totp import TOTP

from runbooks.approvers import Approver
from runbooks.case import APPROVERS_STREAM, response_stream
from runbooks.chain import GENESIS, Entry, seal
from runbooks.plan import Plan
from runbooks.records import AnswerGiven, ApproverAdded, Decision, PlanMade
from runbooks.registry import Registry, RegistryRecord
from runbooks.signing import Signer
from tests.runbooks.builders import RECEIVED

SIGNER = Signer(b"a signing key of thirty-two byte")
JANE, JOE = "jane@corp.example", "joe@corp.example"
SECRETS = {JANE: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", JOE: "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"}
TEAM = "T0EXAMPLE"


def an_approver(name: str = JANE, **changes: Any) -> Approver:
    secret = SECRETS.get(name, "KRSXG5CTMVRXEZLUKRSXG5CTMVRXEZLU")
    values: dict[str, Any] = {"name": name, "grants": ("*@*",), "secret": SIGNER.conceal(secret)}
    return Approver(**(values | changes))


def added(name: str = JANE, **changes: Any) -> ApproverAdded:
    return ApproverAdded(approver=an_approver(name, **changes), by="root")


def signed(*records: RegistryRecord, behind: int = 0) -> tuple[RegistryRecord, ...]:
    """The records as they are written behind so many others."""
    return Registry(head=behind).signed_next(SIGNER, *records)


def entries(*records: RegistryRecord) -> tuple[Entry, ...]:
    """The approvers' stream with these records, written as they are."""
    made: list[Entry] = []
    for number, record in enumerate(records, 1):
        previous = made[-1].hash if made else GENESIS
        made.append(seal(APPROVERS_STREAM, number, RECEIVED, record, previous)[0])
    return tuple(made)


def registry_of(*records: RegistryRecord) -> Registry:
    """The registry after these, each signed for its place."""
    return Registry.read(entries(*signed(*records)), SIGNER)


def both() -> Registry:
    return registry_of(added(JANE), added(JOE))


def code_of(name: str, at: datetime, steps: int = 0) -> str:
    """What this approver's authenticator shows at that time, or so many steps of 30 seconds from it."""
    return TOTP(SECRETS[name]).at(at, counter_offset=steps)


def made(plan: Plan) -> PlanMade:
    """The plan as this system writes it down."""
    return SIGNER.signed(response_stream(plan.response), PlanMade(digest=plan.digest, plan=plan))


def said_yes(plan: Plan, *names: str, at: datetime, **changes: Any) -> list[AnswerGiven]:
    """A counting yes of each, signed."""
    values: dict[str, Any] = {
        "digest": plan.digest,
        "attempt": 1,
        "says": "approve",
        "counts": True,
        "channel": "prefect",
        "factor": "code",
        "submitted_at": at,
    }
    return [
        SIGNER.signed(
            response_stream(plan.response),
            AnswerGiven.model_validate(values | {"claimed": name, "approver": name} | changes),
        )
        for name in names
    ]


def decided(plan: Plan, answer: str = "approved", *names: str, **changes: Any) -> Decision:
    """A signed decision that rests on the yes of these."""
    values: dict[str, Any] = {"approver": names[-1] if names else None, "approvers": names, "channel": "prefect"}
    return SIGNER.signed(
        response_stream(plan.response),
        Decision.model_validate({"digest": plan.digest, "attempt": 1, "answer": answer, **values, **changes}),
    )


def answered(plan: Plan, answer: str = "approved", *, at: datetime, names: Sequence[str] = (JANE,)) -> list[Any]:
    """Answers and decision of a question that was answered so, as they are written together."""
    if answer == "approved":
        return [*said_yes(plan, *names, at=at), decided(plan, answer, *names)]
    no = said_yes(plan, names[0], at=at, says="reject" if answer == "rejected" else "approve")
    return [*(no if answer == "rejected" else []), decided(plan, answer, approver=names[0])]
