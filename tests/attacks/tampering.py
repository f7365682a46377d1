"""What somebody who can write to the database writes there, with every hash, head and table made to fit."""

from __future__ import annotations

from typing import Any

from sqlalchemy import update

from runbooks.approvers import Approver
from runbooks.case import APPROVERS_STREAM, HALT_STREAM, response_stream
from runbooks.plan import ApprovalRule, Phase, Plan
from runbooks.records import (
    AnswerGiven,
    ApproverAdded,
    Decision,
    Intent,
    PlanMade,
    Resumed,
)
from tasks import halting
from tasks.gateways.ledger import tables
from tasks.registering import revoke_approver, unlock_approver
from tests.attacks.attack import Attack
from tests.attacks.rewriting import Edit, cut_off, edited, rewrite, saying, without
from tests.attacks.scene import EVE, Scene
from tests.runbooks.signatures import JANE, JOE, SECRETS, code_of, decided, made


def respond(scene: Scene, edit: Edit) -> None:
    rewrite(scene, response_stream(scene.plan.response), edit)


def a_decision(plan: Plan, *names: str, signature: str = "", **changes: Any) -> Decision:
    """One that nobody made."""
    return decided(plan, "approved", *(names or (JANE,)), **changes).model_copy(update={"signature": signature})


# --- answers and decisions -------------------------------------------------------------------------------------------


def in_the_table(scene: Scene) -> None:
    with scene.ledger._database.writing() as connection:
        connection.execute(update(tables.approvals).values(answer="approved", approver=JANE, channel="prefect"))


def signed_elsewhere(scene: Scene) -> None:
    """Jane's yes to another response, and what it led to, with this plan's digest."""
    scene.approve(plan=scene.other)
    for kind in (AnswerGiven, Decision):
        for record in scene.records(kind, scene.other):
            scene.write(record.model_copy(update={"digest": scene.plan.digest}))


def signed_for_another_plan(scene: Scene) -> None:
    another = scene.plan.model_copy(update={"phase": Phase.REMEDIATE})
    scene.write(made(another))
    scene.ask(another)
    scene.approve(plan=another)
    for record in (*scene.records(AnswerGiven), *scene.records(Decision)):
        scene.write(record.model_copy(update={"digest": scene.plan.digest}))


def no_made_yes(scene: Scene) -> None:
    scene.answer(JOE, says="reject")
    respond(scene, edited("decision", saying(answer="approved", approvers=[JOE])))
    respond(scene, edited("answer-given", saying(says="approve")))


def wrong_made_right(scene: Scene) -> None:
    """An answer that was refused now counts."""
    scene.answer(code="000000")
    respond(scene, edited("answer-given", saying(counts=True, approver=JANE, factor="code", code="", reason="")))
    scene.write(a_decision(scene.plan))


def name_changed(scene: Scene) -> None:
    """Jane has started the response herself; her yes becomes Joe's."""
    scene.approve()
    respond(scene, edited("answer-given", saying(approver=JOE)))
    respond(scene, edited("decision", saying(approver=JOE, approvers=[JOE])))


def started_by_nobody(scene: Scene) -> None:
    """Jane has started the response herself; now nobody has."""
    respond(scene, edited("response-started", saying(started_by="webhook")))
    scene.approve()


def yes_doubled(scene: Scene) -> None:
    """One yes of two is there; the other is a copy of it under another name."""
    scene.answer()
    (answer,) = scene.records(AnswerGiven)
    scene.write(answer.model_copy(update={"approver": JOE, "claimed": JOE}), a_decision(scene.plan, JANE, JOE))


def written_again(scene: Scene) -> None:
    """An approval that has expired, as if it had been given only now."""
    scene.approve()
    records = (*scene.records(AnswerGiven), *scene.records(Decision))
    scene.wait(61)
    respond(scene, lambda entries: [each for each in entries if each.kind not in ("answer-given", "decision")])
    scene.ask()
    scene.write(*records)


def more_time(scene: Scene) -> None:
    scene.approve()
    respond(
        scene, edited("approval-asked", saying(expires_at="2099-01-01T00:00:00Z", act_until="2099-01-01T00:00:00Z"))
    )
    scene.wait(61)


def begun(scene: Scene) -> None:
    """As if its first change had been made before the approval expired."""
    scene.approve()
    step = scene.plan.steps[0]
    intent = Intent(
        operation=scene.plan.operation(step), action=step.kind, subject=step.key, digest=scene.plan.digest, epoch=1
    )
    scene.write(intent)


def begun_and_expired(scene: Scene) -> None:
    begun(scene)
    scene.wait(61)


def begun_and_revoked(scene: Scene) -> None:
    begun(scene)
    revoke_approver(scene.have, JANE, by="root")


# --- approvers -------------------------------------------------------------------------------------------------------


def eve(secret: str = "gAAAAA") -> ApproverAdded:
    return ApproverAdded(approver=Approver(name=EVE, grants=("*@*",), secret=secret), by="root")


def added_unsigned(scene: Scene) -> None:
    scene.write(eve(), stream=APPROVERS_STREAM)
    scene.answer(EVE, code="123456")


def added_with_a_copied_signature(scene: Scene) -> None:
    """With Jane's concealed secret, too, of which she knows a code."""
    jane = scene.ledger.entries(APPROVERS_STREAM)[0].record()
    assert isinstance(jane, ApproverAdded)
    record = eve(jane.approver.secret).model_copy(update={"signature": jane.signature})
    scene.write(record, stream=APPROVERS_STREAM)
    scene.answer(EVE, code=code_of(JANE, scene.now))


def revocation_deleted(scene: Scene) -> None:
    revoke_approver(scene.have, JANE, by="root")
    unlock_approver(scene.have, JOE, by="root")
    rewrite(scene, APPROVERS_STREAM, without("approver-revoked"))
    scene.answer()


def revocation_cut_off(scene: Scene) -> None:
    revoke_approver(scene.have, JANE, by="root")
    cut_off(scene, APPROVERS_STREAM)
    scene.answer()


def revocation_made_nothing(scene: Scene) -> None:
    revoke_approver(scene.have, JANE, by="root")
    rewrite(scene, APPROVERS_STREAM, edited("approver-revoked", saying(name=EVE)))
    scene.answer()


def registered_again(scene: Scene) -> None:
    """Her registration stands behind her revocation once more, as it was signed."""
    (jane, *_) = scene.ledger.entries(APPROVERS_STREAM)
    revoke_approver(scene.have, JANE, by="root")
    record = jane.record()
    assert isinstance(record, ApproverAdded)
    scene.write(record, stream=APPROVERS_STREAM)
    scene.answer()


def unlocked(scene: Scene) -> None:
    """Wrong codes that were right ones."""
    for number in range(5):
        scene.answer(code=f"{number:06}")
    rewrite(scene, APPROVERS_STREAM, edited("code-tried", saying(accepted=True, timecode=1)))
    scene.answer()


def approver_edited(scene: Scene, **values: Any) -> None:
    rewrite(
        scene,
        APPROVERS_STREAM,
        edited("approver-added", lambda body: body | {"approver": body["approver"] | values}),
    )
    scene.answer()


# --- plans -----------------------------------------------------------------------------------------------------------


def steps_changed(scene: Scene) -> None:
    """Fewer steps under the digest that was approved."""
    scene.approve()
    fewer = scene.plan.model_copy(update={"steps": scene.plan.steps[1:]})
    respond(scene, edited("plan-made", saying(plan=fewer.model_dump(mode="json"))))
    scene.plan = fewer


def steps_and_digests_changed(scene: Scene) -> None:
    scene.approve()
    fewer = scene.plan.model_copy(update={"steps": scene.plan.steps[1:]})
    values = {"digest": fewer.digest, "plan": fewer.model_dump(mode="json")}
    respond(scene, edited("plan-made", saying(**values)))
    for kind in ("approval-asked", "answer-given", "decision"):
        respond(scene, edited(kind, saying(digest=fewer.digest)))
    scene.plan = fewer


def a_plan_of_eves(scene: Scene, channel: str, **rule: Any) -> None:
    """A plan for which nobody need be asked, and a decision that says so."""
    update = {"approval": ApprovalRule(**rule), "revision": 2}
    scene.plan = scene.plan.model_copy(update=update)
    scene.write(PlanMade(digest=scene.plan.digest, plan=scene.plan))
    scene.write(a_decision(scene.plan, channel=channel, approver=None, approvers=()))


def nobody_asked(scene: Scene) -> None:
    """The plan is ours, and needs a person; the decision says that it does not."""
    scene.write(a_decision(scene.plan, channel="plan", approver=None, approvers=()))


def resting_on_nothing(scene: Scene) -> None:
    """A release such as this system makes, of a containment that nobody has approved."""
    rule = ApprovalRule(required=False, covered_by=scene.plan.digest)
    release = scene.plan.model_copy(update={"phase": Phase.RELEASE, "approval": rule})
    scene.write(made(release), decided(release, channel="plan"))
    scene.plan = release


# --- the kill switch -------------------------------------------------------------------------------------------------


def resumed(scene: Scene) -> None:
    scene.approve()
    halt = halting.halt(scene.have, "jane", "wrong group")
    scene.write(Resumed(by="jane", reason="all is well", ends=halt.number), stream=HALT_STREAM)


def resumed_as_before(scene: Scene) -> None:
    """A resumption that was signed, for an earlier halt."""
    scene.approve()
    halting.resume(scene.have, halting.halt(scene.have, "jane", "a drill"), "jane", "it was a drill")
    genuine = scene.ledger.entries(HALT_STREAM)[-1].record()
    assert isinstance(genuine, Resumed)
    halting.halt(scene.have, "jane", "wrong group")
    scene.write(genuine, stream=HALT_STREAM)


def halt_cut_off(scene: Scene) -> None:
    scene.approve()
    halting.halt(scene.have, "jane", "wrong group")
    cut_off(scene, HALT_STREAM)


NOBODYS = {"channel": "plan", "required": False}
FORGED, FORGED_ENTRY = "forged", "set-aside: forged"

ATTACKS = (
    Attack("database: a row in the table of approvals", "set-aside: not-approved", in_the_table),
    Attack(
        "database: a decision without a signature",
        FORGED_ENTRY,
        lambda s: s.write(a_decision(s.plan)),
        state=FORGED,
    ),
    Attack(
        "database: a decision with another one's signature",
        FORGED_ENTRY,
        lambda s: s.write(a_decision(s.plan, signature=decided(s.other).signature)),
        state=FORGED,
    ),
    Attack("database: answer and decision of another response", FORGED_ENTRY, signed_elsewhere, state=FORGED),
    Attack("database: answer and decision of another plan", FORGED_ENTRY, signed_for_another_plan, state=FORGED),
    Attack("database: a no made a yes", FORGED_ENTRY, no_made_yes, state=FORGED),
    Attack("database: a refused answer made to count", FORGED_ENTRY, wrong_made_right, state=FORGED),
    Attack("database: one person's yes made another's", FORGED_ENTRY, name_changed, state=FORGED),
    Attack(
        "database: who started the response edited",
        FORGED_ENTRY,
        started_by_nobody,
        state=FORGED,
        started_by=f"command:{JANE}",
    ),
    Attack("database: one yes made two", FORGED_ENTRY, yes_doubled, state=FORGED, rule={"quorum": 2}),
    Attack("database: an expired approval written again", "set-aside: expired", written_again, state="expired"),
    Attack("database: the question's time prolonged", "set-aside: expired", more_time, state="expired"),
    Attack(
        "database: a first change, for an expired approval", "set-aside: expired", begun_and_expired, state="expired"
    ),
    Attack(
        "database: a first change, for a revoked approver", "set-aside: revoked", begun_and_revoked, state="revoked"
    ),
    Attack("database: an approver without a signature", "answer-given: not-registered", added_unsigned),
    Attack(
        "database: an approver with another's signature", "answer-given: not-registered", added_with_a_copied_signature
    ),
    Attack("database: a revocation deleted", "answer-given: doubtful", revocation_deleted),
    Attack("database: a revocation cut off", "answer-given: doubtful", revocation_cut_off),
    Attack("database: a revocation made another's", "answer-given: doubtful", revocation_made_nothing),
    Attack("database: a registration copied behind its revocation", "answer-given: revoked", registered_again),
    Attack("database: wrong codes made right ones", "answer-given: doubtful", unlocked),
    Attack(
        "database: an approver's grants edited",
        "answer-given: not-registered",
        lambda s: approver_edited(s, grants=["contain@*"]),
    ),
    Attack(
        "database: an approver's secret edited",
        "answer-given: not-registered",
        lambda s: approver_edited(s, secret=SECRETS[JANE]),
    ),
    Attack("database: an approved plan's steps edited", "set-aside: not-approved", steps_changed),
    Attack("database: steps and every digest edited", FORGED_ENTRY, steps_and_digests_changed, state=FORGED),
    Attack("database: a plan that asks for nobody", FORGED_ENTRY, lambda s: a_plan_of_eves(s, **NOBODYS), state=FORGED),
    Attack(
        "database: a plan that claims to be covered by another",
        FORGED_ENTRY,
        lambda s: a_plan_of_eves(s, **NOBODYS, covered_by=s.plan.digest),
        state=FORGED,
    ),
    Attack(
        "database: a plan that claims to be authorised beforehand",
        FORGED_ENTRY,
        lambda s: a_plan_of_eves(s, "runbook", pre_authorised="exploited, exposed, tagged for it"),
        state=FORGED,
    ),
    Attack("database: a decision that nobody need be asked", FORGED_ENTRY, nobody_asked, state=FORGED),
    Attack("a release of what nobody approved to contain", "set-aside: not-approved", resting_on_nothing),
    Attack("database: the kill switch turned off", "waiting: halted", resumed, state="halted"),
    Attack("database: an old resumption written again", "waiting: halted", resumed_as_before, state="halted"),
    Attack("database: a halt cut off", "waiting: halted", halt_cut_off, state="halted"),
)
