"""A repository with more vulnerable images than the limits let begin together: as many as may, and then the next."""

from __future__ import annotations

from runbooks.container_image import EcsService
from runbooks.facts import CaseFacts
from runbooks.limits import exceeded
from runbooks.plan import Plan
from runbooks.planning.images.deploying import plan_deployment
from runbooks.planning.images.deprecating import plan_deprecation
from runbooks.planning.images.promotion import plan_promotion_block
from runbooks.planning.images.rebuilding import plan_rebuild
from runbooks.steps import DeployService, SetImageArchived
from runbooks.triage import Assessment
from tests.runbooks.builders import RESPONSE
from tests.runbooks.image_builders import (
    a_candidate,
    a_service,
    an_image,
    an_image_assessment,
    an_image_case,
    an_image_key,
    an_image_runbook,
    digest,
)

RUNBOOK = an_image_runbook()
MOST = RUNBOOK.limits.maximum_cases_at_once
EVERY = tuple(an_image_key(digest(number)).id for number in range(MOST + 1))


def images(*, run: bool = True) -> list[Assessment]:
    """One more than may begin together, each run by a service of its own."""
    return [an_image_assessment(a_case(number, services(number) if run else ()), RUNBOOK) for number in range(MOST + 1)]


def a_case(number: int, run_by: tuple[EcsService, ...]) -> CaseFacts:
    of = digest(number)
    return an_image_case(of=of, image=an_image(of, tags=(f"1.4.{number}",)), services=run_by)


def services(number: int) -> tuple[EcsService, ...]:
    return (a_service(f"checkout-{number:02}"),)


def test_promotion_is_blocked_for_as_many_as_may_begin_and_the_rest_is_put_off() -> None:
    assert_split(plan_promotion_block(RESPONSE, RUNBOOK, images()))


def test_one_build_is_for_all_of_them_and_the_limits_do_not_count_it() -> None:
    plan = plan_rebuild(RESPONSE, RUNBOOK, images())
    assert (plan.cases, plan.deferred) == (EVERY, ())
    assert [step.cases for step in plan.steps] == [EVERY]


def test_as_many_services_are_deployed_as_may_begin_and_the_rest_is_put_off() -> None:
    plan = plan_deployment(RESPONSE, RUNBOOK, images(), a_candidate())
    assert_split(plan)
    deployed = sorted(step.service for step in plan.steps if isinstance(step, DeployService))
    assert deployed == [f"checkout-{number:02}" for number in range(MOST)]


def test_where_nobody_runs_any_of_them_nothing_is_deployed_and_nothing_put_off() -> None:
    plan = plan_deployment(RESPONSE, RUNBOOK, images(run=False), a_candidate())
    assert (plan.steps, plan.cases, plan.deferred) == ((), EVERY, ())


def test_as_many_images_are_retired_as_may_begin_and_the_rest_is_put_off() -> None:
    plan = plan_deprecation(RESPONSE, RUNBOOK, images(), a_candidate())
    assert_split(plan)
    assert [step.digest for step in plan.steps if isinstance(step, SetImageArchived)] == [*map(digest, range(MOST))]


def assert_split(plan: Plan) -> None:
    """The first that may begin are in the plan, and the limits let them; the last is asked about afterwards."""
    assert (plan.cases, plan.deferred) == (EVERY[:MOST], EVERY[MOST:])
    assert exceeded(RUNBOOK.limits, plan.extents) is None
