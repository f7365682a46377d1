"""Which components of an SBOM ScanSbom did not look at: nothing is known of them.

Its answer says so of each one: `warning` is why it was not scanned, `info` how it was (Inspector user guide, "Using
CycloneDX namespaces"). "Component skipped: no rules found" is an `info`. Of a package of a kind that Inspector knows it
only says that nobody has ever reported anything of it, as of most packages of any system; of another kind, or of a
system of which Inspector knows no package, it says that nobody looked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote

from runbooks.gating.cyclonedx import (
    Members,
    PackageUrl,
    components_of,
    full_names,
    name_of,
    object_of,
    objects_of,
    properties_of,
    text_of,
)
from runbooks.gating.judgement import Unscanned

_SYSTEMS = frozenset({"apk", "deb", "rpm"})
_KNOWN = _SYSTEMS | {"cargo", "composer", "gem", "golang", "maven", "npm", "nuget", "pypi"}
"""Types of package URLs of which Inspector has rules (Inspector user guide, "Amazon Inspector SBOM Generator", package
types). It has some for `generic`, too, under names of its own: one that it skips is of no name that it knows."""
_NO_SOFTWARE = frozenset({"container", "data", "file", "operating-system"})
"""Types of components that are no package, or that others of the SBOM are the parts of (CycloneDX 1.5)."""


def unscanned(sent: Members, answer: Members) -> tuple[Unscanned, ...]:
    """Those that nobody looked at, without what there is nothing to look at in.

    Args:
        sent: the SBOM that ScanSbom was given: what its answer leaves out was not looked at either.
    """
    names = full_names(sent)
    affected = frozenset(
        text_of(affects, "ref")
        for each in objects_of(answer, "vulnerabilities")
        for affects in objects_of(each, "affects")
    )
    answered = [_read(each, names, affected) for each in components_of(answer)]
    systems = frozenset(each.purl.system for each in answered if each.is_scanned and each.purl.type in _SYSTEMS)
    listed = frozenset(each.purl.package for each in answered)
    root = _read(object_of(object_of(sent, "metadata"), "component"), names)
    told = [(each, _skipped(each, systems)) for each in answered if each.purl.type]
    told += [(each, _left_out(each, listed, root)) for each in (_read(one, names) for one in components_of(sent))]
    return tuple(Unscanned(name=each.name, version=each.version, why=why) for each, why in told if why)


class _Component(NamedTuple):
    type: str
    name: str
    version: str
    purl: PackageUrl
    info: str
    warning: str
    is_scanned: bool


def _read(component: Members, names: Mapping[str, str], affected: frozenset[str] = frozenset()) -> _Component:
    said, purl = properties_of(component), PackageUrl.of(component)
    info, ref = said.get("info", ""), text_of(component, "bom-ref")
    return _Component(
        type=text_of(component, "type"),
        name=names.get(purl.package) or name_of(component),
        version=unquote(text_of(component, "version")),
        purl=purl,
        info=info,
        warning=said.get("warning", ""),
        is_scanned=info.startswith("Component scanned") or (bool(ref) and ref in affected),
    )


def _skipped(each: _Component, systems: frozenset[str]) -> str | None:
    """Why nothing is known of a package; None where it was looked at."""
    if each.warning:
        return each.warning.removeprefix("Component skipped: ").rstrip(".")
    if each.is_scanned:
        return None
    if each.purl.type not in _KNOWN:
        return f"Inspector has no rules for it, of type {each.purl.type}"
    if not each.version and "@" not in each.purl.package.partition("/")[2][1:]:
        return "no version provided"
    if not each.info:
        return "Inspector says nothing of it"
    if each.purl.type in _SYSTEMS and each.purl.system not in systems:
        return f"Inspector knows no package of {each.purl.system or 'its system'}"
    return None


def _left_out(each: _Component, listed: frozenset[str], root: _Component) -> str | None:
    """Why something that was sent was not even skipped."""
    if each.purl.type:
        return None if each.purl.package in listed else "Inspector's answer does not have it"
    is_name_only = each.type == "application" and not each.version
    is_whole = (each.name, each.version) == (root.name, root.version)
    return None if each.type in _NO_SOFTWARE or is_name_only or is_whole else "no purl provided"
