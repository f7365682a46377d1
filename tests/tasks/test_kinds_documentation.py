"""docs/what-happens-to-each-kind.md says what the parser and the shipped library do with each kind.

What becomes of every example, by every door, is tried in tests/deployments/test_doors.py.
"""

from __future__ import annotations

import json

import pytest

from runbooks.catalog import Catalog
from runbooks.event import parse
from runbooks.finding import SEVERITIES, FindingType, ResourceType
from runbooks.inspector_events import NAMED
from tests.kinds_page import EVENTS, rows
from tests.runbooks.builders import a_finding, a_resource

CATALOG = Catalog.read()
COLUMNS = (*reversed(SEVERITIES), "UNTRIAGED")
NOBODY = "no-runbook"


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
