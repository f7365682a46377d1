"""The stories that are broken: what they are about, and what its runbook chooses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runbooks.catalog import Catalog
from runbooks.definition import Runbook
from tests.crash_matrix.points import Breadth
from tests.crash_matrix.subjects.function import FunctionSubject
from tests.crash_matrix.subjects.image import ImageSubject
from tests.crash_matrix.subjects.instance import InstanceSubject
from tests.crash_matrix.subjects.network import NetworkSubject
from tests.crash_matrix.subjects.subject import Subject
from tests.runbooks.image_builders import an_image_runbook
from tests.tasks.harness import the_runbook

_SELDOM = {"look_every_seconds": 600}
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
    return an_image_runbook(rebuild=building, verify=_SELDOM, **choices)


def _of_an_image_by_workflows(**choices: Any) -> Runbook:
    here = "example/checkout/.github/workflows"
    building = {"workflow": f"{here}/rebuild.yml@main", "test_workflow": f"{here}/test.yml@main"}
    nobody_else = {"project": None, "test_project": None}
    return an_image_runbook(rebuild=building | nobody_else, verify=_SELDOM, **choices)


def _shipped(name: str, **choices: dict[str, Any]) -> Runbook:
    values = Catalog.read().named(name).model_dump()
    return Runbook.model_validate(values | {section: values[section] | each for section, each in choices.items()})


_LATER = (
    '{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"sinceImagePushed",'
    '"countUnit":"days","countNumber":30},"action":{"type":"expire"}}]}'
)

_OWNED = {"name": "basket", "tasks": 2, "controller": "CODE_DEPLOY"}

STORIES = {
    "patch": Story(InstanceSubject(), the_runbook(), "everything"),
    "open-group": Story(
        InstanceSubject({"exposed": False, "tags": SUSPECTED, "more_targets": {"admin": (8080,)}}),
        the_runbook(contain={"cut_connections": True}),
    ),
    "replace": Story(InstanceSubject(), the_runbook(remediate={"strategy": "replace"}, verify=_SELDOM)),
    "image": Story(
        ImageSubject(),
        _of_an_image("checkout-test", deprecate={"lifecycle_policy": _LATER, "immutable_tags": True}),
        "AWS and ledger",
    ),
    "image-denied": Story(
        ImageSubject({"strategy": "ROLLING"}, more_services=(_OWNED,)),
        _of_an_image(None, contain={"block": {"deny_pulls": True}}, deprecate={"archive": False, "delete": True}),
    ),
    "image-workflow": Story(ImageSubject(), _of_an_image_by_workflows(deprecate={"remove_tags": False})),
    "function": Story(
        FunctionSubject(),
        _shipped("lambda-package-cve", function={"stop": True}, deploy={"bake_minutes": 1}, verify=_SELDOM),
        "AWS and ledger",
    ),
    "function-code": Story(
        FunctionSubject({"in_layer": False, "project": "order-export-build"}),
        _shipped("lambda-package-cve", contain={"when": ()}, deploy={"bake_minutes": 1}, verify=_SELDOM),
    ),
    "network": Story(NetworkSubject({"scan_seconds": 600.0}), _shipped("network-reachability"), "AWS and ledger"),
    "network-shared": Story(NetworkSubject({"scan_seconds": 600.0, "shared": 1}), _shipped("network-reachability")),
}
"""`patch`: contained by one swap, released by itself. `open-group`: connections are cut by way of an open group, a
target group lets it go, and a person releases. `replace`: the instance's Auto Scaling group is refreshed. `image`: a
stage is closed, a patched image built, tested and deployed by canary, and the old one archived. `image-denied`: pulls
are denied instead, nothing is tested, one service is deployed by CodeDeploy and another by a rolling update, and the
old image is deleted. `image-workflow`: GitHub workflows build and test it. `function`: it is stopped, its URL asks who
calls, it gets the newer layer, and its alias is shifted. `function-code`: its own code is built, put in, and its alias
shifted. `network`: a rule is narrowed. `network-shared`: others have the group, and the instance gets a closed one of
its own."""
