"""Builds a believable world around a vulnerable container image: base image, builds, tests and a pipeline.

With no finding given, one is made up: a CRITICAL vulnerability of openssl that came with an outdated base image. Of a
finding that is given, the digest, tags, packages and versions are kept exactly. What runs the image is furnished after
it, with the reference `image` of what this returns (see `furnish_service`).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from deployments.sandbox import events, image_scanning, inspector, registry
from deployments.sandbox.builds import Outcome, Recipe
from deployments.sandbox.cloud import Cloud
from deployments.sandbox.container_images import (
    ContainerImage,
    Content,
    ImageConfig,
    digest_of,
    make_layer,
    write_manifest,
)
from deployments.sandbox.furnish_advisory import ensure_advisory
from deployments.sandbox.furnish_pipeline import ensure_pipeline, ensure_project
from deployments.sandbox.made_up_finding import LIBEXPAT, OPENSSL, PYYAML, Vulnerability, image_finding
from deployments.sandbox.payload import ImageSubject, read_image_subject
from deployments.sandbox.world import Finding, Package, World

_OUTDATED = timedelta(days=60)
_LONG_AGO = timedelta(days=1)
_LAST_SCAN = timedelta(minutes=10)
_COMMIT = "4f1c2d7e9b0a35864d2e1f7c8b9a0d3e5f6a7b8c"


class ImageOptions(BaseModel):
    """What the image's world is like, beyond what a finding says.

    Attributes:
        repository: where the image is; base_repository: where its base image is.
        tags: the tags of the one digest.
        language: what is vulnerable is a dependency of the application, in its own layer, and not of the base image.
        newer_base: the base image's tag means a newer digest already, with the fixed package.
        fix_available: the repositories of packages hold the fixed version.
        immutable: tags of the repository do not move.
        known_exploited: in CISA's catalogue of known exploited vulnerabilities.
        exploit_observed: seen exploited by Inspector's sources.
        build: what becomes of a build of the image.
        brings_vulnerability: a build brings a package with another CRITICAL vulnerability.
        test: what becomes of a test of the image.
        project, test_project, pipeline: the names of the CodeBuild projects and of the CodePipeline pipeline.
        workflow, test_workflow: the GitHub workflows that do the same as the two projects.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    account: str = Field(default="210987654321", pattern=r"^\d{12}$")
    region: str = "eu-central-1"
    repository: str = "shop/checkout"
    tags: tuple[str, ...] = ("1.4.2", "production")
    base_repository: str = "base/ubuntu"
    language: bool = False
    newer_base: bool = True
    fix_available: bool = True
    immutable: bool = False
    known_exploited: bool = False
    exploit_observed: bool = False
    build: Outcome = "succeeds"
    brings_vulnerability: bool = False
    test: Outcome = "succeeds"
    project: str = "checkout-image"
    test_project: str = "checkout-test"
    pipeline: str = "checkout"
    workflow: str = "example/checkout/.github/workflows/rebuild.yml"
    test_workflow: str = "example/checkout/.github/workflows/test.yml"


def furnish_image(
    cloud: Cloud, options: ImageOptions | None = None, payload: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Build the world around a vulnerable image; of what a payload says, the options say nothing.

    Returns:
        What was built, by id, and under `event` the EventBridge event of the finding.

    Raises:
        NotAnImageFinding: the payload is not about a container image.
    """
    chosen = options or ImageOptions()
    subject = read_image_subject(payload or _made_up(chosen, PYYAML if chosen.language else OPENSSL))
    with cloud.lock:
        cloud.clock.catch_up()
        world = cloud.world(subject.account, subject.region)
        sent = list(world.events)
        old_base, new_base = _bases(world, subject, chosen)
        image = _image(world, subject, chosen, old_base)
        finding = _finding(world, subject, chosen, image)
        base_uri = registry.repository_of(world, chosen.base_repository).uri
        built = _projects(world, subject, chosen, f"{base_uri}:{_base_tag(subject)}@{old_base.digest}")
        uri = registry.repository_of(world, subject.repository).uri
        # All of this was long ago: nobody is told of it now.
        world.events.clear()
        world.events.extend(sent)
        return built | {
            "account": subject.account,
            "region": subject.region,
            "repository": subject.repository,
            "repository_uri": uri,
            "digest": image.digest,
            "tags": list(image.tags),
            "image": f"{uri}@{image.digest}",
            "image_arn": image.resource_id,
            "base_repository": chosen.base_repository,
            "base_image": f"{base_uri}:{_base_tag(subject)}",
            "base_digest": old_base.digest,
            "newer_base_digest": new_base.digest if new_base else None,
            "finding_arn": finding.arn,
            "vulnerability_id": subject.vulnerability_id,
            "event": events.finding_event(world, finding),
        }


def _made_up(options: ImageOptions, vulnerability: Vulnerability) -> dict[str, Any]:
    return image_finding(vulnerability, options.account, options.region, options.repository, options.tags)


def _base_tag(subject: ImageSubject) -> str:
    return subject.platform.release


def _bases(world: World, subject: ImageSubject, options: ImageOptions) -> tuple[ContainerImage, ContainerImage | None]:
    """The base image the image is built from, and the newer one that has its tag now."""
    registry.ensure_repository(world, options.base_repository)
    installed = () if options.language else tuple(one for one in subject.packages if one.manager == "OS")
    fixes = {(one.name, one.arch): one.fixed_in for one in subject.vulnerable_packages}
    fixed = tuple(Package(one.name, one.arch, fixes[one.key] or one.version) for one in installed)
    old = _base(world, subject, options.base_repository, installed, _OUTDATED)
    new = _base(world, subject, options.base_repository, fixed, _LONG_AGO) if options.newer_base else None
    return old, new


def _base(
    world: World, subject: ImageSubject, repository: str, packages: tuple[Package, ...], age: timedelta
) -> ContainerImage:
    libc = Package("libc6", subject.platform.package_arch("X86_64"), "2.35-0ubuntu3.8")
    layers = (make_layer(world, (libc,), "rootfs"), make_layer(world, packages, f"updates {age.days}"))
    content = Content(ImageConfig(subject.platform, subject.architecture), layers)
    return _pushed(world, repository, content, _base_tag(subject), age)


def _image(world: World, subject: ImageSubject, options: ImageOptions, base: ContainerImage) -> ContainerImage:
    registry.ensure_repository(world, subject.repository, immutable=options.immutable)
    wanted = {"imageDigest": subject.digest} if subject.digest else {"imageTag": options.tags[0]}
    known = registry.find(registry.images_of(world, subject.repository), wanted)
    if known is not None:
        return known
    base_uri = registry.repository_of(world, options.base_repository).uri
    content = Content(
        config=base.content.config,
        layers=(*base.content.layers, make_layer(world, _own_packages(subject, base), "application")),
        base_digest=base.digest,
        base_name=f"{base_uri}:{_base_tag(subject)}",
        source_commit=_COMMIT,
    )
    first, *more = subject.tags or (None,)
    image = _pushed(world, subject.repository, content, first, _LONG_AGO, subject.digest)
    for tag in more:
        registry.push(world, subject.repository, image.record.image_manifest, tag, digest=image.digest)
    return image


def _own_packages(subject: ImageSubject, base: ContainerImage) -> tuple[Package, ...]:
    application = Package("checkout", "all", "1.4.2", "PIP", "app/requirements.txt")
    return (application, *(one for one in subject.packages if one.key not in base.inventory))


def _pushed(
    world: World, repository: str, content: Content, tag: str | None, age: timedelta, digest: str | None = None
) -> ContainerImage:
    """An image that was pushed a while ago, once however often this is asked for."""
    manifest = write_manifest(world, content, repository)
    known = registry.find(registry.images_of(world, repository), {"imageDigest": digest or digest_of(manifest)})
    if known is not None:
        return known
    image = registry.push(world, repository, manifest, tag, digest=digest)
    image.pushed_at = world.now - age
    image.record.image_pushed_at = int(image.pushed_at.timestamp())
    return image


def _finding(world: World, subject: ImageSubject, options: ImageOptions, image: ContainerImage) -> Finding:
    """The finding as it stands some time after the initial scan of its image."""
    advisory = ensure_advisory(
        world,
        subject,
        known_exploited=options.known_exploited,
        exploit_observed=options.exploit_observed,
        patch_available=options.fix_available,
    )
    arn = subject.arn or inspector.finding_arn(world, image.resource_id, subject.vulnerability_id)
    if arn in world.findings:
        return world.findings[arn]
    packages = inspector.vulnerable(image.platform, advisory, image.inventory)
    finding = inspector.open_finding(world, image, advisory, packages, arn)
    image_scanning.scan(world, image)
    image.first_scanned_at, image.scanned_at = image.pushed_at, world.now - _LAST_SCAN
    finding.first_observed_at = image.pushed_at
    finding.last_observed_at = finding.updated_at = world.now - _LAST_SCAN
    return finding


def _projects(world: World, subject: ImageSubject, options: ImageOptions, base_image: str) -> dict[str, Any]:
    own = (Package("checkout", "all", "1.4.2", "PIP", "app/requirements.txt"),)
    brings = _brought(world, options) if options.brings_vulnerability else ()
    making = Recipe(
        "image",
        repository=subject.repository,
        base_image=base_image,
        packages=(*own, *(one for one in subject.packages if options.language or one.manager != "OS")),
        source_commit=_COMMIT,
        outcome=options.build,
        brings=brings,
    )
    trying = Recipe("test", outcome=options.test)
    project_arn = ensure_project(world, options.project, making)
    test_arn = ensure_project(world, options.test_project, trying)
    world.recipes |= {options.workflow: making, options.test_workflow: trying}
    pipeline_arn, stages = ensure_pipeline(world, options.pipeline, options.project)
    return {
        "project": options.project,
        "project_arn": project_arn,
        "test_project": options.test_project,
        "test_project_arn": test_arn,
        "workflow": options.workflow,
        "test_workflow": options.test_workflow,
        "pipeline": options.pipeline,
        "pipeline_arn": pipeline_arn,
        "stages": stages,
    }


def _brought(world: World, options: ImageOptions) -> tuple[Package, ...]:
    """A package with a CRITICAL vulnerability of its own, which Inspector knows of."""
    stated = read_image_subject(_made_up(options, LIBEXPAT))
    ensure_advisory(world, stated)
    return stated.packages
