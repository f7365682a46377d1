"""The executor has a GitHub workflow build the image: one run, though GitHub takes no token and lists a run late."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import pytest

from deployments.sandbox.furnish_image import ImageOptions, furnish_image
from deployments.sandbox.github import TOKEN, Hub, github_app
from runbooks.build_terms import Workflow
from runbooks.case import CaseKey, response_stream
from runbooks.errors import AccessDenied
from runbooks.event import read_payload
from runbooks.plan import Plan
from runbooks.steps import RebuildByWorkflow
from tasks.gateways.actions import Elsewhere, actions
from tasks.gateways.github import GitHubGateway
from tests.runbooks.signatures import made
from tests.serving import serving
from tests.tasks.conftest import OpenHouse
from tests.tasks.gateways.aws_world import ACCOUNT, REGION
from tests.tasks.gateways.hub import HOME, a_dispatch
from tests.tasks.gateways.image_world import REPOSITORY
from tests.tasks.harness import LOOK_SECONDS, House, Run
from tests.tasks.test_image_steps import the_plan


class Building:
    """A house whose one plan is a rebuild by a workflow."""

    def __init__(self, house: House, hub: Hub, url: str) -> None:
        self.house, self.hub, self.url = house, hub, url
        options = ImageOptions(account=ACCOUNT, region=REGION, repository=REPOSITORY)
        house.built.append(furnish_image(house.sandbox.cloud, options))
        (finding,) = read_payload(json.dumps(house.built[0]["event"], default=str)).findings
        house.ledger.take_finding(CaseKey.of(finding, house.runbook.name), finding, "webhook")
        self.run = self.with_github(house.start())
        self.plan: Plan = the_plan(self.run, [a_dispatch(cases=self.run.cases)])
        self.run.journal.write(made(self.plan))
        self.run = self.with_github(self.run.approved(self.plan))

    def with_github(self, run: Run) -> Run:
        run.actions = actions(self.house.sessions, Elsewhere(GitHubGateway(TOKEN, self.url, 5)))
        return run

    def once(self) -> str | None:
        """One call of the executor; what it waits for."""
        return self.run.once(self.plan, next(iter(self.plan.stages()))).waiting

    def outcome(self) -> tuple[str, str]:
        outcome = self.house.history().step_outcomes(self.plan)[self.plan.steps[0].key]
        return outcome.status, outcome.detail

    @property
    def number_of_runs(self) -> int:
        return len(list(self.hub.runs()))


@contextmanager
def building(open_house: OpenHouse) -> Iterator[Building]:
    house = open_house()
    hub = Hub(house.sandbox.cloud)
    with serving(github_app(hub)) as url:
        yield Building(house, hub, url)


def test_a_run_is_dispatched_once_and_followed_to_its_end(open_house: OpenHouse) -> None:
    with building(open_house) as here:
        here.run.carry_out(here.plan)
        assert here.outcome()[0] == "done"
        assert here.number_of_runs == 1


def test_a_run_that_is_listed_late_is_waited_for_and_not_dispatched_again(
    open_house: OpenHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = open_house()
    cloud = house.sandbox.cloud
    monkeypatch.setattr(cloud, "settings", replace(cloud.settings, workflow_listed=45.0))
    with building(open_house) as here:
        here.hub.faults.add("POST dispatches", "answer-lost")
        here.run.carry_out(here.plan)
        assert here.outcome()[0] == "done"
        assert here.number_of_runs == 1


def test_a_dispatch_that_failed_is_sent_again_once_github_has_had_its_time_to_show_it(open_house: OpenHouse) -> None:
    with building(open_house) as here:
        here.hub.faults.add("POST dispatches", "server-error")
        sent_at, looks = here.house.now(), 0
        while not here.number_of_runs:
            assert here.once() is not None
            looks += 1
            here.run.wait()
        assert looks == 1 + RebuildByWorkflow.shows_within_seconds / LOOK_SECONDS
        assert (here.house.now() - sent_at).total_seconds() > RebuildByWorkflow.shows_within_seconds
        here.run.carry_out(here.plan)
        assert (here.outcome()[0], here.number_of_runs) == ("done", 1)


def test_what_is_waited_for_says_who_has_not_answered(open_house: OpenHouse) -> None:
    with building(open_house) as here:
        here.hub.faults.add("POST dispatches", "answer-lost")
        (step,) = here.plan.steps
        lost = "no answer yet (answer-lost: GitHub did not answer: RemoteProtocolError); looking again"
        assert here.once() == f"{step.describe()}: {lost}"
        here.hub.faults.add("GET runs", "throttle", retry_after=7)
        assert here.once() == "no answer yet (throttled: GitHub asks to wait 7 s); looking again"


def test_a_dispatch_that_could_not_leave_is_sent_once_github_can_be_reached(open_house: OpenHouse) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = f"http://127.0.0.1:{listener.getsockname()[1]}"

    class ClosedMeanwhile(GitHubGateway):
        """The door closes between the look and the call."""

        def dispatch(self, workflow: Workflow, inputs: Mapping[str, str]) -> int | None:
            return GitHubGateway(TOKEN, closed, 1).dispatch(workflow, inputs)

    with building(open_house) as here:
        here.run.actions = actions(here.house.sessions, Elsewhere(ClosedMeanwhile(TOKEN, here.url, 5)))
        assert "no answer yet (unreachable: GitHub cannot be reached: " in (here.once() or "")
        assert here.number_of_runs == 0
        here.with_github(here.run).carry_out(here.plan)
        assert (here.outcome()[0], here.number_of_runs) == ("done", 1)


def test_a_run_that_cannot_be_found_again_by_its_name_ends_the_step_and_is_the_only_one(open_house: OpenHouse) -> None:
    with building(open_house) as here:
        recipes = here.house.sandbox.cloud.world(ACCOUNT, REGION).recipes
        recipes[f"{HOME}/rebuild.yml"] = replace(recipes[f"{HOME}/rebuild.yml"], names_runs=False)
        here.run.carry_out(here.plan)
        status, detail = here.outcome()
        assert (status, detail.startswith("run-name: run http://127.0.0.1:")) == ("failed", True)
        assert here.number_of_runs == 1


def test_the_token_is_in_nothing_that_is_written(open_house: OpenHouse) -> None:
    with building(open_house) as here:
        here.hub.token = "another"
        with pytest.raises(AccessDenied, match="GitHub refuses: Bad credentials"):
            here.once()
        here.hub.token = TOKEN
        here.run.carry_out(here.plan)
        written = [each.model_dump_json() for each in here.house.ledger.entries(response_stream(here.house.response))]
        assert [each for each in written if "/actions/runs/" in each]
        assert not [each for each in written if TOKEN in each]
