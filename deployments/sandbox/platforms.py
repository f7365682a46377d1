"""What follows from an operating system as Inspector names it (UBUNTU_22_04, AMAZON_LINUX_2023, ...)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from univers.versions import AlpineLinuxVersion, DebianVersion, MavenVersion, PypiVersion, RpmVersion

_DEBIAN_FAMILY = ("UBUNTU", "DEBIAN")
_ROOT_DEVICE = {"UBUNTU": "/dev/sda1", "WINDOWS": "/dev/sda1"}
_NAMES = {
    "UBUNTU": "Ubuntu",
    "DEBIAN": "Debian GNU/Linux",
    "AMAZON_LINUX": "Amazon Linux",
    "RHEL": "Red Hat Enterprise Linux",
    "WINDOWS_SERVER": "Microsoft Windows Server",
}
_NO_FIX = frozenset({"", "NOTAVAILABLE", "NOT_AVAILABLE"})


@dataclass(frozen=True)
class Platform:
    """One operating system release.

    Attributes:
        code: Inspector's name for it.
    """

    code: str

    @property
    def is_windows(self) -> bool:
        """Whether this is Windows."""
        return self.code.startswith("WINDOWS")

    @property
    def is_debian(self) -> bool:
        """Whether packages are Debian's (otherwise RPM's, or Windows')."""
        return self.code.startswith(_DEBIAN_FAMILY)

    @property
    def is_amazon_linux(self) -> bool:
        """Whether packages come from Amazon's own S3 repositories."""
        return self.code.startswith("AMAZON_LINUX")

    @property
    def name(self) -> str:
        """What Systems Manager calls it."""
        family = max((family for family in _NAMES if self.code.startswith(family)), key=len, default="")
        return _NAMES.get(family, self.code.replace("_", " ").title())

    @property
    def release(self) -> str:
        """The release, such as 22.04."""
        return ".".join(part for part in self.code.split("_") if part.isdigit()) or "1"

    @property
    def patch_step(self) -> str:
        """The step of AWS-RunPatchBaseline that runs on it."""
        return "PatchWindows" if self.is_windows else "PatchLinux"

    @property
    def root_device(self) -> str:
        """Where the root volume is attached."""
        return _ROOT_DEVICE.get(self.code.split("_")[0], "/dev/xvda")

    def package_arch(self, inspector_arch: str) -> str:
        """The architecture as the package manager writes it, from Inspector's word for it."""
        return {
            "X86_64": "amd64" if self.is_debian else "x86_64",
            "AMD64": "amd64" if self.is_debian else "x86_64",
            "ARM64": "arm64" if self.is_debian else "aarch64",
            "AARCH64": "arm64" if self.is_debian else "aarch64",
            "NOARCH": "noarch",
            "ALL": "all",
        }.get(inspector_arch.upper(), inspector_arch.lower())

    def image_parameters(self, *, arm: bool = False) -> tuple[str, ...]:
        """The public parameters that hold the newest AMI of it (Parameter Store public parameters)."""
        machine = "arm64" if arm else "x86_64"
        debian_machine = "arm64" if arm else "amd64"
        amazon = "/aws/service/ami-amazon-linux-latest/"
        if self.code.startswith("UBUNTU"):
            storage = "ebs-gp3" if float(self.release) >= 24 else "ebs-gp2"
            root = f"/aws/service/canonical/ubuntu/server/{self.release}/stable/current"
            return (f"{root}/{debian_machine}/hvm/{storage}/ami-id",)
        if self.code.startswith("DEBIAN"):
            return (f"/aws/service/debian/release/{self.release}/latest/{debian_machine}",)
        if self.code == "AMAZON_LINUX_2023":
            return (f"{amazon}al2023-ami-kernel-default-{machine}", f"{amazon}al2023-ami-kernel-6.1-{machine}")
        if self.code == "AMAZON_LINUX_2":
            return (f"{amazon}amzn2-ami-hvm-{machine}-gp2", f"{amazon}amzn2-ami-kernel-5.10-hvm-{machine}-gp2")
        if self.is_windows:
            return (f"/aws/service/ami-windows-latest/Windows_Server-{self.release}-English-Full-Base",)
        return ()


def is_older(platform: Platform, manager: str, version: str, than: str) -> bool:
    """Whether one version is older than another, by the rules of what manages the package."""
    scheme = _scheme(platform, manager)
    return bool(scheme(version) < scheme(than))


def fixed_version(stated: str | None) -> str | None:
    """The fixed version of a finding's package, None when it says that there is no fix."""
    if stated is None or stated.strip().upper() in _NO_FIX:
        return None
    return stated


def installed_version(stated: dict[str, Any]) -> str:
    """The installed version of a finding's package as the package manager writes it, from Inspector's parts of it."""
    version = str(stated.get("version") or "0")
    if stated.get("release"):
        version = f"{version}-{stated['release']}"
    if int(stated.get("epoch") or 0):
        version = f"{stated['epoch']}:{version}"
    return version


def version_parts(version: str) -> dict[str, Any]:
    """A version as Inspector takes it apart: epoch, version and, where there is one, release."""
    epoch, _, rest = version.rpartition(":")
    upstream, _, release = rest.rpartition("-")
    parts: dict[str, Any] = {"epoch": int(epoch or 0), "version": upstream or release}
    return parts | {"release": release} if upstream else parts


def _scheme(platform: Platform, manager: str) -> Any:
    if manager == "OS" and platform.code.startswith("ALPINE"):
        return AlpineLinuxVersion
    if manager == "OS":
        return DebianVersion if platform.is_debian else RpmVersion
    if manager in ("PIP", "PYTHONPKG", "PIPENV", "POETRY"):
        return PypiVersion
    return MavenVersion
