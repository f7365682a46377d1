"""Lambda functions: made, changed and shown as AWS does it, where moto differs.

AWS Lambda developer guide, "Lambda function states": a function that is being made or changed can not be changed again
before that is done. API reference, UpdateFunctionCode: a RevisionId that is given must be the latest.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from deployments.sandbox import function_code, functions, inspector
from deployments.sandbox.functions import Function
from deployments.sandbox.operations import Call, operation, page
from deployments.sandbox.pulling import CannotPull, by_digest, pull
from deployments.sandbox.wire import Answer, AwsError
from deployments.sandbox.world import World

_MOST_FUNCTIONS = 50
_LEFT_OUT_OF_LISTS = ("State", "LastUpdateStatus")


@operation("lambda", "CreateFunction")
def create_function(call: Call) -> dict[str, Any]:
    """Make a function from a zip or an image."""
    world = call.world
    digest = _digest(world, (call.params.get("Code") or {}).get("ImageUri"))
    configuration = call.moto()
    name = configuration["FunctionName"]
    latest = functions.backend(world)._lambdas._get_latest(name)
    if digest:
        latest.code_sha_256 = digest
    return functions.show_state(world, functions.add(world, latest), latest.get_configuration())


@operation("lambda", "UpdateFunctionCode")
def update_function_code(call: Call) -> dict[str, Any]:
    """Change a function's code, and publish it when asked to."""
    world, params = call.world, call.params
    function = functions.find(world, params["FunctionName"])
    check_changeable(world, function, params.get("RevisionId"))
    image = params.get("ImageUri")
    if bool(image) != (function.latest.package_type == "Image") and (image or _has_zip(params)):
        raise invalid("Please provide a source for the package type of the function.")
    digest = _digest(world, image)
    if params.get("DryRun"):
        return functions.show_state(world, function, function.latest.get_configuration())
    try:
        function.latest.update_function_code(_specified(world, call))
    except ValueError as error:
        raise invalid(str(error.args[-1])) from error
    if digest:
        function.latest.code_sha_256 = digest
    if params.get("Architectures"):
        function.latest.architectures = params["Architectures"]
    functions.changed(world, function)
    if params.get("Publish"):
        return publish(world, function)
    return functions.show_state(world, function, function.latest.get_configuration())


@operation("lambda", "UpdateFunctionConfiguration")
def update_function_configuration(call: Call) -> dict[str, Any]:
    """Change a function's configuration: its runtime and its layers among others."""
    world = call.world
    function = functions.find(world, call.params["FunctionName"])
    check_changeable(world, function, call.params.get("RevisionId"))
    if function.latest.package_type == "Image" and (call.params.get("Runtime") or call.params.get("Layers")):
        raise invalid("Runtime and Layers are not supported for functions with the package type Image.")
    for layer in call.params.get("Layers") or []:
        if functions.backend(world).layers_versions_by_arn(layer) is None:
            raise invalid(f"Layer version {layer} does not exist.")
    call.moto()
    functions.changed(world, function)
    return functions.show_state(world, function, function.latest.get_configuration())


@operation("lambda", "DeleteFunction")
def delete_function(call: Call) -> Answer:
    """Take a function away, or one of its versions."""
    function = functions.find(call.world, call.params["FunctionName"])
    answer = call.forward()
    if answer.ok and not call.params.get("Qualifier"):
        function.is_gone = True
        inspector.follow_lifecycle(call.world)
    return answer


@operation("lambda", "GetFunction")
def get_function(call: Call) -> dict[str, Any]:
    """A function with where its code is, its tags and its reserved concurrency."""
    world, answer = call.world, call.moto()
    function = functions.find(world, call.params["FunctionName"])
    qualified = functions.backend(world).get_function(call.params["FunctionName"], call.params.get("Qualifier"))
    answer["Configuration"] = functions.show_state(world, function, answer["Configuration"])
    if qualified.package_type == "Image":
        uri = qualified.code["ImageUri"]
        answer["Code"]["ResolvedImageUri"] = by_digest(uri, functions.image_digest(qualified))
    else:
        environ = call.message.environ
        endpoint = f"{environ['wsgi.url_scheme']}://{environ['HTTP_HOST']}"
        answer["Code"] = {"RepositoryType": "S3", "Location": function_code.location(world, qualified, endpoint)}
    reserved = function.latest.reserved_concurrency
    if reserved is not None:
        answer["Concurrency"] = {"ReservedConcurrentExecutions": int(reserved)}
    return answer


@operation("lambda", "GetFunctionConfiguration")
def get_function_configuration(call: Call) -> dict[str, Any]:
    """A function's configuration."""
    return functions.show_state(call.world, functions.find(call.world, call.params["FunctionName"]), call.moto())


@operation("lambda", "ListFunctions")
def list_functions(call: Call) -> dict[str, Any]:
    """Every function's $LATEST; with FunctionVersion ALL, every version."""
    shown = [_shown(call.world, entry) for entry in call.moto()["Functions"]]
    return _page(call, shown, "Functions")


@operation("lambda", "ListVersionsByFunction")
def list_versions_by_function(call: Call) -> dict[str, Any]:
    """A function's $LATEST and its published versions."""
    functions.find(call.world, call.params["FunctionName"])
    return _page(call, [_shown(call.world, entry) for entry in call.moto()["Versions"]], "Versions")


def publish(world: World, function: Function, description: str = "") -> dict[str, Any]:
    """Publish $LATEST as a version; as the newest one again when it is the same."""
    storage, latest = functions.backend(world)._lambdas, function.latest
    versions = storage._functions[function.name]["versions"]
    if versions and _content(versions[-1]) == _content(latest):
        published = versions[-1]
    else:
        latest.code_or_config_updated = True
        storage.publish_version(function.name, description)
        published = versions[-1]
        # moto lets version and $LATEST share what later updates of $LATEST write into.
        published.code = dict(published.code)
        published.tags = {}
        published.last_modified = latest.last_modified
        functions.published(world, function, str(published.version))
    return functions.show_state(world, function, published.get_configuration())


def check_changeable(world: World, function: Function, revision_id: str | None) -> None:
    """Refuse to change a function that is being changed, or that is another one than the caller saw.

    Raises:
        AwsError: ResourceConflictException or PreconditionFailedException.
    """
    if functions.is_busy(world, function):
        arn = function.latest.function_arn
        state = "The function is currently in the following state: Pending"
        why = state if function.is_new else f"An update is in progress for resource: {arn}"
        message = f"The operation cannot be performed at this time. {why}"
        raise AwsError("ResourceConflictException", message, status=409)
    check_revision(revision_id, function.revision_id)


def check_revision(given: str | None, latest: str) -> None:
    """Refuse a change of what somebody else has changed since.

    Raises:
        AwsError: PreconditionFailedException.
    """
    if given and given != latest:
        raise AwsError(
            "PreconditionFailedException",
            "The RevisionId provided does not match the latest RevisionId. Call the GetFunction/GetAlias API to "
            "retrieve the latest RevisionId.",
            status=412,
        )


def invalid(message: str) -> AwsError:
    """A parameter that Lambda does not accept."""
    return AwsError("InvalidParameterValueException", message)


def _digest(world: World, image: str | None) -> str | None:
    """The digest of an image to run, in hexadecimal, as CodeSha256 shows it."""
    if not image:
        return None
    try:
        return pull(world, image).removeprefix("sha256:")
    except CannotPull as error:
        raise invalid(f"Source image {error}. Provide a valid source image.") from error


def _specified(world: World, call: Call) -> dict[str, Any]:
    """What the update asks for. moto takes the newest object, whatever version is named."""
    asked: dict[str, Any] = json.loads(call.message.body)
    if not asked.get("S3Key"):
        return asked
    return {"ZipFile": b64encode(function_code.from_s3(world, asked)).decode()}


def _has_zip(params: dict[str, Any]) -> bool:
    return bool(params.get("ZipFile") or params.get("S3Key"))


def _content(function: Any) -> dict[str, Any]:
    """What must be the same for two versions to be one."""
    configuration = function.get_configuration()
    for name in ("FunctionArn", "Version", "LastModified", "Description"):
        configuration.pop(name)
    return configuration


def _shown(world: World, entry: dict[str, Any]) -> dict[str, Any]:
    """As a list shows it: without where it stands (API reference, ListFunctions)."""
    shown = functions.show_state(world, functions.find(world, entry["FunctionName"]), entry)
    return {name: value for name, value in shown.items() if not name.startswith(_LEFT_OUT_OF_LISTS)}


def _page(call: Call, entries: list[dict[str, Any]], result: str) -> dict[str, Any]:
    answer = page(call, entries, result=result, token="Marker", limit="MaxItems", most=_MOST_FUNCTIONS)
    if "Marker" in answer:
        answer["NextMarker"] = answer.pop("Marker")
    return answer
