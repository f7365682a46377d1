"""Reading all that triage takes of cases about Lambda functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from runbooks.build_terms import project_name
from runbooks.case import CaseKey
from runbooks.definition import Runbook
from runbooks.facts import CaseFacts
from runbooks.finding import Finding
from runbooks.function import FunctionFacts, FunctionId, LambdaFunction
from runbooks.function_choices import alarm_names
from runbooks.gating.subject import ImageName
from tasks.facts import Resource, read_facts
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.codebuild import CodeBuildGateway
from tasks.gateways.functions import FunctionGateway


def read_function_facts(
    aws: AwsSessions, keys: Mapping[str, CaseKey], seen: Mapping[str, Sequence[Finding]], runbook: Runbook, today: date
) -> dict[str, CaseFacts]:
    """The facts of each case: the function, newer versions of its vulnerable layers, its alarms and its build project.

    Args:
        keys: case id -> where the case is; its resource is the function, as Inspector names it.
        seen: case id -> its findings as they arrived; a hint of what to read, never an authority.

    Raises:
        Outside: AWS did not say.
    """

    def functions(
        account: str, region: str, cases: Sequence[str], findings: Mapping[str, Sequence[Finding]]
    ) -> dict[str, Resource]:
        names = {case: function_name(keys[case]) for case in cases}
        read = FunctionGateway(aws).functions(account, region, [*names.values()])
        found = {case: read[name] for case, name in names.items()}
        projects = {case: _project(runbook, function) for case, function in found.items()}
        existing = CodeBuildGateway(aws).existing(account, region, [name for name in projects.values() if name])
        return {
            case: _resource(aws, runbook, function, findings[case], projects[case], existing, today)
            for case, function in found.items()
        }

    return read_facts(aws, keys, seen, functions)


def function_name(key: CaseKey) -> str:
    """The name of the case's function."""
    named = FunctionId.of(key.resource_id)
    return named.name if named else key.resource_id


def _resource(
    aws: AwsSessions,
    runbook: Runbook,
    function: LambdaFunction | None,
    findings: Sequence[Finding],
    project: str | None,
    existing: frozenset[str],
    today: date,
) -> Resource:
    if function is None:
        return Resource(FunctionFacts(function=None, read_on=today))
    gateway, place = FunctionGateway(aws), (function.account, function.region)
    told = {package.extra.get("sourceLambdaLayerArn") for finding in findings for package in finding.packages}
    vulnerable = [layer for layer in function.content.layers if layer in told]
    newer, unread = gateway.newer_layers(*place, function, vulnerable)
    wanted = alarm_names(runbook.deploy.alarms, function.name)
    there = gateway.alarms(*place, wanted)
    facts = FunctionFacts(
        function=function,
        newer_layers=newer,
        unread_layers=unread,
        alarms=tuple(name for name in wanted if name in there),
        project=project if project in existing else None,
        read_on=today,
    )
    return Resource(facts, function.tags)


def _project(runbook: Runbook, function: LambdaFunction | None) -> str | None:
    """The one that builds its image, where that is of the function's own account and region."""
    if function is None or function.image is None:
        return None
    image = ImageName.parse(function.image)
    here = (image.account, image.region) == (function.account, function.region)
    return project_name(runbook.rebuild.project, image.repository) if here else None
