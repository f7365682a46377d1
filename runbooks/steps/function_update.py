"""The steps that change a Lambda function: another layer version, runtime, image or code in $LATEST, and a version of
it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from runbooks.function import FunctionContent, short_layer
from runbooks.function_package import FunctionPackage
from runbooks.steps.base import Role, Step


class UpdateFunctionConfiguration(Step):
    """Put other layer versions, or another runtime, into $LATEST. Whoever calls the function without a version or an
    alias has them at once.
    """

    kind: Literal["update-function-configuration"] = "update-function-configuration"
    calls: ClassVar = ("lambda:UpdateFunctionConfiguration",)
    permissions: ClassVar = (
        "lambda:GetFunctionConfiguration",
        "lambda:UpdateFunctionConfiguration",
        "lambda:GetLayerVersion",
    )
    acting_reads: ClassVar = ("lambda:GetLayerVersion",)
    role: ClassVar = Role.PATCH
    finishes_later: ClassVar = True

    function: str
    expects: FunctionContent
    leaves: FunctionContent
    """The same code, with other layers or another runtime."""
    last_modified: str | None
    """Of $LATEST when the plan was made: a version is published of all of it, so that nothing else may have changed.
    None where the plan's own step changes it before."""

    @property
    def key(self) -> str:
        return self.key_of(self.function)

    @property
    def undo(self) -> Step | None:
        return self.exchanged()

    def describe(self) -> str:
        return f"Give function {self.function} {' and '.join(self._changes()) or 'what it has'}"

    def expectation(self) -> str:
        has = [short_layer(each) for each in self.expects.layers]
        return f"its $LATEST has {', '.join(has) or 'no layer'} and runtime {self.expects.runtime}, unchanged since"

    def _changes(self) -> Iterator[str]:
        for old, new in zip(self.expects.layers, self.leaves.layers, strict=True):
            if old != new:
                yield f"layer {short_layer(new)} in the place of {short_layer(old)}"
        if self.expects.runtime != self.leaves.runtime:
            yield f"runtime {self.leaves.runtime} in the place of {self.expects.runtime}"


class UpdateFunctionImage(Step):
    """Put another container image into $LATEST, by its digest."""

    kind: Literal["update-function-image"] = "update-function-image"
    calls: ClassVar = ("lambda:UpdateFunctionCode",)
    permissions: ClassVar = (
        "lambda:GetFunction",
        "lambda:UpdateFunctionCode",
        "ecr:BatchGetImage",
        "ecr:GetDownloadUrlForLayer",
    )
    acting_reads: ClassVar = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
    role: ClassVar = Role.PATCH
    finishes_later: ClassVar = True

    function: str
    expects: str
    """The image that $LATEST has: repository URI, an at sign, and the digest."""
    leaves: str
    last_modified: str
    """Of $LATEST when the plan was made."""

    @property
    def key(self) -> str:
        return self.key_of(self.function)

    @property
    def undo(self) -> Step | None:
        return self.exchanged()

    def describe(self) -> str:
        return f"Give function {self.function} the image {self.leaves}"

    def expectation(self) -> str:
        return f"its $LATEST has the image {self.expects}, unchanged since"


class UpdateFunctionCode(Step):
    """Put another zip into $LATEST, just as a build left it in S3. Put back, $LATEST gets the zip of the published
    version that has the code it had: Lambda hands that out, and takes it again in the call itself.
    """

    kind: Literal["update-function-code"] = "update-function-code"
    calls: ClassVar = ("lambda:UpdateFunctionCode",)
    permissions: ClassVar = (
        "lambda:GetFunction",
        "lambda:GetFunctionConfiguration",
        "lambda:ListVersionsByFunction",
        "lambda:UpdateFunctionCode",
        "s3:GetObject",
        "s3:GetObjectVersion",
        "kms:Decrypt",
    )
    acting_reads: ClassVar = ("s3:GetObject", "s3:GetObjectVersion", "kms:Decrypt")
    role: ClassVar = Role.PATCH
    finishes_later: ClassVar = True

    function: str
    package: FunctionPackage
    expects: FunctionContent
    leaves: FunctionContent
    """The same layers and runtime, with the code of the package."""
    last_modified: str
    """Of $LATEST when the plan was made."""

    @property
    def key(self) -> str:
        return self.key_of(self.function)

    @property
    def undo(self) -> Step | None:
        return self.exchanged()

    def describe(self) -> str:
        if self.undoes:
            return f"Give function {self.function} the code back that it had"
        built = f", which build {self.package.build} made" if self.package.build else ""
        return f"Give function {self.function} the code in {self.package.address}{built}"

    def expectation(self) -> str:
        return f"its $LATEST has code {self.expects.code_sha256}, unchanged since"


class PublishVersion(Step):
    """Publish $LATEST as a version, and wait until it can be invoked. Lambda gives the newest one again when nothing
    has changed since.
    """

    kind: Literal["publish-version"] = "publish-version"
    calls: ClassVar = ("lambda:PublishVersion",)
    permissions: ClassVar = (
        "lambda:GetFunctionConfiguration",
        "lambda:ListVersionsByFunction",
        "lambda:PublishVersion",
    )
    role: ClassVar = Role.PATCH
    finishes_later: ClassVar = True
    undo_reason: ClassVar = "a version does nothing until an alias names it"

    function: str
    content: FunctionContent
    """What $LATEST must be: what the plan's own step has left, or what it has before the first of them."""

    @property
    def key(self) -> str:
        return self.key_of(self.function)

    def describe(self) -> str:
        return f"Publish a version of function {self.function}"

    def expectation(self) -> str:
        return "its $LATEST is as the plan says, and this operation has published no version of it"
