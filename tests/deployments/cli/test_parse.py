"""What `runbooks parse` says of a payload, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runbooks.catalog import LIBRARY
from tests.deployments.cli.conftest import Run
from tests.deployments.cli.samples import EVENTS

EC2 = EVENTS / "ec2_package_event.json"


def test_a_finding_is_told_with_its_resource_its_packages_and_its_runbook(run: Run) -> None:
    ran = run("parse", EC2)

    assert ran.code == 0
    assert ran.err == ""
    assert ran.out.splitlines() == [
        "CVE-2026-10001 (CRITICAL) on i-0a1b2c3d4e5f60718 (210987654321, eu-west-1)",
        "  finding   arn:aws:inspector2:eu-west-1:210987654321:finding/00000000000000000000000000000001",
        "  kind      PACKAGE_VULNERABILITY on AWS_EC2_INSTANCE, ACTIVE",
        "  package   libssl3 3.0.2-0ubuntu1.90 (OS), fixed in 0:3.0.2-0ubuntu1.99",
        "  runbook   ec2-high-severity-cve",
    ]


def test_a_finding_that_no_runbook_covers_is_understood_all_the_same(run: Run) -> None:
    ran = run("parse", EVENTS / "ecr_package_event.json")

    assert ran.code == 0
    assert ran.out.splitlines()[-1] == "  runbook   none covers it: it is set aside as no-runbook"


def test_a_finding_that_is_over_is_told_to_open_nothing(run: Run) -> None:
    ran = run("parse", EVENTS / "ec2_closed_event.json")

    assert ran.code == 0
    assert ran.out.splitlines()[-1].endswith("; opens no case, because it is CLOSED")


def test_what_is_scanned_no_more_is_something_to_ask_about(run: Run) -> None:
    ran = run("parse", EVENTS / "coverage_event.json")

    said = "scanned no more: i-0a1b2c3d4e5f60718 (PACKAGE): UNMANAGED_EC2_INSTANCE: Inspector is asked\n"
    assert (ran.code, ran.out, ran.err) == (0, said, "")


def test_json_holds_the_findings_and_what_is_set_aside(run: Run) -> None:
    held = run("parse", EC2, "--json").json

    assert held["event_id"] == "00000000-0000-4000-8000-000000000001"
    assert [(each["runbook"], each["vulnerability_id"]) for each in held["findings"]] == [
        ("ec2-high-severity-cve", "CVE-2026-10001")
    ]
    assert held["set_aside"] == []


def test_what_is_set_aside_beside_a_finding_is_told_too(run: Run) -> None:
    detail = json.loads(EC2.read_bytes())["detail"]
    listed = json.dumps({"findings": [detail, {"findingArn": "arn"}], "nextToken": "more"}).encode()

    ran = run("parse", "-", stdin=listed)

    assert ran.code == 0
    aside = [line.split(": ")[1] for line in ran.out.splitlines() if line.startswith("set aside: ")]
    assert aside == ["malformed-finding", "partial-list"]


@pytest.mark.parametrize(
    "name", ["security_hub_event", "security_hub_ocsf_event", "sns_notification", "lambda_records"]
)
def test_a_finding_is_told_alike_in_whatever_form_it_came(run: Run, name: str) -> None:
    assert run("parse", EVENTS / f"{name}.json").out == run("parse", EC2).out


def test_of_a_list_of_security_hub_inspectors_findings_are_told_and_the_others_named(run: Run) -> None:
    told = run("parse", EVENTS / "security_hub_findings.json").out.splitlines()

    assert [line.rpartition(" on ")[0] for line in told if line.startswith(("CVE-", "Port "))] == [
        "CVE-2026-10002 (MEDIUM)",
        "CVE-2026-10003 (HIGH)",
        "Port 22 is reachable from an Internet Gateway - TCP (MEDIUM)",
    ]
    assert [line.partition(": ")[2].partition(",")[0] for line in told if line.startswith("set aside: ")] == [
        "other-product: security-hub-finding: a finding of 'GuardDuty'",
        "other-product: security-hub-finding: a finding of 'Inspector Classic'",
        "other-cloud: security-hub-finding: the finding is on 'Other'",
    ]


def test_where_there_is_nothing_to_act_upon_the_answer_is_no_and_says_why(run: Run) -> None:
    ran = run("parse", EVENTS / "azure_vm_event.json")

    assert (ran.code, ran.err) == (1, "")
    assert ran.out.startswith("set aside: other-cloud: inspector-finding: ")
    assert ran.out.count("\n") == 1


def test_json_goes_to_standard_output_also_when_nothing_is_a_finding(run: Run) -> None:
    ran = run("parse", EVENTS / "scan_event.json", "--json")

    assert (ran.code, ran.err) == (1, "")
    assert [each["code"] for each in ran.json["set_aside"]] == ["not-a-finding"]


def test_an_empty_list_is_told_as_such(run: Run) -> None:
    ran = run("parse", "-", stdin=b'{"findings": []}')

    assert (ran.code, ran.out, ran.err) == (1, "nothing: the list of findings is empty\n", "")


def test_of_several_messages_every_part_is_told(run: Run) -> None:
    names = ("coverage_event", "ecr_scan_event", "azure_vm_event", "ec2_package_event")
    bodies = [{"MessageId": name, "Body": (EVENTS / f"{name}.json").read_text()} for name in names]

    ran = run("parse", "-", stdin=json.dumps({"Messages": bodies}).encode())

    assert ran.code == 0
    starts = ("CVE-2026-10001 ", "initial scan complete: ", "scanned no more: ", "set aside: other-cloud: ")
    told = [line for line in ran.out.splitlines() if not line.startswith("  ")]
    assert [line.startswith(start) for line, start in zip(told, starts, strict=True)] == [True] * 4


def test_what_cannot_be_read_is_bad_input_with_a_stable_code(run: Run, tmp_path: Path) -> None:
    codes = {
        "not-json": b"{",
        "not-an-object": b"[]",
        "too-large": b" " * 1_048_577,
        "malformed-event": b'{"detail-type": "Inspector2 Finding", "source": "aws.inspector2"}',
    }
    for code, payload in codes.items():
        ran = run("parse", "-", stdin=payload)
        assert (ran.code, ran.out, ran.err.split(": ")[1], ran.err.count("\n")) == (2, "", code, 1)
    for file in (tmp_path / "nowhere.json", tmp_path):
        assert run("parse", file).err.startswith(f"error: unreadable: {file}: ")


def test_a_title_cannot_speak_to_the_terminal(run: Run) -> None:
    event = json.loads(EC2.read_bytes())
    event["detail"]["packageVulnerabilityDetails"]["vulnerabilityId"] = "CVE\x1b[2J\u202e\n  runbook   forged"

    ran = run("parse", "-", stdin=json.dumps(event).encode())

    assert ran.out.splitlines()[0].startswith("CVE\ufffd[2J\ufffd\ufffd  runbook   forged (CRITICAL) on i-0a1b")


def test_a_runbook_of_ones_own_is_asked_too(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = (LIBRARY / "ec2-package-cve.yaml").read_text(encoding="utf-8")
    mine = shipped.replace("name: ec2-package-cve", "name: mine").replace("[LOW, MEDIUM]", "[UNTRIAGED]")
    (tmp_path / "mine.yaml").write_text(mine, encoding="utf-8")
    monkeypatch.setenv("RUNBOOKS_LIBRARY", str(tmp_path))

    (told,) = [line for line in run("parse", EVENTS / "list_findings.json").out.splitlines() if "mine" in line]
    assert told == "  runbook   mine; opens no case, because it is SUPPRESSED"
