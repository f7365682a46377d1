"""What is said of a function afterwards: why it was vulnerable, and what would keep the next one from being so."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from runbooks.function import FunctionUrl
from runbooks.telling.function_causes import function_causes, function_lessons
from tests.runbooks.function_builders import (
    a_function,
    a_function_assessment,
    a_function_case,
    a_function_finding,
    a_function_runbook,
    function_facts,
)
from tests.runbooks.function_steps import BEFORE


def test_the_layer_that_had_it_and_who_invoked_it_are_named() -> None:
    finding = a_function_finding()
    path = finding.packages[0].file_path
    assert list(function_causes(function_facts(), [finding])) == [
        "order-export was changed last at 2026-02-01T09:00:00.000+0000",
        (f"pyyaml 5.3.1 at {path} came with layer order-export-dependencies:1; first seen 2026-03-02 09:15:30 UTC"),
        "it was invoked by whoever has its URL (alias live) and sqs orders (alias live)",
    ]


def test_the_lessons_are_those_of_this_function() -> None:
    facts = function_facts(
        function=a_function(
            content=BEFORE.model_copy(update={"runtime": "python3.8"}), urls=(FunctionUrl(auth_type="NONE"),)
        ),
        alarms=(),
    )
    assert list(function_lessons(a_function_assessment(a_function_case()), facts)) == [
        "Name order-export-dependencies:2 in the template of order-export: it was published already, and not taken up",
        "Bring order-export to another runtime: python3.8 is patched no more",
        "Have order-export invoked by an alias: whoever invokes $LATEST gets every change untried",
        "Find out whether it has to be so that the URL of $LATEST asks nobody who calls",
        "Give order-export an alarm on its errors, so that a bad version goes back",
    ]


def test_of_a_function_that_is_gone_only_the_findings_tell() -> None:
    gone = function_facts(function=None)
    assert len(list(function_causes(gone, [a_function_finding()]))) == 1
    assert list(function_lessons(a_function_assessment(), gone)) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"deploy": {"alarms": ("{service}-errors",)}}, "stands for nothing"),
        ({"rebuild": {"package_project": "{repository}-build"}}, "stands for nothing"),
        ({"deploy": {"bake_minutes": 120}}, "must end before remediate.timeout_minutes"),
        ({"waves": ("10%", "100%")}, "functions have none"),
    ],
)
def test_a_runbook_that_does_not_go_with_functions_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        a_function_runbook(**changes)
