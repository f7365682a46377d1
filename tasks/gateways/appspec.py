"""The AppSpec of a deployment of an ECS service by CodeDeploy: read from YAML or JSON, and written as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import yaml
from pydantic import AliasChoices, BaseModel, Field, ValidationError

_DEFINITION = "TaskDefinition"
_VERSION = 0.0
"""The only one there is (CodeDeploy user guide, "AppSpec file structure")."""


class _Target(BaseModel):
    properties: Annotated[dict[str, Any], Field(validation_alias=AliasChoices("Properties", "properties"))]


class _AppSpec(BaseModel):
    """CodeDeploy takes the names of its sections in large and in small letters."""

    resources: Annotated[
        list[dict[str, _Target]],
        Field(validation_alias=AliasChoices("Resources", "resources"), min_length=1, max_length=1),
    ]
    hooks: Annotated[list[dict[str, Any]] | None, Field(default=None, validation_alias=AliasChoices("Hooks", "hooks"))]


def read_appspec(content: str) -> tuple[dict[str, Any] | None, tuple[dict[str, Any], ...]]:
    """What it says of the service besides the task definition, and its hooks; None where that cannot be told."""
    try:
        found = _AppSpec.model_validate(yaml.safe_load(content))
    except (yaml.YAMLError, ValidationError):
        return None, ()
    properties = next((target.properties for target in found.resources[0].values()), {})
    kept = {name: value for name, value in properties.items() if name != _DEFINITION}
    return (kept, tuple(found.hooks or ())) if kept.get("LoadBalancerInfo") else (None, ())


def write_appspec(definition: str, properties: Mapping[str, Any], hooks: Sequence[Mapping[str, Any]]) -> str:
    """The AppSpec that deploys a task definition."""
    target = {"Type": "AWS::ECS::Service", "Properties": {**properties, _DEFINITION: definition}}
    spec: dict[str, Any] = {"version": _VERSION, "Resources": [{"TargetService": target}]}
    return json.dumps(spec | ({"Hooks": [*hooks]} if hooks else {}))
