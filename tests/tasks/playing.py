"""A phase as its flow plays it, with the product's own tasks on a sandbox of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from prefect.settings import PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW, temporary_settings

from runbooks.case import response_stream
from runbooks.plan import Phase, Plan
from runbooks.records import ApprovalAsked, PhaseEnded
from runbooks.windows import usable_until
from tasks import run as runs
from tasks.acting import carry_out_stage, end_phase
from tasks.planning import make_plan
from tasks.rounds import settled
from tests.runbooks.signatures import answered
from tests.tasks.gateways.aws_world import ROLE_ARN
from tests.tasks.halts import product_run, services
from tests.tasks.harness import House, Run

Meddling = Callable[[Plan], None]
Answering = Callable[[Plan], str]


@contextmanager
def prefect_alone() -> Iterator[None]:
    """Where tasks of ours report themselves: Prefect's own temporary server, one for this process, started when asked.

    Here they belong to no flow run.
    """
    with temporary_settings({PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore"}):
        yield


class Playing:
    """A phase as its flow plays it, with the product's own tasks, answered by the test."""

    def __init__(self, house: House, folder: Path) -> None:
        self.house = house
        bucket = house.built[0]["bucket"]
        self.have = services(house.ledger, home=folder, role_arn=ROLE_ARN, package_bucket=bucket)
        vars(self.have)["now"] = house.now
        self.asked: list[Plan] = []
        self.begin()

    def begin(self) -> Run:
        """Another run takes the response over, and triages what is not triaged yet."""
        self.run = self.house.take_over(after_a_death=True) if self.house.response else self.house.start()
        self.run.assessments()
        return self.run

    @contextmanager
    def running(self) -> Iterator[None]:
        made_run = product_run(self.have, self.run)
        vars(made_run)["runbook"] = self.house.runbook
        token = runs._current.set(made_run)
        try:
            yield
        finally:
            runs._current.reset(token)

    def phase(
        self, phase: Phase, meddle: Meddling = lambda plan: None, answer: Answering = lambda plan: "approved"
    ) -> PhaseEnded:
        """The flow's own loop; `meddle` is called with each plan once it is approved, `answer` gives each answer."""
        with self.running():
            while (ended := settled(phase)) is None:
                plan = make_plan(phase)
                if not plan.steps:
                    end_phase.fn(plan, "not-needed")
                    continue
                self.asked.append(plan)
                said = answer(plan)
                self.answered(plan, said)
                if said != "approved":
                    end_phase.fn(plan, said)
                    continue
                meddle(plan)
                self.carry_out(plan)
                end_phase.fn(plan)
        return ended

    def answered(self, plan: Plan, answer: str) -> None:
        now = self.house.now()
        expires = now + timedelta(minutes=plan.approval.expires_minutes)
        until = usable_until(plan.windows, expires)
        asked = ApprovalAsked(digest=plan.digest, attempt=1, expires_at=expires, act_until=until, flow_run="run")
        self.house.ledger.append(response_stream(self.house.response), asked, *answered(plan, answer, at=now))

    def carry_out(self, plan: Plan) -> None:
        for number, stage in enumerate(plan.stages()):
            while not carry_out_stage(plan, number, stage[0].kind).finished:
                self.run.wait()

    def case_of(self, instance: str) -> str:
        return next(case for case, key in self.run.keys.items() if key.resource_id == instance)
