"""CloudWatch's alarms, as deployments look at them. The alarms themselves are moto's, SetAlarmState included."""

from __future__ import annotations

from collections.abc import Iterable

from moto.cloudwatch.models import cloudwatch_backends

from deployments.sandbox.world import World


def raised(world: World, names: Iterable[str]) -> list[str]:
    """Those of the named alarms that are in ALARM; an alarm that does not exist is not."""
    alarms = cloudwatch_backends[world.account][world.region].alarms
    return [name for name in names if name in alarms and alarms[name].state_value == "ALARM"]
