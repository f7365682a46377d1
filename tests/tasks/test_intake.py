"""From the inbox to cases and responses: what every pass must hold, also after one that was killed half-way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runbooks.case import COVERAGE, NOTICES, SYSTEM_STREAM, CaseKey, case_stream
from runbooks.catalog import Catalog
from runbooks.definition import Runbook
from runbooks.event import read_payload
from runbooks.records import CaseTriaged, CoverageReported, NoticeRaised, Replayed, ResponseEnded
from runbooks.triage import assess
from tasks.gateways.ledger import Ledger
from tasks.intake import COMMAND, Drained, drain, latecomers
from tests.runbooks.builders import case_facts

EVENTS = Path(__file__).parent.parent / "events"
CATALOG = Catalog.read()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    yield opened
    opened.close()


def event(name: str = "ec2_package_event", **detail: Any) -> dict[str, Any]:
    """A fixture's event with some members of its finding changed."""
    read = json.loads((EVENTS / f"{name}.json").read_text())
    read["detail"] |= detail
    return read


def deliver(ledger: Ledger, payload: object, key: str = "one", source: str = "webhook") -> str:
    return ledger.receive(key, source, json.dumps(payload).encode()).id


def test_a_finding_opens_a_case_and_a_response_that_will_act_on_it(ledger: Ledger) -> None:
    delivery = deliver(ledger, event())
    drained = drain(ledger, CATALOG)
    (case,) = ledger.cases()
    (response,) = ledger.responses()
    assert drained == Drained(deliveries=1, responses=(response.id,))
    assert (case.key.runbook, case.key.account, case.key.region, case.key.resource_id, case.status) == (
        "ec2-high-severity-cve",
        "210987654321",
        "eu-west-1",
        "i-0a1b2c3d4e5f60718",
        "open",
    )
    assert (response.cases, response.status, response.purpose) == ((case.id,), "new", "respond")
    settled = ledger.delivery(delivery)
    assert settled is not None
    assert (settled.state, settled.code) == ("handled", None)


def test_a_second_finding_on_the_same_instance_joins_its_case(ledger: Ledger) -> None:
    deliver(ledger, event())
    drain(ledger, CATALOG)
    other = "arn:aws:inspector2:eu-west-1:210987654321:finding/00000000000000000000000000000002"
    deliver(ledger, event(findingArn=other, title="CVE-2026-10002 - zlib1g"), "two")
    drain(ledger, CATALOG)
    (case,) = ledger.cases()
    assert len(ledger.case_findings(case.id)) == 2
    assert len(ledger.responses()) == 1


def test_the_same_finding_again_is_no_second_response(ledger: Ledger) -> None:
    deliver(ledger, event())
    deliver(ledger, event() | {"id": "another-event-id"}, "two")
    drain(ledger, CATALOG)
    assert len(ledger.cases()) == len(ledger.responses()) == 1


def test_a_lower_severity_goes_to_the_runbook_that_never_contains(ledger: Ledger) -> None:
    deliver(ledger, event(severity="MEDIUM"))
    drain(ledger, CATALOG)
    assert [case.key.runbook for case in ledger.cases()] == ["ec2-package-cve"]


@pytest.mark.parametrize("status", ["CLOSED", "SUPPRESSED"])
def test_what_is_over_opens_nothing_and_says_why(ledger: Ledger, status: str) -> None:
    delivery = deliver(ledger, event(status=status))
    drain(ledger, CATALOG)
    settled = ledger.delivery(delivery)
    assert settled is not None
    assert (ledger.cases(), ledger.responses(), settled.state, settled.code) == ((), (), "set-aside", "nothing-open")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("azure_vm_event", "other-cloud"),
        ("scan_event", "not-a-finding"),
        ("guardduty_event", "unsupported-source"),
        ("finding_details", "not-a-finding"),
    ],
)
def test_what_no_runbook_acts_on_is_set_aside_by_name_with_its_payload(ledger: Ledger, name: str, code: str) -> None:
    payload = json.loads((EVENTS / f"{name}.json").read_text())
    delivery = deliver(ledger, payload)
    drain(ledger, CATALOG)
    settled = ledger.delivery(delivery)
    assert settled is not None
    assert (settled.state, settled.code, ledger.cases()) == ("set-aside", code, ())
    assert settled.reason
    assert json.loads(settled.body) == payload


@pytest.mark.parametrize(
    ("name", "changes", "runbook"),
    [
        ("ecr_package_event", {"severity": "HIGH"}, "any-high-severity-finding"),
        ("ecr_package_event", {"severity": "CRITICAL"}, "ecr-critical-cve"),
        ("lambda_code_event", {}, "lambda-code-vulnerability"),
        ("lambda_code_event", {"severity": "LOW"}, None),
        ("ecr_package_event", {"severity": "UNTRIAGED"}, None),
    ],
)
def test_the_precisest_runbook_has_a_finding_and_what_none_covers_is_no_news(
    ledger: Ledger, name: str, changes: dict[str, Any], runbook: str | None
) -> None:
    deliver(ledger, event(name, **changes))
    drain(ledger, CATALOG)
    assert [case.key.runbook for case in ledger.cases()] == ([runbook] if runbook else [])
    assert [delivery.code for delivery in ledger.deliveries()] == [None if runbook else "no-runbook"]
    assert ledger.streams(NOTICES) == ()


def of_a_new_type(number: int, resource: str = "AWS_EC2_INSTANCE", kind: str = "SECRET_EXPOSURE") -> dict[str, Any]:
    made = event(type=kind, findingArn=f"arn:aws:inspector2:eu-west-1:210987654321:finding/{number:032x}")
    made["detail"]["resources"][0]["type"] = resource
    return made


def notices(ledger: Ledger) -> list[tuple[str, str]]:
    raised = [entry.record() for stream in ledger.streams(NOTICES) for entry in ledger.entries(stream)]
    return sorted((each.topic, each.subject) for each in raised if isinstance(each, NoticeRaised))


def test_a_kind_that_is_new_is_kept_and_noticed_once_however_often_it_comes(ledger: Ledger) -> None:
    for number in range(3):
        deliver(ledger, of_a_new_type(number), f"a new type {number}")
        deliver(ledger, of_a_new_type(number, "AWS_QUANTUM", "PACKAGE_VULNERABILITY"), f"a new resource {number}")
        deliver(ledger, event() | {"detail-type": "Inspector3 Prophecy", "id": str(number)}, f"a new event {number}")
        deliver(ledger, {"prophecy": number}, f"an object {number}")
        drain(ledger, CATALOG)
    assert {(each.state, each.code) for each in ledger.deliveries()} == {("set-aside", "unknown-kind")}
    assert notices(ledger) == [
        ("unknown-kind", "Inspector3 Prophecy"),
        ("unknown-kind", "PACKAGE_VULNERABILITY on AWS_QUANTUM"),
        ("unknown-kind", "SECRET_EXPOSURE on AWS_EC2_INSTANCE"),
        ("unknown-kind", "an object"),
    ]
    assert [len(ledger.entries(stream)) for stream in ledger.streams(NOTICES)] == [1] * 4
    assert ledger.cases() == ()


def test_what_was_set_aside_is_replayed_once_somebody_knows_it_and_is_no_news_after_that(ledger: Ledger) -> None:
    events = {number: of_a_new_type(number, "AWS_QUANTUM", "PACKAGE_VULNERABILITY") for number in (1, 2)}
    one, two = (deliver(ledger, each, str(number)) for number, each in events.items())
    drain(ledger, CATALOG)
    knows = CATALOG.named("any-high-severity-finding").model_dump(mode="json")
    knows["matches"]["resource_type"] = "AWS_QUANTUM"
    updated = Catalog([*CATALOG, Runbook.model_validate(knows | {"name": "quantum"})])
    assert ledger.replay(ledger.set_aside("unknown-kind"), "command:jo") == (one, two)
    assert ledger.replay([one, two, "delivery-0"], "command:jo") == ()
    drain(ledger, updated)
    assert [each.state for each in ledger.deliveries()] == ["handled", "handled"]
    (case,) = ledger.cases()
    before = len(ledger.entries(case_stream(case.id)))

    assert ledger.replay([one], "command:jo") == (one,)
    drain(ledger, updated)
    assert (len(ledger.entries(case_stream(case.id))), len(ledger.responses())) == (before, 1)
    replayed = [entry.record() for entry in ledger.entries_of(SYSTEM_STREAM, "replayed")]
    assert [(each.delivery, each.code, each.by) for each in replayed if isinstance(each, Replayed)] == [
        (one, "unknown-kind", "command:jo"),
        (two, "unknown-kind", "command:jo"),
        (one, "", "command:jo"),
    ]


def test_what_is_scanned_no_more_is_written_down_only_where_somebody_will_ask_about_it(ledger: Ledger) -> None:
    lost = json.loads((EVENTS / "coverage_event.json").read_text())
    alone = deliver(ledger, lost, "before there is a case")
    drain(ledger, CATALOG)
    settled = ledger.delivery(alone)
    assert settled is not None
    assert (settled.state, settled.code, ledger.streams(COVERAGE)) == ("set-aside", "not-a-finding", ())

    deliver(ledger, event(), "the case")
    with_a_case = deliver(ledger, lost, "now")
    deliver(ledger, lost | {"resources": ["i-0f0f0f0f0f0f0f0f0"]}, "another instance")
    deliver(ledger, lost | {"region": "eu-north-1"}, "another region")
    deliver(ledger, lost | {"detail": lost["detail"] | {"scanType": "CODE"}}, "another scan")
    drain(ledger, CATALOG)
    (stream,) = ledger.streams(COVERAGE)
    assert stream == "coverage/210987654321/eu-west-1/PACKAGE/i-0a1b2c3d4e5f60718"
    (entry,) = ledger.entries(stream)
    assert entry.record() == CoverageReported(
        resource="i-0a1b2c3d4e5f60718",
        account="210987654321",
        region="eu-west-1",
        scan_type="PACKAGE",
        reason="UNMANAGED_EC2_INSTANCE",
        delivery=with_a_case,
    )
    assert [each.state for each in ledger.deliveries()] == ["set-aside"] * 3 + ["handled"] * 2 + ["set-aside"]


def test_one_finding_through_every_door_is_one_case_with_one_response(ledger: Ledger) -> None:
    names = ("ec2_package_event", "security_hub_event", "security_hub_ocsf_event", "sqs_messages", "lambda_sns_records")
    for name in names:
        deliver(ledger, json.loads((EVENTS / f"{name}.json").read_text()), name)
    drain(ledger, CATALOG)
    (case,) = ledger.cases()
    (response,) = ledger.responses()
    assert response.cases == (case.id,)
    assert len(ledger.case_findings(case.id)) == 1
    assert [delivery.state for delivery in ledger.deliveries()] == ["handled"] * len(names)


def test_a_malformed_delivery_does_not_keep_the_next_one_waiting(ledger: Ledger) -> None:
    ledger.receive("broken", "webhook", b"{")
    deliver(ledger, event())
    assert drain(ledger, CATALOG).deliveries == 2
    assert [delivery.code for delivery in ledger.deliveries("set-aside")] == ["not-json"]
    assert len(ledger.responses()) == 1


def test_a_pass_killed_before_the_response_is_taken_up_by_the_next(ledger: Ledger) -> None:
    delivery = deliver(ledger, event())
    (parsed,) = ledger.pending()
    (finding,) = read_payload(parsed.body).findings
    ledger.take_finding(CaseKey.of(finding, "ec2-high-severity-cve"), finding, "webhook", delivery)
    assert ledger.responses() == ()
    drain(ledger, CATALOG)
    assert len(ledger.responses()) == 1
    assert [each.id for each in ledger.pending()] == []


def test_a_person_may_ask_again_for_what_is_no_news(ledger: Ledger) -> None:
    deliver(ledger, event())
    drain(ledger, CATALOG)
    (first,) = ledger.responses()
    ledger.end_response(first.id, ResponseEnded(result="rejected", reason="not now"), {})
    deliver(ledger, event(), "two")
    drain(ledger, CATALOG)
    assert len(ledger.responses()) == 1
    deliver(ledger, event(), "three", COMMAND)
    drain(ledger, CATALOG)
    assert [response.status for response in ledger.responses()] == ["ended", "new"]


def triaged(ledger: Ledger, case: str, response: str) -> None:
    """The response's triage reads what the case has by now."""
    facts = case_facts(case=case, findings=ledger.case_findings(case))
    assessment = assess(facts, CATALOG.named("ec2-high-severity-cve"))
    ledger.append(case_stream(case), CaseTriaged(response=response, assessment=assessment))


def test_a_finding_that_comes_while_a_response_acts_waits_for_the_next_one(ledger: Ledger) -> None:
    deliver(ledger, event())
    drain(ledger, CATALOG)
    (case,), (first,) = ledger.cases(), ledger.responses()
    triaged(ledger, case.id, first.id)
    late = "arn:aws:inspector2:eu-west-1:210987654321:finding/00000000000000000000000000000002"
    deliver(ledger, event(findingArn=late, title="CVE-2026-10002 - zlib1g"), "two")
    assert drain(ledger, CATALOG).responses == ()
    assert latecomers(ledger, case.id) == (late,)

    ledger.end_response(first.id, ResponseEnded(result="fixed", reason="proven"), {})
    (second,) = drain(ledger, CATALOG).responses
    triaged(ledger, case.id, second)
    assert (latecomers(ledger, case.id), second != first.id) == ((), True)
    ledger.end_response(second, ResponseEnded(result="rejected", reason="not now"), {})
    assert drain(ledger, CATALOG).responses == ()


def test_the_echo_of_an_answered_finding_starts_nothing(ledger: Ledger) -> None:
    deliver(ledger, event())
    drain(ledger, CATALOG)
    (case,), (first,) = ledger.cases(), ledger.responses()
    triaged(ledger, case.id, first.id)
    deliver(ledger, event(updatedAt="Mon Mar 02 10:15:30.125 UTC 2026"), "two")
    drain(ledger, CATALOG)
    assert latecomers(ledger, case.id) == ()


def test_an_answered_finding_that_closed_and_came_back_is_a_latecomer(ledger: Ledger) -> None:
    deliver(ledger, event())
    drain(ledger, CATALOG)
    (case,), (first,) = ledger.cases(), ledger.responses()
    triaged(ledger, case.id, first.id)
    deliver(ledger, event(status="CLOSED", updatedAt="Mon Mar 02 10:15:30.125 UTC 2026"), "two")
    deliver(ledger, event(updatedAt="Mon Mar 02 11:15:30.125 UTC 2026"), "three")
    drain(ledger, CATALOG)
    assert len(latecomers(ledger, case.id)) == 1
