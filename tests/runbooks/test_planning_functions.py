"""The plans of a function, whole: what is done, in which order, and what the approver reads of its price."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks.candidate import Candidate
from runbooks.errors import Refused
from runbooks.function import EventSource, FunctionUrl, Invoker
from runbooks.plan import Phase, Plan
from runbooks.planning.functions.containing import plan_function_containment
from runbooks.planning.functions.rebuilding import plan_function_rebuild
from runbooks.planning.functions.updating import plan_function_update
from runbooks.steps import (
    PublishVersion,
    RebuildImage,
    SetFunctionUrlAuth,
    SetReservedConcurrency,
    ShiftAlias,
    UpdateFunctionConfiguration,
    UpdateFunctionImage,
)
from tests.runbooks.builders import RESPONSE, a_target
from tests.runbooks.function_builders import (
    FUNCTION_CASE,
    OLD,
    QUEUE,
    a_function_assessment,
    a_function_case,
    a_function_finding,
    a_function_key,
    a_function_runbook,
    a_python_package,
    an_alias,
    served,
)
from tests.runbooks.function_steps import AFTER, BEFORE, FUNCTION, MODIFIED
from tests.runbooks.image_steps import DIGEST, NEW_DIGEST, URI

CASES = (FUNCTION_CASE,)
IMAGE = {
    "package_type": "Image",
    "content": BEFORE.model_copy(update={"layers": (), "runtime": None, "code_sha256": DIGEST[7:]}),
    "image": f"{URI}@{DIGEST}",
    "project": "shop-checkout-build",
    "newer_layers": {},
}


def contained(runbook: Any = None, **changes: Any) -> Plan:
    chosen = runbook or a_function_runbook()
    return plan_function_containment(RESPONSE, chosen, [a_function_assessment(a_function_case(**changes), chosen)])


def updated(runbook: Any = None, candidates: Any = None, *findings: Any, **changes: Any) -> Plan:
    chosen = runbook or a_function_runbook()
    assessment = a_function_assessment(a_function_case(*findings, **changes), chosen)
    return plan_function_update(RESPONSE, chosen, [assessment], candidates or {})


def shift(name: str = "live", **values: Any) -> ShiftAlias:
    given: dict[str, Any] = {
        "target": a_target("function-alias", f"{FUNCTION}:{name}"),
        "cases": CASES,
        "function": FUNCTION,
        "alias": name,
        "expects": "1",
        "leaves": "@operation",
        "description": "what customers call",
        "percent": 10,
        "bake_minutes": 10,
        "alarms": ("order-export-errors",),
    }
    return ShiftAlias.model_validate(given | values)


def test_an_open_url_asks_for_credentials_and_the_plan_says_what_goes_on() -> None:
    plan = contained()
    assert (plan.phase, plan.cases, plan.releases_when_fixed) == (Phase.CONTAIN, CASES, True)
    assert plan.steps == (
        SetFunctionUrlAuth(
            target=a_target("function-url", f"{FUNCTION}:live"),
            cases=CASES,
            function=FUNCTION,
            qualifier="live",
            expects="NONE",
            leaves="AWS_IAM",
            consequence="whoever calls it without IAM credentials is refused (403)",
        ),
    )
    assert plan.not_covered == (
        "calls that have begun go on to their end, for up to 15 minutes",
        "credentials of its role that it has already been issued stay valid until they expire",
        "order-export goes on being invoked by sqs orders (alias live)",
    )
    assert plan.environments == ("production",)


def test_stopping_it_shows_its_price_and_keeps_that_there_was_no_reservation() -> None:
    plan = contained(a_function_runbook(function={"stop": True, "require_iam": False}))
    (stop,) = plan.steps
    assert stop == SetReservedConcurrency(
        target=a_target("function", FUNCTION),
        cases=CASES,
        function=FUNCTION,
        expects=None,
        leaves=0,
        consequence=(
            "every call is refused (429), that of whoever has its URL (alias live) and sqs orders (alias live); what "
            "queues and streams hold is tried again until it expires, or goes where they send what failed"
        ),
    )
    undo = stop.undo
    assert isinstance(undo, SetReservedConcurrency)
    assert (undo.expects, undo.leaves) == (0, None)


def test_a_reservation_of_nothing_is_left_so() -> None:
    plan = contained(a_function_runbook(function={"stop": True, "require_iam": False}), reserved_concurrency=0)
    assert plan.steps == ()
    assert (
        "order-export has a concurrency reservation of 0 already: it is left so, and is not lifted afterwards"
        in plan.not_covered
    )


def test_the_newer_layer_is_put_in_published_and_brought_over_by_canary() -> None:
    plan = updated()
    assert (plan.phase, plan.cases) == (Phase.REMEDIATE, CASES)
    assert plan.steps == (
        UpdateFunctionConfiguration(
            target=a_target("function", FUNCTION),
            cases=CASES,
            function=FUNCTION,
            expects=BEFORE,
            leaves=AFTER,
            last_modified=MODIFIED,
        ),
        PublishVersion(target=a_target("function", FUNCTION), cases=CASES, function=FUNCTION, content=AFTER),
        shift(),
    )
    assert [step.describe() for step in plan.steps] == [
        "Give function order-export layer order-export-dependencies:2 in the place of order-export-dependencies:1",
        "Publish a version of function order-export",
        (
            "Shift alias live of function order-export to the published version: 10 % for 10 minutes, going back when "
            "order-export-errors is raised, then all"
        ),
    ]
    assert not any("$LATEST" in words for words in plan.not_covered)


def test_a_canary_of_one_minute_is_told_in_the_singular() -> None:
    (*_, one) = updated(a_function_runbook(deploy={"bake_minutes": 1})).steps
    assert "10 % for 1 minute, going back" in one.describe()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"urls": (FunctionUrl(auth_type="NONE"),)},
            "$LATEST of order-export is invoked by whoever has its URL: there the change is made at once",
        ),
        (
            {"event_sources": (EventSource(arn=QUEUE),)},
            "$LATEST of order-export is invoked by sqs orders: there the change is made at once",
        ),
        (
            {"invokers": (Invoker(principal="events.amazonaws.com", conditional=True),)},
            "$LATEST of order-export is invoked by events.amazonaws.com",
        ),
        (
            {"event_sources": (EventSource(arn=QUEUE, qualifier="1"),)},
            "sqs orders invokes version 1 by its number, which stays vulnerable: a person brings it to another",
        ),
        (
            {"aliases": ()},
            "order-export has no alias that serves a version: there is no canary, and nothing leads back",
        ),
        ({"reserved_concurrency": 0}, "order-export is stopped: its canary sees no call"),
    ],
)
def test_nobody_who_gets_it_otherwise_is_hidden(changes: dict[str, Any], words: str) -> None:
    assert any(words in each for each in updated(None, None, **changes).not_covered)


def test_every_alias_follows_and_one_of_latest_has_it_already() -> None:
    aliases = (an_alias("beta", served("1")), an_alias("edge", served("$LATEST")), an_alias("live", served("1")))
    plan = updated(None, None, aliases=aliases)
    assert plan.steps[2:] == (shift("beta"), shift("live"))


def test_without_a_version_to_serve_none_is_published() -> None:
    assert [type(step) for step in updated(None, None, aliases=()).steps] == [UpdateFunctionConfiguration]


def test_a_runtime_is_exchanged_and_the_layers_stay() -> None:
    of_runtime = a_function_finding(packages=(a_python_package(None, file_path="/var/lang/lib/python3.12/ssl.py"),))
    plan = updated(a_function_runbook(function={"runtimes": {"python3.12": "python3.14"}}), None, of_runtime)
    first = plan.steps[0]
    assert isinstance(first, UpdateFunctionConfiguration)
    assert first.leaves == BEFORE.model_copy(update={"runtime": "python3.14"})
    assert first.describe() == "Give function order-export runtime python3.14 in the place of python3.12"


def test_what_nobody_can_update_is_refused_with_the_reason() -> None:
    with pytest.raises(Refused, match=r"no newer version for python3\.12"):
        updated(None, None, newer_layers={})


def test_several_functions_with_one_layer_go_through_each_stage_together() -> None:
    runbook = a_function_runbook(deploy={"without_alarms": "deploy"})
    assessments = [a_function_assessment(a_function_case(name=name), runbook) for name in ("one", "two")]
    plan = plan_function_update(RESPONSE, runbook, assessments, {})
    assert [(stage[0].kind, len(stage)) for stage in plan.stages()] == [
        ("update-function-configuration", 2),
        ("publish-version", 2),
        ("shift-alias", 2),
    ]


def test_as_many_as_the_limits_let_begin_together_are_planned_and_the_rest_is_deferred() -> None:
    runbook = a_function_runbook(limits={"maximum_cases_at_once": 2})
    assessments = [a_function_assessment(a_function_case(name=f"f{number}"), runbook) for number in range(3)]
    plan = plan_function_update(RESPONSE, runbook, assessments, {})
    assert plan.cases == (a_function_key("f0").id, a_function_key("f1").id)
    assert plan.deferred == (a_function_key("f2").id,)


def test_an_image_is_built_in_the_repository_that_it_came_from() -> None:
    chosen = a_function_runbook()
    finding = a_function_finding(packages=(a_python_package(None),))
    plan = plan_function_rebuild(RESPONSE, chosen, [a_function_assessment(a_function_case(finding, **IMAGE), chosen)])
    (build,) = plan.steps
    assert isinstance(build, RebuildImage)
    assert (build.project, build.repository, build.target.type) == ("shop-checkout-build", "shop/checkout", "image")
    assert build.variables == {"PACKAGES": "pyyaml=5.4", "IMAGE_TAG": build.tag}
    assert not plan.approval.required


def test_of_functions_without_an_image_nothing_is_built() -> None:
    plan = plan_function_rebuild(RESPONSE, a_function_runbook(), [a_function_assessment()])
    assert plan.steps == ()


def test_the_image_that_was_built_is_put_in_by_its_digest() -> None:
    made = Candidate(repository_uri=URI, digest=NEW_DIGEST, tag="image-remediated-0", build="build:1")
    finding = a_function_finding(packages=(a_python_package(None),))
    plan = updated(None, {FUNCTION_CASE: made}, finding, **IMAGE)
    update, publication, _ = plan.steps
    assert update == UpdateFunctionImage(
        target=a_target("function", FUNCTION),
        cases=CASES,
        function=FUNCTION,
        expects=f"{URI}@{DIGEST}",
        leaves=f"{URI}@{NEW_DIGEST}",
        last_modified=MODIFIED,
    )
    assert isinstance(publication, PublishVersion)
    assert publication.content.code_sha256 == NEW_DIGEST.removeprefix("sha256:")


def test_a_layer_of_another_account_that_is_not_vulnerable_stays() -> None:
    plan = updated()
    first = plan.steps[0]
    assert isinstance(first, UpdateFunctionConfiguration)
    assert (first.expects.layers[0], first.expects.layers[1]) == (first.leaves.layers[0], OLD)
