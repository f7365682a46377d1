"""A GitHub workflow that makes a patched image, and one that tries it: dispatched once, and found again by its name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from deployments.sandbox import builds
from runbooks.build_terms import Workflow
from runbooks.errors import AnswerLost, Halted, Outside, Refused
from runbooks.steps import Step
from tasks.gateways.actions import actions
from tasks.gateways.actions.workflow_dispatch import NO_TOKEN
from tests.tasks.gateways.aws_world import AwsWorld, operation, statuses
from tests.tasks.gateways.hub import HOME, HubWorld, a_dispatch, a_try, github
from tests.tasks.gateways.image_world import NEW_TAG, REPOSITORY, another_image, furnish, images


@pytest.fixture
def hub(aws: AwsWorld) -> Iterator[HubWorld]:
    with github(aws) as world:
        yield world


def test_a_run_is_followed_to_the_digest_it_pushed(hub: HubWorld) -> None:
    built = furnish(hub.aws)
    step = a_dispatch()
    (look,) = hub.aws.look(step)
    assert (look.status, look.found) == ("as-expected", {"build": None, "digest": None})
    started = hub.aws.act(step)
    seen = []
    hub.advance(1)
    for _ in range(40):
        (look,) = hub.aws.look(step)
        if look.status != "in-progress":
            break
        assert look.result["build"] == started["build"]
        seen.append((look.result["phase"], look.detail))
        hub.advance(0.3)
    assert set(seen) == {("in_progress", f"run {started['build']} is in progress")}
    (made,) = images(hub.aws).keys() - {built["digest"]}
    assert images(hub.aws)[made] == ("ACTIVE", [NEW_TAG])
    assert (look.status, look.result) == ("as-left", {"build": started["build"], "digest": made})


def test_a_run_is_given_the_variables_and_whose_it_is(hub: HubWorld) -> None:
    furnish(hub.aws)
    step = a_dispatch()
    hub.aws.act(step)
    (run,) = hub.runs
    assert run.environment == {"IMAGE_TAG": NEW_TAG, "PACKAGES": "all", "REMEDIATION_OPERATION": operation(step)}
    assert hub.aws.guarded == ["CreateWorkflowDispatch"]
    assert hub.aws.calls(mutating=True) == []
    assert set(hub.aws.calls()) == set(step.permissions)


def test_a_run_whose_dispatch_was_not_answered_is_found_and_no_other_is_started(hub: HubWorld) -> None:
    furnish(hub.aws)
    step = a_dispatch()
    hub.aws.look(step)
    hub.hub.faults.add("POST dispatches", "answer-lost")
    with pytest.raises(AnswerLost):
        hub.aws.act(step)
    hub.forget_everything()
    hub.advance(2)
    assert statuses(hub.aws.look(step)) == ["in-progress"]
    hub.finish()
    (look,) = hub.aws.look(step)
    assert look.status == "as-left"
    assert hub.aws.act(step) == look.result
    assert len(hub.runs) == 1


@pytest.mark.parametrize("kind", ["answer-lost", "throttle"])
def test_a_run_that_cannot_be_seen_after_its_dispatch_was_not_refused(hub: HubWorld, kind: str) -> None:
    furnish(hub.aws)
    step = a_dispatch()
    hub.hub.faults.add("GET run", kind, times=3)
    with pytest.raises(AnswerLost, match="was started, and was not seen since"):
        hub.aws.act(step)
    assert len(hub.runs) == 1


def test_a_run_whose_name_does_not_say_whose_it_is_ends_the_step_and_is_the_only_one(hub: HubWorld) -> None:
    furnish(hub.aws)
    hub.change(f"{HOME}/rebuild.yml", names_runs=False)
    step = a_dispatch()
    with pytest.raises(Outside) as refused:
        hub.aws.act(step)
    assert refused.value.code == "run-name"
    assert f"the run-name of {step.workflow} must hold ${{{{ inputs.REMEDIATION_OPERATION }}}}" in refused.value.detail
    assert len(hub.runs) == 1


def test_a_run_of_somebody_else_is_not_taken_for_this_one(hub: HubWorld) -> None:
    furnish(hub.aws)
    hub.aws.act(a_dispatch(tag="other", variables={"IMAGE_TAG": "other"}))
    hub.advance(2)
    assert statuses(hub.aws.look(a_dispatch())) == ["as-expected"]


def test_an_image_that_has_the_tag_already_is_drift(hub: HubWorld) -> None:
    furnish(hub.aws)
    made = another_image(hub.aws, NEW_TAG)
    (look,) = hub.aws.look(a_dispatch())
    detail = f"{REPOSITORY} has an image with tag {NEW_TAG} already: {made}"
    assert (look.status, look.detail) == ("drifted", detail)
    with pytest.raises(Refused):
        hub.aws.act(a_dispatch())
    assert hub.runs == []


def test_a_run_that_fails_says_so_and_where(hub: HubWorld) -> None:
    furnish(hub.aws, build="fails")
    step = a_dispatch()
    started = hub.aws.act(step)
    hub.finish()
    (look,) = hub.aws.look(step)
    assert (look.status, look.result, look.detail) == ("failed", started, f"run {started['build']} ended as failure")


def test_a_run_that_was_cancelled_has_failed(hub: HubWorld) -> None:
    furnish(hub.aws)
    step = a_dispatch()
    hub.aws.act(step)
    hub.advance(2)
    hub.cancel(hub.runs[0])
    (look,) = hub.aws.look(step)
    assert (look.status, look.found["conclusion"]) == ("failed", "cancelled")


def test_a_run_that_pushed_nothing_under_the_tag_has_failed(hub: HubWorld) -> None:
    furnish(hub.aws)
    step = a_dispatch(variables={"IMAGE_TAG": "elsewhere", "PACKAGES": "all"})
    started = hub.aws.act(step)
    hub.finish()
    (look,) = hub.aws.look(step)
    detail = f"run {started['build']} succeeded, and {REPOSITORY} has no image with tag {NEW_TAG}"
    assert (look.status, look.detail) == ("failed", detail)


@pytest.mark.parametrize("step", [a_dispatch(workflow=f"{HOME}/x.yml@main"), a_try("x", workflow=f"{HOME}/x.yml@main")])
def test_a_workflow_that_is_gone_is_drift(hub: HubWorld, step: Any) -> None:
    furnish(hub.aws)
    (look,) = hub.aws.look(step)
    assert (look.status, look.detail) == ("drifted", f"workflow {HOME}/x.yml@main does not exist any more")


@pytest.mark.parametrize("step", [a_dispatch(), a_try("x")])
def test_without_a_token_nothing_is_done_and_the_look_says_why(hub: HubWorld, step: Step) -> None:
    furnish(hub.aws)
    hub.aws.actions = actions(hub.aws.sessions)
    (look,) = hub.aws.look(step)
    assert (look.status, look.detail) == ("drifted", NO_TOKEN)
    with pytest.raises(Refused):
        hub.aws.act(step)


def test_halted_no_dispatch_leaves(hub: HubWorld) -> None:
    furnish(hub.aws)

    def halted(name: str) -> None:
        raise Halted("stop")

    step = a_dispatch()
    hub.aws.sessions = hub.aws.new_sessions(guard=halted)
    elsewhere = hub.aws.actions[step.kind]._elsewhere  # type: ignore[attr-defined]
    with pytest.raises(Halted):
        actions(hub.aws.sessions, elsewhere)[step.kind].act(step, operation(step))
    assert hub.runs == []


@pytest.mark.parametrize("branch", ["feature", "main"])
def test_a_run_that_somebody_else_starts_for_the_operation_does_not_stand_in_for_its_own(
    hub: HubWorld, branch: str
) -> None:
    built = furnish(hub.aws, test="fails")
    step = a_try(built["image"])
    started = hub.aws.act(step)
    hub.finish()
    hub.change(f"{HOME}/test.yml", outcome="succeeds")
    hub.hub.branches.add("feature")
    inputs = {**step.variables, "REMEDIATION_OPERATION": operation(step)}
    hub.gateway.dispatch(Workflow.parse(f"{HOME}/test.yml@{branch}"), inputs)
    hub.finish()
    assert [run.status for run in hub.runs] == ["FAILED", "SUCCEEDED"]
    (look,) = hub.aws.look(step)
    assert (look.status, look.result) == ("failed", started)


def test_a_run_that_github_counts_to_another_branch_ends_the_step_and_is_the_only_one(
    hub: HubWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(hub.aws)
    start = builds.start
    monkeypatch.setattr(builds, "start", lambda world, asked, *more: start(world, asked | {"ref": "x"}, *more))
    with pytest.raises(Outside) as refused:
        hub.aws.act(a_dispatch())
    assert refused.value.code == "run-ref"
    assert len(hub.runs) == 1


@pytest.mark.parametrize(("outcome", "status"), [("succeeds", "as-left"), ("fails", "failed")])
def test_a_test_is_run_against_the_image_by_its_digest(hub: HubWorld, outcome: str, status: str) -> None:
    built = furnish(hub.aws, test=outcome)
    step = a_try(built["image"])
    (look,) = hub.aws.look(step)
    assert (look.status, look.found) == ("as-expected", {"build": None})
    started = hub.aws.act(step)
    hub.finish()
    (look,) = hub.aws.look(step)
    assert (look.status, look.result) == (status, started)
    (run,) = hub.runs
    assert run.environment == {"IMAGE_URI": built["image"], "REMEDIATION_OPERATION": operation(step)}
    assert hub.aws.calls() == []
