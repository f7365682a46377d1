"""No name in a payload is longer than a database can index, whichever door it came by; and no list without an end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runbooks.event import MOST_PARTS, parse
from runbooks.inspector_json import LONGEST_NAME

EVENTS = Path(__file__).parents[1] / "events"
LONGER = "a" * (LONGEST_NAME + 1)
Change = Callable[[dict[str, Any], str], object]


def an_example(name: str) -> Any:
    return json.loads((EVENTS / f"{name}.json").read_text())


def of_an_event(change: Change, value: str) -> object:
    event = an_example("ec2_package_event")
    change(event["detail"], value)
    return {"findings": [event["detail"]]}


def of_a_list(change: Change, value: str) -> object:
    result = an_example("list_findings")
    change(result["findings"][1], value)
    return {"findings": result["findings"][1:]}


def of_security_hub(change: Change, value: str) -> object:
    finding = an_example("security_hub_finding")
    change(finding, value)
    return {"Findings": [finding]}


def of_ocsf(change: Change, value: str) -> object:
    finding = an_example("ocsf_findings")["Findings"][0]
    change(finding, value)
    return {"Findings": [finding]}


def of_the_resource(name: str, member: str) -> Change:
    return lambda finding, value: finding[name][0].__setitem__(member, value)


def of_the_finding(*path: str) -> Change:
    *outer, member = path

    def change(finding: dict[str, Any], value: str) -> None:
        for name in outer:
            finding = finding[name]
        finding[member] = value

    return change


NAMES = [
    (form, change)
    for form in (of_an_event, of_a_list)
    for change in (
        *(of_the_finding(name) for name in ("findingArn", "type", "status", "severity")),
        *(of_the_resource("resources", name) for name in ("id", "type", "region", "partition")),
    )
] + [
    (of_security_hub, of_the_finding("Id")),
    (of_security_hub, of_the_finding("RecordState")),
    (of_security_hub, of_the_finding("FindingProviderFields", "Severity", "Label")),
    (of_security_hub, of_the_resource("Resources", "Id")),
    (of_security_hub, of_the_resource("Resources", "Region")),
    (of_ocsf, of_the_finding("finding_info", "uid")),
    (of_ocsf, of_the_finding("vendor_attributes", "severity")),
    (of_ocsf, of_the_resource("resources", "uid")),
    (of_ocsf, of_the_resource("resources", "region")),
]


@pytest.mark.parametrize(("form", "change"), NAMES)
def test_a_finding_with_a_name_that_nothing_has_is_set_aside_at_the_member(
    form: Callable[[Change, str], object], change: Change
) -> None:
    delivery = parse(form(change, LONGER))

    assert delivery.findings == ()
    (aside,) = delivery.set_aside
    assert aside.code == "malformed-finding"
    assert "String should have at most 1024 characters" in aside.reason
    assert len(aside.reason) < 400


@pytest.mark.parametrize("change", [of_the_finding("findingArn"), of_the_resource("resources", "id")])
def test_the_longest_name_is_read(change: Change) -> None:
    assert len(parse(of_an_event(change, LONGER[1:])).findings) == 1


@pytest.mark.parametrize("resources", [[LONGER], ["i-0a1b2c3d4e5f60718", LONGER], ["i-0a1b2c3d4e5f60718"] * 101])
def test_coverage_of_more_or_longer_than_resources_are_is_set_aside(resources: list[str]) -> None:
    delivery = parse(an_example("coverage_event") | {"resources": resources})

    assert delivery.coverage == ()
    (aside,) = delivery.set_aside
    assert (aside.code, aside.kind) == ("not-a-finding", "inspector-coverage")
    assert "more than 100 resources, or one by more than 1,024 characters" in aside.reason


def test_coverage_in_a_region_that_cannot_be_is_set_aside() -> None:
    delivery = parse(an_example("coverage_event") | {"region": f"eu-{LONGER}-1"})

    assert (delivery.coverage, [each.kind for each in delivery.set_aside]) == ((), ["inspector-coverage"])


def test_a_scan_of_an_image_with_such_a_name_is_nothing_for_the_gate() -> None:
    event = an_example("ecr_scan_event")
    event["detail"]["repository-name"] = f"arn:aws:ecr:{LONGER}:210987654321:repository/checkout"
    delivery = parse(event)

    assert (delivery.scanned, [each.kind for each in delivery.set_aside]) == ((), ["inspector-scan"])


def messages(*bodies: object) -> dict[str, object]:
    return {"Messages": [{"Body": json.dumps(body)} for body in bodies]}


SOME = [0] * (MOST_PARTS // 2)


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        ({"findings": [0] * 5_001}, "$.findings lists 5,001 findings"),
        ({"Findings": [0] * 500_000}, "$.Findings lists 500,000 findings"),
        ({"Messages": [0] * 5_001}, "sqs-messages lists 5,001 messages"),
        ({"Records": [0] * 5_001}, "lambda-records lists 5,001 messages"),
        (messages({"findings": [0] * 5_001}), "$.findings lists 5,001 findings"),
        (messages({"findings": SOME}, {"findings": SOME}, 0), "sqs-messages lists 5,001 findings"),
        (messages(*[messages({"findings": SOME}, {"findings": SOME}, 0)] * 2), "sqs-messages lists 5,001 findings"),
    ],
)
def test_what_lists_more_than_anybody_sends_is_set_aside_as_one(payload: object, says: str) -> None:
    delivery = parse(payload)

    assert (delivery.findings, delivery.coverage, delivery.scanned) == ((), (), ())
    (aside,) = delivery.set_aside
    assert (aside.code, aside.kind) == ("too-many", "finding-list")
    assert aside.reason == f"{says}, more than 5,000: send fewer at a time"


def test_what_lists_as_many_as_may_be_is_read_one_by_one() -> None:
    delivery = parse({"findings": [0] * MOST_PARTS})

    assert [each.code for each in delivery.set_aside] == ["malformed-finding"] * MOST_PARTS
