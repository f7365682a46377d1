"""Every change this system knows how to make to the world, as data. `AnyStep` is the closed union of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from runbooks.steps.base import Role, Step, Target
from runbooks.steps.containment import (
    AttachToAutoScaling,
    CreateSnapshots,
    DeregisterTarget,
    DetachFromAutoScaling,
    EnsureOpenGroup,
    EnsureQuarantineGroup,
    RegisterTarget,
    SetDeleteOnTermination,
    SetInstanceAttribute,
    StartInstance,
    StopInstance,
    SwapSecurityGroups,
)
from runbooks.steps.function_access import SetFunctionUrlAuth, SetReservedConcurrency
from runbooks.steps.function_alias import ShiftAlias
from runbooks.steps.function_building import RebuildPackage
from runbooks.steps.function_update import (
    PublishVersion,
    UpdateFunctionCode,
    UpdateFunctionConfiguration,
    UpdateFunctionImage,
)
from runbooks.steps.image_building import (
    ImageBuild,
    PatchImage,
    RebuildByWorkflow,
    RebuildImage,
    TestByWorkflow,
    TestImage,
)
from runbooks.steps.image_deployment import DeployByCodeDeploy, DeployService, RegisterTaskDefinition
from runbooks.steps.image_deprecation import (
    DeleteImage,
    PutLifecyclePolicy,
    SetImageArchived,
    SetImageTag,
    SetTagMutability,
)
from runbooks.steps.image_promotion import SetRepositoryPolicy, SetStageTransition
from runbooks.steps.network import EnsureClosedGroup, ReplaceGroupRules
from runbooks.steps.patching import CollectInventory, PatchPackages, WriteOverrideList
from runbooks.steps.replacement import CreateLaunchTemplateVersion, LaunchReplacement, RefreshInstances

AnyStep = Annotated[
    EnsureQuarantineGroup
    | EnsureOpenGroup
    | DetachFromAutoScaling
    | AttachToAutoScaling
    | DeregisterTarget
    | RegisterTarget
    | SetInstanceAttribute
    | SetDeleteOnTermination
    | CreateSnapshots
    | SwapSecurityGroups
    | EnsureClosedGroup
    | ReplaceGroupRules
    | StopInstance
    | StartInstance
    | WriteOverrideList
    | PatchPackages
    | CollectInventory
    | CreateLaunchTemplateVersion
    | RefreshInstances
    | LaunchReplacement
    | SetStageTransition
    | SetRepositoryPolicy
    | RebuildImage
    | TestImage
    | RebuildByWorkflow
    | TestByWorkflow
    | PatchImage
    | RegisterTaskDefinition
    | DeployService
    | DeployByCodeDeploy
    | SetImageTag
    | SetImageArchived
    | DeleteImage
    | PutLifecyclePolicy
    | SetTagMutability
    | SetFunctionUrlAuth
    | SetReservedConcurrency
    | UpdateFunctionConfiguration
    | UpdateFunctionImage
    | RebuildPackage
    | UpdateFunctionCode
    | PublishVersion
    | ShiftAlias,
    Field(discriminator="kind"),
]

STEP_KINDS: tuple[type[Step], ...] = (
    EnsureQuarantineGroup,
    EnsureOpenGroup,
    DetachFromAutoScaling,
    AttachToAutoScaling,
    DeregisterTarget,
    RegisterTarget,
    SetInstanceAttribute,
    SetDeleteOnTermination,
    CreateSnapshots,
    SwapSecurityGroups,
    EnsureClosedGroup,
    ReplaceGroupRules,
    StopInstance,
    StartInstance,
    WriteOverrideList,
    PatchPackages,
    CollectInventory,
    CreateLaunchTemplateVersion,
    RefreshInstances,
    LaunchReplacement,
    SetStageTransition,
    SetRepositoryPolicy,
    RebuildImage,
    TestImage,
    RebuildByWorkflow,
    TestByWorkflow,
    PatchImage,
    RegisterTaskDefinition,
    DeployService,
    DeployByCodeDeploy,
    SetImageTag,
    SetImageArchived,
    DeleteImage,
    PutLifecyclePolicy,
    SetTagMutability,
    SetFunctionUrlAuth,
    SetReservedConcurrency,
    UpdateFunctionConfiguration,
    UpdateFunctionImage,
    RebuildPackage,
    UpdateFunctionCode,
    PublishVersion,
    ShiftAlias,
)

__all__ = [
    "STEP_KINDS",
    "AnyStep",
    "AttachToAutoScaling",
    "CollectInventory",
    "CreateLaunchTemplateVersion",
    "CreateSnapshots",
    "DeleteImage",
    "DeployByCodeDeploy",
    "DeployService",
    "DeregisterTarget",
    "DetachFromAutoScaling",
    "EnsureClosedGroup",
    "EnsureOpenGroup",
    "EnsureQuarantineGroup",
    "ImageBuild",
    "LaunchReplacement",
    "PatchImage",
    "PatchPackages",
    "PublishVersion",
    "PutLifecyclePolicy",
    "RebuildByWorkflow",
    "RebuildImage",
    "RebuildPackage",
    "RefreshInstances",
    "RegisterTarget",
    "RegisterTaskDefinition",
    "ReplaceGroupRules",
    "Role",
    "SetDeleteOnTermination",
    "SetFunctionUrlAuth",
    "SetImageArchived",
    "SetImageTag",
    "SetInstanceAttribute",
    "SetRepositoryPolicy",
    "SetReservedConcurrency",
    "SetStageTransition",
    "SetTagMutability",
    "ShiftAlias",
    "StartInstance",
    "Step",
    "StopInstance",
    "SwapSecurityGroups",
    "Target",
    "TestByWorkflow",
    "TestImage",
    "UpdateFunctionCode",
    "UpdateFunctionConfiguration",
    "UpdateFunctionImage",
    "WriteOverrideList",
]
