"""The steps that replace instances from a patched AMI."""

from __future__ import annotations

from typing import ClassVar, Literal

from runbooks.steps.base import Role, Step


class CreateLaunchTemplateVersion(Step):
    """Make a new version of a launch template from the old one's data, with the patched AMI."""

    kind: Literal["create-launch-template-version"] = "create-launch-template-version"
    calls: ClassVar = ("ec2:CreateLaunchTemplateVersion",)
    permissions: ClassVar = (
        "autoscaling:DescribeAutoScalingGroups",
        "ec2:DescribeLaunchTemplateVersions",
        "ec2:CreateLaunchTemplateVersion",
    )
    role: ClassVar = Role.PATCH
    undo_reason: ClassVar = "a version does nothing until a group names it"

    source_version: str
    image: str
    groups: tuple[str, ...] = ()
    """The Auto Scaling groups that the plan takes to the new version; no other may follow the template to it."""

    def describe(self) -> str:
        return (
            f"Make a version of launch template {self.target.id} from version {self.source_version} with {self.image}"
        )

    def expectation(self) -> str:
        return (
            f"version {self.source_version} exists, no version of this operation does, and no other group launches "
            "from the newest version"
        )


class RefreshInstances(Step):
    """Replace a group's instances by ones from a launch template version, with checkpoints."""

    kind: Literal["refresh-instances"] = "refresh-instances"
    calls: ClassVar = ("autoscaling:StartInstanceRefresh",)
    permissions: ClassVar = (
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:DescribeInstanceRefreshes",
        "autoscaling:StartInstanceRefresh",
        "ec2:DescribeLaunchTemplateVersions",
        "ec2:RunInstances",
        "iam:PassRole",
    )
    role: ClassVar = Role.PATCH
    finishes_later: ClassVar = True
    all_at_once: ClassVar = True

    launch_template: str
    version: str
    """The version to go to: a number, or `@operation` for the version that this plan's own step made."""
    previous_version: str
    image: str | None
    """The AMI of the version to go to; the refresh is done when every instance in service has it."""
    minimum_healthy_percentage: int
    checkpoints: tuple[int, ...]
    checkpoint_delay_seconds: int

    @property
    def key(self) -> str:
        # Unlike an id of EC2, a group's name is its own only in its account and region.
        return self.key_of(self.target.id)

    @property
    def undo(self) -> Step | None:
        return self.model_copy(
            update={
                "version": self.previous_version,
                "previous_version": self.version,
                "image": None,
                "undoes": not self.undoes,
            }
        )

    def describe(self) -> str:
        return (
            f"Refresh Auto Scaling group {self.target.id} to {_in_words(self.version)} of {self.launch_template}, "
            f"keeping {self.minimum_healthy_percentage} % in service, with checkpoints at {list(self.checkpoints)} %"
        )

    def expectation(self) -> str:
        return f"the group uses {_in_words(self.previous_version)} and no refresh is running"


class LaunchReplacement(Step):
    """Launch an instance like the old one from the patched AMI; the old one stays as it is."""

    kind: Literal["launch-replacement"] = "launch-replacement"
    calls: ClassVar = ("ec2:RunInstances",)
    permissions: ClassVar = ("ec2:DescribeInstances", "ec2:RunInstances", "ec2:CreateTags", "iam:PassRole")
    role: ClassVar = Role.PATCH
    finishes_later: ClassVar = True
    undo_reason: ClassVar = "ending an instance that may already serve is a person's decision"

    image: str
    instance_type: str
    subnet: str
    groups: tuple[str, ...]
    profile: str | None
    tags: dict[str, str]

    def describe(self) -> str:
        return f"Launch a {self.instance_type} from {self.image} in {self.subnet} to take the place of {self.target.id}"

    def expectation(self) -> str:
        return "no replacement of this operation was launched yet"


def _in_words(version: str) -> str:
    return "the new version" if version.startswith("@") else f"version {version}"
