"""The shipped runbooks, and that editing their files is all it takes to change what the system does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runbooks.catalog import LIBRARY, Catalog
from runbooks.definition import Runbook, Signal
from runbooks.facts import CaseFacts
from runbooks.instance import Exploitation
from runbooks.triage import triage
from tests.runbooks.builders import a_finding, a_package, case_facts, instance_facts

HIGH, LOW = "ec2-high-severity-cve", "ec2-package-cve"
SHIPPED = (
    "any-high-severity-finding",
    HIGH,
    LOW,
    "ecr-critical-cve",
    "lambda-code-vulnerability",
    "lambda-package-cve",
    "network-reachability",
)


def edited(folder: Path, old: str, new: str, name: str = HIGH) -> Catalog:
    """The library with one text in one of its files replaced."""
    for file in LIBRARY.glob("*.yaml"):
        (folder / file.name).write_text(file.read_text())
    text = (folder / f"{name}.yaml").read_text()
    assert text.count(old) == 1, old
    (folder / f"{name}.yaml").write_text(text.replace(old, new))
    return Catalog.read(folder)


def amazon_linux(**changes: Any) -> CaseFacts:
    """A case that the library as shipped contains and patches: its packages come from S3."""
    return case_facts(resource=instance_facts(platform="AMAZON_LINUX_2023", **changes))


def test_the_shipped_runbooks_are_valid_and_ask_a_person_before_every_change() -> None:
    runbooks = list(Catalog.read())
    assert tuple(runbook.name for runbook in runbooks) == SHIPPED
    for runbook in runbooks:
        assert runbook.contain.approval.required
        assert runbook.remediate.approval.required
        assert runbook.release.approval.required
        assert runbook.deprecate.approval.required
        assert runbook.limits.protected_tags == {"remediation": "never"}
        assert (runbook.contain.stop, runbook.contain.cut_connections) == (False, False)


@pytest.mark.parametrize(
    ("severity", "name"),
    [
        ("CRITICAL", HIGH),
        ("HIGH", HIGH),
        ("MEDIUM", LOW),
        ("LOW", LOW),
        ("INFORMATIONAL", None),
        ("UNTRIAGED", None),
    ],
)
def test_each_severity_has_its_runbook(severity: str, name: str | None) -> None:
    found = Catalog.read().covering(a_finding(severity=severity))
    assert (found.name if found else None) == name


def test_only_high_severities_are_ever_contained() -> None:
    high, low = Catalog.read().named(HIGH), Catalog.read().named(LOW)
    assert high.contain.when == (
        (Signal.EXPLOITED_IN_THE_WILD, Signal.EXPOSED),
        (Signal.KNOWN_EXPLOIT, Signal.EXPOSED),
        (Signal.COMPROMISE_SUSPECTED,),
    )
    assert low.contain.when == ()


def test_editing_the_severities_changes_which_runbook_covers_a_finding(tmp_path: Path) -> None:
    catalog = edited(tmp_path, "severities: [HIGH, CRITICAL]", "severities: [MEDIUM, HIGH, CRITICAL]")
    found = catalog.covering(a_finding(severity="MEDIUM"))
    assert found is not None
    assert found.name == HIGH


def test_editing_when_to_contain_changes_what_is_contained(tmp_path: Path) -> None:
    exposed_only = "    - [known-exploit, exposed]\n"
    catalog = edited(tmp_path, exposed_only, "")
    facts = amazon_linux()
    assert triage(facts, Catalog.read().named(HIGH)).contain
    assert not triage(facts, catalog.named(HIGH)).contain


def test_editing_the_strategy_changes_patch_into_replace(tmp_path: Path) -> None:
    catalog = edited(tmp_path, "strategy: patch-else-replace", "strategy: replace")
    facts = amazon_linux(replacement_image="ami-0patched")
    assert triage(facts, Catalog.read().named(HIGH)).remediation == "patch"
    assert triage(facts, catalog.named(HIGH)).remediation == "replace"


def test_editing_the_threshold_changes_what_counts_as_a_known_exploit(tmp_path: Path) -> None:
    catalog = edited(tmp_path, "epss: 0.1 ", "epss: 0.9 ")
    finding = a_finding(exploit_available=None, epss=0.42, packages=(a_package(),))
    facts = case_facts(finding, exploitation=Exploitation())
    assert Signal.KNOWN_EXPLOIT in triage(facts, Catalog.read().named(HIGH)).signals
    assert Signal.KNOWN_EXPLOIT not in triage(facts, catalog.named(HIGH)).signals


def test_editing_a_runbook_gives_it_another_digest(tmp_path: Path) -> None:
    def digests(runbooks: Catalog) -> dict[str, str]:
        return {runbook.name: runbook.digest for runbook in runbooks}

    shipped, changed = digests(Catalog.read()), digests(edited(tmp_path, "snapshots: true", "snapshots: false"))
    assert shipped.pop(HIGH) != changed.pop(HIGH)
    assert shipped == changed


def test_every_value_of_a_runbook_has_a_place_in_its_file() -> None:
    assert {file.stem for file in LIBRARY.glob("*.yaml")} == set(SHIPPED)
    assert {"name", "title", "matches", "contain"} == {
        name for name, field in Runbook.model_fields.items() if field.is_required()
    }
