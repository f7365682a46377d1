"""The control routes: how a test, a demo or a game day arranges the sandbox and looks into it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError
from werkzeug.exceptions import BadRequest, HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from deployments.sandbox import control_images
from deployments.sandbox.cloud import Cloud
from deployments.sandbox.faults import Fault
from deployments.sandbox.furnish import furnish
from deployments.sandbox.furnish_function import furnish_function
from deployments.sandbox.furnish_function_options import FunctionOptions, NotAFunctionFinding
from deployments.sandbox.furnish_network import NetworkOptions, furnish_network
from deployments.sandbox.furnish_options import FurnishOptions
from deployments.sandbox.furnish_service import ServiceOptions, furnish_service
from deployments.sandbox.pulling import CannotPull
from deployments.sandbox.view import view

Route = Callable[[Cloud, Request], Any]


def control(cloud: Cloud) -> Callable[..., Any]:
    """The WSGI application of the control routes."""

    @Request.application
    def respond(request: Request) -> Response | HTTPException:
        try:
            name, _ = _ROUTES.bind_to_environ(request.environ).match()
            result = _HANDLERS[name](cloud, request)
        except HTTPException as error:
            return Response(json.dumps({"error": error.description}), error.code, content_type="application/json")
        return Response(json.dumps(result, default=str), content_type="application/json")

    return respond


def _furnish(cloud: Cloud, request: Request) -> dict[str, Any]:
    body = _json(request)
    if "finding" not in body:
        raise BadRequest('furnish takes {"finding": <event or finding>, "options": {...}}')
    try:
        return furnish(cloud, body["finding"], FurnishOptions.model_validate(body.get("options") or {}))
    except (ValidationError, ValueError) as error:
        raise BadRequest(str(error)) from error


def _furnish_service(cloud: Cloud, request: Request) -> dict[str, Any]:
    try:
        return furnish_service(cloud, ServiceOptions.model_validate(_json(request).get("options") or {}))
    except (ValidationError, CannotPull) as error:
        raise BadRequest(str(error)) from error


def _furnish_function(cloud: Cloud, request: Request) -> dict[str, Any]:
    body = _json(request)
    try:
        options = FunctionOptions.model_validate(body.get("options") or {})
        return furnish_function(cloud, options, body.get("finding"))
    except (ValidationError, NotAFunctionFinding) as error:
        raise BadRequest(str(error)) from error


def _furnish_network(cloud: Cloud, request: Request) -> dict[str, Any]:
    body = _json(request)
    try:
        return furnish_network(cloud, NetworkOptions.model_validate(body.get("options") or {}), body.get("finding"))
    except (ValidationError, ValueError) as error:
        raise BadRequest(str(error)) from error


def _advance(cloud: Cloud, request: Request) -> dict[str, Any]:
    with cloud.lock:
        try:
            cloud.clock.advance(float(_json(request)["seconds"]))
        except (KeyError, TypeError, ValueError) as error:
            raise BadRequest(f"advance takes a number of seconds: {error}") from error
        return {"now": cloud.clock.now()}


def _clock(cloud: Cloud, request: Request) -> dict[str, Any]:
    return {"now": cloud.clock.now()}


def _world(cloud: Cloud, request: Request) -> dict[str, Any]:
    with cloud.lock:
        cloud.clock.catch_up()
        account, region = request.args.get("account"), request.args.get("region")
        if not account or not region:
            return {"worlds": [{"account": one.account, "region": one.region} for one in cloud.worlds]}
        return view(cloud.world(account, region))


def _calls(cloud: Cloud, request: Request) -> dict[str, Any]:
    with cloud.lock:
        return {"calls": cloud.record.calls()}


def _forget_calls(cloud: Cloud, request: Request) -> dict[str, Any]:
    with cloud.lock:
        cloud.record.clear()
        return {}


def _inject(cloud: Cloud, request: Request) -> dict[str, Any]:
    body = _json(request)
    faults = body if isinstance(body, list) else [body]
    with cloud.lock:
        try:
            for one in faults:
                cloud.faults.inject(Fault(**one))
        except (TypeError, ValueError) as error:
            raise BadRequest(str(error)) from error
        return {"injected": len(faults)}


def _clear_faults(cloud: Cloud, request: Request) -> dict[str, Any]:
    with cloud.lock:
        cloud.faults.clear()
        return {}


def _throttle(cloud: Cloud, request: Request) -> dict[str, Any]:
    with cloud.lock:
        try:
            body = _json(request)
            cloud.throttling.enforce(float(body["scale"]), float(body.get("answer_seconds", 0)))
        except (KeyError, TypeError, ValueError) as error:
            raise BadRequest(f"throttling takes a scale, 0 for none, and answer_seconds: {error}") from error
        return cloud.throttling.view()


def _throttled(cloud: Cloud, request: Request) -> dict[str, Any]:
    with cloud.lock:
        return cloud.throttling.view()


def _reset(cloud: Cloud, request: Request) -> dict[str, Any]:
    cloud.reset()
    return {}


def _json(request: Request) -> Any:
    try:
        return json.loads(request.get_data() or b"{}")
    except ValueError as error:
        raise BadRequest(f"the body is not JSON: {error}") from error


_HANDLERS: dict[str, Route] = {
    "furnish": _furnish,
    "furnish image": control_images.furnish,
    "furnish service": _furnish_service,
    "furnish function": _furnish_function,
    "furnish network": _furnish_network,
    "recipe": control_images.change_recipe,
    "advisory": control_images.publish_advisory,
    "events": control_images.sent_events,
    "advance": _advance,
    "clock": _clock,
    "world": _world,
    "calls": _calls,
    "forget": _forget_calls,
    "inject": _inject,
    "clear": _clear_faults,
    "throttle": _throttle,
    "throttled": _throttled,
    "reset": _reset,
}
_ROUTES = Map(
    [
        Rule("/sandbox/furnish", endpoint="furnish", methods=["POST"]),
        Rule("/sandbox/furnish/image", endpoint="furnish image", methods=["POST"]),
        Rule("/sandbox/furnish/service", endpoint="furnish service", methods=["POST"]),
        Rule("/sandbox/furnish/function", endpoint="furnish function", methods=["POST"]),
        Rule("/sandbox/furnish/network", endpoint="furnish network", methods=["POST"]),
        Rule("/sandbox/recipes", endpoint="recipe", methods=["POST"]),
        Rule("/sandbox/advisories", endpoint="advisory", methods=["POST"]),
        Rule("/sandbox/events", endpoint="events", methods=["GET"]),
        Rule("/sandbox/clock/advance", endpoint="advance", methods=["POST"]),
        Rule("/sandbox/clock", endpoint="clock", methods=["GET"]),
        Rule("/sandbox/world", endpoint="world", methods=["GET"]),
        Rule("/sandbox/calls", endpoint="calls", methods=["GET"]),
        Rule("/sandbox/calls", endpoint="forget", methods=["DELETE"]),
        Rule("/sandbox/faults", endpoint="inject", methods=["POST"]),
        Rule("/sandbox/faults", endpoint="clear", methods=["DELETE"]),
        Rule("/sandbox/throttling", endpoint="throttle", methods=["POST"]),
        Rule("/sandbox/throttling", endpoint="throttled", methods=["GET"]),
        Rule("/sandbox/reset", endpoint="reset", methods=["POST"]),
    ]
)
