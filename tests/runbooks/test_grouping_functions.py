"""Which functions one response is over, and that a function is one case whatever a finding names of it."""

from __future__ import annotations

from datetime import date

import pytest

from runbooks.case import CaseKey, resource_name
from runbooks.grouping import group_key, is_hasty
from runbooks.lambda_runtimes import deprecated_on
from tests.runbooks.function_builders import (
    ARN,
    RUNBOOK,
    a_function_finding,
    a_function_key,
    a_function_runbook,
    a_python_package,
)


@pytest.mark.parametrize("qualifier", ["", ":$LATEST", ":7", ":live"])
def test_a_function_is_one_case_whichever_version_a_finding_names(qualifier: str) -> None:
    finding = a_function_finding()
    named = finding.model_copy(update={"resource": finding.resource.model_copy(update={"id": f"{ARN}{qualifier}"})})
    assert CaseKey.of(named, RUNBOOK) == a_function_key()


def test_people_call_it_by_its_name() -> None:
    assert resource_name(f"{ARN}:$LATEST") == "order-export"


def test_functions_that_share_the_layer_share_the_response() -> None:
    runbook = a_function_runbook()
    one, two = (group_key(a_function_key(n), [a_function_finding(name=n)], runbook) for n in ("one", "two"))
    assert one == two
    assert one.remediation.endswith("layer:order-export-dependencies:1: pyyaml")


def test_what_is_in_a_functions_own_code_or_image_is_a_response_of_its_own() -> None:
    runbook, own = a_function_runbook(), (a_python_package(None),)
    one, two = (
        group_key(a_function_key(n), [a_function_finding(name=n, packages=own)], runbook) for n in ("one", "two")
    )
    assert one != two


def test_an_exploitable_function_waits_for_nobody() -> None:
    runbook = a_function_runbook()
    assert is_hasty(a_function_finding(), runbook)
    assert not is_hasty(a_function_finding(exploit_available=False, epss=0.01), runbook)
    assert not is_hasty(a_function_finding(status="CLOSED"), runbook)


@pytest.mark.parametrize(
    ("runtime", "day"),
    [
        ("python3.11", date(2027, 6, 30)),
        ("python3.10", date(2026, 10, 31)),
        ("java17", date(2027, 6, 30)),
        ("provided.al2", date(2026, 7, 31)),
        ("ruby4.0", date(2029, 3, 31)),
    ],
)
def test_a_runtime_is_deprecated_when_aws_says_so_now(runtime: str, day: date) -> None:
    assert deprecated_on(runtime) == day


def test_a_runtime_that_is_not_listed_is_not_called_deprecated() -> None:
    assert deprecated_on("python3.8") is not None
    assert deprecated_on("cobol1.x") is None
    assert deprecated_on(None) is None
