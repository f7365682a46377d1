"""The steps that patch instances in place, through Systems Manager."""

from __future__ import annotations

from typing import ClassVar, Literal

from runbooks.steps.base import Role, Step


class WriteOverrideList(Step):
    """Write the list of packages to patch, which AWS-RunPatchBaseline reads from S3 as its InstallOverrideList."""

    kind: Literal["write-override-list"] = "write-override-list"
    calls: ClassVar = ("s3:PutObject",)
    permissions: ClassVar = ("s3:GetObject", "s3:ListBucket", "s3:PutObject")
    role: ClassVar = Role.PATCH
    undo_reason: ClassVar = "the object is named by its content and does nothing until a command names it"

    bucket: str
    object_key: str
    content: str
    """The YAML itself: what is approved is what is written."""

    @property
    def key(self) -> str:
        # One bucket may serve several accounts and regions.
        return self.key_of(self.target.id)

    def describe(self) -> str:
        return f"Write the list of packages to s3://{self.bucket}/{self.object_key}"

    def expectation(self) -> str:
        return "no object of this key, or one with the same content"


class PatchPackages(Step):
    """Patch the listed packages, and only those, on up to fifty instances with one command."""

    kind: Literal["patch-packages"] = "patch-packages"
    calls: ClassVar = ("ssm:SendCommand",)
    permissions: ClassVar = (
        "ssm:DescribeInstanceInformation",
        "ssm:ListCommands",
        "ssm:ListCommandInvocations",
        "ssm:DescribeInstancePatchStates",
        "ssm:SendCommand",
    )
    role: ClassVar = Role.PATCH
    finishes_later: ClassVar = True
    all_at_once: ClassVar = True
    undo_reason: ClassVar = "a package is not downgraded; only a copy from before, if there is one, is a way back"

    instances: tuple[str, ...]
    case_of: dict[str, str]
    """Instance id -> case id, so that every node's own result finds its case."""
    packages: tuple[str, ...]
    document: str
    override_list: str
    """s3:// address of the InstallOverrideList."""
    reboot: Literal["RebootIfNeeded", "NoReboot"]
    snapshot_id: str
    """GUID that makes every node install the same set, and marks the patch state as this run's."""
    delivery_timeout_seconds: int

    def describe(self) -> str:
        where = self.instances[0] if len(self.instances) == 1 else f"{len(self.instances)} instances"
        reboot = "rebooting if anything was installed" if self.reboot == "RebootIfNeeded" else "without a reboot"
        return f"Update {', '.join(self.packages)} on {where} with {self.document}, {reboot}"

    def expectation(self) -> str:
        return "Systems Manager reaches every instance, and no command of this operation was sent yet"


class CollectInventory(Step):
    """Run Inspector's inventory association once, so that the re-scan comes soon; it reads, on every managed node."""

    kind: Literal["collect-inventory"] = "collect-inventory"
    calls: ClassVar = ("ssm:StartAssociationsOnce",)
    permissions: ClassVar = (
        "ssm:ListAssociations",
        "ssm:DescribeAssociationExecutions",
        "ssm:StartAssociationsOnce",
    )
    role: ClassVar = Role.PATCH
    undo_reason: ClassVar = "it only reads; the association runs by itself every half hour anyway"

    association: str
    """Association id."""

    def describe(self) -> str:
        return f"Run the inventory association {self.association} once, to hurry Inspector's next look"

    def expectation(self) -> str:
        return "the association exists and was not run for this operation yet"
