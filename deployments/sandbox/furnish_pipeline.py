"""Builds CodeBuild projects with what they do, and the pipeline that takes an image to production."""

from __future__ import annotations

from typing import Any

from moto.codebuild.models import codebuild_backends
from moto.codepipeline.models import codepipeline_backends
from moto.iam.models import iam_backends

from deployments.sandbox.builds import Recipe
from deployments.sandbox.world import World

_STAGES = ("Source", "Build", "Staging", "Production")
_TRUST = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"%s"},"Action":"sts:AssumeRole"}]}'
)


def ensure_project(world: World, name: str, recipe: Recipe, artifacts: dict[str, Any] | None = None) -> str:
    """Have a CodeBuild project that does what the recipe says, and leaves its artifacts there; its ARN."""
    projects = codebuild_backends[world.account][world.region]
    if name not in projects.codebuild_projects:
        role = _role(world, f"{name}-build", "codebuild.amazonaws.com")
        projects.create_project(
            name,
            None,
            {"type": "NO_SOURCE", "location": "", "buildspec": "version: 0.2"},
            artifacts or {"type": "NO_ARTIFACTS"},
            {
                "type": "LINUX_CONTAINER",
                "image": "aws/codebuild/standard:7.0",
                "computeType": "BUILD_GENERAL1_SMALL",
                "privilegedMode": recipe.makes == "image",
                "environmentVariables": [],
            },
            role,
            *[None] * 7,  # type: ignore[arg-type]
        )
    world.recipes[name] = recipe
    return projects.codebuild_projects[name].arn


def ensure_pipeline(world: World, name: str, build_project: str) -> tuple[str, list[str]]:
    """Have a pipeline whose second stage builds and whose last one is production; its ARN and its stages."""
    pipelines = codepipeline_backends[world.account][world.region]
    if name not in pipelines.pipelines:
        pipelines.create_pipeline(
            {
                "name": name,
                "roleArn": _role(world, f"{name}-pipeline", "codepipeline.amazonaws.com"),
                "artifactStore": {"type": "S3", "location": f"pipeline-{world.account}-{world.region}"},
                "stages": [_stage(stage, build_project) for stage in _STAGES],
            },
            [],
        )
    return pipelines.pipelines[name].metadata["pipelineArn"], list(_STAGES)


def _stage(name: str, build_project: str) -> dict[str, Any]:
    kinds = {
        "Source": ("Source", "S3", {}),
        "Build": ("Build", "CodeBuild", {"ProjectName": build_project}),
    }
    category, provider, configuration = kinds.get(name, ("Deploy", "ECS", {}))
    kind = {"category": category, "owner": "AWS", "provider": provider, "version": "1"}
    return {"name": name, "actions": [{"name": name, "actionTypeId": kind, "configuration": configuration}]}


def _role(world: World, name: str, service: str) -> str:
    iam = iam_backends[world.account]["aws"]
    known = next((role for role in iam.roles.values() if role.name == name), None)
    return (known or iam.create_role(name, _TRUST % service, "/", None, "", [], None)).arn
