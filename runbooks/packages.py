"""Package versions, compared as the package manager that owns them compares them.

The verdict rests on this: the installed version is at or past the fixed one, or it is not. Where the order is not
known (another package manager, a platform nobody here knows, a version that does not parse) the answer says so;
it is never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from typing import cast

from runbooks.errors import BadInput
from runbooks.finding import VulnerablePackage


class Scheme(StrEnum):
    """How versions are ordered: deb-version(7), or rpm's rpmvercmp with tilde and caret."""

    DEB = "deb"
    RPM = "rpm"


_PLATFORMS = {
    Scheme.DEB: re.compile(r"(UBUNTU|DEBIAN)(?![A-Z])"),
    Scheme.RPM: re.compile(
        r"(AMAZON_LINUX|RHEL|RED_?HAT|ORACLE|ROCKY|ALMA(_?LINUX)?|CENTOS|(OPEN)?SUSE|SLES|FEDORA)(?![A-Z])"
    ),
}
_VERSIONS = {
    Scheme.DEB: re.compile(r"(\d{1,9}:)?\d([A-Za-z0-9.+~-]*[A-Za-z0-9.+~])?", re.ASCII),
    Scheme.RPM: re.compile(r"(\d{1,9}:)?(?=[^-]*\d)[A-Za-z0-9._+~^]+(-[A-Za-z0-9._+~^]+)?", re.ASCII),
}
_ARCHITECTURES = {
    Scheme.DEB: {"X86_64": "amd64", "AARCH64": "arm64", "NOARCH": "all", "I686": "i386"},
    Scheme.RPM: {"AMD64": "x86_64", "ARM64": "aarch64", "ALL": "noarch", "I386": "i686"},
}
_PACKAGE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*", re.ASCII)
_EPOCH = re.compile(r"\d+:", re.ASCII)


def scheme_for(platform: str, manager: str) -> Scheme | None:
    """The order of versions for a package of `manager` on `platform`, or None where it is not known here.

    Args:
        platform: Inspector's platform (UBUNTU_22_04, AMAZON_LINUX_2023) or the name SSM reports (Amazon Linux).
        manager: Inspector's packageManager; only OS packages have a scheme.
    """
    name = platform.strip().upper().replace(" ", "_")
    if manager == "OS":
        for scheme, platforms in _PLATFORMS.items():
            if platforms.match(name):
                return scheme
    return None


def compare(a: str, b: str, scheme: Scheme) -> int:
    """-1, 0 or 1 as version `a` comes before, with or after `b`. A missing epoch is 0, as rpm and dpkg hold.

    Raises:
        BadInput: (unreadable-version) One of them is not a version of this scheme.
    """
    for version in (a, b):
        if not _VERSIONS[scheme].fullmatch(version):
            raise BadInput(f"{version[:80]!r} is not a {scheme} version: compare it by hand", code="unreadable-version")
    return _comparison(scheme)(a, b)


def is_fixed(installed: str, fixed_in: str, scheme: Scheme) -> bool:
    """Whether `installed` is at or past `fixed_in`.

    A `fixed_in` that names no epoch is read with the epoch of `installed`: taken as 0, every package that ever raised
    its epoch would count as fixed.

    Raises:
        BadInput: (unreadable-version) One of them is not a version of this scheme.
    """
    epoch = _EPOCH.match(installed)
    if epoch and not _EPOCH.match(fixed_in):
        fixed_in = epoch.group() + fixed_in
    return compare(installed, fixed_in, scheme) >= 0


def without_epoch_zero(version: str | None) -> str | None:
    """As the package manager takes and shows it: Inspector names the epoch of a fix also where there is none."""
    return version.removeprefix("0:") if version else None


def full_version(package: VulnerablePackage) -> str:
    """The package's `[epoch:]version[-release]`, which Inspector sends in three members; no epoch where it is 0."""
    release = f"-{package.release}" if package.release else ""
    epoch = f"{package.epoch}:" if package.epoch and not _EPOCH.match(package.version) else ""
    return epoch + package.version + release


def package_architecture(arch: str, scheme: Scheme) -> str:
    """Inspector's architecture (X86_64, AMD64, ARM64, NOARCH, ALL) as the package manager spells it.

    Inspector has been seen to say ALL for a deb that is built per architecture (snapd, in "Amazon EventBridge event
    schema"): where the instance's own inventory names the architecture, that one is better.
    """
    return _ARCHITECTURES[scheme].get(arch.upper(), arch.lower())


def override_id(package: VulnerablePackage, scheme: Scheme) -> str | None:
    """`name.arch` as an InstallOverrideList of AWS-RunPatchBaseline wants it.

    None where the package cannot be named exactly: its architecture is not known, or its name holds a character that
    the list reads as a pattern, which would update more than was approved.
    """
    if not package.arch or not _PACKAGE_NAME.fullmatch(package.name) or not _PACKAGE_NAME.fullmatch(package.arch):
        return None
    return f"{package.name}.{package_architecture(package.arch, scheme)}"


def os_managed(package: VulnerablePackage) -> bool:
    """Whether the operating system's package manager owns the package, so that Patch Manager can update it."""
    return package.manager == "OS"


def _comparison(scheme: Scheme) -> Callable[[str, str], int]:
    # Imported at first use: the command line starts without them.
    from univers import debian, rpm

    if scheme is Scheme.DEB:
        return cast(Callable[[str, str], int], debian.compare_versions)  # pyright: ignore[reportUnknownMemberType]
    return rpm.compare_rpm_versions
