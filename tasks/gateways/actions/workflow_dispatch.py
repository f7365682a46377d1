"""Making a patched image, and trying it, by a GitHub workflow: a run that is found again by its name.

GitHub takes no idempotency token. A run that was dispatched is looked for before another one is; and one whose name
does not say whose it is could never be found again, so that it ends the step, and is the only one.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from runbooks.build_terms import Workflow
from runbooks.errors import AnswerLost, Outside
from runbooks.steps.image_building import RebuildByWorkflow, TestByWorkflow
from tasks.gateways.actions.base import AwsAction, Look, Place, gone
from tasks.gateways.actions.image_building import after_the_push, before_the_push, pushed_by
from tasks.gateways.codebuild import OPERATION_VARIABLE
from tasks.gateways.github import GitHubGateway, WorkflowRun, short_ref

WorkflowStepT = TypeVar("WorkflowStepT", RebuildByWorkflow, TestByWorkflow)

DISPATCH = "CreateWorkflowDispatch"
NO_TOKEN = "no token for GitHub is set (RUNBOOKS_GITHUB_TOKEN)"  # noqa: S105 - it says that there is none
_SHOWN_WITHIN_SECONDS = 3


class _WorkflowAction(AwsAction[WorkflowStepT]):
    """Dispatches a workflow, and follows the run that carries the operation in its name."""

    def _look(self, place: Place, steps: Sequence[WorkflowStepT], operations: Mapping[str, str]) -> dict[str, Look]:
        github = self._elsewhere.github
        if github is None:
            return {step.key: Look(status="drifted", detail=NO_TOKEN) for step in steps}
        runs = {
            name: github.runs(Workflow.parse(name), {operations[step.key] for step in steps if step.workflow == name})
            for name in sorted({step.workflow for step in steps})
        }
        pushed = self._pushed(place, steps)
        return {
            step.key: self._look_at(step, runs[step.workflow], operations[step.key], pushed.get(step.key))
            for step in steps
        }

    def _look_at(
        self, step: WorkflowStepT, runs: Mapping[str, WorkflowRun] | None, operation: str, pushed: str | None
    ) -> Look:
        if runs is None:
            return gone(f"workflow {step.workflow}")
        if (run := runs.get(operation)) is None:
            return self._before(step, pushed)
        if run.status != "completed":
            result, words = {"build": run.url, "phase": run.status}, run.status.replace("_", " ")
            return Look(status="in-progress", found=result, result=result, detail=f"run {run.url} is {words}")
        if run.conclusion == "success":
            return self._after(step, run.url, pushed)
        return Look(
            status="failed",
            found={"build": run.url, "conclusion": run.conclusion},
            result={"build": run.url},
            detail=f"run {run.url} ended as {run.conclusion}",
        )

    def _act(self, place: Place, step: WorkflowStepT, operation: str, look: Look) -> dict[str, Any]:
        github = self._elsewhere.github
        if github is None:
            raise Outside(NO_TOKEN, code="no-token")
        workflow = Workflow.parse(step.workflow)
        self._sessions.may_leave(DISPATCH)
        number = github.dispatch(workflow, {**step.variables, OPERATION_VARIABLE: operation})
        return {"build": _named(github, workflow, number, operation).url}

    @abstractmethod
    def _pushed(self, place: Place, steps: Sequence[WorkflowStepT]) -> dict[str, str]:
        """Step key -> the digest that its run has pushed, if it pushes any."""

    @abstractmethod
    def _before(self, step: WorkflowStepT, pushed: str | None) -> Look:
        """The look when no run was started."""

    @abstractmethod
    def _after(self, step: WorkflowStepT, url: str, pushed: str | None) -> Look:
        """The look when the run has succeeded."""


class RebuildByWorkflowAction(_WorkflowAction[RebuildByWorkflow]):
    """Its result has the digest that stands under the tag when the run has succeeded."""

    def _pushed(self, place: Place, steps: Sequence[RebuildByWorkflow]) -> dict[str, str]:
        return pushed_by(place, steps)

    def _before(self, step: RebuildByWorkflow, pushed: str | None) -> Look:
        return before_the_push(step, pushed)

    def _after(self, step: RebuildByWorkflow, url: str, pushed: str | None) -> Look:
        return after_the_push(step, f"run {url}", {"build": url}, pushed)


class TestByWorkflowAction(_WorkflowAction[TestByWorkflow]):
    """The image passes when the run succeeds."""

    __test__ = False

    def _pushed(self, place: Place, steps: Sequence[TestByWorkflow]) -> dict[str, str]:
        return {}

    def _before(self, step: TestByWorkflow, pushed: str | None) -> Look:
        return Look(status="as-expected", found={"build": None})

    def _after(self, step: TestByWorkflow, url: str, pushed: str | None) -> Look:
        return Look(status="as-left", found={"build": url}, result={"build": url})


def _named(github: GitHubGateway, workflow: Workflow, number: int | None, operation: str) -> WorkflowRun:
    """The run that was just started, as GitHub shows it under its name.

    Raises:
        AnswerLost: it is not shown yet.
        Outside: it could not be found again, by its name or on its branch.
    """
    if number is None:
        raise Outside(
            "GitHub has started a run and does not say which: that takes github.com, or Enterprise Server 3.21",
            code="no-run-number",
        )
    # The name may take its inputs a moment later than the run is there.
    waiting = Retrying(
        retry=retry_if_result(lambda run: run is None or operation not in run.title),
        stop=stop_after_delay(_SHOWN_WITHIN_SECONDS),
        wait=wait_fixed(0.5),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )
    try:
        run: WorkflowRun | None = waiting(github.run, workflow, number)
    except Outside as error:
        raise AnswerLost(f"run {number} was started, and was not seen since: {error.detail}") from error
    if run is None:
        raise AnswerLost(f"run {number} was started, and is not shown yet")
    if operation not in run.title:
        raise Outside(
            f"run {run.url} was started, and its name does not say whose it is: the run-name of {workflow} must hold "
            f"${{{{ inputs.{OPERATION_VARIABLE} }}}}",
            code="run-name",
        )
    if run.branch != short_ref(workflow.ref):
        raise Outside(
            f"run {run.url} of {workflow} was started, and GitHub calls it one of {run.branch}", code="run-ref"
        )
    return run
