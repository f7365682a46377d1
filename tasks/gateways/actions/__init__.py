"""How each kind of step is looked at and done: `actions` gives them all, by the step's kind."""

from __future__ import annotations

from typing import Any

from runbooks.steps import (
    AttachToAutoScaling,
    CollectInventory,
    CreateLaunchTemplateVersion,
    CreateSnapshots,
    DeregisterTarget,
    DetachFromAutoScaling,
    EnsureOpenGroup,
    EnsureQuarantineGroup,
    LaunchReplacement,
    PatchPackages,
    RefreshInstances,
    RegisterTarget,
    SetDeleteOnTermination,
    SetInstanceAttribute,
    StartInstance,
    Step,
    StopInstance,
    SwapSecurityGroups,
    WriteOverrideList,
)
from tasks.gateways.actions.autoscaling import AttachToAutoScalingAction, DetachFromAutoScalingAction
from tasks.gateways.actions.base import Action, AwsAction, Look
from tasks.gateways.actions.instance_refresh import RefreshInstancesAction
from tasks.gateways.actions.instances import (
    SetDeleteOnTerminationAction,
    SetInstanceAttributeAction,
    StartInstanceAction,
    StopInstanceAction,
)
from tasks.gateways.actions.interfaces import SwapSecurityGroupsAction
from tasks.gateways.actions.patching import CollectInventoryAction, PatchPackagesAction, WriteOverrideListAction
from tasks.gateways.actions.quarantine_group import EnsureOpenGroupAction, EnsureQuarantineGroupAction
from tasks.gateways.actions.replacement import CreateLaunchTemplateVersionAction, LaunchReplacementAction
from tasks.gateways.actions.snapshots import CreateSnapshotsAction
from tasks.gateways.actions.targets import DeregisterTargetAction, RegisterTargetAction
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
    StopInstance: StopInstanceAction,
    StartInstance: StartInstanceAction,
    WriteOverrideList: WriteOverrideListAction,
    PatchPackages: PatchPackagesAction,
    CollectInventory: CollectInventoryAction,
    CreateLaunchTemplateVersion: CreateLaunchTemplateVersionAction,
    RefreshInstances: RefreshInstancesAction,
    LaunchReplacement: LaunchReplacementAction,
}

__all__ = ["Action", "Look", "actions"]


def actions(sessions: AwsSessions) -> dict[str, Action]:
    """Every action by the kind of its step, sharing the sessions of one run."""
    return {step.model_fields["kind"].default: action(sessions) for step, action in _ACTIONS.items()}
