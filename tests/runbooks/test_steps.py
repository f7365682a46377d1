"""What every kind of step owes its approver and its executor: words, permissions, and a way back or a reason."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from runbooks.steps import (
    STEP_KINDS,
    AnyStep,
    AttachToAutoScaling,
    DeployByCodeDeploy,
    DeployService,
    DeregisterTarget,
    DetachFromAutoScaling,
    EnsureQuarantineGroup,
    PutLifecyclePolicy,
    RefreshInstances,
    RegisterTarget,
    ReplaceGroupRules,
    Role,
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
from runbooks.steps.containment import short_arn
from tests.runbooks.builders import CASE, a_target
from tests.runbooks.every_step import every_step

SERVICES = {
    *("ec2", "autoscaling", "elasticloadbalancing", "ssm", "s3", "kms", "batch", "events", "scheduler"),
    *("ecr", "ecs", "codebuild", "codedeploy", "codepipeline", "cloudwatch", "inspector2", "lambda"),
}
READS = ("Describe", "List", "Get")
SELF_INVERSE = (
    *(SwapSecurityGroups, ReplaceGroupRules, SetInstanceAttribute, SetDeleteOnTermination),
    *(SetStageTransition, SetRepositoryPolicy, DeployService, DeployByCodeDeploy),
    *(SetImageTag, SetImageArchived, PutLifecyclePolicy, SetTagMutability),
    *(SetFunctionUrlAuth, SetReservedConcurrency, ShiftAlias),
    *(UpdateFunctionConfiguration, UpdateFunctionImage, UpdateFunctionCode),
)

every_kind = pytest.mark.parametrize("step", every_step(), ids=lambda step: step.kind)


def of_kind(kind: type[Step]) -> Step:
    return next(step for step in every_step() if isinstance(step, kind))


def test_the_registry_the_union_and_the_tests_know_the_same_kinds() -> None:
    union = get_args(get_args(AnyStep)[0])
    assert set(union) == set(STEP_KINDS) == {type(step) for step in every_step()}
    names = [kind.model_fields["kind"].default for kind in STEP_KINDS]
    assert len(set(names)) == len(names) == len(every_step())


def calls_of_aws(step: AnyStep) -> set[str]:
    """GitHub's are permitted by its token."""
    return {call for call in step.calls if not call.startswith("github:")}


@every_kind
def test_its_calls_are_within_its_permissions_and_are_no_reads(step: AnyStep) -> None:
    assert step.calls
    assert calls_of_aws(step) <= set(step.permissions)
    for action in step.permissions:
        service, _, operation = action.partition(":")
        assert service in SERVICES or action == "iam:PassRole", action
        assert re.fullmatch(r"[A-Z][A-Za-z]+", operation), action
    for call in step.calls:
        assert not call.partition(":")[2].startswith(READS), call


@every_kind
def test_it_may_look_before_it_acts(step: AnyStep) -> None:
    looks = [action for action in step.permissions if action.partition(":")[2].startswith(READS)]
    assert looks or not calls_of_aws(step)
    assert len(set(step.permissions)) == len(step.permissions)


@every_kind
def test_it_speaks_of_its_target_in_one_line(step: AnyStep) -> None:
    for words in (step.describe(), step.expectation()):
        assert words.strip()
        assert "\n" not in words
        # A digest has one in its middle.
        assert not re.search(r"(^|\s)@", words), "a name that only this system understands"
    assert step.key.startswith(f"{step.kind}:")
    assert step.target.id in step.key


@every_kind
def test_it_has_an_undo_or_says_why_not(step: AnyStep) -> None:
    assert (step.undo is None) is bool(step.undo_reason)


@every_kind
def test_its_undo_puts_back_for_the_same_target_and_cases_under_the_restore_role(step: AnyStep) -> None:
    undo = step.undo
    if undo is None:
        return
    assert undo.undoes is not step.undoes
    assert (undo.target, undo.cases) == (step.target, step.cases)
    assert undo.acting_role is Role.RESTORE
    assert undo.describe() != step.describe()
    assert undo.expectation()


@every_kind
def test_it_acts_under_the_role_of_its_phase_and_never_under_the_reading_one(step: AnyStep) -> None:
    assert step.role is not Role.READ
    assert step.acting_role is (Role.RESTORE if step.undoes else step.role)


@pytest.mark.parametrize("kind", SELF_INVERSE, ids=lambda kind: kind.__name__)
def test_undoing_what_undoes_gives_the_step_itself(kind: type[Step]) -> None:
    step = of_kind(kind)
    undo = step.undo
    assert undo is not None
    assert undo != step
    assert undo.undo == step


def test_undoing_a_swap_puts_back_the_very_same_ordered_groups() -> None:
    swap = of_kind(SwapSecurityGroups)
    assert isinstance(swap, SwapSecurityGroups)
    assert swap.undo == SwapSecurityGroups(
        target=swap.target,
        cases=(CASE,),
        vpc=swap.vpc,
        expects=("@quarantine",),
        leaves=("sg-0web", "sg-0base"),
        undoes=True,
    )


def test_undoing_a_swap_never_passes_through_an_open_group() -> None:
    swap = of_kind(SwapSecurityGroups).model_copy(update={"via": "@quarantine-open"})
    undo = swap.undo
    assert isinstance(undo, SwapSecurityGroups)
    assert undo.via is None
    assert "by way of" in swap.describe()
    assert "by way of" not in undo.describe()


def test_leaving_and_returning_are_each_others_counterparts() -> None:
    pairs = {DetachFromAutoScaling: AttachToAutoScaling, DeregisterTarget: RegisterTarget, StopInstance: StartInstance}
    for kind, counterpart in pairs.items():
        undo = of_kind(kind).undo
        assert isinstance(undo, counterpart)
        assert undo == of_kind(counterpart)


def test_undoing_a_refresh_goes_back_to_the_version_before() -> None:
    refresh = of_kind(RefreshInstances)
    undo = refresh.undo
    assert isinstance(undo, RefreshInstances)
    assert (undo.version, undo.previous_version, undo.image) == ("7", "@operation", None)
    assert "to version 7 of lt-0feedc0de" in undo.describe()
    assert undo.expectation() == "the group uses the new version and no refresh is running"


def test_undoing_a_deployment_puts_back_the_task_definition_and_how_the_service_is_deployed() -> None:
    deploy = of_kind(DeployService)
    undo = deploy.undo
    assert isinstance(deploy, DeployService)
    assert isinstance(undo, DeployService)
    assert (undo.expects, undo.leaves) == ("@operation", deploy.expects)
    assert (undo.strategy, undo.configuration) == ("ROLLING", deploy.replaces)
    assert undo.describe() == "Deploy checkout:7 to service checkout: rolling"
    assert undo.expectation() == (
        "the service has the revision that was deployed, nothing is being deployed, and no alarm is raised"
    )


def test_undoing_a_deployment_of_codedeploy_brings_the_former_task_definition_and_watches_no_alarm() -> None:
    deploy = of_kind(DeployByCodeDeploy)
    undo = deploy.undo
    assert isinstance(deploy, DeployByCodeDeploy)
    assert deploy.describe() == (
        "Have CodeDeploy deploy the new revision to service checkout: CodeDeployDefault.ECSCanary10Percent5Minutes, "
        "going back when checkout-errors is raised"
    )
    assert undo == deploy.model_copy(
        update={"expects": "@operation", "leaves": deploy.expects, "undoes": True},
    )
    assert undo is not None
    assert undo.describe() == (
        "Have CodeDeploy deploy checkout:7 to service checkout: CodeDeployDefault.ECSCanary10Percent5Minutes"
    )


def test_a_group_of_the_same_name_in_another_region_is_another_step() -> None:
    refresh = of_kind(RefreshInstances)
    elsewhere = refresh.model_copy(update={"target": refresh.target.model_copy(update={"region": "us-east-1"})})
    assert elsewhere.key != refresh.key


def test_evidence_and_rotation_never_delay_isolation_and_isolation_is_essential() -> None:
    not_essential = {type(step).__name__ for step in every_step() if not step.essential}
    assert not_essential == {
        "CreateSnapshots",
        "DeregisterTarget",
        "DetachFromAutoScaling",
        "SetDeleteOnTermination",
        "SetInstanceAttribute",
    }
    assert of_kind(SwapSecurityGroups).essential
    assert of_kind(EnsureQuarantineGroup).essential


def test_only_a_deregistration_after_leaving_the_group_follows_from_another_step() -> None:
    assert not any(step.follows for step in every_step())
    assert of_kind(DeregisterTarget).model_copy(update={"after_detachment": True}).follows


@pytest.mark.parametrize(
    ("arn", "name"),
    [
        ("arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/web/0123", "web"),
        ("web", "web"),
    ],
)
def test_an_arn_is_shortened_for_reading(arn: str, name: str) -> None:
    assert short_arn(arn) == name


def test_a_target_is_named_with_its_account_and_region() -> None:
    assert str(a_target()) == "instance/210987654321/eu-west-1/i-0a1b2c3d4e5f60718"
