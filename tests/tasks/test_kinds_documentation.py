"""docs/what-happens-to-each-kind.md says what intake and the shipped library really do with each kind."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbooks.case import COVERAGE
from runbooks.catalog import Catalog
from runbooks.event import parse
from runbooks.finding import SEVERITIES, FindingType, ResourceType
from runbooks.inspector_events import NAMED
from tasks.gateways.ledger import Ledger
from tasks.intake import drain
from tests.runbooks.builders import a_finding, a_resource
from tests.tasks.harness import EMPTY_LEDGER

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "what-happens-to-each-kind.md").read_text()
EVENTS = {file.stem: file for file in sorted((ROOT / "tests" / "events").glob("*.json"))}
CATALOG = Catalog.read()
COLUMNS = (*reversed(SEVERITIES), "UNTRIAGED")
NOBODY = "no-runbook"


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without what only makes them look like code or lead somewhere."""
    (found,) = [each for each in PAGE.split("\n## ")[1:] if each.split("\n", 1)[0] == heading]
    lines = [line for line in found.splitlines() if line.startswith("| ")][1:]
    return [[_text(cell) for cell in line.strip("|").split("|")] for line in lines]


def _text(cell: str) -> str:
    return re.sub(r"\[([^]]+)\]\([^)]*\)", r"\1", cell).strip().replace("`", "")


@pytest.fixture(params=EVENTS)
def example(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def ledger(tmp_path: Path, ledgers: Path) -> Iterator[Ledger]:
    shutil.copy(ledgers / EMPTY_LEDGER, tmp_path / "ledger.db")
    opened = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    yield opened
    opened.close()


def becomes(ledger: Ledger, body: bytes) -> str:
    """What intake makes of it: cases by their runbooks, what is judged or asked about, or why it is set aside."""
    judged: list[str] = []
    ledger.receive("one", "webhook", body)
    drain(ledger, CATALOG, gate=lambda arn, delivery: judged.append(arn), gaps=True)
    (delivery,) = ledger.deliveries()
    parts = list(dict.fromkeys(case.key.runbook for case in ledger.cases()))
    parts += ["the gate judges it"] * bool(judged)
    parts += ["Inspector is asked"] * bool(ledger.streams(COVERAGE))
    if delivery.state == "set-aside":
        kind = (delivery.reason or "").partition(": ")[0]
        parts.append(f"{delivery.code}: {kind}" if " " not in kind and kind != delivery.code else str(delivery.code))
    return "; ".join(parts)


def test_every_example_becomes_what_the_page_says(ledger: Ledger, example: str) -> None:
    said = {name: result for _, name, result in rows("Every example")}
    assert becomes(ledger, EVENTS[example].read_bytes()) == said.get(example)


def test_no_example_is_told_of_twice_or_does_not_exist() -> None:
    assert sorted(name for _, name, _ in rows("Every example")) == sorted(EVENTS)


def test_every_type_of_finding_has_the_runbook_that_the_page_says() -> None:
    said = {(kind, resource): cells for kind, resource, *cells in rows("Findings")}
    assert said == {place: [_covering(*place, severity) for severity in COLUMNS] for place in said}
    assert {kind for kind, _ in said} == set(FindingType)
    assert {resource for _, resource in said} == set(ResourceType) - {ResourceType.ECR_REPOSITORY}


def _covering(kind: str, resource: str, severity: str) -> str:
    found = CATALOG.covering(a_finding(type=kind, severity=severity, resource=a_resource(type=resource)))
    return found.name if found else NOBODY


@pytest.mark.parametrize(("source", "detail_type"), NAMED)
def test_every_event_that_has_a_name_is_on_the_page_under_it(source: str, detail_type: str) -> None:
    said = {(each[0], each[1]): each[2] for each in rows("Events without a finding")}
    (aside,) = parse({"source": source, "detail-type": detail_type, "detail": {}}).set_aside
    assert said.get((source, detail_type)) == f"{aside.code}: {aside.kind}"


def test_no_example_of_another_cloud_is_ever_acted_upon() -> None:
    clouds = [name for name in EVENTS if "azure" in name]
    for name in clouds:
        delivery = parse(json.loads(EVENTS[name].read_text()))
        assert (delivery.findings, delivery.coverage, delivery.scanned) == ((), (), ())
        assert {each.code for each in delivery.set_aside} == {"other-cloud"}
    assert clouds
