"""Undo over a world of values, without AWS: a step and its undo leave every world as it was, and so does undo twice.

The world is a mapping of places to values. A step's effect is said here once for each kind, apart from the product's
actions; a kind with an undo that has no effect here fails the first test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.function import FunctionContent
from runbooks.function_package import FunctionPackage
from runbooks.group_rules import GroupRule
from runbooks.steps import (
    STEP_KINDS,
    AnyStep,
    AttachToAutoScaling,
    DeployByCodeDeploy,
    DeployService,
    DeregisterTarget,
    DetachFromAutoScaling,
    PutLifecyclePolicy,
    RefreshInstances,
    RegisterTarget,
    ReplaceGroupRules,
    SetDeleteOnTermination,
    SetFunctionUrlAuth,
    SetImageArchived,
    SetImageTag,
    SetInstanceAttribute,
    SetRepositoryPolicy,
    SetReservedConcurrency,
    SetStageTransition,
    SetTagMutability,
    ShiftAlias,
    StartInstance,
    Step,
    StopInstance,
    SwapSecurityGroups,
    UpdateFunctionCode,
    UpdateFunctionConfiguration,
    UpdateFunctionImage,
)
from tests.runbooks.builders import a_target
from tests.runbooks.every_step import every_step

World = dict[tuple[str, ...], Any]
CASES = ("case-1",)
ITSELF_AN_UNDO = "it is itself an undo"

identifiers = st.text("abcdef0123456789", min_size=1, max_size=8)
groups = st.lists(identifiers.map("sg-{}".format), min_size=1, max_size=5, unique=True).map(tuple)
flags = st.dictionaries(identifiers.map("/dev/{}".format), st.booleans(), min_size=1, max_size=8)


@st.composite
def volumes(draw: st.DrawFn) -> dict[str, Any]:
    before = draw(flags)
    return {"expects": before, "leaves": {device: draw(st.booleans()) for device in before}}


def port_rules(peer: str) -> st.SearchStrategy[tuple[GroupRule, ...]]:
    """Rules of one peer each side, so that none is both removed and added."""
    ports = st.lists(st.integers(1, 65535), max_size=3, unique=True)
    return ports.map(
        lambda some: tuple(GroupRule(protocol="tcp", from_port=port, to_port=port, peer=f"sg-{peer}") for port in some)
    )


policies = st.none() | st.text(max_size=20)
strategies = st.sampled_from(["ROLLING", "BLUE_GREEN", "LINEAR", "CANARY"])
repository = {
    "target": st.builds(a_target, st.just("repository"), identifiers),
    "cases": st.just(CASES),
    "repository": identifiers,
}
image = repository | {"target": st.builds(a_target, st.just("image"), identifiers), "digest": identifiers}
function = {
    "target": st.builds(a_target, st.just("function"), identifiers),
    "cases": st.just(CASES),
    "function": identifiers,
}
reservations = st.none() | st.integers(0, 1000)
instance = {"target": st.builds(a_target, st.just("instance"), identifiers.map("i-{}".format)), "cases": st.just(CASES)}
interface = {"target": st.builds(a_target, st.just("network-interface"), identifiers.map("eni-{}".format))}
STEPS: dict[type[Step], st.SearchStrategy[Any]] = {
    SwapSecurityGroups: st.builds(
        SwapSecurityGroups,
        **interface,
        cases=st.just(CASES),
        vpc=identifiers,
        expects=groups,
        leaves=groups,
        via=st.none() | identifiers.map("@{}-open".format),
    ),
    SetInstanceAttribute: st.one_of(
        st.builds(
            SetInstanceAttribute,
            **instance,
            attribute=st.just("disableApiTermination"),
            expects=st.booleans(),
            leaves=st.booleans(),
        ),
        st.builds(
            SetInstanceAttribute,
            **instance,
            attribute=st.just("instanceInitiatedShutdownBehavior"),
            expects=st.sampled_from(["stop", "terminate"]),
            leaves=st.sampled_from(["stop", "terminate"]),
        ),
    ),
    SetDeleteOnTermination: st.builds(
        lambda target, both: SetDeleteOnTermination(target=target, cases=CASES, **both), instance["target"], volumes()
    ),
    DetachFromAutoScaling: st.builds(
        DetachFromAutoScaling,
        **instance,
        group=identifiers,
        decrement=st.just(True),
        room_to_return=st.just(True),
        protected=st.booleans(),
    ),
    DeregisterTarget: st.builds(DeregisterTarget, **instance, target_group=identifiers, port=st.integers(1, 65535)),
    StopInstance: st.builds(StopInstance, **instance),
    RefreshInstances: st.builds(
        RefreshInstances,
        target=st.builds(a_target, st.just("auto-scaling-group"), identifiers),
        cases=st.just(CASES),
        launch_template=identifiers,
        version=identifiers,
        previous_version=identifiers,
        image=st.none() | identifiers,
        minimum_healthy_percentage=st.integers(0, 100),
        checkpoints=st.just((100,)),
        checkpoint_delay_seconds=st.integers(0, 300),
    ),
    ReplaceGroupRules: st.builds(
        ReplaceGroupRules,
        target=st.builds(a_target, st.just("security-group"), identifiers.map("sg-{}".format)),
        cases=st.just(CASES),
        name=identifiers,
        carriers=st.just(("eni-1",)),
        removes=port_rules("a"),
        adds=port_rules("b"),
    ),
    SetStageTransition: st.builds(
        SetStageTransition,
        target=st.builds(a_target, st.just("pipeline-stage"), identifiers),
        cases=st.just(CASES),
        pipeline=identifiers,
        stage=identifiers,
        enabled=st.booleans(),
        reason=identifiers,
    ),
    SetRepositoryPolicy: st.builds(
        SetRepositoryPolicy, **repository, expects=policies, leaves=policies, consequence=identifiers
    ),
    DeployService: st.builds(
        lambda strategies, **values: DeployService(
            strategy=strategies[0],
            configuration={"strategy": strategies[0], "bakeTimeInMinutes": 10},
            replaces={"strategy": strategies[1]},
            **values,
        ),
        strategies=st.tuples(strategies, strategies),
        target=st.builds(a_target, st.just("service"), identifiers),
        cases=st.just(CASES),
        cluster=identifiers,
        service=identifiers,
        family=identifiers,
        expects=identifiers,
        leaves=st.just("@operation") | identifiers,
    ),
    DeployByCodeDeploy: st.builds(
        DeployByCodeDeploy,
        target=st.builds(a_target, st.just("service"), identifiers),
        cases=st.just(CASES),
        cluster=identifiers,
        service=identifiers,
        family=identifiers,
        expects=identifiers,
        leaves=st.just("@operation") | identifiers,
        application=identifiers,
        group=identifiers,
        configuration=identifiers,
        alarms=st.tuples(identifiers),
        properties=st.just({"LoadBalancerInfo": {"ContainerName": "app", "ContainerPort": 8080}}),
    ),
    SetImageTag: st.builds(SetImageTag, **image, tag=identifiers, tagged=st.booleans()),
    SetImageArchived: st.builds(SetImageArchived, **image, archived=st.booleans()),
    PutLifecyclePolicy: st.builds(PutLifecyclePolicy, **repository, expects=policies, leaves=policies),
    SetTagMutability: st.builds(SetTagMutability, **repository, expects=identifiers, leaves=identifiers),
    SetFunctionUrlAuth: st.builds(
        SetFunctionUrlAuth,
        **function,
        qualifier=st.none() | identifiers,
        expects=st.sampled_from(["NONE", "AWS_IAM"]),
        leaves=st.sampled_from(["NONE", "AWS_IAM"]),
    ),
    SetReservedConcurrency: st.builds(
        SetReservedConcurrency, **function, expects=reservations, leaves=reservations, consequence=identifiers
    ),
    UpdateFunctionConfiguration: st.builds(
        lambda before, after, runtime, **values: UpdateFunctionConfiguration(
            expects=FunctionContent(code_sha256="code", layers=before, runtime="python3.12"),
            leaves=FunctionContent(code_sha256="code", layers=after, runtime=runtime),
            **values,
        ),
        before=st.tuples(identifiers, identifiers),
        after=st.tuples(identifiers, identifiers),
        runtime=identifiers,
        **function,
        last_modified=st.none() | identifiers,
    ),
    UpdateFunctionImage: st.builds(
        UpdateFunctionImage, **function, expects=identifiers, leaves=identifiers, last_modified=identifiers
    ),
    UpdateFunctionCode: st.builds(
        lambda codes, version, **values: UpdateFunctionCode(
            package=FunctionPackage(bucket="b", key="k", version=version, code_sha256=codes[1]),
            expects=FunctionContent(code_sha256=codes[0]),
            leaves=FunctionContent(code_sha256=codes[1]),
            **values,
        ),
        codes=st.tuples(identifiers, identifiers),
        version=st.none() | identifiers,
        **function,
        last_modified=identifiers,
    ),
    ShiftAlias: st.builds(
        ShiftAlias,
        **function,
        alias=identifiers,
        expects=identifiers,
        leaves=st.just("@operation") | identifiers,
        description=identifiers,
        percent=st.integers(1, 50),
        bake_minutes=st.integers(0, 60),
        alarms=st.tuples(identifiers),
    ),
}
"""Steps of every kind that has an undo, with anything they can say. What is not put back (a replacement that a group
keeps, a group without room) the contain plan names, and the release leaves out."""

any_step = st.one_of(*STEPS.values())


def test_every_kind_with_an_undo_is_among_them() -> None:
    with_an_undo = {type(step) for step in every_step() if step.undo is not None}
    assert set(STEPS) == with_an_undo
    assert set(STEP_KINDS) >= with_an_undo


@given(any_step, st.dictionaries(st.tuples(identifiers), st.integers()))
def test_a_step_and_its_undo_leave_every_world_as_it_was(step: AnyStep, elsewhere: World) -> None:
    before = elsewhere | expected_by(step)
    after = applied(step, before)
    undo = step.undo
    assert undo is not None
    assert applied(undo, after) == before


@given(any_step, st.dictionaries(st.tuples(identifiers), st.integers()))
def test_a_step_changes_what_it_is_about_and_nothing_else(step: AnyStep, elsewhere: World) -> None:
    before = elsewhere | expected_by(step)
    after = applied(step, before)
    assert {place for place in before if after[place] != before[place]} <= set(expected_by(step))


@given(any_step)
def test_undoing_an_undo_is_the_step_again_but_for_the_way_it_took(step: AnyStep) -> None:
    undo = step.undo
    assert undo is not None
    again = undo.undo
    if again is None:
        assert undo.undo_reason == ITSELF_AN_UNDO
        return
    if isinstance(step, SwapSecurityGroups) and step.via is not None:
        # An undo never passes through an open group, nor does what undoes it; that it may rest on one is remembered.
        assert isinstance(again, SwapSecurityGroups)
        assert (again.via, again.may_rest_on) == (None, step.via)
        again = again.model_copy(update={"via": step.via, "may_rest_on": None})
    if isinstance(step, RefreshInstances):
        # Which image the old version has is not known when the refresh is planned, and an undo needs no image.
        step = step.model_copy(update={"image": None})
    assert again == step


@given(st.lists(any_step, max_size=8, unique_by=lambda step: step.key))
def test_undoing_a_whole_plan_in_reverse_leaves_every_world_as_it_was(steps: list[AnyStep]) -> None:
    before: World = {}
    for step in steps:
        before = expected_by(step) | before
    possible, world = [], dict(before)
    for step in steps:
        # Of several steps on one place, those that do not find what they expect fall out, as in a response.
        if all(world[place] == value for place, value in expected_by(step).items()):
            possible.append(step)
            world = applied(step, world)
    for step in reversed(possible):
        undo = step.undo
        assert undo is not None
        world = applied(undo, world)
    assert world == before


@pytest.mark.parametrize("kind", STEPS, ids=lambda kind: kind.__name__)
def test_an_undo_acts_on_the_same_target_for_the_same_cases(kind: type[Step]) -> None:
    @given(STEPS[kind])
    def holds(step: AnyStep) -> None:
        undo = step.undo
        assert undo is not None
        assert (undo.target, undo.cases, undo.undoes) == (step.target, step.cases, True)

    holds()


def expected_by(step: Step) -> World:
    """The places that the step is about, with the values that it expects."""
    return {place: values[0] for place, values in _effect(step).items()}


def applied(step: Step, world: World) -> World:
    """The world after the step; one that does not find what it expects must not be carried out."""
    effect = _effect(step)
    assert {place: world[place] for place in effect} == {place: values[0] for place, values in effect.items()}
    return world | {place: values[1] for place, values in effect.items()}


Effect = dict[tuple[str, ...], tuple[Any, Any]]
"""Place -> the value expected there, and the value left."""


def _volumes(step: SetDeleteOnTermination) -> Effect:
    return {
        ("volume", step.target.id, device): (deleted, step.leaves[device]) for device, deleted in step.expects.items()
    }


_EFFECTS: dict[type[Step], Callable[[Any], Effect]] = {
    SwapSecurityGroups: lambda step: {("groups", step.target.id): (step.expects, step.leaves)},
    SetInstanceAttribute: lambda step: {("attribute", step.target.id, step.attribute): (step.expects, step.leaves)},
    SetDeleteOnTermination: _volumes,
    DetachFromAutoScaling: lambda step: {("member", step.target.id): ((step.group, step.protected), None)},
    AttachToAutoScaling: lambda step: {("member", step.target.id): (None, (step.group, step.protected))},
    DeregisterTarget: lambda step: {("target", step.target.id, step.target_group, str(step.port)): (True, False)},
    RegisterTarget: lambda step: {("target", step.target.id, step.target_group, str(step.port)): (False, True)},
    StopInstance: lambda step: {("running", step.target.id): (True, False)},
    StartInstance: lambda step: {("running", step.target.id): (False, True)},
    RefreshInstances: lambda step: {("template version", step.target.id): (step.previous_version, step.version)},
    ReplaceGroupRules: lambda step: {
        **{("rule", step.target.id, str(rule)): (True, False) for rule in step.removes},
        **{("rule", step.target.id, str(rule)): (False, True) for rule in step.adds},
    },
    SetStageTransition: lambda step: {("transition", step.pipeline, step.stage): (not step.enabled, step.enabled)},
    SetRepositoryPolicy: lambda step: {("policy", step.repository): (step.expects, step.leaves)},
    DeployService: lambda step: {
        ("task definition", step.cluster, step.service): (step.expects, step.leaves),
        ("configuration", step.cluster, step.service): (str(step.replaces), str(step.configuration)),
    },
    DeployByCodeDeploy: lambda step: {("task definition", step.cluster, step.service): (step.expects, step.leaves)},
    SetImageTag: lambda step: {("tag", step.repository, step.digest, step.tag): (not step.tagged, step.tagged)},
    SetImageArchived: lambda step: {("archived", step.repository, step.digest): (not step.archived, step.archived)},
    PutLifecyclePolicy: lambda step: {("lifecycle policy", step.repository): (step.expects, step.leaves)},
    SetTagMutability: lambda step: {("mutability", step.repository): (step.expects, step.leaves)},
    SetFunctionUrlAuth: lambda step: {("url", step.function, str(step.qualifier)): (step.expects, step.leaves)},
    SetReservedConcurrency: lambda step: {("reservation", step.function): (step.expects, step.leaves)},
    UpdateFunctionConfiguration: lambda step: {("configuration", step.function): (step.expects, step.leaves)},
    UpdateFunctionImage: lambda step: {("image", step.function): (step.expects, step.leaves)},
    UpdateFunctionCode: lambda step: {("code", step.function): (step.expects, step.leaves)},
    ShiftAlias: lambda step: {("alias", step.function, step.alias): (step.expects, step.leaves)},
}


def _effect(step: Step) -> Effect:
    return _EFFECTS[type(step)](step)
