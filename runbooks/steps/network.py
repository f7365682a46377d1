"""The steps that close a way in from the internet, by exactly the rules that open it."""

from __future__ import annotations

from typing import ClassVar, Literal

from runbooks.group_rules import GroupRule
from runbooks.steps.base import Role, Step


class ReplaceGroupRules(Step):
    """Put some rules of a security group in the place of others: what is to stay is let in before anything goes.

    Both are looked for by what they let through. Our own are tagged with the operation, so that one which was cut
    short is told from somebody else's.
    """

    kind: Literal["replace-group-rules"] = "replace-group-rules"
    calls: ClassVar = ("ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress")
    permissions: ClassVar = (
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSecurityGroupRules",
        "ec2:DescribeNetworkInterfaces",
        "ec2:AuthorizeSecurityGroupIngress",
        "ec2:CreateTags",
        "ec2:RevokeSecurityGroupIngress",
    )
    role: ClassVar = Role.CONTAIN

    name: str
    """The group's, for reading."""
    carriers: tuple[str, ...]
    """The interfaces that carry it; where another one does by now, it is not this instance's alone any more."""
    removes: tuple[GroupRule, ...]
    adds: tuple[GroupRule, ...]
    """With the descriptions and tags that they get. Empty: what is removed lets in nobody else."""

    @property
    def undo(self) -> Step | None:
        return self.model_copy(update={"removes": self.adds, "adds": self.removes, "undoes": not self.undoes})

    def describe(self) -> str:
        added = f"add {_listed(self.adds)}, then " if self.adds else ""
        return f"Security group {self.target.id} ({self.name}): {added}remove {_listed(self.removes) or 'nothing'}"

    def expectation(self) -> str:
        there = f"the group has {_listed(self.removes)}" if self.removes else "the group is there"
        without = f", and does not have {_listed(self.adds)}" if self.adds else ""
        return there + without + ("" if self.undoes else f"; only {', '.join(self.carriers)} carries it")


class EnsureClosedGroup(Step):
    """Make sure that the VPC has a copy of a shared security group without the rules that let the internet in."""

    kind: Literal["ensure-closed-group"] = "ensure-closed-group"
    calls: ClassVar = (
        "ec2:CreateSecurityGroup",
        "ec2:AuthorizeSecurityGroupIngress",
        "ec2:RevokeSecurityGroupEgress",
        "ec2:AuthorizeSecurityGroupEgress",
    )
    permissions: ClassVar = (
        "ec2:DescribeSecurityGroups",
        "ec2:CreateSecurityGroup",
        "ec2:CreateTags",
        "ec2:AuthorizeSecurityGroupIngress",
        "ec2:RevokeSecurityGroupEgress",
        "ec2:AuthorizeSecurityGroupEgress",
    )
    role: ClassVar = Role.CONTAIN
    undo_reason: ClassVar = (
        "the copy is empty of members once their own group is put back, and serves the next instance that needs it"
    )

    vpc: str
    name: str
    source: str
    """The group it is a copy of."""
    ingress: tuple[GroupRule, ...]
    egress: tuple[GroupRule, ...]

    def describe(self) -> str:
        return (
            f"Have security group {self.name} in {self.vpc}: a copy of {self.source}; in: "
            f"{_listed(self.ingress) or 'nothing'}; out: {_listed(self.egress) or 'nothing'}"
        )

    def expectation(self) -> str:
        return "no group of this name in the VPC, or one with exactly these rules"


def _listed(rules: tuple[GroupRule, ...]) -> str:
    return ", ".join(f"{rule.words}{f' ({rule.id})' if rule.id else ''}" for rule in rules)
