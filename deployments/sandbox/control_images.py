"""Control routes about container images: furnish one, make builds go wrong, let a vulnerability become known."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, get_args

from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Request

from deployments.sandbox import inspector
from deployments.sandbox.builds import Outcome
from deployments.sandbox.cloud import Cloud
from deployments.sandbox.furnish_advisory import ensure_advisory
from deployments.sandbox.furnish_image import ImageOptions, furnish_image
from deployments.sandbox.payload import read_image_subject
from deployments.sandbox.world import Package, World

_LISTS = ("packages", "brings")


def furnish(cloud: Cloud, request: Request) -> dict[str, Any]:
    """POST {"finding": <event or finding, or left out>, "options": {...}}."""
    body = _json(request)
    try:
        return furnish_image(cloud, ImageOptions.model_validate(body.get("options") or {}), body.get("finding"))
    except ValueError as error:
        raise BadRequest(str(error)) from error


def change_recipe(cloud: Cloud, request: Request) -> dict[str, Any]:
    """POST {"account", "region", "project"} and any of "outcome" and the lists of packages "packages" and "brings"."""
    body = _json(request)
    with cloud.lock:
        world = _world(cloud, body)
        recipe = world.recipes.get(body.get("project", ""))
        if recipe is None:
            raise BadRequest("project names a furnished CodeBuild project")
        changes: dict[str, Any] = {"outcome": body.get("outcome", recipe.outcome)}
        if changes["outcome"] not in get_args(Outcome):
            raise BadRequest(f"outcome is one of {', '.join(get_args(Outcome))}")
        try:
            changes |= {name: tuple(Package(**one) for one in body[name]) for name in _LISTS if name in body}
        except TypeError as error:
            raise BadRequest(f"a package has name, arch, version and perhaps manager: {error}") from error
        world.recipes[body["project"]] = replace(recipe, **changes)
        return {"project": body["project"], "outcome": changes["outcome"]}


def publish_advisory(cloud: Cloud, request: Request) -> dict[str, Any]:
    """POST {"finding": <event or finding about an image>, "known_exploited": bool}: Inspector learns of it now."""
    body = _json(request)
    try:
        stated = read_image_subject(body.get("finding") or {})
    except ValueError as error:
        raise BadRequest(str(error)) from error
    with cloud.lock:
        cloud.clock.catch_up()
        world = cloud.world(stated.account, stated.region)
        advisory = ensure_advisory(world, stated, known_exploited=bool(body.get("known_exploited")))
        inspector.rescan(world, advisory)
        return {"vulnerability_id": advisory.vulnerability_id}


def sent_events(cloud: Cloud, request: Request) -> dict[str, Any]:
    """GET ?account=&region=: what went to EventBridge, oldest first."""
    with cloud.lock:
        cloud.clock.catch_up()
        return {"events": list(_world(cloud, request.args).events)}


def _world(cloud: Cloud, named: Any) -> World:
    account, region = named.get("account"), named.get("region")
    if not account or not region:
        raise BadRequest("account and region say which world is meant")
    return cloud.world(account, region)


def _json(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(request.get_data() or b"{}")
    except ValueError as error:
        raise BadRequest(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise BadRequest("the body is not a JSON object")
    return body
