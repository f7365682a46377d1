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
    | StopInstance
    | StartInstance
    | WriteOverrideList
    | PatchPackages
    | CollectInventory
    | CreateLaunchTemplateVersion
    | RefreshInstances
    | LaunchReplacement,
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
    StopInstance,
    StartInstance,
    WriteOverrideList,
    PatchPackages,
    CollectInventory,
    CreateLaunchTemplateVersion,
    RefreshInstances,
    LaunchReplacement,
)

__all__ = [
    "STEP_KINDS",
    "AnyStep",
    "AttachToAutoScaling",
    "CollectInventory",
    "CreateLaunchTemplateVersion",
    "CreateSnapshots",
    "DeregisterTarget",
    "DetachFromAutoScaling",
    "EnsureOpenGroup",
    "EnsureQuarantineGroup",
    "LaunchReplacement",
    "PatchPackages",
    "RefreshInstances",
    "RegisterTarget",
    "Role",
    "SetDeleteOnTermination",
    "SetInstanceAttribute",
    "StartInstance",
    "Step",
    "StopInstance",
    "SwapSecurityGroups",
    "Target",
    "WriteOverrideList",
]
