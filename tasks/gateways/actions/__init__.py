"""How each kind of step is looked at and done: `actions` gives them all, by the step's kind."""

from __future__ import annotations

from typing import Any

from runbooks.steps import (
    AttachToAutoScaling,
    CollectInventory,
    CreateLaunchTemplateVersion,
    CreateSnapshots,
    DeleteImage,
    DeployByCodeDeploy,
    DeployService,
    DeregisterTarget,
    DetachFromAutoScaling,
    EnsureClosedGroup,
    EnsureOpenGroup,
    EnsureQuarantineGroup,
    LaunchReplacement,
    PatchImage,
    PatchPackages,
    PublishVersion,
    PutLifecyclePolicy,
    RebuildByWorkflow,
    RebuildImage,
    RebuildPackage,
    RefreshInstances,
    RegisterTarget,
    RegisterTaskDefinition,
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
    TestByWorkflow,
    TestImage,
    UpdateFunctionCode,
    UpdateFunctionConfiguration,
    UpdateFunctionImage,
    WriteOverrideList,
)
from tasks.gateways.actions.autoscaling import AttachToAutoScalingAction, DetachFromAutoScalingAction
from tasks.gateways.actions.base import Action, AwsAction, Elsewhere, Look
from tasks.gateways.actions.code_deployment import DeployByCodeDeployAction
from tasks.gateways.actions.function_access import SetFunctionUrlAuthAction, SetReservedConcurrencyAction
from tasks.gateways.actions.function_alias import ShiftAliasAction
from tasks.gateways.actions.function_building import RebuildPackageAction
from tasks.gateways.actions.function_update import (
    PublishVersionAction,
    UpdateFunctionCodeAction,
    UpdateFunctionConfigurationAction,
    UpdateFunctionImageAction,
)
from tasks.gateways.actions.group_rules import EnsureClosedGroupAction, ReplaceGroupRulesAction
from tasks.gateways.actions.image_building import RebuildImageAction, TestImageAction
from tasks.gateways.actions.image_deployment import DeployServiceAction, RegisterTaskDefinitionAction
from tasks.gateways.actions.image_deprecation import (
    DeleteImageAction,
    SetImageArchivedAction,
    SetImageTagAction,
    SetTagMutabilityAction,
)
from tasks.gateways.actions.image_patching import PatchImageAction
from tasks.gateways.actions.image_promotion import SetRepositoryPolicyAction, SetStageTransitionAction
from tasks.gateways.actions.instance_refresh import RefreshInstancesAction
from tasks.gateways.actions.instances import (
    SetDeleteOnTerminationAction,
    SetInstanceAttributeAction,
    StartInstanceAction,
    StopInstanceAction,
)
from tasks.gateways.actions.interfaces import SwapSecurityGroupsAction
from tasks.gateways.actions.lifecycle import PutLifecyclePolicyAction
from tasks.gateways.actions.patching import CollectInventoryAction, PatchPackagesAction, WriteOverrideListAction
from tasks.gateways.actions.quarantine_group import EnsureOpenGroupAction, EnsureQuarantineGroupAction
from tasks.gateways.actions.replacement import CreateLaunchTemplateVersionAction, LaunchReplacementAction
from tasks.gateways.actions.snapshots import CreateSnapshotsAction
from tasks.gateways.actions.targets import DeregisterTargetAction, RegisterTargetAction
from tasks.gateways.actions.workflow_dispatch import RebuildByWorkflowAction, TestByWorkflowAction
from tasks.gateways.aws_session import AwsSessions

_ACTIONS: dict[type[Step], type[AwsAction[Any]]] = {
    EnsureQuarantineGroup: EnsureQuarantineGroupAction,
    EnsureOpenGroup: EnsureOpenGroupAction,
    DetachFromAutoScaling: DetachFromAutoScalingAction,
    AttachToAutoScaling: AttachToAutoScalingAction,
    DeregisterTarget: DeregisterTargetAction,
    RegisterTarget: RegisterTargetAction,
    SetInstanceAttribute: SetInstanceAttributeAction,
    SetDeleteOnTermination: SetDeleteOnTerminationAction,
    CreateSnapshots: CreateSnapshotsAction,
    SwapSecurityGroups: SwapSecurityGroupsAction,
    EnsureClosedGroup: EnsureClosedGroupAction,
    ReplaceGroupRules: ReplaceGroupRulesAction,
    StopInstance: StopInstanceAction,
    StartInstance: StartInstanceAction,
    WriteOverrideList: WriteOverrideListAction,
    PatchPackages: PatchPackagesAction,
    CollectInventory: CollectInventoryAction,
    CreateLaunchTemplateVersion: CreateLaunchTemplateVersionAction,
    RefreshInstances: RefreshInstancesAction,
    LaunchReplacement: LaunchReplacementAction,
    SetStageTransition: SetStageTransitionAction,
    SetRepositoryPolicy: SetRepositoryPolicyAction,
    RebuildImage: RebuildImageAction,
    TestImage: TestImageAction,
    RebuildByWorkflow: RebuildByWorkflowAction,
    TestByWorkflow: TestByWorkflowAction,
    PatchImage: PatchImageAction,
    RegisterTaskDefinition: RegisterTaskDefinitionAction,
    DeployService: DeployServiceAction,
    DeployByCodeDeploy: DeployByCodeDeployAction,
    SetImageTag: SetImageTagAction,
    SetImageArchived: SetImageArchivedAction,
    DeleteImage: DeleteImageAction,
    PutLifecyclePolicy: PutLifecyclePolicyAction,
    SetTagMutability: SetTagMutabilityAction,
    SetFunctionUrlAuth: SetFunctionUrlAuthAction,
    SetReservedConcurrency: SetReservedConcurrencyAction,
    UpdateFunctionConfiguration: UpdateFunctionConfigurationAction,
    UpdateFunctionImage: UpdateFunctionImageAction,
    RebuildPackage: RebuildPackageAction,
    UpdateFunctionCode: UpdateFunctionCodeAction,
    PublishVersion: PublishVersionAction,
    ShiftAlias: ShiftAliasAction,
}

__all__ = ["Action", "Elsewhere", "Look", "actions"]


def actions(sessions: AwsSessions, elsewhere: Elsewhere | None = None) -> dict[str, Action]:
    """Every action by the kind of its step, sharing the sessions of one run, and whom they need besides AWS."""
    return {step.model_fields["kind"].default: action(sessions, elsewhere) for step, action in _ACTIONS.items()}
