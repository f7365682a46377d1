"""The steps that keep a vulnerable Lambda function from being called: no concurrency left for it, or a URL that asks
who calls.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from runbooks.steps.base import Role, Step

AuthType = Literal["NONE", "AWS_IAM"]


class SetReservedConcurrency(Step):
    """Reserve so many concurrent executions for a function: with 0 Lambda refuses every call (Lambda developer guide,
    "Configuring reserved concurrency").
    """

    kind: Literal["set-reserved-concurrency"] = "set-reserved-concurrency"
    calls: ClassVar = ("lambda:PutFunctionConcurrency", "lambda:DeleteFunctionConcurrency")
    permissions: ClassVar = (
        "lambda:GetFunctionConcurrency",
        "lambda:PutFunctionConcurrency",
        "lambda:DeleteFunctionConcurrency",
    )
    role: ClassVar = Role.CONTAIN

    function: str
    expects: int | None
    """None: it has no reservation."""
    leaves: int | None
    consequence: str = ""
    """What stops working with it, in words."""

    @property
    def key(self) -> str:
        return self.key_of(self.function)

    @property
    def undo(self) -> Step | None:
        return self.exchanged()

    def describe(self) -> str:
        if self.leaves is None:
            return f"Take the concurrency reservation of function {self.function} away"
        if self.leaves > 0:
            return f"Reserve {self.leaves} concurrent executions for function {self.function}"
        price = f": {self.consequence}" if self.consequence and not self.undoes else ""
        return f"Stop function {self.function}, by a concurrency reservation of 0{price}"

    def expectation(self) -> str:
        return "the function has " + (
            "no concurrency reservation" if self.expects is None else f"a concurrency reservation of {self.expects}"
        )


class SetFunctionUrlAuth(Step):
    """Have a function URL ask for IAM credentials, or ask nobody, as it was."""

    kind: Literal["set-function-url-auth"] = "set-function-url-auth"
    calls: ClassVar = ("lambda:UpdateFunctionUrlConfig",)
    permissions: ClassVar = ("lambda:ListFunctionUrlConfigs", "lambda:UpdateFunctionUrlConfig")
    role: ClassVar = Role.CONTAIN

    function: str
    qualifier: str | None
    """The alias whose URL it is; None: that of $LATEST."""
    expects: AuthType
    leaves: AuthType
    consequence: str = ""

    @property
    def key(self) -> str:
        return self.key_of(_qualified(self.function, self.qualifier))

    @property
    def undo(self) -> Step | None:
        return self.exchanged()

    def describe(self) -> str:
        whose = f"the URL of {_qualified(self.function, self.qualifier)}"
        price = f": {self.consequence}" if self.consequence and not self.undoes else ""
        return f"Have {whose} {_ASKS[self.leaves]}{price}"

    def expectation(self) -> str:
        return f"the URL is there, and its authentication is {self.expects}"


_ASKS = {"AWS_IAM": "ask for IAM credentials", "NONE": "ask for no credentials, as before"}


def _qualified(function: str, qualifier: str | None) -> str:
    return f"{function}:{qualifier}" if qualifier else function
