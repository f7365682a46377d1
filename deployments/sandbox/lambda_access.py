"""Who can call a Lambda function, and its layers: what moto leaves out or answers differently."""

from __future__ import annotations

import json
from typing import Any

from deployments.sandbox import functions
from deployments.sandbox.lambda_functions import check_revision
from deployments.sandbox.operations import Call, operation, page
from deployments.sandbox.wire import AwsError


@operation("lambda", "GetPolicy")
def get_policy(call: Call) -> dict[str, Any]:
    """The resource policy of a function, or of one of its versions or aliases; what has none has none to show."""
    function = functions.find(call.world, call.params["FunctionName"])
    policy, qualifier = function.latest.policy, call.params.get("Qualifier")
    # moto keeps the statements of all qualifiers together, and shows all of them.
    statements = [one for one in policy.statements if _qualifier(one["Resource"]) == qualifier]
    if not statements:
        raise _not_found()
    shown = {"Version": "2012-10-17", "Id": "default", "Statement": statements}
    return {"Policy": json.dumps(shown), "RevisionId": policy.revision}


@operation("lambda", "RemovePermission")
def remove_permission(call: Call) -> Any:
    """Take a statement out of a function's resource policy."""
    function = functions.find(call.world, call.params["FunctionName"])
    check_revision(call.params.get("RevisionId"), function.latest.policy.revision)
    return call.forward()


@operation("lambda", "GetFunctionConcurrency")
def get_function_concurrency(call: Call) -> dict[str, Any]:
    """The reserved concurrency, when there is one; 0 stops the function."""
    reserved = functions.find(call.world, call.params["FunctionName"]).latest.reserved_concurrency
    return {} if reserved is None else {"ReservedConcurrentExecutions": int(reserved)}


@operation("lambda", "PutFunctionConcurrency")
def put_function_concurrency(call: Call) -> dict[str, Any]:
    """Reserve concurrency for a function."""
    function = functions.find(call.world, call.params["FunctionName"])
    reserved = int(call.params["ReservedConcurrentExecutions"])
    function.latest.reserved_concurrency = reserved
    return {"ReservedConcurrentExecutions": reserved}


@operation("lambda", "ListEventSourceMappings")
def list_event_source_mappings(call: Call) -> dict[str, Any]:
    """The event sources of a function as it is named: without a qualifier, or of the version or alias in it."""
    name = call.params.get("FunctionName")
    arn = f"arn:aws:lambda:{call.region}:{call.account}:function:{name}" if name else None
    arn = name if name and name.startswith("arn:") else arn
    mappings = functions.backend(call.world).list_event_source_mappings(call.params.get("EventSourceArn") or "", "")
    return {"EventSourceMappings": [one.get_configuration() for one in mappings if arn in (None, one.function_arn)]}


@operation("lambda", "ListFunctionUrlConfigs")
def list_function_url_configs(call: Call) -> dict[str, Any]:
    """The function's URL, as a list."""
    config = functions.find(call.world, call.params["FunctionName"]).latest.url_config
    return {"FunctionUrlConfigs": [config.to_dict()] if config else []}


@operation("lambda", "UpdateFunctionUrlConfig")
def update_function_url_config(call: Call) -> dict[str, Any]:
    """Change who may call the function's URL."""
    if functions.find(call.world, call.params["FunctionName"]).latest.url_config is None:
        raise _not_found()
    return call.moto()


@operation("lambda", "ListLayerVersions")
def list_layer_versions(call: Call) -> dict[str, Any]:
    """A layer's versions, by its name or its ARN, the newest first."""
    name = call.params["LayerName"].rpartition(":layer:")[2]
    versions = functions.backend(call.world).list_layer_versions(name)
    newest_first = sorted(versions, key=lambda one: int(one.version), reverse=True)
    return page(
        call,
        [one.get_layer_version() for one in newest_first],
        result="LayerVersions",
        token="Marker",
        limit="MaxItems",
    )


@operation("lambda", "GetLayerVersionByArn")
def get_layer_version_by_arn(call: Call) -> dict[str, Any]:
    """A layer version by its ARN."""
    version = functions.backend(call.world).layers_versions_by_arn(call.params["Arn"])
    if version is None:
        raise _not_found()
    return version.get_layer_version()


def _not_found() -> AwsError:
    return AwsError("ResourceNotFoundException", "The resource you requested does not exist.", status=404)


def _qualifier(arn: str) -> str | None:
    """The version or alias that the ARN of a function names; $LATEST is none."""
    named = arn.partition(":function:")[2].split(":")[1:]
    return next((one for one in named if one != "$LATEST"), None)
