"""Triage of a container image: each decision, and why."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks.container_image import ImageFunction, OtherUse
from runbooks.definition import Signal
from runbooks.finding import Finding
from runbooks.instance import Exploitation
from runbooks.triage import Triage, triage
from tests.runbooks.builders import a_package
from tests.runbooks.image_builders import (
    BASE,
    NAME,
    OWN_LAYER,
    a_base,
    a_repository,
    a_service,
    an_image,
    an_image_case,
    an_image_finding,
    an_image_runbook,
    an_os_package,
)

NOBODY: dict[str, Any] = {"services": (), "functions": (), "others": (), "in_use_count": 0}
PACKAGE_FROM_THE_BASE = (
    "libssl3 3.0.11-1~deb12u2 is in the image, fixed in 3.0.15-1~deb12u1: an operating system package, which came with "
    "the base image"
)
BASE_TO_BLAME = (
    "its base docker.io/library/debian:12 is to blame for libssl3: it was built on sha256:bbbbbbbbbbbb, and now there "
    "is sha256:cccccccccccc"
)
QUIET: dict[str, Any] = {"exploitation": Exploitation()}


def decided(*findings: Finding, runbook: Any = None, **changes: Any) -> Triage:
    return triage(an_image_case(*findings, **changes), runbook or an_image_runbook())


def the_end(found: Triage) -> tuple[str, str]:
    return found.decision, found.code


def test_an_image_whose_base_is_to_blame_is_blocked_and_rebuilt_on_the_newer_base() -> None:
    found = decided()
    assert (found.decision, found.code, found.priority) == ("respond", "vulnerable", "P2")
    assert (found.contain, found.remediation) == (True, "rebuild")
    assert found.signals == (Signal.KNOWN_EXPLOIT,)
    assert found.reasons == (
        PACKAGE_FROM_THE_BASE,
        BASE_TO_BLAME,
        "an exploit is publicly known",
        "it is run by service checkout (4 tasks), service basket (2 tasks)",
        "priority P2: severity CRITICAL, score 9.1, exploitable by a known exploit",
        "block its promotion first: ecr-critical-cve does so with what is exploitable by a known exploit",
        "rebuild it on docker.io/library/debian:12 as it is now (sha256:cccccccccccc): libssl3 to 3.0.15-1~deb12u1",
    )


def test_a_dependency_that_was_added_is_not_the_bases_fault() -> None:
    package = a_package(
        name="log4j-core", version="2.14.1", manager="JAR", fixed_in="2.17.1", extra={"sourceLayerHash": OWN_LAYER}
    )
    found = decided(an_image_finding(packages=(package,)), image=an_image(base=a_base(newest=BASE)))
    assert found.packages[0].origin == "own"
    assert any("a dependency (JAR), which was added to the base image" in reason for reason in found.reasons)
    assert "its base docker.io/library/debian:12 is not to blame: what is vulnerable was added to it" in found.reasons
    assert found.reasons[-1] == "rebuild it with what is fixed: log4j-core to 2.17.1"


@pytest.mark.parametrize(
    ("base", "words"),
    [
        (None, "whether a base image is to blame cannot be told: the image does not say what it was built from"),
        (a_base(layers=()), "whether its base docker.io/library/debian:12 is to blame cannot be told: which layers"),
        (a_base(newest=None), "is to blame for libssl3; whether there is a newer one is not known"),
        (a_base(newest=BASE), "is to blame for libssl3, and there is no newer one yet"),
    ],
)
def test_it_says_how_far_a_base_image_is_to_blame_and_rebuilds_all_the_same(base: Any, words: str) -> None:
    found = decided(image=an_image(base=base))
    assert any(words in reason for reason in found.reasons)
    assert found.remediation == "rebuild"


def test_of_two_findings_on_one_package_the_later_fix_counts() -> None:
    later = an_image_finding(2, packages=(an_os_package(fixed_in="3.0.16-1~deb12u1"),))
    for findings in ((an_image_finding(1), later), (later, an_image_finding(1))):
        assert [package.fixed_in for package in decided(*findings).packages] == ["3.0.16-1~deb12u1"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fix_available": "NO"}, "no fixed version is published of libssl3"),
        ({"fix_available": "PARTIAL"}, "no fixed version is published of libssl3"),
    ],
)
def test_without_a_published_fix_a_person_remediates_and_promotion_is_blocked_still(
    changes: dict[str, Any], words: str
) -> None:
    found = decided(an_image_finding(packages=(an_os_package(fixed_in=None),), **changes))
    assert (found.decision, found.remediation, found.contain) == ("respond", "person", True)
    assert words in found.reasons[-1]


def test_a_fix_without_a_version_is_a_fix() -> None:
    found = decided(an_image_finding(packages=(an_os_package(fixed_in=None),), fix_available="YES"))
    assert found.remediation == "rebuild"


def test_without_a_build_project_a_person_builds_it() -> None:
    found = decided(project=None)
    assert found.remediation == "person"
    assert found.reasons[-1] == "a person must remediate: there is no build project shop-checkout-build"


def test_an_image_that_is_gone_or_archived_leaves_nothing_to_do_and_nothing_was_fixed() -> None:
    gone, archived = decided(image=None, **NOBODY), decided(image=an_image(archived=True), **NOBODY)
    assert (the_end(gone), the_end(archived)) == (
        ("nothing-to-do", "image-gone"),
        ("nothing-to-do", "image-archived"),
    )
    for found in (gone, archived):
        assert "(and nothing was fixed)" in found.reasons[0]


def test_an_image_that_is_gone_and_runs_on_is_a_persons_matter() -> None:
    found = decided(image=None)
    assert the_end(found) == ("person", "image-gone")
    assert "still run by service checkout (4 tasks), service basket (2 tasks)" in found.reasons[0]


def test_an_image_that_nobody_runs_is_rebuilt_as_long_as_a_tag_names_it() -> None:
    tagged, untagged = decided(**NOBODY), decided(image=an_image(tags=()), **NOBODY)
    assert tagged.remediation == "rebuild"
    assert "nobody was seen to run it; by its tag it can be pulled at any time" in tagged.reasons
    assert the_end(untagged) == ("nothing-to-do", "not-in-use")


def test_a_platform_image_is_named_by_the_tag_of_its_index_though_it_has_none_of_its_own() -> None:
    found = decided(image=an_image(tags=(), index_tags=("2.0",)), **NOBODY)
    assert (found.decision, found.remediation) == ("respond", "rebuild")
    assert (
        "nobody was seen to run it; by 2.0, the tag of an index that lists it, it can be pulled at any time"
        in found.reasons
    )


def test_an_untagged_image_that_may_be_used_where_nobody_can_look_is_not_closed_as_unused() -> None:
    found = decided(image=an_image(tags=()), may_be_used_in=("account 345678901234", "organization o-1"), **NOBODY)
    assert (found.decision, found.remediation) == ("respond", "rebuild")
    assert (
        "nobody was seen to run it; it may be used in account 345678901234, organization o-1: whoever is there may "
        "pull it, and this system cannot look there"
    ) in found.reasons


def test_a_running_image_without_a_tag_is_rebuilt() -> None:
    assert decided(image=an_image(tags=())).remediation == "rebuild"


def test_a_protected_repository_is_left_to_a_person() -> None:
    found = decided(repository=a_repository(tags={"remediation": "never"}))
    assert the_end(found) == ("person", "protected")
    assert found.reasons == (f"repository {NAME} carries the protected tag remediation=never: a person decides",)


def test_a_repository_that_could_not_be_read_is_left_to_a_person() -> None:
    assert the_end(decided(repository=None)) == ("person", "unreadable")


@pytest.mark.parametrize(
    ("findings", "code"),
    [((), "finding-gone"), (("CLOSED",), "finding-closed"), (("SUPPRESSED",), "finding-suppressed")],
)
def test_findings_that_call_for_nothing_any_more_end_it(findings: tuple[str, ...], code: str) -> None:
    facts = an_image_case().model_copy(update={"findings": tuple(an_image_finding(status=each) for each in findings)})
    assert the_end(triage(facts, an_image_runbook())) == ("nothing-to-do", code)


@pytest.mark.parametrize(
    ("runbook", "contain", "words"),
    [
        ({"contain": {"when": []}}, False, "by the gate alone: ecr-critical-cve never blocks it"),
        ({"contain": {"block": {"stages": ()}}}, False, "by the gate alone: ecr-critical-cve names no stage"),
        ({"contain": {"block": {"deny_pulls": True}}}, True, "block its promotion first"),
    ],
)
def test_promotion_is_blocked_where_the_runbook_says_with_what(
    runbook: dict[str, Any], contain: bool, words: str
) -> None:
    found = decided(runbook=an_image_runbook(**runbook))
    assert found.contain is contain
    assert any(words in reason for reason in found.reasons)


def test_what_no_exploit_is_known_for_is_not_blocked() -> None:
    finding = an_image_finding(exploit_available=None, epss=0.01)
    found = decided(finding, **QUIET)
    assert not found.contain
    assert found.priority == "P3"
    assert "promotion is blocked by the gate alone: none of the conditions of ecr-critical-cve holds" in found.reasons


def test_what_is_blocked_already_stays_so() -> None:
    found = decided(contained=True)
    assert found.contain
    assert "its promotion is blocked already" in found.reasons


def test_everybody_who_runs_it_is_named() -> None:
    function = ImageFunction(account="1", region="r", name="invoice", arn="arn", alias="live")
    cluster = OtherUse(kind="eks-cluster", arn="arn:aws:eks:eu-west-1:1:cluster/pods", count=3)
    task = OtherUse(kind="ecs-task", arn="arn:aws:ecs:eu-west-1:1:task/shop/0a", count=0)
    unnamed = OtherUse(kind="other", arn="arn:aws:ecr:eu-west-1:1:repository/a/sha256:0", count=2)
    services = (a_service(running=0), a_service("one", running=1))
    found = decided(services=services, functions=(function,), others=(cluster, task, unnamed))
    assert (
        "it is run by service checkout (no task now), service one (1 task), function invoice (alias live), EKS cluster "
        "pods (3), ECS task of no service 0a, 2 more that Inspector counts and does not name"
    ) in found.reasons
