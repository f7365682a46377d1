"""Answers that must not count: handed in at a terminal, or with the form in Prefect."""

from __future__ import annotations

from datetime import timedelta

from runbooks.plan import Phase
from tasks.flow_runs import WAKING
from tasks.registering import add_approver, new_approver, revoke_approver
from tests.attacks.attack import Attack
from tests.attacks.scene import EVE, LOGIN, Scene
from tests.runbooks.signatures import JANE, JOE, SECRETS, added, code_of, made

TWO = {"quorum": 2}
HOUR = timedelta(hours=1)


def guess(scene: Scene, times: int = 5) -> None:
    for number in range(times):
        scene.answer(code=f"{number:06}")


def right_after_the_lock(scene: Scene) -> None:
    guess(scene)
    scene.answer()


def used(scene: Scene) -> None:
    """Jane rejects something else; somebody looks over her shoulder."""
    scene.answer(plan=scene.other, says="reject")
    scene.answer()


def revoked(scene: Scene) -> None:
    revoke_approver(scene.have, JANE, by="root")
    scene.answer()


def revoked_before_the_first_change(scene: Scene) -> None:
    scene.approve()
    revoke_approver(scene.have, JANE, by="root")


def twice(scene: Scene, second: str = JANE) -> None:
    scene.answer()
    scene.wait(0.5)
    scene.answer(second)


def registered_again(scene: Scene) -> None:
    """The same person is registered once more, under her name in capitals."""
    scene.answer()
    scene.wait(0.5)
    add_approver(scene.have, new_approver(JANE.upper(), ("*@*",), SECRETS[JANE]), by="root")
    scene.answer(JANE.upper())


def for_another_phase(scene: Scene) -> None:
    """Another plan of the response is approved, honestly."""
    another = scene.plan.model_copy(update={"phase": Phase.REMEDIATE})
    scene.write(made(another))
    scene.ask(another)
    scene.approve(plan=another)


def to_an_older_revision(scene: Scene) -> None:
    newer = scene.plan.model_copy(update={"revision": 2, "previous": scene.plan.digest})
    scene.write(made(newer))
    scene.answer()


def too_late(scene: Scene) -> None:
    scene.wait(61)
    scene.answer()


def acted_on_too_late(scene: Scene) -> None:
    scene.approve()
    scene.wait(61)


def after_a_no(scene: Scene) -> None:
    scene.answer(JOE, says="reject")
    scene.answer()


def with_an_old_form(scene: Scene) -> None:
    scene.fill_in(decision="approve")
    scene.ask(attempt=2)
    scene.fill_in(1, decision="approve", approver=JANE, one_time_code=code_of(JANE, scene.now))


def handed_in_again(scene: Scene) -> None:
    scene.answer(code="000000", request="this very one")
    scene.answer(request="this very one")


ATTACKS = (
    Attack("a wrong one-time code", "answer-given: wrong-code", lambda s: s.answer(code="000000")),
    Attack("codes guessed one after another", "answer-given: locked", lambda s: guess(s, 6)),
    Attack("the right code after five wrong ones", "answer-given: locked", right_after_the_lock),
    Attack("a code that was used before", "answer-given: used-code", used),
    Attack(
        "a code of an hour ago, with a false time",
        "answer-given: wrong-code",
        lambda s: s.answer(code=code_of(JANE, s.now - HOUR), submitted_at=s.now - HOUR),
    ),
    Attack(
        "a code of the next hour, with a false time",
        "answer-given: wrong-code",
        lambda s: s.answer(code=code_of(JANE, s.now + HOUR), submitted_at=s.now + HOUR),
    ),
    Attack("another approver's code", "answer-given: wrong-code", lambda s: s.answer(code=code_of(JOE, s.now))),
    Attack("no code", "answer-given: code-missing", lambda s: s.answer(code="")),
    Attack("somebody who is not registered", "answer-given: not-registered", lambda s: s.answer(EVE, code="123456")),
    Attack(
        "a name that only looks like an approver's",
        "answer-given: not-registered",
        lambda s: s.answer("j\u0430ne@corp.example", code=code_of(JANE, s.now)),
    ),
    Attack("a revoked approver", "answer-given: revoked", revoked),
    Attack(
        "an approver revoked after their yes", "set-aside: revoked", revoked_before_the_first_change, state="revoked"
    ),
    Attack(
        "an approver of another environment",
        "answer-given: not-granted",
        lambda s: s.answer(),
        people=(added(JANE, grants=("*@another-one",)),),
    ),
    Attack(
        "an approver of another phase",
        "answer-given: not-granted",
        lambda s: s.answer(),
        people=(added(JANE, grants=("remediate@*", "release@*")),),
    ),
    Attack(
        "an approver whom the runbook does not name",
        "answer-given: not-named",
        lambda s: s.answer(),
        rule={"approvers": (JOE,)},
    ),
    Attack("self-approval, by name", "answer-given: self-approval", lambda s: s.answer(), started_by=f"command:{JANE}"),
    Attack(
        "self-approval, by name in capitals",
        "answer-given: self-approval",
        lambda s: s.answer(JANE.upper()),
        started_by=f"command:{JANE}",
    ),
    Attack(
        "self-approval, by login", "answer-given: self-approval", lambda s: s.answer(), started_by=f"command:{LOGIN}"
    ),
    Attack("one person's yes twice, where two are needed", "answer-given: same-person", twice, rule=TWO),
    Attack("the second yes in capitals", "answer-given: same-person", lambda s: twice(s, JANE.upper()), rule=TWO),
    Attack(
        "the second yes after registering again, in capitals", "answer-given: same-person", registered_again, rule=TWO
    ),
    Attack("one yes where two are needed", "set-aside: not-approved", lambda s: s.answer(), rule=TWO),
    Attack("a yes to a plan that never was", "answer-given: unknown-plan", lambda s: s.answer(digest="0" * 64)),
    Attack(
        "a yes to another response's plan, for this one",
        "answer-given: unknown-plan",
        lambda s: s.answer(digest=s.other.digest),
    ),
    Attack("the yes to another plan of the response", "set-aside: not-approved", for_another_phase),
    Attack("the yes to another response", "set-aside: not-approved", lambda s: s.approve(plan=s.other)),
    Attack("a yes to a plan that another has replaced", "answer-given: stale-plan", to_an_older_revision),
    Attack("a yes before anybody was asked", "answer-given: not-asked", lambda s: s.answer(), asked=False),
    Attack("a yes after the question expired", "answer-given: expired", too_late),
    Attack("an approval acted on too late", "set-aside: expired", acted_on_too_late, state="expired"),
    Attack("a yes after somebody's no", "answer-given: settled", after_a_no),
    Attack("the form of an earlier question", "answer-given: replayed", with_an_old_form),
    Attack(
        "a form that was never shown",
        "answer-given: stale-question",
        lambda s: s.fill_in(7, decision="approve", approver=JANE, one_time_code=code_of(JANE, s.now)),
    ),
    Attack("one submission handed in twice", "answer-given: replayed", handed_in_again),
    Attack("a form with nothing in it", "answer-given: no-answer", lambda s: s.fill_in()),
    Attack("a form that only wakes the run", "answer-given: no-answer", lambda s: s.fill_in(1, **WAKING)),
    Attack("a form that says approve, and not who", "answer-given: no-answer", lambda s: s.fill_in(decision="approve")),
    Attack(
        "a form with values of another type",
        "answer-given: no-answer",
        lambda s: s.fill_in(decision="approve", approver={"$ne": ""}, one_time_code=["000000"]),
    ),
    Attack(
        "a form with further fields",
        "answer-given: no-answer",
        lambda s: s.fill_in(decision="approve", approver=JANE, one_time_code=code_of(JANE, s.now), counts=True),
    ),
    Attack(
        "a form with a template for a name",
        "answer-given: not-registered",
        lambda s: s.fill_in(decision="approve", approver="{{ approvers[0] }}", one_time_code="000000"),
    ),
)
