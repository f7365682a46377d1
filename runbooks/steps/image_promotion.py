"""The steps that keep a vulnerable image from going further: a closed pipeline stage, a repository without pulls."""

from __future__ import annotations

import re
from typing import ClassVar, Literal

from runbooks.repository_policy import SID
from runbooks.steps.base import Role, Step

_OURS = re.compile(r"\(remediation [A-Za-z0-9-]+\)\Z", re.ASCII)


def is_our_reason(reason: str | None) -> bool:
    """Whether a stage was closed by a response of this system: the reason ends with its name."""
    return reason is not None and _OURS.search(reason) is not None


class SetStageTransition(Step):
    """Close, or open, the way into a stage of a pipeline. What is in the stage already stays there."""

    kind: Literal["set-stage-transition"] = "set-stage-transition"
    calls: ClassVar = ("codepipeline:DisableStageTransition", "codepipeline:EnableStageTransition")
    permissions: ClassVar = (
        "codepipeline:GetPipelineState",
        "codepipeline:DisableStageTransition",
        "codepipeline:EnableStageTransition",
    )
    role: ClassVar = Role.CONTAIN

    pipeline: str
    stage: str
    enabled: bool
    """What it leaves."""
    reason: str = ""
    """CodePipeline takes 1 to 300 of letters, digits, blanks and `!@().*?-` (DisableStageTransition). It ends with
    `(remediation RESPONSE)`, by which our own closing is told from somebody else's."""

    @property
    def key(self) -> str:
        return self.key_of(f"{self.pipeline}/{self.stage}")

    @property
    def undo(self) -> Step | None:
        return self.model_copy(update={"enabled": not self.enabled, "undoes": not self.undoes})

    def describe(self) -> str:
        verb = "Open" if self.enabled else "Close"
        return f"{verb} the way into stage {self.stage} of pipeline {self.pipeline}"

    def expectation(self) -> str:
        return f"the way into the stage is {'closed' if self.enabled else 'open'}"


class SetRepositoryPolicy(Step):
    """Put this policy on a repository, in place of exactly the one that was read."""

    kind: Literal["set-repository-policy"] = "set-repository-policy"
    calls: ClassVar = ("ecr:SetRepositoryPolicy", "ecr:DeleteRepositoryPolicy")
    permissions: ClassVar = ("ecr:GetRepositoryPolicy", "ecr:SetRepositoryPolicy", "ecr:DeleteRepositoryPolicy")
    role: ClassVar = Role.CONTAIN

    repository: str
    expects: str | None
    """The policy's JSON text as it was read; None where there was none."""
    leaves: str | None
    consequence: str = ""
    """What stops working with it, in words."""

    @property
    def key(self) -> str:
        return self.key_of(self.repository)

    @property
    def undo(self) -> Step | None:
        return self.exchanged()

    def describe(self) -> str:
        if self.undoes:
            return f"Put the former policy of repository {self.repository} back"
        verb = "Go on denying" if SID in (self.expects or "") else "Deny"
        return f"{verb} pulls from repository {self.repository}" + (f": {self.consequence}" if self.consequence else "")

    def expectation(self) -> str:
        if self.undoes:
            return "the repository has the policy that this system put on it"
        return "the repository has " + ("the policy that was read" if self.expects else "no policy")
