"""What a delivery is taken for: a finding, something with a name that is set aside, or a payload that is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from runbooks.errors import MalformedPayload
from runbooks.event import Aside, SetAside, parse, read_payload
from runbooks.finding import Resource, VulnerablePackage
from runbooks.strict_json import MAX_BYTES

EVENTS = Path(__file__).parents[1] / "events"
ACCOUNT = "210987654321"
INSTANCE = "i-0a1b2c3d4e5f60718"


def an_event(name: str) -> dict[str, Any]:
    return json.loads((EVENTS / f"{name}.json").read_bytes())


def a_detail() -> dict[str, Any]:
    return an_event("ec2_package_event")["detail"]


def refusal(raw: bytes | str) -> MalformedPayload:
    with pytest.raises(MalformedPayload) as refused:
        read_payload(raw)
    return refused.value


def test_an_event_delivers_its_finding_with_every_fact_in_our_words() -> None:
    delivery = read_payload((EVENTS / "ec2_package_event.json").read_bytes())

    assert delivery.set_aside == ()
    assert delivery.event_id == "00000000-0000-4000-8000-000000000001"
    assert delivery.event_time == datetime(2026, 3, 2, 9, 15, 31, tzinfo=UTC)
    (finding,) = delivery.findings
    seen = datetime(2026, 3, 2, 9, 15, 30, 125000, tzinfo=UTC)
    assert finding.model_dump(exclude={"resource", "packages", "extra", "arn"}) == {
        "type": "PACKAGE_VULNERABILITY",
        "status": "ACTIVE",
        "severity": "CRITICAL",
        "title": "CVE-2026-10001 - libssl3",
        "description": "Synthetic description of CVE-2026-10001 - libssl3.",
        "vulnerability_id": "CVE-2026-10001",
        "inspector_score": 9.1,
        "cvss_score": 9.1,
        "epss": 0.42,
        "exploit_available": True,
        "fix_available": "YES",
        "vendor_severity": "high",
        "source_url": "https://vendor.example/CVE-2026-10001",
        "published_at": datetime(2026, 2, 27, 20, 15, tzinfo=UTC),
        "first_observed_at": seen,
        "last_observed_at": seen,
        "updated_at": seen,
        "last_known_exploit_at": datetime(2026, 3, 1, 0, 4, 50, tzinfo=UTC),
    }
    assert finding.packages == (
        VulnerablePackage(
            name="libssl3",
            version="3.0.2",
            release="0ubuntu1.90",
            arch="ARM64",
            fixed_in="0:3.0.2-0ubuntu1.99",
            remediation="apt-get update && apt-get upgrade",
        ),
    )


def test_the_resource_keeps_its_place_its_tags_and_its_details() -> None:
    (finding,) = parse(an_event("ec2_package_event")).findings
    details = a_detail()["resources"][0]["details"]
    for form in details.values():
        form["launchedAt"] = "2026-02-01T06:00:02Z"

    assert finding.resource == Resource(
        type="AWS_EC2_INSTANCE",
        id=INSTANCE,
        account=ACCOUNT,
        region="eu-west-1",
        tags={"Name": "checkout-7", "aws:autoscaling:groupName": "checkout"},
        details=details,
        extra={"provider": "AWS", "providerAccountId": ACCOUNT},
    )


@pytest.mark.parametrize(
    ("name", "finding_type", "resource_type"),
    [
        ("ec2_package_event", "PACKAGE_VULNERABILITY", "AWS_EC2_INSTANCE"),
        ("ec2_package_event_2023_form", "PACKAGE_VULNERABILITY", "AWS_EC2_INSTANCE"),
        ("ec2_network_event", "NETWORK_REACHABILITY", "AWS_EC2_INSTANCE"),
        ("ecr_package_event", "PACKAGE_VULNERABILITY", "AWS_ECR_CONTAINER_IMAGE"),
        ("lambda_package_event", "PACKAGE_VULNERABILITY", "AWS_LAMBDA_FUNCTION"),
        ("lambda_code_event", "CODE_VULNERABILITY", "AWS_LAMBDA_FUNCTION"),
    ],
)
def test_every_type_of_finding_in_aws_is_a_finding(name: str, finding_type: str, resource_type: str) -> None:
    delivery = parse(an_event(name))

    assert [(f.type, f.resource.type) for f in delivery.findings] == [(finding_type, resource_type)]
    assert delivery.set_aside == ()


@pytest.mark.parametrize(
    ("name", "code", "kind", "resource"),
    [
        ("scan_event", "not-a-finding", "inspector-scan", INSTANCE),
        ("auto_enable_event", "not-a-finding", "inspector-auto-enable", None),
        ("on_demand_scan_event", "not-a-finding", "inspector-on-demand-scan", "ami-00c0ffee00c0ffee0"),
        ("on_demand_finding_event", "unsupported-source", "inspector-on-demand-finding", "ami-00c0ffee00c0ffee0"),
        ("guardduty_event", "unsupported-source", "event", INSTANCE),
        ("sns_confirmation", "not-a-finding", "sns-confirmation", None),
        ("finding_details", "not-a-finding", "inspector-finding-details", None),
        ("azure_vm_event", "other-cloud", "inspector-finding", ...),
    ],
)
def test_what_is_not_acted_upon_is_set_aside_by_name(name: str, code: str, kind: str, resource: str | None) -> None:
    event = an_event(name)
    delivery = parse(event)

    assert delivery.findings == ()
    (aside,) = delivery.set_aside
    expected = event["resources"][0] if resource is ... else resource
    assert (aside.code, aside.kind, aside.resource) == (code, kind, expected)
    assert aside.reason
    assert aside.account == (ACCOUNT if "detail" in event else None)


def test_a_finding_on_another_cloud_names_its_place_and_is_never_a_finding() -> None:
    event = an_event("azure_vm_event")

    assert parse(event["detail"]).set_aside == (
        SetAside(
            code=Aside.OTHER_CLOUD,
            kind="inspector-finding",
            reason="the finding is on 'Microsoft.Compute/virtualMachines', not an AWS resource, at $",
            resource=event["resources"][0],
            account=ACCOUNT,
            region="westeurope",
        ),
    )


@pytest.mark.parametrize(
    "resource",
    [
        {"provider": "AZURE", "type": "AWS_EC2_INSTANCE"},
        {"provider": "AWS", "type": "Microsoft.Compute/virtualMachines"},
        {"type": "Microsoft.Web/sites"},
        {"type": "compute.googleapis.com/Instance"},
        {"type": "AWS_EC2_INSTANCE", "id": "/subscriptions/1/providers/microsoft.compute/virtualmachines/vm"},
    ],
)
def test_provider_type_and_id_must_all_be_of_aws(resource: dict[str, str]) -> None:
    delivery = parse(a_detail() | {"resources": [{"id": "i-1", "region": "eu-west-1"} | resource]})

    assert delivery.findings == ()
    assert [a.code for a in delivery.set_aside] == ["other-cloud"]


def test_what_is_set_aside_names_the_account_it_is_about_not_the_administrators() -> None:
    event = an_event("on_demand_scan_event") | {"account": "999999999999"}

    assert [a.account for a in parse(event).set_aside] == [ACCOUNT]


@pytest.mark.parametrize(
    "name", ["sns_notification", "sqs_messages", "dead_letter_messages", "lambda_records", "lambda_sns_records"]
)
def test_a_wrapped_event_is_the_event(name: str) -> None:
    assert parse(an_event(name)) == parse(an_event("ec2_package_event"))


def test_messages_of_a_topic_in_a_queue_are_all_read_but_the_broken_one() -> None:
    delivery = parse(an_event("sqs_sns_messages"))

    events = ("ec2_package_event", "ec2_network_event")
    assert delivery.findings == tuple(parse(an_event(name)).findings[0] for name in events)
    assert [each.code for each in delivery.set_aside] == ["malformed-message", "other-cloud"]


def test_a_detail_type_nobody_knows_is_set_aside_too() -> None:
    event = an_event("scan_event") | {"detail-type": "Inspector2 Something New"}

    assert [(a.code, a.kind) for a in parse(event).set_aside] == [("unknown-kind", "event")]


def test_an_object_of_no_known_kind_is_set_aside_with_the_names_it_has() -> None:
    (aside,) = parse({"hello": 1, "world": 2}).set_aside

    assert (aside.code, aside.reason) == ("unknown-kind", "an object of no known kind, which has hello, world")


def test_an_on_demand_finding_alone_is_known_by_its_arn() -> None:
    delivery = parse({"findings": [an_event("on_demand_finding_event")["detail"]]})

    assert [(a.code, a.kind) for a in delivery.set_aside] == [("unsupported-source", "inspector-on-demand-finding")]


def test_a_member_nobody_expected_does_not_hide_a_finding() -> None:
    (finding,) = parse(a_detail() | {"Records": [], "Messages": [], "TopicArn": "t", "Message": "m"}).findings

    assert finding.extra["TopicArn"] == "t"


def test_a_finding_reads_the_same_with_and_without_its_envelope() -> None:
    event = an_event("ec2_package_event")

    assert parse(event["detail"]).findings == parse(event).findings


def test_the_account_is_the_findings_and_never_the_envelopes() -> None:
    copy_for_the_administrator = an_event("ec2_package_event") | {"account": "999999999999", "id": "another"}

    (finding,) = parse(copy_for_the_administrator).findings
    assert finding == parse(an_event("ec2_package_event")).findings[0]
    assert finding.resource.account == ACCOUNT


def test_a_list_of_findings_delivers_them_all_in_order() -> None:
    delivery = parse(an_event("list_findings"))

    assert [f.title for f in delivery.findings] == [
        "CVE-2026-10005 - kernel, kernel-tools",
        "Port 22 is reachable from an Internet Gateway - TCP",
    ]
    assert (delivery.set_aside, delivery.event_id, delivery.event_time) == ((), None, None)


def test_one_bad_finding_does_not_lose_the_others() -> None:
    good, other = an_event("list_findings")["findings"]
    bad = good | {"severity": None}

    delivery = parse({"findings": [good, bad, an_event("azure_vm_event")["detail"], "text", other]})

    assert [f.title for f in delivery.findings] == [good["title"], other["title"]]
    assert [(a.code, a.resource) for a in delivery.set_aside] == [
        ("malformed-finding", "i-0b1b2c3d4e5f60718"),
        ("other-cloud", an_event("azure_vm_event")["resources"][0]),
        ("malformed-finding", None),
    ]
    assert "$.findings[1].severity: is missing" in delivery.set_aside[0].reason


def test_a_list_that_goes_on_elsewhere_says_so() -> None:
    delivery = parse(an_event("list_findings") | {"nextToken": "more"})

    assert len(delivery.findings) == 2
    assert [a.code for a in delivery.set_aside] == ["partial-list"]


def test_an_empty_list_delivers_nothing() -> None:
    assert parse({"findings": []}).findings == ()


def test_a_byte_order_mark_is_tolerated() -> None:
    assert len(read_payload(b"\xef\xbb\xbf" + json.dumps(a_detail()).encode()).findings) == 1
    assert len(read_payload("\ufeff" + json.dumps(a_detail())).findings) == 1


@pytest.mark.parametrize(
    ("raw", "code", "says"),
    [
        (b"", "not-json", "line 1, column 1"),
        (b'{"a": 1,\n oops}', "not-json", "line 2, column 2"),
        (b'{"a": "\xff"}', "not-json", "byte 7 is not UTF-8"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "not-json", "'c' stands twice"),
        (b'{"a": NaN}', "not-json", "NaN is not a JSON number"),
        (b'{"a": 1e999}', "not-json", "1e999 is too large"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not-json", "integer string conversion"),
        (b'{"a": 9007199254740992}', "malformed-event", "beyond 2^53 - 1 at $.a"),
        (b'{"a": ["\\u0000"]}', "malformed-event", "NUL character at $.a[0]"),
        (b'{"a b": "\\ud800"}', "malformed-event", 'half a surrogate pair at $["a b"]'),
        (b'{"\\udfff": 1}', "malformed-event", "half a surrogate pair at $"),
        (b'{"a": ' * 65 + b"1" + b"}" * 65, "malformed-event", "more than 64 deep"),
        (b"[" * 200_000, "malformed-event", "more than 64 deep"),
        (b"[]", "not-an-object", "at $"),
        (b"null", "not-an-object", "at $"),
        (b" " * (MAX_BYTES + 1), "too-large", "1,048,577 bytes"),
        (b'{"detail-type": "Inspector2 Finding", "detail": {}}', "malformed-event", "$.source is missing"),
        (
            b'{"detail-type": 7, "source": "s", "detail": {}}',
            "malformed-event",
            '$["detail-type"] is missing or is not',
        ),
        (b'{"detail-type": "t", "source": "s", "detail": "{}"}', "malformed-event", "$.detail is missing or is not an"),
        (b'{"findings": {}}', "malformed-event", "$.findings is missing or is not a list"),
        (b'{"' + b"n" * 5000 + b'": 9007199254740992}', "malformed-event", 'beyond 2^53 - 1 at $["nnn'),
        (b'{"findingArn": "arn"}', "malformed-finding", "$.awsAccountId: is missing"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_and_where(raw: bytes, code: str, says: str) -> None:
    error = refusal(raw)

    assert error.code == code
    assert says in error.detail
    assert error.exit_code == 2
    assert len(error.detail) < 400


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"awsAccountId": "12345"}, "$.detail.awsAccountId: String should match"),
        ({"awsAccountId": "\u066210987654321"}, "$.detail.awsAccountId: String should match"),
        ({"findingArn": ""}, "$.detail.findingArn: "),
        ({"resources": []}, "$.detail.resources: "),
        ({"resources": ["i-1"]}, "$.detail.resources[0]: should be an object"),
        ({"updatedAt": "yesterday"}, "$.detail.updatedAt: 'yesterday' is not a time"),
        ({"firstObservedAt": True}, "$.detail.firstObservedAt: True is not a time"),
        ({"inspectorScore": "high"}, "$.detail.inspectorScore: "),
        ({"description": None, "resources": [{"type": "T", "id": "i", "tags": {"k" * 5000: 1}}]}, 'tags["kkk'),
        ({"epss": 0.5}, "$.detail.epss: should be an object"),
        ({"packageVulnerabilityDetails": {"vulnerablePackages": [{"name": "a"}]}}, "vulnerablePackages[0].version: is"),
    ],
)
def test_a_finding_that_breaks_its_form_is_refused_at_the_member(change: dict[str, Any], says: str) -> None:
    event = an_event("ec2_package_event")
    error = refusal(json.dumps(event | {"detail": event["detail"] | change}))

    assert error.code == "malformed-finding"
    assert says in error.detail
    assert len(error.detail) < 400


def test_a_finding_whose_region_nothing_names_is_refused() -> None:
    detail = a_detail()
    detail["findingArn"] = "arn:aws:placeholder"
    detail["resources"][0].pop("region")

    assert "$.resources[0].region is missing" in refusal(json.dumps(detail)).detail


def test_a_value_that_is_not_json_is_refused() -> None:
    aliens: list[object] = [b"bytes", {1, 2}, float("nan"), {"a": object()}]
    for alien in aliens:
        with pytest.raises(MalformedPayload):
            parse({"findings": [alien]})
    with pytest.raises(MalformedPayload):
        parse({7: "a name that is not a text"})


def test_an_unreadable_envelope_time_does_not_lose_the_finding() -> None:
    delivery = parse(an_event("ec2_package_event") | {"time": "soon", "id": 7})

    assert (len(delivery.findings), delivery.event_id, delivery.event_time) == (1, None, None)


def test_the_parser_starts_without_the_libraries_that_are_slow_to_load() -> None:
    slow = ("univers", "prefect", "boto3", "botocore", "sqlalchemy", "httpx", "fastapi")
    code = f"import sys, runbooks.event, runbooks.packages; print([m for m in {slow} if m in sys.modules])"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
