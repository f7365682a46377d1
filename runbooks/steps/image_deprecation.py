"""The steps that retire an image nobody runs: its tags, its place in the repository, and the rules that keep others."""

from __future__ import annotations

from typing import ClassVar, Literal

from runbooks.lifecycle_policy import expires_images
from runbooks.steps.base import Role, Step

_IN_USE = (
    "batch:DescribeJobDefinitions",
    "ecr:BatchGetImage",
    "ecr:DescribeImages",
    "ecr:GetRegistryPolicy",
    "ecr:GetRepositoryPolicy",
    "ecs:DescribeServiceRevisions",
    "ecs:DescribeServices",
    "ecs:DescribeTaskDefinition",
    "ecs:DescribeTasks",
    "ecs:ListClusters",
    "ecs:ListServices",
    "ecs:ListTasks",
    "events:ListEventBuses",
    "events:ListRuleNamesByTarget",
    "events:ListTargetsByRule",
    "inspector2:GetClustersForImage",
    "inspector2:ListCoverage",
    "lambda:GetFunction",
    "lambda:GetPolicy",
    "lambda:ListAliases",
    "lambda:ListEventSourceMappings",
    "lambda:ListFunctions",
    "lambda:ListProvisionedConcurrencyConfigs",
    "scheduler:GetSchedule",
    "scheduler:ListSchedules",
)
"""What it takes to see, right before, that nobody runs the image, or starts it later."""


class SetImageTag(Step):
    """Take a tag off an image that keeps another one, or put it back on."""

    kind: Literal["set-image-tag"] = "set-image-tag"
    calls: ClassVar = ("ecr:BatchDeleteImage", "ecr:PutImage")
    permissions: ClassVar = (*_IN_USE, "ecr:BatchDeleteImage", "ecr:PutImage")
    role: ClassVar = Role.PATCH

    repository: str
    digest: str
    tag: str
    tagged: bool = False
    """What it leaves: the tag on the image, or off it."""

    @property
    def key(self) -> str:
        return self.key_of(f"{self.repository}:{self.tag}")

    @property
    def undo(self) -> Step | None:
        return self.model_copy(update={"tagged": not self.tagged, "undoes": not self.undoes})

    def describe(self) -> str:
        if self.tagged:
            return f"Put tag {self.tag} on {self.repository}@{self.digest[:19]}"
        return f"Take tag {self.tag} off {self.repository}@{self.digest[:19]}"

    def expectation(self) -> str:
        if self.tagged:
            return "no image has the tag"
        return "the tag is on this image, the image has another tag, and nobody runs it"


class SetImageArchived(Step):
    """Archive an image: nobody can pull it, and it can be made active again (UpdateImageStorageClass)."""

    kind: Literal["set-image-archived"] = "set-image-archived"
    calls: ClassVar = ("ecr:UpdateImageStorageClass",)
    permissions: ClassVar = (*_IN_USE, "ecr:UpdateImageStorageClass")
    role: ClassVar = Role.PATCH
    finishes_later: ClassVar = True

    repository: str
    digest: str
    archived: bool = True

    @property
    def key(self) -> str:
        return self.key_of(f"{self.repository}@{self.digest}")

    @property
    def undo(self) -> Step | None:
        return self.model_copy(update={"archived": not self.archived, "undoes": not self.undoes})

    def describe(self) -> str:
        verb = "Archive" if self.archived else "Make active again:"
        return f"{verb} {self.repository}@{self.digest[:19]}"

    def expectation(self) -> str:
        return "the image is active, and nobody runs it" if self.archived else "the image is archived"


class DeleteImage(Step):
    """Delete an image for good. Only where the runbook says so."""

    kind: Literal["delete-image"] = "delete-image"
    calls: ClassVar = ("ecr:BatchDeleteImage",)
    permissions: ClassVar = (*_IN_USE, "ecr:BatchDeleteImage")
    role: ClassVar = Role.PATCH
    undo_reason: ClassVar = "a deleted image is gone; only whoever has pulled it has it still"

    repository: str
    digest: str

    @property
    def key(self) -> str:
        return self.key_of(f"{self.repository}@{self.digest}")

    def describe(self) -> str:
        return f"Delete {self.repository}@{self.digest[:19]} for good"

    def expectation(self) -> str:
        return "the image is there, nobody runs it, and no version of a function is made from it"


class PutLifecyclePolicy(Step):
    """Put this lifecycle policy on a repository, in place of exactly the one that was read, after a preview of it."""

    kind: Literal["put-lifecycle-policy"] = "put-lifecycle-policy"
    calls: ClassVar = ("ecr:StartLifecyclePolicyPreview", "ecr:PutLifecyclePolicy", "ecr:DeleteLifecyclePolicy")
    permissions: ClassVar = (
        *_IN_USE,
        "ecr:DeleteLifecyclePolicy",
        "ecr:GetLifecyclePolicy",
        "ecr:GetLifecyclePolicyPreview",
        "ecr:PutLifecyclePolicy",
        "ecr:StartLifecyclePolicyPreview",
    )
    role: ClassVar = Role.PATCH
    finishes_later: ClassVar = True

    repository: str
    expects: str | None
    leaves: str | None

    @property
    def key(self) -> str:
        return self.key_of(self.repository)

    @property
    def undo(self) -> Step | None:
        return self.exchanged()

    @property
    def deletes(self) -> bool:
        """Whether ECR deletes images for good while the policy that this step leaves is there."""
        return expires_images(self.leaves)

    def describe(self) -> str:
        if self.undoes:
            gone = ": what was deleted by the other one stays deleted" if expires_images(self.expects) else ""
            return f"Put the former lifecycle policy of {self.repository} back{gone}"
        return f"Change the lifecycle policy of {self.repository}"

    def expectation(self) -> str:
        if self.undoes:
            return "the repository has the lifecycle policy that this system put on it"
        had = "the policy that was read" if self.expects else "no lifecycle policy"
        return f"the repository has {had}, and the preview expires no image that somebody runs"


class SetTagMutability(Step):
    """Let nobody move a tag of the repository to another image any more, or let them again."""

    kind: Literal["set-tag-mutability"] = "set-tag-mutability"
    calls: ClassVar = ("ecr:PutImageTagMutability",)
    permissions: ClassVar = ("ecr:DescribeRepositories", "ecr:PutImageTagMutability")
    role: ClassVar = Role.PATCH

    repository: str
    expects: str
    leaves: str

    @property
    def key(self) -> str:
        return self.key_of(self.repository)

    @property
    def undo(self) -> Step | None:
        return self.exchanged()

    def describe(self) -> str:
        return f"Set the tags of repository {self.repository} to {self.leaves.lower()}"

    def expectation(self) -> str:
        return f"they are {self.expects.lower()}"
