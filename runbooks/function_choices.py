"""What a runbook chooses about Lambda functions: how one is contained, and which runtimes are exchanged."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from runbooks.build_terms import named
from runbooks.model import Model

PLACEHOLDERS = ("function",)
"""What the name of an alarm, or of a build project, may have in braces: the function's name."""


class Function(Model):
    """How a function is contained, and which runtimes it may be given."""

    require_iam: bool = True
    """Contained, its URLs that ask nobody ask for IAM credentials: whoever has none is refused."""
    stop: bool = False
    """Contained, it is not called at all: a concurrency reservation of 0."""
    runtimes: dict[str, Annotated[str, Field(min_length=1)]] = Field(default_factory=dict)
    """Runtime -> the one to put in its place, where the runtime itself has what is vulnerable. Lambda promises no
    compatibility between two of them."""


def alarm_names(templates: tuple[str, ...], function: str) -> tuple[str, ...]:
    """The alarms that a runbook names, for one function: `{function}` stands for its name."""
    return tuple(each.format(function=function) for each in templates)


def package_project_name(template: str, function: str) -> str:
    """The CodeBuild project that a runbook means for a function's own code: `{function}` stands for its name."""
    return template.format(function=function)


def checked_package_project(template: str) -> str:
    """Raises ValueError where the project's name has another placeholder than `{function}`."""
    named(template, PLACEHOLDERS)
    return template


def checked_alarms(templates: tuple[str, ...]) -> None:
    """Raises ValueError where one of the alarms has another placeholder than `{function}`."""
    for each in templates:
        named(each, PLACEHOLDERS)
