"""A Lambda function: its URL, its concurrency, its $LATEST with the builds of it, its versions and its alias."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from deployments.sandbox import functions
from deployments.sandbox.cloud import Cloud
from deployments.sandbox.furnish_function import furnish_function
from deployments.sandbox.furnish_function_options import FunctionOptions
from deployments.sandbox.world import World
from tasks.gateways.codebuild import OPERATION_VARIABLE
from tests.tasks.gateways.aws_world import ACCOUNT, REGION


@dataclass(frozen=True)
class FunctionSubject:
    """See `Subject`."""

    options: dict[str, Any] = field(default_factory=dict[str, Any])

    sets_values = frozenset(
        {
            "lambda:UpdateFunctionUrlConfig",
            "lambda:PutFunctionConcurrency",
            "lambda:DeleteFunctionConcurrency",
            "lambda:UpdateFunctionCode",
            "lambda:UpdateFunctionConfiguration",
            "lambda:UpdateAlias",
        }
    )
    may_be_repeated = frozenset(
        {
            "codebuild:StartBuild",  # under a token
            "lambda:PublishVersion",  # of what is published already it makes none
        }
    )

    def furnish(self, cloud: Cloud) -> dict[str, Any]:
        given = {"account": ACCOUNT, "region": REGION, "known_exploited": True, **self.options}
        return furnish_function(cloud, FunctionOptions.model_validate(given))

    def values(self, cloud: Cloud) -> list[Any]:
        return [_of_the_functions(world) for world in cloud.worlds]

    def described(self, cloud: Cloud) -> dict[str, Any]:
        return _of_the_functions(cloud.world(ACCOUNT, REGION))

    def made(self, cloud: Cloud) -> Iterator[str]:
        """Two versions of one content would be one too many."""
        here = cloud.world(ACCOUNT, REGION)
        for build in here.builds.values():
            yield f"build of {build.project} by {build.environment.get(OPERATION_VARIABLE)}"
        for name in here.functions:
            yield from (f"version {each.version} of {name}" for each in _versions(here, name))

    def left_open(self, cloud: Cloud) -> Iterator[str]:
        """Nothing of a function is only passed through."""
        yield from ()


def _of_the_functions(world: World) -> dict[str, Any]:
    return {name: _of(world, name) for name in world.functions}


def _of(world: World, name: str) -> dict[str, Any]:
    latest = functions.find(world, name).latest
    return {
        "url": latest.url_config.config.get("AuthType") if latest.url_config else None,
        "concurrency": latest.reserved_concurrency,
        "code": latest.code_sha_256,
        "layers": [str(layer) for layer in latest.layers],
        "runtime": latest.run_time,
        "aliases": {
            alias.name: (alias.function_version, str(alias.routing_config), alias.description)
            for alias in functions.backend(world)._lambdas._get_function_aliases(name).values()
        },
        "versions": len(_versions(world, name)),
    }


def _versions(world: World, name: str) -> list[Any]:
    return [each for each in functions.backend(world).list_versions_by_function(name) if str(each.version) != "$LATEST"]
