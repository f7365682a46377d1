"""How a developer gets rid of a vulnerability: one line, by what manages the package."""

from __future__ import annotations

from runbooks.gating.vulnerability import Vulnerability

_DECLARED_IN = {
    "BUNDLER": "the Gemfile",
    "CARGO": "Cargo.toml",
    "COMPOSER": "composer.json",
    "DOTNET_CORE": "the project's .NET version",
    "GEMSPEC": "the Gemfile",
    "GOBINARY": "go.mod of the program it is built into",
    "GOMOD": "go.mod",
    "JAR": "the build file that brings the jar",
    "NODEPKG": "package.json",
    "NPM": "package.json",
    "NUGET": "the project file",
    "PIP": "the requirements",
    "PIPENV": "the Pipfile",
    "POETRY": "pyproject.toml",
    "POM": "pom.xml",
    "PYTHONPKG": "the requirements",
    "YARN": "package.json",
}
"""Inspector API reference, "VulnerablePackage", packageManager."""


def how_to_fix(each: Vulnerability) -> str:
    """What to do about it."""
    if each.malicious:
        return f"remove {each.package}, and see what it may have done"
    if not each.fix_available:
        return f"no version fixes it yet: do without {each.package}, or have the risk accepted"
    version = f"{each.package} {each.fixed_in}" if each.fixed_in else f"a fixed {each.package}"
    if each.manager == "OS":
        by_hand = f": {each.remediation}" if each.remediation else ""
        return f"build on a newer base image, or install {version} in the build{by_hand}"
    place = _DECLARED_IN.get(each.manager, "what brings it")
    return f"ask for {version} or later in {place}, and build again"
