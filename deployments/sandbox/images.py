"""The AMIs of the sandbox: each with an operating system and the packages on it.

Moto would put more than a thousand AMIs (and their snapshots) into every region; here an AMI is there once it was
named: by a finding, by a public parameter.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from moto import settings
from moto.ec2.models.amis import Ami

from deployments.sandbox.platforms import Platform
from deployments.sandbox.world import Image, Package, World

settings.ec2_load_default_amis = lambda: False  # type: ignore[assignment]


def ensure_image(world: World, image_id: str, platform: Platform, packages: Iterable[Package]) -> None:
    """Have an AMI with this platform and at least these packages."""
    if image_id not in world.ec2.amis:
        image: Any = Ami(
            world.ec2,
            image_id,
            name=f"{platform.code.lower().replace('_', '-')}-{image_id.removeprefix('ami-')}",
            description=f"{platform.name} {platform.release}",
            architecture="x86_64",
            virtualization_type="hvm",
            root_device_name=platform.root_device,
            root_device_type="ebs",
            platform="windows" if platform.is_windows else None,
            public=True,
            region_name=f"{world.region}a",
            state="available",
        )
        image.creation_date = world.now
        world.ec2.amis[image_id] = image
    known = world.images.get(image_id)
    merged = {package.key: package for package in (*(known.packages if known else ()), *packages)}
    world.images[image_id] = Image(platform, tuple(merged.values()))


def ensure_public_image(world: World, parameter: str, value: str) -> None:
    """Have the AMI a public parameter names, with nothing on it that Inspector would mind."""
    if value.startswith("ami-") and value not in world.ec2.amis:
        code = "AMAZON_LINUX_2" if "amzn2-" in parameter else "AMAZON_LINUX_2023"
        ensure_image(world, value, Platform(code), ())
