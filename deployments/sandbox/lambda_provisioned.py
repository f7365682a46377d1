"""Provisioned concurrency of Lambda functions: which versions and aliases are kept ready."""

from __future__ import annotations

from typing import Any

from deployments.sandbox import functions
from deployments.sandbox.operations import Call, operation, page


@operation("lambda", "PutProvisionedConcurrencyConfig")
def put_provisioned_concurrency_config(call: Call) -> dict[str, Any]:
    """Keep so many environments of a version or an alias ready; they are at once."""
    function, wanted = functions.find(call.world, call.params["FunctionName"]), call.params
    function.provisioned[wanted["Qualifier"]] = int(wanted["ProvisionedConcurrentExecutions"])
    return _shown(function.provisioned[wanted["Qualifier"]])


@operation("lambda", "ListProvisionedConcurrencyConfigs")
def list_provisioned_concurrency_configs(call: Call) -> dict[str, Any]:
    """Those of a function, by the ARN of each version or alias."""
    function = functions.find(call.world, call.params["FunctionName"])
    arn = function.latest.function_arn
    shown = [{"FunctionArn": f"{arn}:{name}"} | _shown(number) for name, number in function.provisioned.items()]
    return page(call, shown, result="ProvisionedConcurrencyConfigs", token="Marker", limit="MaxItems")


def _shown(number: int) -> dict[str, Any]:
    return {
        "RequestedProvisionedConcurrentExecutions": number,
        "AvailableProvisionedConcurrentExecutions": number,
        "AllocatedProvisionedConcurrentExecutions": number,
        "Status": "READY",
    }
