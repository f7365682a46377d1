"""Runs that must not act: overtaken, of another program or runbook, or with another key."""

from __future__ import annotations

from runbooks.errors import LeaseLost
from runbooks.plan import Phase
from runbooks.signing import KEY_BYTES, Signer
from tasks import run as runs
from tasks.planning import make_plan
from tasks.run import Run, not_now, running
from tasks.services import use
from tests.attacks.attack import Attack
from tests.attacks.scene import Scene
from tests.tasks.playing import prefect_alone


def overtaken(scene: Scene) -> None:
    """A run that was stopped goes on after another one has begun."""
    scene.approve()
    scene.run = scene.take_over()
    scene.ledger.next_attempt(scene.plan.response)


def lease_edited(scene: Scene) -> None:
    """Two runs; the earlier one has its epoch raised in the database, by one that is not its own."""
    scene.approve()
    scene.run = scene.take_over()
    with scene.ledger._database.writing() as connection:
        connection.exec_driver_sql("UPDATE leases SET epoch = epoch + 1")


def started_again(scene: Scene) -> None:
    """A flow run of an earlier attempt is started once more, in Prefect."""
    scene.approve()
    scene.run = scene.take_over()
    attempt = scene.run.attempt
    scene.ledger.next_attempt(scene.plan.response)
    with use(scene.have):
        try:
            with running(scene.plan.response, attempt, "run"):
                raise AssertionError("it runs")
        except LeaseLost as lost:
            not_now(scene.plan.response, attempt, lost)


def runbook_changed(scene: Scene) -> None:
    """The runbook is another one when the run goes on; the plan to carry out is what the run then has."""
    scene.approve()
    scene.run = scene.take_over()
    row = scene.ledger.response(scene.plan.response)
    assert row is not None
    product_run = Run(services=scene.have, response=row, lease=scene.run, flow_run="run")
    runbook = scene.stage.house.runbook
    contain = runbook.contain.model_copy(update={"snapshots": False})
    vars(product_run)["runbook"] = runbook.model_copy(update={"contain": contain})
    token = runs._current.set(product_run)
    try:
        with prefect_alone():
            scene.plan = make_plan.fn(Phase.CONTAIN)
    finally:
        runs._current.reset(token)


def key_replaced(scene: Scene) -> None:
    scene.approve()
    scene.replace_key(Signer(b"x" * KEY_BYTES))


ATTACKS = (
    Attack("a run that was overtaken goes on", "set-aside: lease-lost", overtaken, state="lease-lost"),
    Attack("database: the epoch of a lease raised", "set-aside: lease-lost", lease_edited, state="lease-lost"),
    Attack("an earlier flow run started again", "set-aside: lease-lost", started_again, state="lease-lost"),
    Attack(
        "the program changed after the yes",
        "set-aside: code-changed",
        lambda s: s.approve(),
        state="code-changed",
        code="c" * 64,
    ),
    Attack("the runbook changed after the yes", "set-aside: not-approved", runbook_changed),
    Attack("the signing key replaced", "set-aside: forged", key_replaced, state="forged"),
)
