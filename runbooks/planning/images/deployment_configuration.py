"""How ECS is to replace a service's tasks: its own way or the runbook's, watched, and with a way back."""

from __future__ import annotations

from typing import Any

from runbooks.container_image import EcsService
from runbooks.deploy_choices import Deploy

_OF_ONE_STRATEGY = {"canaryConfiguration": "CANARY", "linearConfiguration": "LINEAR"}
"""Members that ECS takes with one strategy alone (ECS API reference, DeploymentConfiguration)."""


def alarms_of(service: EcsService, choice: Deploy) -> tuple[str, ...]:
    """The alarms that watch its deployment: its own, then the runbook's."""
    return tuple(dict.fromkeys((*service.alarms, *choice.alarms)))


def deployment_configuration(service: EcsService, choice: Deploy) -> dict[str, Any]:
    """The whole deploymentConfiguration for UpdateService.

    What the service has stays, but for what the runbook chooses, for the alarms, which lead back, and for the circuit
    breaker, which leads back and which ECS has for rolling updates alone.
    """
    chosen = choice.configuration
    strategy = chosen.get("strategy", service.strategy)
    kept = {
        name: value for name, value in service.configuration.items() if _OF_ONE_STRATEGY.get(name, strategy) == strategy
    }
    return kept | {"strategy": strategy} | chosen | _breaker(service, strategy) | _watched(service, choice)


def _breaker(service: EcsService, strategy: str) -> dict[str, Any]:
    had = service.configuration.get("deploymentCircuitBreaker")
    if strategy == "ROLLING":
        return {"deploymentCircuitBreaker": {**(had or {}), "enable": True, "rollback": True}}
    return {"deploymentCircuitBreaker": {**had, "enable": False, "rollback": False}} if had else {}


def _watched(service: EcsService, choice: Deploy) -> dict[str, Any]:
    names = alarms_of(service, choice)
    return {"alarms": {"alarmNames": list(names), "enable": True, "rollback": True}} if names else {}
