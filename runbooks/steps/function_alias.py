"""The step that brings a published version of a Lambda function to its callers: a weighted canary on an alias."""

from __future__ import annotations

from typing import ClassVar, Literal

from runbooks.counting import counted
from runbooks.steps.base import Role, Step

NEW_VERSION = "@operation"
"""The version that the plan's own step has published."""


class ShiftAlias(Step):
    """Send a share of an alias's calls to another version, watch the alarms for a while, then send all of them there.

    An alarm that is raised meanwhile puts the alias back; that is recorded, and a failure. While it lasts the alias's
    description says which operation it is and since when: Lambda keeps no time of its own for an alias.
    """

    kind: Literal["shift-alias"] = "shift-alias"
    calls: ClassVar = ("lambda:UpdateAlias",)
    permissions: ClassVar = (
        "cloudwatch:DescribeAlarms",
        "lambda:GetAlias",
        "lambda:ListVersionsByFunction",
        "lambda:UpdateAlias",
    )
    role: ClassVar = Role.PATCH
    finishes_later: ClassVar = True
    must_end: ClassVar = True

    function: str
    alias: str
    expects: str
    """The version that the alias serves, alone."""
    leaves: str
    """The version to serve, alone; `@operation` for the one that this plan's own step has published."""
    description: str = ""
    """Of the alias, before and after."""
    percent: int
    bake_minutes: int
    alarms: tuple[str, ...] = ()
    """CloudWatch alarms that lead back."""

    @property
    def key(self) -> str:
        return self.key_of(f"{self.function}:{self.alias}")

    @property
    def undo(self) -> Step | None:
        return self.exchanged()

    def describe(self) -> str:
        whose, what = f"alias {self.alias} of function {self.function}", _version(self.leaves)
        if self.undoes:
            return f"Put {whose} back to {what}"
        watched = f", going back when {', '.join(self.alarms)} is raised" if self.alarms else ", watched by no alarm"
        minutes = counted(self.bake_minutes, "minute")
        return f"Shift {whose} to {what}: {self.percent} % for {minutes}{watched}, then all"

    def expectation(self) -> str:
        if self.undoes:
            return "the alias serves the version that was published"
        return f"the alias serves {_version(self.expects)} alone, and no alarm is raised"


def _version(name: str) -> str:
    return "the published version" if name.startswith("@") else f"version {name}"
