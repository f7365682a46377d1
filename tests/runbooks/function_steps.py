"""One step of each kind that is about a Lambda function."""

from __future__ import annotations

from collections.abc import Callable

from runbooks.function import FunctionContent
from runbooks.function_package import FunctionPackage
from runbooks.steps import (
    AnyStep,
    PublishVersion,
    RebuildPackage,
    SetFunctionUrlAuth,
    SetReservedConcurrency,
    ShiftAlias,
    Target,
    UpdateFunctionCode,
    UpdateFunctionConfiguration,
    UpdateFunctionImage,
)
from tests.runbooks.image_steps import DIGEST, NEW_DIGEST, URI

FUNCTION = "order-export"
LAYER = "arn:aws:lambda:eu-west-1:210987654321:layer:order-export-dependencies"
OTHER_LAYER = "arn:aws:lambda:eu-west-1:210987654321:layer:tracing:7"
CODE = "c3ludGhldGljLWNvZGU="
MODIFIED = "2026-02-01T09:00:00.000+0000"
BEFORE = FunctionContent(code_sha256=CODE, layers=(OTHER_LAYER, f"{LAYER}:1"), runtime="python3.12")
AFTER = BEFORE.model_copy(update={"layers": (OTHER_LAYER, f"{LAYER}:2")})
BUCKET, ZIP = "lambda-builds-210987654321-eu-west-1", "packages/order-export-remediated-0.zip"
PACKAGE = FunctionPackage(bucket=BUCKET, key=ZIP, version="v1", code_sha256="cGF0Y2hlZC1jb2Rl", build="b:1")
REBUILT = BEFORE.model_copy(update={"code_sha256": PACKAGE.code_sha256})


def every_function_step(target: Callable[[str, str], Target], cases: tuple[str, ...]) -> tuple[AnyStep, ...]:
    """In the order of the registry."""
    function = target("function", FUNCTION)
    return (
        SetFunctionUrlAuth(
            target=target("function-url", f"{FUNCTION}:live"),
            cases=cases,
            function=FUNCTION,
            qualifier="live",
            expects="NONE",
            leaves="AWS_IAM",
            consequence="none",
        ),
        SetReservedConcurrency(
            target=function, cases=cases, function=FUNCTION, expects=None, leaves=0, consequence="none"
        ),
        UpdateFunctionConfiguration(
            target=function, cases=cases, function=FUNCTION, expects=BEFORE, leaves=AFTER, last_modified=MODIFIED
        ),
        UpdateFunctionImage(
            target=function,
            cases=cases,
            function=FUNCTION,
            expects=f"{URI}@{DIGEST}",
            leaves=f"{URI}@{NEW_DIGEST}",
            last_modified=MODIFIED,
        ),
        RebuildPackage(
            target=target("object", f"{BUCKET}/{ZIP}"),
            cases=cases,
            project="order-export-build",
            function=FUNCTION,
            bucket=BUCKET,
            object_key=ZIP,
            replaces=CODE,
            variables={"PACKAGES": "pyyaml=5.4"},
        ),
        UpdateFunctionCode(
            target=function,
            cases=cases,
            function=FUNCTION,
            package=PACKAGE,
            expects=BEFORE,
            leaves=REBUILT,
            last_modified=MODIFIED,
        ),
        PublishVersion(target=function, cases=cases, function=FUNCTION, content=AFTER),
        ShiftAlias(
            target=target("function-alias", f"{FUNCTION}:live"),
            cases=cases,
            function=FUNCTION,
            alias="live",
            expects="1",
            leaves="@operation",
            description="what customers call",
            percent=10,
            bake_minutes=10,
            alarms=("order-export-errors",),
        ),
    )
