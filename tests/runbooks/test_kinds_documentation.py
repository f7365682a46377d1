"""docs/what-happens-to-each-kind.md says what the parser and the shipped library really do with each kind."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbooks.catalog import Catalog
from runbooks.delivery import Delivery
from runbooks.event import parse, read_payload
from runbooks.finding import SEVERITIES, FindingType, ResourceType
from runbooks.inspector_events import NAMED
from tests.runbooks.builders import a_finding, a_resource

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "what-happens-to-each-kind.md").read_text()
EVENTS = {file.stem: file for file in (ROOT / "tests" / "events").glob("*.json")}
CATALOG = Catalog.read()
COLUMNS = (*reversed(SEVERITIES), "UNTRIAGED")
NOBODY = "set aside"


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without what only makes them look like code."""
    (_, found), *others = [each.split("\n", 1) for each in PAGE.split("\n## ") if each.split("\n", 1)[0] == heading]
    assert others == []
    lines = [line for line in found.splitlines() if line.startswith("| ")]
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in lines[1:]]


def becomes(delivery: Delivery) -> str:
    return "; ".join(dict.fromkeys(_parts(delivery)))


def _parts(delivery: Delivery) -> Iterator[str]:
    for finding in delivery.findings:
        runbook = CATALOG.covering(finding)
        yield runbook.name if runbook else NOBODY
    yield from ("the gate judges it" for _ in delivery.scanned)
    yield from ("Inspector is asked" for _ in delivery.coverage)
    yield from (f"{each.code}: {each.kind}" for each in delivery.set_aside)


def test_every_example_is_there_once_with_what_becomes_of_it() -> None:
    said = {re.sub(r"^\[(\w+)\]\(.*\)$", r"\1", example): result for _, example, result in rows("Every example")}
    really = {name: becomes(read_payload(file.read_bytes())) for name, file in EVENTS.items()}
    assert said == really
    assert len(rows("Every example")) == len(EVENTS)


def test_every_type_of_finding_has_the_runbook_that_the_table_says() -> None:
    said = {(kind, resource): cells for kind, resource, *cells in rows("Findings")}
    really = {
        (kind, resource): [
            runbook.name
            if (runbook := CATALOG.covering(a_finding(type=kind, severity=each, resource=a_resource(type=resource))))
            else NOBODY
            for each in COLUMNS
        ]
        for kind, resource in said
    }
    assert said == really
    assert {kind for kind, _ in said} == set(FindingType)
    assert {resource for _, resource in said} == set(ResourceType) - {ResourceType.ECR_REPOSITORY}


@pytest.mark.parametrize(("source", "detail_type"), NAMED)
def test_every_event_that_has_a_name_is_in_the_table_under_it(source: str, detail_type: str) -> None:
    said = {(each[0], each[1]): each[2] for each in rows("Events without a finding")}
    event = {"source": source, "detail-type": detail_type, "detail": {}}
    assert said.get((source, detail_type)) == becomes(parse(event))


def test_no_example_of_another_cloud_is_ever_a_finding() -> None:
    clouds = [name for name in EVENTS if "azure" in name]
    for name in clouds:
        delivery = parse(json.loads(EVENTS[name].read_text()))
        assert (delivery.findings, delivery.coverage, delivery.scanned) == ((), (), ())
        assert {each.code for each in delivery.set_aside} == {"other-cloud"}
    assert clouds
