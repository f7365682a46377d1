"""The stories that are broken: what they are about, and what its runbook chooses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runbooks.definition import Runbook
from tests.crash_matrix.points import Breadth
from tests.crash_matrix.subjects.image import ImageSubject
from tests.crash_matrix.subjects.instance import InstanceSubject
from tests.crash_matrix.subjects.subject import Subject
from tests.runbooks.image_builders import an_image_runbook
from tests.tasks.harness import the_runbook

SUSPECTED = {"remediation:compromise-suspected": "a detection"}


@dataclass(frozen=True)
class Story:
    """One kind of response, from its finding to its end."""

    subject: Subject
    runbook: Runbook
    """The shipped one, with choices of its own."""
    breadth: Breadth = "changes"
    """Where it is broken: the first story of all everywhere, the first of another kind of resource in what is its own,
    the others where they change something. See `points_of`."""


def _of_an_image(test_project: str | None, **choices: Any) -> Runbook:
    building = {"project": "checkout-image", "test_project": test_project}
    return an_image_runbook(rebuild=building, verify={"look_every_seconds": 600}, **choices)


_LATER = (
    '{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"sinceImagePushed",'
    '"countUnit":"days","countNumber":30},"action":{"type":"expire"}}]}'
)

STORIES = {
    "patch": Story(InstanceSubject(), the_runbook(), "everything"),
    "open-group": Story(
        InstanceSubject({"exposed": False, "tags": SUSPECTED}), the_runbook(contain={"cut_connections": True})
    ),
    "replace": Story(
        InstanceSubject(), the_runbook(remediate={"strategy": "replace"}, verify={"look_every_seconds": 600})
    ),
    "image": Story(
        ImageSubject(),
        _of_an_image("checkout-test", deprecate={"lifecycle_policy": _LATER, "immutable_tags": True}),
        "AWS and ledger",
    ),
    "image-denied": Story(
        ImageSubject({"strategy": "ROLLING"}),
        _of_an_image(None, contain={"block": {"deny_pulls": True}}, deprecate={"archive": False, "delete": True}),
    ),
}
"""`patch`: contained by one swap, released by itself. `open-group`: connections are cut by way of an open group, and a
person releases. `replace`: the instance's Auto Scaling group is refreshed. `image`: a stage is closed, a patched image
built, tested and deployed by canary, and the old one archived. `image-denied`: pulls are denied instead, nothing is
tested, the deployment is a rolling one, and the old image is deleted."""
