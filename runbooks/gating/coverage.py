"""What Inspector's coverage says of an image: scanned, about to be, or not to be judged by its findings."""

from __future__ import annotations

from typing import Literal, NamedTuple

from runbooks.verdict import Coverage

INDEX_MEDIA_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
"""Manifests that list the images of several platforms; Inspector scans those, not the list."""
_PENDING = {
    "PENDING_INITIAL_SCAN": "its initial scan is still to come",
    "PENDING_REVIVAL_SCAN": "it was taken out of the archive and is still to be scanned again",
    "SCAN_IN_PROGRESS": "it is being scanned",
    "INTERNAL_ERROR": "Inspector had an error, and tries again by itself",
}
_UNABLE = {
    "ACCESS_DENIED": "a policy keeps Inspector from reading it: the repository's, or the registry's",
    "ACCESS_DENIED_TO_ENCRYPTION_KEY": "the KMS key's policy keeps Inspector from reading it",
    "IMAGE_ARCHIVED": "it is archived, and archived images are not scanned",
    "IMAGE_SIZE_EXCEEDED": "it is larger than Inspector scans",
    "RESOURCE_TERMINATED": "it was deleted",
    "SCAN_ELIGIBILITY_EXPIRED": "its re-scan duration has lapsed, and with it every finding was closed: push it again, "
    "or lengthen the duration",
    "SCAN_FREQUENCY_MANUAL": "its repository is not scanned by Inspector: put it under a filter of enhanced scanning",
    "SCAN_FREQUENCY_SCAN_ON_PUSH": "its repository is scanned on push only, so that its findings do not follow what "
    "becomes known: set continuous scanning",
    "UNSUPPORTED_MEDIA_TYPE": "Inspector does not support its media type",
    "UNSUPPORTED_OS": "Inspector does not support its operating system or architecture",
}
"""Inspector API reference, "ScanStatus"."""


class ScanState(NamedTuple):
    """How far Inspector is."""

    kind: Literal["ready", "pending", "unable"]
    words: str


def scan_state(coverage: Coverage | None) -> ScanState:
    """What the coverage means for the gate. A reason that is not known here means that it cannot be told."""
    if coverage is None:
        return ScanState("pending", "Inspector does not know it: is enhanced scanning on for its repository?")
    if coverage.reason in _PENDING:
        return ScanState("pending", f"{_PENDING[coverage.reason]} ({coverage.reason})")
    if (coverage.status, coverage.reason) == ("ACTIVE", "SUCCESSFUL"):
        return ScanState("ready", "scanned")
    words = _UNABLE.get(coverage.reason, "Inspector does not scan it")
    return ScanState("unable", f"{words} ({coverage.status}, {coverage.reason})")
