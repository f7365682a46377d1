"""A container image: its repository, its pipeline, the builds that follow it, and the services that run it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from moto.ecs.models import ecs_backends

from deployments.sandbox import registry
from deployments.sandbox.cloud import Cloud
from deployments.sandbox.furnish_image import ImageOptions, furnish_image
from deployments.sandbox.furnish_service import ServiceOptions, furnish_service
from deployments.sandbox.made_up_finding import OPENSSL, Vulnerability, image_finding
from deployments.sandbox.world import World
from tasks.gateways.codebuild import OPERATION_VARIABLE
from tests.crash_matrix.subjects.subject import operation_of
from tests.tasks.gateways.aws_world import ACCOUNT, REGION

REPOSITORY = "shop/checkout"


@dataclass(frozen=True)
class ImageSubject:
    """See `Subject`."""

    options: dict[str, Any] = field(default_factory=dict[str, Any])
    """Of the furnished service, which an alarm watches."""
    more_services: tuple[dict[str, Any], ...] = ()
    """Of those that run it too."""
    image: dict[str, Any] = field(default_factory=dict[str, Any])
    """Of the furnished image, its builds and its pipeline."""
    vulnerability: Vulnerability = OPENSSL

    sets_values = frozenset(
        {
            "codepipeline:DisableStageTransition",
            "codepipeline:EnableStageTransition",
            "ecr:SetRepositoryPolicy",
            "ecr:DeleteRepositoryPolicy",
            "ecr:PutLifecyclePolicy",
            "ecr:DeleteLifecyclePolicy",
            "ecr:PutImageTagMutability",
            "ecr:UpdateImageStorageClass",
            "ecr:BatchDeleteImage",
        }
    )
    may_be_repeated = frozenset(
        {
            "codebuild:StartBuild",  # under a token
            "ecr:StartLifecyclePolicyPreview",  # it changes nothing
        }
    )

    def furnish(self, cloud: Cloud) -> dict[str, Any]:
        place = {"account": ACCOUNT, "region": REGION}
        image = {**place, "repository": REPOSITORY, "known_exploited": True, **self.image}
        finding = image_finding(self.vulnerability, ACCOUNT, REGION, REPOSITORY, ("1.4.2", "production"))
        built = furnish_image(cloud, ImageOptions.model_validate(image), finding)
        service = {**place, "image": built["image"], "canary_minutes": 1, "bake_minutes": 1}
        for options in (self.options, *self.more_services):
            furnish_service(cloud, ServiceOptions.model_validate({**service, **options}))
        return built

    def values(self, cloud: Cloud) -> list[Any]:
        return [_of_the_repository(world) for world in cloud.worlds if _has_it(world)]

    def described(self, cloud: Cloud) -> dict[str, Any]:
        """What is new is told by its place: its digest and its ARN are others where there was another order."""
        here = cloud.world(ACCOUNT, REGION)
        return _of_the_repository(here) | {
            "services": {
                name: (
                    service.configuration,
                    service.desired,
                    service.primary.revision.task_definition.rpartition(":")[2],
                    sorted(task.revision is service.primary.revision for task in here.ecs.tasks_of(service)),
                )
                for name, service in here.ecs.services.items()
            }
        }

    def made(self, cloud: Cloud) -> Iterator[str]:
        here = cloud.world(ACCOUNT, REGION)
        for build in here.builds.values():
            if operation := build.environment.get(OPERATION_VARIABLE):
                yield f"build of {build.project} by {operation}"
        for family, revisions in ecs_backends[ACCOUNT][REGION].task_definitions.items():
            for revision in revisions.values():
                if operation := operation_of(revision.tags or ()):
                    yield f"revision of {family} by {operation}"
        for name, service in here.ecs.services.items():
            for deployment in service.deployments:
                yield f"deployment of {deployment.target.task_definition} to {name}"
        for deployed in here.code_deployments.values():
            yield f"code-deployment to {deployed.service.name} by {deployed.description}"

    def left_open(self, cloud: Cloud) -> Iterator[str]:
        """Nothing of an image is only passed through."""
        yield from ()


def _has_it(world: World) -> bool:
    return REPOSITORY in registry.backend(world).repositories


def _of_the_repository(world: World) -> dict[str, Any]:
    repository = registry.repository_of(world, REPOSITORY)
    images = registry.images_of(world, REPOSITORY)
    return {
        "transitions": {name: (each.enabled, bool(each.reason)) for name, each in world.transitions.items()},
        "policy": repository.policy,
        "lifecycle policy": repository.lifecycle_policy,
        "mutability": repository.image_tag_mutability,
        # A tag of ours is named after its response.
        "images": [(each.status, [tag.partition("-remediated")[0] for tag in each.tags]) for each in images],
    }
