"""Values for tests about Lambda functions.

The default is one story: order-export, whose layer order-export-dependencies:1 has a pyyaml with a known exploit; there
is a newer version of the layer. Whoever has its URL invokes it, and a queue; alias live serves version 1, and an alarm
watches it. It can be contained, updated, shifted and proven.
"""

from __future__ import annotations

from datetime import date
from functools import cache
from typing import Any

from runbooks.case import CaseKey
from runbooks.catalog import Catalog
from runbooks.definition import Runbook
from runbooks.evidence import FunctionEvidence
from runbooks.facts import CaseFacts
from runbooks.finding import Finding, Resource, VulnerablePackage
from runbooks.function import (
    EventSource,
    FunctionAlias,
    FunctionFacts,
    FunctionUrl,
    LambdaFunction,
    ServedVersion,
)
from runbooks.function_package import PackageProject
from runbooks.instance import Exploitation
from runbooks.triage import Assessment, assess
from runbooks.verdict import Coverage
from tests.runbooks.builders import ACCOUNT, REGION, a_case_key, a_finding, a_package, after
from tests.runbooks.function_steps import AFTER, BEFORE, BUCKET, FUNCTION, LAYER, MODIFIED

RUNBOOK = "lambda-package-cve"
ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{FUNCTION}"
TODAY = date(2026, 3, 2)
OLD, NEW = f"{LAYER}:1", f"{LAYER}:2"
PROJECT = PackageProject(name=f"{FUNCTION}-build", bucket=BUCKET, path="packages")
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:orders"


def a_function_key(name: str = FUNCTION) -> CaseKey:
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}:$LATEST"
    return a_case_key(arn, runbook=RUNBOOK, resource_type="AWS_LAMBDA_FUNCTION")


FUNCTION_CASE = a_function_key().id


def a_function_runbook(**changes: Any) -> Runbook:
    """The shipped runbook; `changes` are merged into its sections."""
    values = _shipped().model_dump()
    for name, change in changes.items():
        both = isinstance(change, dict) and isinstance(values[name], dict)
        values[name] = values[name] | change if both else change
    return Runbook.model_validate(values)


@cache
def _shipped() -> Runbook:
    return Catalog.read().named(RUNBOOK)


def a_python_package(layer: str | None = OLD, **changes: Any) -> VulnerablePackage:
    values: dict[str, Any] = {
        "name": "pyyaml",
        "version": "5.3.1",
        "release": None,
        "arch": None,
        "manager": "PIP",
        "fixed_in": "5.4",
        "file_path": "python/PyYAML-5.3.1.dist-info/METADATA" if layer else "requirements.txt",
        "extra": {"sourceLambdaLayerArn": layer} if layer else {},
    }
    return a_package(**(values | changes))


def a_function_finding(number: int = 1, name: str = FUNCTION, **changes: Any) -> Finding:
    resource = Resource(
        type="AWS_LAMBDA_FUNCTION",
        id=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}:$LATEST",
        account=ACCOUNT,
        region=REGION,
    )
    return a_finding(number, **({"resource": resource, "packages": (a_python_package(),)} | changes))


def served(version: str = "1", **changes: Any) -> ServedVersion:
    return ServedVersion(**({"version": version, "content": BEFORE} | changes))


def an_alias(name: str = "live", *versions: ServedVersion, **changes: Any) -> FunctionAlias:
    values = {"name": name, "description": "what customers call", "serves": versions or (served(),)}
    return FunctionAlias(**(values | changes))


def a_function(name: str = FUNCTION, **changes: Any) -> LambdaFunction:
    values: dict[str, Any] = {
        "account": ACCOUNT,
        "region": REGION,
        "name": name,
        "arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}",
        "content": BEFORE,
        "last_modified": MODIFIED,
        "architectures": ("arm64",),
        "aliases": (an_alias(),),
        "urls": (FunctionUrl(qualifier="live", auth_type="NONE"),),
        "event_sources": (EventSource(arn=QUEUE, qualifier="live"),),
        "tags": {"environment": "production"},
    }
    return LambdaFunction(**(values | changes))


def function_facts(**changes: Any) -> FunctionFacts:
    """`function=None` among the changes makes it gone."""
    values: dict[str, Any] = {
        "function": a_function(),
        "newer_layers": {OLD: NEW},
        "alarms": ("order-export-errors",),
        "read_on": TODAY,
    }
    return FunctionFacts(**(values | changes))


def a_function_case(*findings: Finding, name: str = FUNCTION, **changes: Any) -> CaseFacts:
    """The facts of a case; members of the function's facts, and of the function, are among the changes."""
    of_facts = {each: changes.pop(each) for each in tuple(changes) if each in FunctionFacts.model_fields}
    of_function = {each: changes.pop(each) for each in tuple(changes) if each in LambdaFunction.model_fields}
    values: dict[str, Any] = {
        "case": a_function_key(name).id,
        "findings": findings or (a_function_finding(name=name),),
        "exploitation": Exploitation(exploit_available=True, epss=0.42),
        "resource": function_facts(**({"function": a_function(name, **of_function)} | of_facts)),
    }
    return CaseFacts(**(values | changes))


def a_function_assessment(facts: CaseFacts | None = None, runbook: Runbook | None = None, **changes: Any) -> Assessment:
    return assess(facts or a_function_case(**changes), runbook or a_function_runbook())


def scanned_at(minutes: float = 30, reason: str = "SUCCESSFUL", status: str = "ACTIVE") -> Coverage:
    return Coverage(status=status, reason=reason, last_scanned_at=after(minutes))


def function_evidence(**changes: Any) -> FunctionEvidence:
    """Updated at 20, scanned at 30 minutes; the alias serves version 2, which is what was scanned."""
    values: dict[str, Any] = {
        "resource": f"{ARN}:$LATEST",
        "findings": {a_function_finding().arn: "CLOSED"},
        "coverage": scanned_at(),
        "latest": AFTER,
        "modified_at": after(20),
        "aliases": (an_alias("live", served("2", content=AFTER)),),
        "vulnerable": (BEFORE,),
    }
    return FunctionEvidence(**(values | changes))
