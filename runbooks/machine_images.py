"""Where the newest patched AMI of a platform is published: AWS's and the vendors' public SSM parameters."""

from __future__ import annotations

import re

_AMAZON = "/aws/service/ami-amazon-linux-latest/"
_ARM = "arm64"
_PLATFORM = re.compile(r"(?P<family>[A-Z_]+?)_(?P<release>[0-9][0-9A-Z_]*)", re.ASCII)
_GP3_SINCE = (23, 10)
"""Canonical publishes its images on gp3 from Ubuntu 23.10 on, and on gp2 before."""


def image_parameter(platform: str, architecture: str) -> str | None:
    """The public SSM parameter that names the newest AMI, None where the vendor publishes none.

    Args:
        platform: Inspector's platform of the resource, such as UBUNTU_22_04 or AMAZON_LINUX_2023.
        architecture: as EC2 names it, x86_64 or arm64.

    Paths: Systems Manager user guide, "Finding AMI public parameters"; Ubuntu on AWS, "Find Ubuntu images with the SSM
    Parameter Store"; Debian wiki, "Cloud/AmazonEC2Image".
    """
    found = _PLATFORM.fullmatch(platform)
    if found is None or architecture not in ("x86_64", _ARM):
        return None
    family, release = found["family"], found["release"]
    debian_name = _ARM if architecture == _ARM else "amd64"
    match family, release:
        case "AMAZON_LINUX", "2023":
            return f"{_AMAZON}al2023-ami-kernel-default-{architecture}"
        case "AMAZON_LINUX", "2":
            return f"{_AMAZON}amzn2-ami-hvm-{architecture}-gp2"
        case "UBUNTU", _ if re.fullmatch(r"\d\d_\d\d", release):
            year, month = (int(part) for part in release.split("_"))
            volume = "ebs-gp3" if (year, month) >= _GP3_SINCE else "ebs-gp2"
            number = release.replace("_", ".")
            return f"/aws/service/canonical/ubuntu/server/{number}/stable/current/{debian_name}/hvm/{volume}/ami-id"
        case "DEBIAN", _ if release.isdigit():
            return f"/aws/service/debian/release/{release}/latest/{debian_name}"
        case "WINDOWS_SERVER", _ if release.isdigit() and architecture != _ARM:
            return f"/aws/service/ami-windows-latest/Windows_Server-{release}-English-Full-Base"
        case _:
            return None
