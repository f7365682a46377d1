"""Versions and aliases of Lambda functions.

AWS Lambda developer guide, "Implement Lambda canary deployments using a weighted alias": an alias that shares its
traffic points to two published versions, never to $LATEST.
"""

from __future__ import annotations

import uuid
from typing import Any

from moto.awslambda.models import LambdaAlias

from deployments.sandbox import functions
from deployments.sandbox.functions import Function
from deployments.sandbox.lambda_functions import check_changeable, check_revision, invalid, publish
from deployments.sandbox.operations import Call, operation
from deployments.sandbox.wire import AwsError
from deployments.sandbox.world import World

_LATEST = "$LATEST"


@operation("lambda", "PublishVersion")
def publish_version(call: Call) -> dict[str, Any]:
    """Publish $LATEST; what is the same as the newest version gives that one again."""
    function = functions.find(call.world, call.params["FunctionName"])
    check_changeable(call.world, function, call.params.get("RevisionId"))
    expected = call.params.get("CodeSha256")
    if expected and expected != function.latest.code_sha_256:
        raise invalid(
            f"CodeSHA256 ({expected}) is different from current CodeSHA256 in $LATEST "
            f"({function.latest.code_sha_256}). Please try again with the CodeSHA256 in $LATEST."
        )
    return publish(call.world, function, call.params.get("Description") or "")


@operation("lambda", "CreateAlias")
def create_alias(call: Call) -> dict[str, Any]:
    """Name a version, or two with their weights."""
    function = functions.find(call.world, call.params["FunctionName"])
    _check_route(call.world, function, call.params["FunctionVersion"], _weights(call.params.get("RoutingConfig")))
    return _shown(call.moto())


@operation("lambda", "UpdateAlias")
def update_alias(call: Call) -> dict[str, Any]:
    """Point an alias elsewhere; weights that are not mentioned stay."""
    params = call.params
    function = functions.find(call.world, params["FunctionName"])
    alias = _alias(call.world, function, params["Name"])
    check_revision(params.get("RevisionId"), alias.revision_id)
    routing = params.get("RoutingConfig", alias.routing_config)
    _check_route(call.world, function, params.get("FunctionVersion") or alias.function_version, _weights(routing))
    former = alias.function_version
    alias.update(params.get("Description"), params.get("FunctionVersion"), routing)
    alias.revision_id = str(uuid.uuid4())
    if alias.name in function.provisioned and alias.function_version != former and not _weights(routing):
        _make_ready(call.world, alias, former)
    return _shown(alias.to_json())


@operation("lambda", "GetAlias")
def get_alias(call: Call) -> dict[str, Any]:
    """An alias."""
    return _shown(call.moto())


@operation("lambda", "ListAliases")
def list_aliases(call: Call) -> dict[str, Any]:
    """A function's aliases, of one version if asked so."""
    functions.find(call.world, call.params["FunctionName"])
    wanted = call.params.get("FunctionVersion")
    aliases = [_shown(one) for one in call.moto()["Aliases"]]
    return {
        "Aliases": [
            one for one in aliases if wanted in (None, one["FunctionVersion"], *_weights(one.get("RoutingConfig")))
        ]
    }


def _alias(world: World, function: Function, name: str) -> LambdaAlias:
    return functions.backend(world).get_alias(name, function.name)


def _make_ready(world: World, alias: LambdaAlias, former: str) -> None:
    """The former version serves on until the environments of the new one are ready, by weights that AWS itself sets
    and takes away (hashicorp/terraform-provider-aws, 48116).
    """
    shares: Any = {"AdditionalVersionWeights": {former: 1.0}}
    alone: Any = {}
    alias.routing_config = shares

    def ready() -> None:
        if alias.routing_config is shares:
            alias.routing_config = alone
            alias.revision_id = str(uuid.uuid4())

    world.clock.after(world.settings.function_provisioning, ready)


def _weights(routing: dict[str, Any] | None) -> dict[str, float]:
    return dict((routing or {}).get("AdditionalVersionWeights") or {})


def _check_route(world: World, function: Function, version: str, weights: dict[str, float]) -> None:
    versions = functions.backend(world)._lambdas._functions[function.name]["versions"]
    published = {str(one.version) for one in versions}
    for one in (version, *weights):
        if one != _LATEST and one not in published:
            arn = f"{function.latest.function_arn}:{one}"
            raise AwsError("ResourceNotFoundException", f"Function not found: {arn}", status=404)
        if one != _LATEST and (state := functions.state_of(world, function, one)) != "Active":
            message = f"The operation cannot be performed at this time. The function is in the state {state}."
            raise AwsError("ResourceConflictException", message, status=409)
    if not weights:
        return
    if _LATEST in (version, *weights):
        raise invalid("$LATEST is not supported for an alias pointing to more than 1 version")
    if len(weights) > 1:
        raise invalid("Number of items in AdditionalVersionWeights cannot be greater than 1")
    if version in weights:
        raise invalid(f"Invalid function version {version}. Function version {version} is already included.")
    if any(not 0.0 <= weight <= 1.0 for weight in weights.values()):
        raise invalid("The weight of a version must be between 0.0 and 1.0")


def _shown(alias: dict[str, Any]) -> dict[str, Any]:
    if not _weights(alias.get("RoutingConfig")):
        alias.pop("RoutingConfig", None)
    return alias
