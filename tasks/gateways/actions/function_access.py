"""Keeping a Lambda function from being called: its concurrency reservation, and whom its URL asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from runbooks.steps.function_access import SetFunctionUrlAuth, SetReservedConcurrency
from tasks.gateways.actions.base import AwsAction, Look, Place, compare, gone
from tasks.gateways.aws_errors import code_of
from tasks.gateways.bulk import pages
from tasks.gateways.functions import NOT_THERE


class SetReservedConcurrencyAction(AwsAction[SetReservedConcurrency]):
    """Puts a reservation, or takes it away: none is another thing than 0."""

    def _look(
        self, place: Place, steps: Sequence[SetReservedConcurrency], operations: Mapping[str, str]
    ) -> dict[str, Look]:
        client = place.reading("lambda")
        return {step.key: _look_at(client, step) for step in steps}

    def _act(self, place: Place, step: SetReservedConcurrency, operation: str, look: Look) -> dict[str, Any]:
        client = place.acting("lambda", step)
        if step.leaves is None:
            client.delete_function_concurrency(FunctionName=step.function)
        else:
            client.put_function_concurrency(FunctionName=step.function, ReservedConcurrentExecutions=step.leaves)
        return {"reserved_concurrency": step.leaves}


class SetFunctionUrlAuthAction(AwsAction[SetFunctionUrlAuth]):
    """Changes whom a URL asks; all else of the URL stays, for it is not mentioned."""

    def _look(
        self, place: Place, steps: Sequence[SetFunctionUrlAuth], operations: Mapping[str, str]
    ) -> dict[str, Look]:
        client = place.reading("lambda")
        return {step.key: _look_at_url(client, step) for step in steps}

    def _act(self, place: Place, step: SetFunctionUrlAuth, operation: str, look: Look) -> dict[str, Any]:
        qualifier = {"Qualifier": step.qualifier} if step.qualifier else {}
        place.acting("lambda", step).update_function_url_config(
            FunctionName=step.function, AuthType=step.leaves, **qualifier
        )
        return {"auth_type": step.leaves}


def _look_at(client: Any, step: SetReservedConcurrency) -> Look:
    try:
        answer = client.get_function_concurrency(FunctionName=step.function)
    except ClientError as error:
        if code_of(error) != NOT_THERE:
            raise
        return gone(f"function {step.function}")
    reserved = answer.get("ReservedConcurrentExecutions")
    return compare(reserved, step.expects, step.leaves, "reserved_concurrency")


def _look_at_url(client: Any, step: SetFunctionUrlAuth) -> Look:
    try:
        urls = list(pages(client, "list_function_url_configs", "FunctionUrlConfigs", FunctionName=step.function))
    except ClientError as error:
        if code_of(error) != NOT_THERE:
            raise
        return gone(f"function {step.function}")
    end = f":function:{step.function}" + (f":{step.qualifier}" if step.qualifier else "")
    live = next((raw["AuthType"] for raw in urls if raw["FunctionArn"].endswith(end)), None)
    if live is None:
        return gone(f"the URL of {step.function}")
    return compare(live, step.expects, step.leaves, "auth_type")
