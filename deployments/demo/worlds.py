"""The worlds of the other playbooks' demonstrations: what is furnished, and how the library is set for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from runbooks.catalog import LIBRARY
from runbooks.errors import Outside

Values = dict[str, Any]


@dataclass(frozen=True)
class World:
    """What the demonstration of a playbook starts from."""

    furnish: Callable[[str], dict[str, Any]]
    """Builds it in the sandbox at this address, and gives the event to deliver."""
    runbook: str
    set_values: Callable[[Values], None]
    """Sets in the shipped runbook what an owner would set in theirs: the names of projects and pipelines."""


def write_library(world: World, folder: Path) -> Path:
    """The shipped runbook of the world's playbook, with its values set."""
    values = yaml.safe_load((LIBRARY / f"{world.runbook}.yaml").read_text(encoding="utf-8"))
    world.set_values(values)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{world.runbook}.yaml").write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return folder


def _image(aws: str) -> dict[str, Any]:
    """A shop's image on an old base, run by a service that deploys by canary and is watched by an alarm."""
    made = _post(aws, "furnish/image", {"options": {"known_exploited": True}})
    _post(aws, "furnish/service", {"options": {"image": made["image"]}})
    return made["event"]


def _set_image(values: Values) -> None:
    values["contain"]["block"]["stages"] = ["checkout/Production"]
    values["rebuild"] |= {"project": "checkout-image", "test_project": "checkout-test"}


def _function(aws: str) -> dict[str, Any]:
    """A function that exports orders, with a vulnerable package in its layer and a URL that asks nobody who calls."""
    made: dict[str, Any] = _post(aws, "furnish/function", {"options": {"known_exploited": True}})["event"]
    return made


def _set_function(values: Values) -> None:
    # The bake is counted by AWS's clock and the runbook's minutes, which pass here as everywhere.
    values["deploy"]["bake_minutes"] = 1


def _network(aws: str) -> dict[str, Any]:
    """An instance whose SSH port the internet reaches, by a group that another instance shares."""
    made: dict[str, Any] = _post(aws, "furnish/network", {"options": {}})["event"]
    return made


def _set_network(values: Values) -> None:
    """As shipped."""


def _post(aws: str, route: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = httpx.post(f"{aws}/sandbox/{route}", json=body, trust_env=False, timeout=60)
    if not answer.is_success:
        raise Outside(f"the sandbox could not be furnished: {answer.text[:300]}", code="sandbox")
    made: dict[str, Any] = answer.json()
    return made


WORLDS: dict[str, World] = {
    "ecr": World(_image, "ecr-critical-cve", _set_image),
    "lambda": World(_function, "lambda-package-cve", _set_function),
    "network": World(_network, "network-reachability", _set_network),
}
"""Those of the playbooks other than the EC2 one, which is furnished from the event itself."""
