"""What a runbook chooses of how a patched image, or a function's new version, is deployed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from runbooks.model import Model

LEAST_LINEAR_STEP = 3
"""Percent (ECS API reference, LinearConfiguration)."""


class Deploy(Model):
    """How the patched image is brought to where the old one runs."""

    strategy: Literal["as-it-is", "ROLLING", "BLUE_GREEN", "LINEAR", "CANARY"] = "as-it-is"
    """How ECS replaces the tasks; `as-it-is` keeps what each service has."""
    canary_percent: Annotated[int, Field(ge=1, le=50)] = 10
    bake_minutes: Annotated[int, Field(ge=0, le=1440)] = 10
    alarms: tuple[str, ...] = ()
    """CloudWatch alarms to watch besides those of the service; raised, the deployment goes back. Of a Lambda function
    these are all there are, and `{function}` stands for its name."""
    without_alarms: Literal["deploy", "person"] = "person"
    """What becomes of a service, or a function, that no alarm watches."""

    @model_validator(mode="after")
    def _within_what_ecs_takes(self) -> Self:
        if self.strategy == "LINEAR" and self.canary_percent < LEAST_LINEAR_STEP:
            raise ValueError(f"LINEAR takes steps of at least {LEAST_LINEAR_STEP} percent: raise canary_percent")
        if self.strategy == "BLUE_GREEN" and not self.bake_minutes:
            raise ValueError("BLUE_GREEN needs a time in which both are there: give bake_minutes")
        return self

    @property
    def configuration(self) -> dict[str, Any]:
        """What it chooses of a deploymentConfiguration of ECS; empty where each service keeps its own."""
        if self.strategy == "as-it-is":
            return {}
        chosen: dict[str, Any] = {"strategy": self.strategy, "bakeTimeInMinutes": self.bake_minutes}
        if self.strategy == "CANARY":
            chosen["canaryConfiguration"] = {
                "canaryPercent": float(self.canary_percent),
                "canaryBakeTimeInMinutes": self.bake_minutes,
            }
        if self.strategy == "LINEAR":
            chosen["linearConfiguration"] = {
                "stepPercent": float(self.canary_percent),
                "stepBakeTimeInMinutes": self.bake_minutes,
            }
        return chosen

    @property
    def minutes(self) -> int:
        """How long a deployment by this choice waits; 0 where each service keeps its own way."""
        return minutes_of(self.configuration)


def minutes_of(configuration: Mapping[str, Any]) -> int:
    """How long a deployment of this deploymentConfiguration waits by itself: between the shifts, and after them."""
    minutes = configuration.get("bakeTimeInMinutes", 0)
    canary, linear = configuration.get("canaryConfiguration"), configuration.get("linearConfiguration")
    match configuration.get("strategy"):
        case "CANARY" if canary:
            return minutes + canary.get("canaryBakeTimeInMinutes", 0)
        case "LINEAR" if linear:
            return minutes + (math.ceil(100 / linear["stepPercent"]) - 1) * linear.get("stepBakeTimeInMinutes", 0)
        case _:
            return minutes
