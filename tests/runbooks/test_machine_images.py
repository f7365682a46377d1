from __future__ import annotations

import pytest

from runbooks.machine_images import image_parameter

UBUNTU = "/aws/service/canonical/ubuntu/server"


@pytest.mark.parametrize(
    ("platform", "architecture", "parameter"),
    [
        ("UBUNTU_22_04", "x86_64", f"{UBUNTU}/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id"),
        ("UBUNTU_24_04", "arm64", f"{UBUNTU}/24.04/stable/current/arm64/hvm/ebs-gp3/ami-id"),
        ("AMAZON_LINUX_2023", "arm64", "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"),
        ("AMAZON_LINUX_2", "x86_64", "/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-x86_64-gp2"),
        ("DEBIAN_12", "x86_64", "/aws/service/debian/release/12/latest/amd64"),
        ("WINDOWS_SERVER_2022", "x86_64", "/aws/service/ami-windows-latest/Windows_Server-2022-English-Full-Base"),
        ("WINDOWS_SERVER_2022", "arm64", None),
        ("RHEL_9", "x86_64", None),
        ("UBUNTU_22_04", "i386", None),
        ("AMAZON_LINUX", "x86_64", None),
        ("", "x86_64", None),
    ],
)
def test_the_newest_image_is_where_its_vendor_publishes_it(platform: str, architecture: str, parameter: str | None):
    assert image_parameter(platform, architecture) == parameter
