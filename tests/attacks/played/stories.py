"""The responses that are attacked while they are played out."""

from __future__ import annotations

from tests.crash_matrix.stories import STORIES as UNBROKEN
from tests.crash_matrix.stories import Story
from tests.crash_matrix.subjects.image import ImageSubject

_IMAGE = UNBROKEN["image"]

STORIES: dict[str, Story] = {
    "image": _IMAGE,
    "image-denied": UNBROKEN["image-denied"],
    "bad-build": Story(ImageSubject(image={"build": "keeps_packages"}), _IMAGE.runbook),
    "hostile-names": Story(ImageSubject(image={}), _IMAGE.runbook),
}
"""`bad-build`: the build succeeds, and its image has the vulnerability still."""
