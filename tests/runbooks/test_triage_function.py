"""Triage of a Lambda function: each decision, and why."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks.definition import Signal
from runbooks.finding import Finding
from runbooks.function import EventSource, FunctionUrl, Invoker
from runbooks.function_package import PackageProject
from runbooks.instance import Exploitation
from runbooks.telling.triage_text import triage_markdown
from runbooks.triage import Triage, triage
from tests.runbooks.function_builders import (
    OLD,
    PROJECT,
    QUEUE,
    TODAY,
    a_function_assessment,
    a_function_case,
    a_function_finding,
    a_function_key,
    a_function_runbook,
    a_python_package,
    an_alias,
    served,
)
from tests.runbooks.function_steps import AFTER, BEFORE
from tests.runbooks.image_steps import DIGEST, URI

QUIET: dict[str, Any] = {"exploitation": Exploitation(), "urls": (), "event_sources": ()}
IMAGE: dict[str, Any] = {
    "package_type": "Image",
    "content": BEFORE.model_copy(update={"layers": (), "runtime": None}),
    "image": f"{URI}@{DIGEST}",
    "aliases": (),
    "project": "shop-checkout-build",
    "newer_layers": {},
}


def decided(*findings: Finding, runbook: Any = None, **changes: Any) -> Triage:
    return triage(a_function_case(*findings, **changes), runbook or a_function_runbook())


def why(found: Triage) -> str:
    return found.reasons[-1]


def test_a_public_function_with_a_vulnerable_layer_is_contained_and_given_the_newer_one() -> None:
    found = decided()
    assert (found.decision, found.code, found.priority) == ("respond", "vulnerable", "P1")
    assert (found.contain, found.remediation) == (True, "update")
    assert found.signals == (Signal.KNOWN_EXPLOIT, Signal.EXPOSED)
    assert found.reasons == (
        "pyyaml 5.3.1 (PIP) came with layer order-export-dependencies:1, fixed in 5.4",
        "its runtime is python3.12",
        "it is invoked by whoever has its URL (alias live), sqs orders (alias live)",
        "alias live serves version 1",
        "an exploit is publicly known",
        "exposed to the internet: the URL of alias live asks nobody who calls",
        "priority P1: severity CRITICAL, score 9.1, exploitable by a known exploit, exposed to the internet",
        "contain first: lambda-package-cve contains what is exploitable by a known exploit and exposed to the internet",
        "give it layer order-export-dependencies:2, and publish a version with it",
    )


def test_a_deprecated_runtime_is_named_with_the_day_and_one_to_come_is_not() -> None:
    old = decided(content=BEFORE.model_copy(update={"runtime": "python3.8"}))
    assert "its runtime python3.8 is deprecated since 2024-10-14: AWS patches it no more" in old.reasons
    today = TODAY.replace(year=2029)
    assert (
        "its runtime python3.12 is deprecated since 2028-10-31: AWS patches it no more"
        in decided(read_on=today).reasons
    )
    assert (
        "its runtime is provided.al2099"
        in decided(content=BEFORE.model_copy(update={"runtime": "provided.al2099"})).reasons
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"newer_layers": {}},
            "layer order-export-dependencies:1, which has pyyaml, has no newer version for python3.12",
        ),
        ({"newer_layers": {}, "unread_layers": (OLD,)}, "is of another account: whether it has a newer version"),
        ({"content": AFTER}, "is not in $LATEST any more: Inspector has not scanned the function since"),
        ({"busy": True}, "the function is being changed at this moment"),
        ({"alarms": ()}, "no alarm watches it (order-export-errors), and so nothing would lead back"),
        ({"aliases": (an_alias(weights={"2": 0.5}),)}, "alias live is being shifted already, to version 2"),
        (
            {"aliases": (an_alias("live", served(differs=("Environment", "Timeout"))),)},
            "alias live serves version 1, and $LATEST differs from it in more than the fix (Environment, Timeout)",
        ),
        (IMAGE | {"project": None}, f"there is no build project for its image {URI}"),
        (IMAGE | {"image": None}, "which image it runs could not be read"),
    ],
)
def test_what_stands_in_the_way_goes_to_a_person_with_the_reason(changes: dict[str, Any], reason: str) -> None:
    found = decided(**changes)
    assert (found.decision, found.remediation) == ("respond", "person")
    assert why(found).startswith("a person must remediate: ")
    assert reason in why(found)


OWN = a_function_finding(packages=(a_python_package(None),))


def test_its_own_code_is_rebuilt_by_the_project_that_the_runbook_names() -> None:
    found = decided(OWN, package_project=PROJECT)
    assert found.remediation == "update"
    assert why(found) == (
        "rebuild its own code by order-export-build, with pyyaml to 5.4, and publish a version with it"
    )
    assert found.packages[0].origin == "own"


def test_of_a_function_with_it_in_its_code_and_in_a_layer_both_are_exchanged() -> None:
    both = a_function_finding(packages=(a_python_package(), a_python_package(None, name="jinja2", fixed_in="3.1.6")))
    assert why(decided(both, package_project=PROJECT)) == (
        "rebuild its own code by order-export-build, with jinja2 to 3.1.6, give it layer order-export-dependencies:2, "
        "and publish a version with it"
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "there is no build project order-export-build"),
        (
            {"package_project": PackageProject(name="order-export-build", bucket=None)},
            "build project order-export-build leaves no artifact in S3",
        ),
        ({"package_project": PROJECT, "bound_by": "signature"}, "its code is signed, and what the build makes is not"),
        (
            {"package_project": PROJECT, "bound_by": "key"},
            "its code is encrypted with a key of its owner's, and what takes its place would not be",
        ),
    ],
)
def test_what_nobody_can_build_in_its_own_code_is_for_its_owner(changes: dict[str, Any], reason: str) -> None:
    found = decided(OWN, **changes)
    assert found.remediation == "person"
    assert why(found) == (
        f"a person must remediate: pyyaml is in its own code, which its owner has to build and deploy: {reason}"
    )


def test_what_the_runtime_has_is_exchanged_with_it_where_the_runbook_names_another() -> None:
    of_runtime = a_function_finding(
        packages=(a_python_package(None, file_path="/var/lang/lib/python3.12/site-packages"),)
    )
    assert why(decided(of_runtime)) == (
        "a person must remediate: runtime python3.12 has it, and lambda-package-cve names no runtime to put in its "
        "place"
    )
    exchanged = decided(of_runtime, runbook=a_function_runbook(function={"runtimes": {"python3.12": "python3.14"}}))
    assert exchanged.remediation == "update"
    assert why(exchanged) == "give it runtime python3.14, and publish a version with it"


def test_a_function_that_runs_an_image_has_it_rebuilt() -> None:
    found = decided(a_function_finding(packages=(a_python_package(None),)), **IMAGE)
    assert found.remediation == "update"
    assert why(found) == "rebuild its image with what is fixed, and publish a version with it: pyyaml to 5.4"


def test_without_a_fixed_version_nothing_is_updated() -> None:
    unfixed = a_function_finding(packages=(a_python_package(fixed_in=None),), fix_available="NO")
    assert why(decided(unfixed)) == "a person must remediate: no fixed version is published of pyyaml"


def test_without_an_alarm_it_is_updated_where_the_runbook_says_so() -> None:
    found = decided(alarms=(), runbook=a_function_runbook(deploy={"without_alarms": "deploy"}))
    assert found.remediation == "update"


@pytest.mark.parametrize(
    ("changes", "exposed"),
    [
        ({"urls": (FunctionUrl(auth_type="NONE"),)}, "the URL of $LATEST asks nobody who calls"),
        ({"urls": (FunctionUrl(auth_type="AWS_IAM"),)}, None),
        ({"urls": (), "invokers": (Invoker(principal="*"),)}, "the resource policy of $LATEST lets anyone invoke it"),
        ({"urls": (), "invokers": (Invoker(principal="*", conditional=True),)}, None),
        ({"urls": (), "invokers": (Invoker(principal="apigateway.amazonaws.com", conditional=True),)}, None),
        ({"urls": (), "event_sources": (EventSource(arn=QUEUE),)}, None),
    ],
)
def test_it_is_exposed_where_anybody_at_all_may_invoke_it(changes: dict[str, Any], exposed: str | None) -> None:
    found = decided(**changes)
    assert (Signal.EXPOSED in found.signals) is (exposed is not None)
    if exposed is not None:
        assert f"exposed to the internet: {exposed}" in found.reasons


def test_an_api_in_front_of_it_is_said_not_to_have_been_looked_at() -> None:
    found = decided(urls=(), invokers=(Invoker(principal="apigateway.amazonaws.com", conditional=True),))
    assert any(
        "API Gateway may invoke it, and who may call that API was not looked at" in each for each in found.reasons
    )


def test_a_function_that_is_neither_exploited_nor_open_is_not_contained() -> None:
    found = decided(a_function_finding(exploit_available=False, epss=0.01), **QUIET)
    assert (found.contain, found.priority) == (False, "P3")
    assert "no containment: none of the conditions of lambda-package-cve holds" in found.reasons


def test_what_no_url_opens_and_nobody_stops_is_not_contained() -> None:
    suspected = decided(suspected="GuardDuty", urls=())
    assert not suspected.contain
    assert (
        "no containment: lambda-package-cve does not stop a function, and no URL of it is open to all"
        in suspected.reasons
    )
    assert decided(suspected="GuardDuty", urls=(), runbook=a_function_runbook(function={"stop": True})).contain


@pytest.mark.parametrize(
    ("findings", "changes", "end"),
    [
        ((), {"function": None}, ("nothing-to-do", "function-gone")),
        ((a_function_finding(status="SUPPRESSED"),), {}, ("nothing-to-do", "finding-suppressed")),
        ((a_function_finding(status="CLOSED"),), {}, ("nothing-to-do", "finding-closed")),
        ((a_function_finding(status="CLOSED"),), {"content": AFTER}, ("person", "alias-not-scanned")),
        ((), {"tags": {"remediation": "never"}}, ("person", "protected")),
    ],
)
def test_what_ends_at_triage(findings: tuple[Finding, ...], changes: dict[str, Any], end: tuple[str, str]) -> None:
    found = decided(*findings, **changes)
    assert (found.decision, found.code) == end


def test_a_closed_finding_is_no_end_while_an_alias_serves_what_nobody_scanned() -> None:
    found = decided(a_function_finding(status="CLOSED"), content=AFTER)
    assert why(found) == (
        "Inspector has closed the finding since it was sent, and it scans $LATEST alone: alias live serves something "
        "else, which nobody scans: a person decides"
    )


def test_the_page_tells_who_invokes_it() -> None:
    assessment = a_function_assessment()
    text = triage_markdown([assessment], {assessment.case: a_function_key()})
    assert "Who invokes it" in text
    assert "sqs orders (alias live)" in text
    assert "contain it, then update it, and bring its aliases over" in text.lower()
