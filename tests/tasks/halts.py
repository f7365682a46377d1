"""A house with a kill switch: its services, and a run whose every call asks the product's own guard."""

from __future__ import annotations

from typing import Any

from runbooks.plan import Plan
from runbooks.signing import Signer
from runbooks.steps import AnyStep
from tasks import halting
from tasks.executor import Executor, Progress
from tasks.gateways.ledger import Ledger
from tasks.run import Run as ProductRun
from tasks.services import Services
from tasks.settings import Settings
from tests.runbooks.signatures import SIGNER
from tests.tasks.harness import Run


def services(ledger: Ledger, signer: Signer | None = SIGNER, **settings: Any) -> Services:
    """Services around this ledger; without a signer they have no signing key."""
    have = Services(Settings(**settings))
    vars(have)["ledger"] = ledger
    if signer is not None:
        vars(have)["signer"] = signer
    return have


def halt(have: Services) -> None:
    halting.halt(have, "jane", "the wrong group")


def resume(have: Services) -> None:
    before = halting.halted(have)
    assert before is not None
    halting.resume(have, before, "joe", "mended")


def product_run(have: Services, run: Run) -> ProductRun:
    row = have.ledger.response(run.house.response)
    assert row is not None
    return ProductRun(services=have, response=row, lease=run.lease, flow_run="run")


def once(have: Services, run: Run, plan: Plan, stage: tuple[AnyStep, ...]) -> Progress:
    """One call of the executor for one stage, as its task makes it."""
    house, guard = run.house, product_run(have, run)._may_leave

    def ask(name: str) -> None:
        house.watch(name)
        guard(name)

    house.sessions.guard = ask
    halt = halting.halted(have)
    why = halting.words(halt) if halt else None
    limits = house.runbook.limits
    executor = Executor(run.journal, run.actions, house.now(), house.trust(), limits=limits, halted=why)
    return executor.carry_out(plan, stage)


def as_far_as_it_goes(have: Services, run: Run, plan: Plan) -> Progress | None:
    """Stage after stage until something is held back, which is given; None at the plan's end."""
    progresses = (stage_as_far_as_it_goes(have, run, plan, stage) for stage in plan.stages())
    return next((progress for progress in progresses if progress.held is not None), None)


def stage_as_far_as_it_goes(have: Services, run: Run, plan: Plan, stage: tuple[AnyStep, ...]) -> Progress:
    """One stage, until it is finished or something is held back."""
    progress = once(have, run, plan, stage)
    while not progress.finished and progress.held is None:
        run.wait()
        progress = once(have, run, plan, stage)
    return progress


def woken(run: Run, progress: Progress) -> Run:
    """The run ends waiting, as its flow does, and the sweep starts the next one."""
    house = run.house
    assert progress.held is not None
    house.ledger.wait(house.response, progress.held, progress.waiting or "", house.now(), lease=run.lease)
    return house.take_over()
