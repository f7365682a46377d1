"""The stages of each deployment strategy of Amazon ECS, and what a deployment watches on its way through them.

ECS API reference, DeploymentConfiguration, CanaryConfiguration, LinearConfiguration: their defaults are those there.
"""

from __future__ import annotations

import math
from typing import Any

from deployments.sandbox import alarms
from deployments.sandbox.ecs_state import Step
from deployments.sandbox.world import World

_TO_SCALE_UP = ("PRE_SCALE_UP", "SCALE_UP", "POST_SCALE_UP", "TEST_TRAFFIC_SHIFT", "POST_TEST_TRAFFIC_SHIFT")


def steps(world: World, configuration: dict[str, Any]) -> list[Step]:
    """The stages of the configured strategy; for a rolling update only what follows the exchange of tasks."""
    strategy, short = configuration["strategy"], world.settings.deployment_stage
    bake = configuration.get("bakeTimeInMinutes", 0) * world.settings.deployment_minute
    if strategy == "ROLLING":
        if not bake and (configuration.get("alarms") or {}).get("enable"):
            bake = world.settings.rolling_bake
        return [Step("SCALE_UP", 100.0, 0.0), Step("BAKE_TIME", 100.0, bake)]
    stages = [Step(stage, 0.0, short) for stage in _TO_SCALE_UP]
    stages += [
        Step("PRODUCTION_TRAFFIC_SHIFT", share, minutes * world.settings.deployment_minute)
        for share, minutes in _shares(configuration)
    ]
    stages += [Step("PRODUCTION_TRAFFIC_SHIFT", 100.0, short), Step("POST_PRODUCTION_TRAFFIC_SHIFT", 100.0, short)]
    return [*stages, Step("BAKE_TIME", 100.0, bake), Step("CLEAN_UP", 100.0, short)]


def watched(world: World, configuration: dict[str, Any]) -> list[str]:
    """The alarms to watch. One that is in ALARM already is none to judge by: then none is watched."""
    stated = configuration.get("alarms") or {}
    names = list(stated.get("alarmNames") or []) if stated.get("enable") else []
    return [] if alarms.raised(world, names) else names


def _shares(configuration: dict[str, Any]) -> list[tuple[float, float]]:
    """The shares of the traffic below all of it that the new revision gets, each with its minutes."""
    if configuration["strategy"] == "CANARY":
        canary = configuration.get("canaryConfiguration") or {}
        return [(float(canary.get("canaryPercent", 5.0)), canary.get("canaryBakeTimeInMinutes", 10))]
    if configuration["strategy"] == "LINEAR":
        linear = configuration.get("linearConfiguration") or {}
        step, minutes = float(linear.get("stepPercent", 10.0)), linear.get("stepBakeTimeInMinutes", 6)
        return [(number * step, minutes) for number in range(1, math.ceil(100 / step))]
    return []
