"""Why a container image was vulnerable, and what would keep the next one from being so, as far as the facts tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runbooks.container_image import BaseImage, ContainerImage, ImageFacts, short_digest
from runbooks.finding import Finding, VulnerablePackage
from runbooks.image_users import users_in_words
from runbooks.telling.words import listed
from runbooks.timestamps import moment
from runbooks.triage import Assessment, PackageState


def image_causes(facts: ImageFacts, packages: Sequence[PackageState], findings: Sequence[Finding]) -> Iterator[str]:
    """The base image or what was added to it, and who ran it."""
    image = facts.image
    if image is not None:
        yield f"{image.name} was pushed{f' at {moment(image.pushed_at)}' if image.pushed_at else ''}{_built_on(image)}"
    origins = {(each.name, each.manager): each.origin for each in packages}
    for finding in findings:
        for package in finding.packages:
            came = _came(package, origins.get((package.name, package.manager)), image.base if image else None)
            yield f"{package.name} {package.version} {came}; first seen {moment(finding.first_observed_at)}"
    users = list(users_in_words(facts))
    yield f"it was run by {listed(users, most=10)}" if users else "nobody was seen to run it"


def image_lessons(each: Assessment, facts: ImageFacts) -> Iterator[str]:
    """What to change in the build and in who runs it."""
    image, packages = facts.image, each.triage.packages
    if image is None:
        return
    base, blamed = image.base, [package for package in packages if package.origin == "base"]
    if base is None:
        yield (
            f"Let the build of {image.repository} write down which base image it used "
            "(org.opencontainers.image.base.name and .digest), so that the next one can be told of a newer base"
        )
    elif blamed and base.is_outdated:
        yield f"Rebuild {image.repository} whenever {base.name} changes: a newer one was there already"
    elif blamed:
        yield f"Update the packages of {base.name} in the build of {image.repository}, or choose a smaller base"
    if own := [package.name for package in packages if package.manager != "OS"]:
        yield f"Let a bot raise {listed(own)} in the sources of {image.repository}, as soon as a fixed version is there"
    for service in facts.services:
        if service.controller == "ECS" and not service.alarms:
            yield f"Give service {service.name} an alarm for its deployments to watch, so that a bad one goes back"
    if facts.repository is not None and facts.repository.tag_mutability == "MUTABLE":
        yield f"Make the tags of repository {image.repository} immutable, so that a tag means one image for ever"


def _built_on(image: ContainerImage) -> str:
    if image.base is None:
        return ", and does not say which base image it was built on"
    digest = f" ({short_digest(image.base.digest)})" if image.base.digest else ""
    return f", built on {image.base.name}{digest}"


def _came(package: VulnerablePackage, origin: str | None, base: BaseImage | None) -> str:
    kind = (
        "belongs to the operating system's packages" if package.manager == "OS" else f"is a {package.manager} package"
    )
    path = f" at {package.file_path}" if package.file_path else ""
    if origin == "base" and base is not None:
        return f"{kind}{path}, and came with {base.name}"
    return f"{kind}{path}" + (", and was added in the build" if origin == "own" else "")
