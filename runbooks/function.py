"""What is known of a Lambda function when decisions are made about it: facts read from AWS, in our words."""

from __future__ import annotations

import re
from datetime import date
from typing import Literal, NamedTuple

from pydantic import Field

from runbooks.container_image import BaseImage
from runbooks.function_package import PackageProject
from runbooks.lambda_runtimes import deprecated_on
from runbooks.model import Model

LATEST = "$LATEST"
_ARN = re.compile(
    r"(?P<arn>arn:[\w-]+:lambda:[\w-]+:\d{12}:function:(?P<name>[\w-]+))(:(?P<qualifier>[\w$-]+))?", re.ASCII
)


class FunctionId(NamedTuple):
    """What the ARN of a function says, with or without a qualifier."""

    arn: str
    """Without the qualifier."""
    name: str
    qualifier: str | None
    """A version, an alias or $LATEST; None where none is named, which Lambda takes for $LATEST."""

    @classmethod
    def of(cls, resource_id: str) -> FunctionId | None:
        """None where the resource is no function."""
        found = _ARN.fullmatch(resource_id)
        return cls(found["arn"], found["name"], found["qualifier"]) if found else None

    @property
    def latest(self) -> str:
        """As Inspector names the function: it scans $LATEST alone."""
        return f"{self.arn}:{LATEST}"


def short_layer(arn: str) -> str:
    """Name and version of a layer version, which is how people call it."""
    return ":".join(arn.split(":")[-2:])


class FunctionContent(Model):
    """All of a function that a package can be in; two versions with the same have the same packages."""

    code_sha256: str
    """CodeSha256; of an image the hexadecimal digits of its digest."""
    layers: tuple[str, ...] = ()
    """ARNs of layer versions, in their order."""
    runtime: str | None = None
    """None for an image, which brings its own."""


class ServedVersion(Model):
    """A version that an alias sends calls to, and how it is not what $LATEST is."""

    version: str
    content: FunctionContent
    differs: tuple[str, ...] = ()
    """Names of the members of its configuration that are others than those of $LATEST."""


class FunctionAlias(Model):
    """An alias, with the versions it serves."""

    name: str
    description: str = ""
    serves: tuple[ServedVersion, ...]
    """The version that it names, then the one of its routing, if there is one."""
    weights: dict[str, float] = Field(default_factory=dict)
    """Version -> the share of the calls that its routing sends there; empty: all go to the version it names."""

    @property
    def version(self) -> str:
        return self.serves[0].version


class FunctionUrl(Model):
    """A function URL; each belongs to $LATEST or to one alias."""

    qualifier: str | None = None
    auth_type: str


class EventSource(Model):
    """An event source mapping: a queue or a stream that Lambda itself reads for the function."""

    arn: str
    qualifier: str | None = None
    enabled: bool = True


class Invoker(Model):
    """Whom a resource policy lets invoke the function."""

    principal: str
    qualifier: str | None = None
    conditional: bool = False
    """Whether the statement has a condition, such as a source account."""

    @property
    def is_anyone(self) -> bool:
        """Whether nothing at all is asked of who calls."""
        return self.principal == "*" and not self.conditional


class LambdaFunction(Model):
    """A function: its $LATEST, what its aliases serve, and who invokes it by which of these."""

    account: str
    region: str
    name: str
    arn: str
    """Without a qualifier."""
    package_type: Literal["Zip", "Image"] = "Zip"
    content: FunctionContent
    """Of $LATEST."""
    image: str | None = None
    """The image of $LATEST: repository URI, an at sign, and the digest."""
    code_size: int = 0
    """Bytes of the zip of $LATEST; 0 for an image."""
    bound_by: Literal["signature", "key"] | None = None
    """What its zip has that one from a build has not: a code signature, or a KMS key of the owner's own."""
    last_modified: str
    """Of $LATEST's code or configuration, exactly as Lambda gives it."""
    busy: bool = False
    """Whether it is being created or changed."""
    architectures: tuple[str, ...] = ()
    reserved_concurrency: int | None = None
    """None: it has no reservation. 0: it is never called."""
    aliases: tuple[FunctionAlias, ...] = ()
    urls: tuple[FunctionUrl, ...] = ()
    alike: tuple[str, ...] = ()
    """The published versions whose packages are those of $LATEST."""
    event_sources: tuple[EventSource, ...] = ()
    invokers: tuple[Invoker, ...] = ()
    tags: dict[str, str] = Field(default_factory=dict)


class FunctionFacts(Model):
    """Everything triage and planning read of one function."""

    kind: Literal["function"] = "function"
    function: LambdaFunction | None
    """None when it is gone."""
    newer_layers: dict[str, str] = Field(default_factory=dict)
    """Layer version -> the newest version of the same layer for this runtime and architecture, where there is one."""
    unread_layers: tuple[str, ...] = ()
    """Layer versions of which this account may not see the newer ones."""
    alarms: tuple[str, ...] = ()
    """Those of the runbook's alarms that are there."""
    project: str | None = None
    """The build project that the runbook names for the function's image, where there is such a project."""
    base: BaseImage | None = None
    """What its image was built from, where that says so and may be read."""
    package_project: PackageProject | None = None
    """The build project that the runbook names for the function's own code, where there is such a project."""
    read_on: date
    """The day, by which a runtime is deprecated or not yet."""

    @property
    def deprecated_since(self) -> date | None:
        """Since when the runtime is deprecated; None where it is not, or where that is not known."""
        runtime = self.function.content.runtime if self.function else None
        since = deprecated_on(runtime)
        return since if since is not None and since <= self.read_on else None
