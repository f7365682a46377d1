"""CodeBuild projects as the sandbox carries them out: image builds that push to ECR, tests of an image, and builds of a
Lambda function's own code that leave a zip in S3.

A build goes through its phases by the sandbox's clock. What an image build makes follows from its project's recipe and
from the environment of the build: BASE_IMAGE (a reference), PACKAGES (what to bring up to date, each as `name` or
`name=version`, or `all`), SOURCE_DIGEST (the image whose own layers are taken instead of the recipe's), IMAGE_TAG,
SOURCE_COMMIT.
A test takes IMAGE_URI. A project without a recipe does nothing, and succeeds.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from deployments.sandbox import registry
from deployments.sandbox.container_images import Content, ImageConfig, Layer, make_layer, write_manifest
from deployments.sandbox.package_builds import Artifact, NoPlace, make_package, upload
from deployments.sandbox.platforms import Platform
from deployments.sandbox.pulling import CannotPull, ecr_reference, pull
from deployments.sandbox.wire import ServiceException
from deployments.sandbox.world import Package, World

Outcome = Literal["succeeds", "fails", "keeps_packages"]

WORKFLOWS = "/.github/workflows/"
"""What the name of a workflow has in it, and that of no CodeBuild project."""

_PHASES = (
    ("QUEUED", 0.05),
    ("PROVISIONING", 0.15),
    ("DOWNLOAD_SOURCE", 0.1),
    ("INSTALL", 0.05),
    ("PRE_BUILD", 0.05),
    ("BUILD", 0.45),
    ("POST_BUILD", 0.05),
    ("UPLOAD_ARTIFACTS", 0.05),
    ("FINALIZING", 0.05),
)
_AFTER_FAILURE = "FINALIZING"


@dataclass(frozen=True)
class Recipe:
    """What a project, or a workflow, does when it is built.

    Attributes:
        makes: an image, the test of one, or the zip of a function's own code.
        repository: where an image is pushed to.
        base_image: the reference it is built from when a build names no other.
        packages: what the project's own layer, or the function's code, installs.
        outcome: `fails` makes every build of it fail; `keeps_packages` makes it bring nothing up to date, neither
            packages nor base image, and succeed all the same.
        brings: packages a build adds that nobody asked for, such as one with a vulnerability of its own.
        names_runs: of a workflow: whether its run-name has the operation in it.
    """

    makes: Literal["image", "test", "package"]
    repository: str = ""
    base_image: str = ""
    packages: tuple[Package, ...] = ()
    source_commit: str | None = None
    outcome: Outcome = "succeeds"
    brings: tuple[Package, ...] = ()
    names_runs: bool = True


@dataclass
class Phase:
    """One phase of a build."""

    name: str
    started_at: datetime
    status: str | None = None
    ended_at: datetime | None = None
    message: str = ""


@dataclass
class Build:
    """One build.

    Attributes:
        project: the CodeBuild project's name, or `owner/repository/.github/workflows/file`.
        request: what StartBuild was given, but for the token.
        token: its idempotency token.
        environment: the environment variables, the project's and those of the request.
        exported: the variables it exports when it succeeds.
        content: what it has made, until it is pushed.
        package: the zip that it has made, until it is uploaded; artifact: what was uploaded.
    """

    id: str
    number: int
    project: str
    request: dict[str, Any]
    token: str | None
    environment: dict[str, str]
    started_at: datetime
    phases: list[Phase] = field(default_factory=list)
    status: str = "IN_PROGRESS"
    ended_at: datetime | None = None
    exported: dict[str, str] = field(default_factory=dict)
    content: Content | None = None
    package: bytes | None = None
    artifact: Artifact | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing will change any more."""
        return self.status != "IN_PROGRESS"

    @property
    def is_workflow_run(self) -> bool:
        """Whether it is GitHub's, and not CodeBuild's."""
        return WORKFLOWS in self.project


class BuildFailed(Exception):
    """A phase of a build went wrong; the message is the phase's."""


def start(world: World, request: dict[str, Any], token: str | None, environment: dict[str, str]) -> Build:
    """Begin a build of the request's project."""
    project = request["projectName"]
    number = 1 + sum(one.project == project for one in world.builds.values())
    build = Build(f"{project}:{uuid.uuid4()}", number, project, request, token, environment, world.now)
    build.phases.append(Phase("SUBMITTED", world.now, "SUCCEEDED", world.now))
    world.builds[build.id] = build
    _enter(world, build, 0)
    return build


def stop(world: World, build: Build) -> None:
    """Stop a build that runs; one that is over stays as it ended."""
    if not build.is_over:
        _end_phase(world, build, "STOPPED")
        _complete(world, build, "STOPPED")


def _enter(world: World, build: Build, index: int) -> None:
    name, share = _PHASES[index]
    build.phases.append(Phase(name, world.now))
    world.clock.after(share * world.settings.build, lambda: _leave(world, build, index))


def _leave(world: World, build: Build, index: int) -> None:
    if build.is_over:
        return
    name = _PHASES[index][0]
    failed = any(phase.status == "FAILED" for phase in build.phases)
    try:
        if not failed:
            _work(world, build, name)
    except BuildFailed as error:
        _end_phase(world, build, "FAILED", str(error))
        _enter(world, build, [one for one, _ in _PHASES].index(_AFTER_FAILURE))
        return
    _end_phase(world, build, "SUCCEEDED")
    if name == _AFTER_FAILURE:
        _complete(world, build, "FAILED" if failed else "SUCCEEDED")
    else:
        _enter(world, build, index + 1)


def _work(world: World, build: Build, phase: str) -> None:
    """What a phase does for its recipe; nothing in most of them.

    Raises:
        BuildFailed: it went wrong.
    """
    recipe = world.recipes.get(build.project)
    if recipe is None:
        return
    if phase == "BUILD" and recipe.outcome == "fails":
        raise BuildFailed("COMMAND_EXECUTION_ERROR: Error while executing command. Reason: exit status 1")
    if phase == "BUILD" and recipe.makes == "test":
        _content(world, build.environment.get("IMAGE_URI", ""))
    elif phase == "BUILD" and recipe.makes == "package":
        build.package = make_package(world, build, recipe)
    elif phase == "UPLOAD_ARTIFACTS" and build.package is not None:
        build.artifact = _uploaded(world, build, build.package)
    elif phase == "BUILD":
        build.content = _make(world, build, recipe)
    elif phase == "POST_BUILD" and build.content is not None:
        _push(world, build, recipe, build.content)


def _uploaded(world: World, build: Build, package: bytes) -> Artifact | None:
    try:
        return upload(world, build, package)
    except NoPlace as error:
        raise BuildFailed(str(error)) from error


def _make(world: World, build: Build, recipe: Recipe) -> Content:
    asked = build.environment
    stuck = recipe.outcome == "keeps_packages"
    base_name = recipe.base_image if stuck else asked.get("BASE_IMAGE") or recipe.base_image
    base = _content(world, base_name)
    layers = [*base.layers, *_own_layers(world, asked.get("SOURCE_DIGEST"), recipe)]
    updates = () if stuck else _updates(world, base.config.platform, layers, asked.get("PACKAGES", ""))
    for name, packages in (("upgrade", updates), ("brought", recipe.brings)):
        if packages:
            layers.append(make_layer(world, packages, name))
    return Content(
        config=ImageConfig(base.config.platform, base.config.architecture),
        layers=tuple(layers),
        base_digest=_resolve(world, base_name),
        base_name=base_name.partition("@")[0],
        source_commit=asked.get("SOURCE_COMMIT") or build.request.get("sourceVersion") or recipe.source_commit,
    )


def _own_layers(world: World, source_digest: str | None, recipe: Recipe) -> tuple[Layer, ...]:
    """The layers on top of the base image: the recipe's, or those of the image a rebuild starts from."""
    if not source_digest:
        return (make_layer(world, recipe.packages, "application"),) if recipe.packages else ()
    source = registry.find(registry.images_of(world, recipe.repository), {"imageDigest": source_digest})
    if source is None:
        raise BuildFailed(f"SOURCE_DIGEST {source_digest} is not in {recipe.repository}")
    base = source.content.base_digest
    known = next((one for one in world.container_images.values() if one.digest == base), None)
    return source.content.layers[len(known.content.layers) if known else 0 :]


def _updates(world: World, platform: Platform, layers: list[Layer], asked: str) -> tuple[Package, ...]:
    names = {word.partition("=")[0] for word in asked.replace(",", " ").split()}
    installed = Content(ImageConfig(platform), tuple(layers)).packages.values()
    return tuple(
        replace(one, version=newest, layer=None)
        for one in installed
        if ("all" in names or one.name in names)
        and (newest := world.newest(platform, one)) is not None
        and newest != one.version
    )


def _push(world: World, build: Build, recipe: Recipe, content: Content) -> None:
    tag = build.environment.get("IMAGE_TAG") or f"build-{build.number}"
    manifest = write_manifest(world, content, build.id)
    try:
        image = registry.push(world, recipe.repository, manifest, tag)
    except ServiceException as error:
        raise BuildFailed(f"COMMAND_EXECUTION_ERROR: docker push: {error}") from error
    uri = registry.repository_of(world, recipe.repository).uri
    build.exported = {"IMAGE_DIGEST": image.digest, "IMAGE_TAG": tag, "IMAGE_URI": f"{uri}@{image.digest}"}


def _content(world: World, reference: str) -> Content:
    digest, parts = _resolve(world, reference), ecr_reference(reference)
    if parts is None:
        raise BuildFailed(f"COMMAND_EXECUTION_ERROR: pull of '{reference}': the sandbox knows only its own registries")
    home = world.elsewhere(parts.account, parts.region)
    return registry.get(home, parts.repository, {"imageDigest": digest}).content


def _resolve(world: World, reference: str) -> str:
    try:
        return pull(world, reference)
    except CannotPull as error:
        raise BuildFailed(f"COMMAND_EXECUTION_ERROR: pull of {error}") from error


def _end_phase(world: World, build: Build, status: str, message: str = "") -> None:
    phase = build.phases[-1]
    phase.status, phase.ended_at, phase.message = status, world.now, message


def _complete(world: World, build: Build, status: str) -> None:
    build.phases.append(Phase("COMPLETED", world.now))
    build.status, build.ended_at = status, world.now
