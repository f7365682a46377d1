"""Reading all that triage takes of cases about Lambda functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from runbooks.build_terms import project_name
from runbooks.case import CaseKey
from runbooks.container_image import BaseImage
from runbooks.definition import Runbook
from runbooks.facts import CaseFacts
from runbooks.finding import Finding
from runbooks.function import FunctionFacts, FunctionId, LambdaFunction
from runbooks.function_choices import alarm_names, package_project_name
from runbooks.function_package import PackageProject
from runbooks.gating.subject import ImageName
from tasks.facts import Resource, read_facts
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.codebuild import CodeBuildGateway
from tasks.gateways.ecr import EcrGateway
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
        existing = CodeBuildGateway(aws).package_projects(account, region, [name for name in projects.values() if name])
        return {
            case: _resource(aws, runbook, function, findings[case], existing.get(projects[case] or ""), today)
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
    project: PackageProject | None,
    today: date,
) -> Resource:
    if function is None:
        return Resource(FunctionFacts(function=None, read_on=today))
    gateway, place = FunctionGateway(aws), (function.account, function.region)
    runs_image = function.package_type == "Image"
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
        project=project.name if project and runs_image else None,
        base=_base(aws, function) if project and runs_image else None,
        package_project=None if runs_image else project,
        read_on=today,
    )
    return Resource(facts, function.tags)


def _project(runbook: Runbook, function: LambdaFunction | None) -> str | None:
    """The one that builds its code, or its image where that is of the function's own account and region."""
    if function is None:
        return None
    if function.package_type == "Zip":
        return package_project_name(runbook.rebuild.package_project, function.name)
    project = runbook.rebuild.project
    if function.image is None or project is None:
        return None
    image = ImageName.parse(function.image)
    here = (image.account, image.region) == (function.account, function.region)
    return project_name(project, image.repository) if here else None


def _base(aws: AwsSessions, function: LambdaFunction) -> BaseImage | None:
    """What its image was built from."""
    name = ImageName.parse(str(function.image))
    found = EcrGateway(aws).images(name.account, name.region, name.repository, [str(name.digest)])
    image = found[str(name.digest)]
    return image.base if image else None
