"""Events that hold no finding: each has its name, and what is scanned no more is one that somebody asks about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runbooks.delivery import CoverageChange
from runbooks.event import parse

EVENTS = Path(__file__).parents[1] / "events"
AZURE = "/subscriptions/0000/resourcegroups/shop/providers/microsoft.compute/virtualmachines/checkout"


def a_coverage_event(status: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    event = json.loads((EVENTS / "coverage_event.json").read_text())
    event["detail"]["scanStatus"] |= status or {}
    event["detail"] |= changes.pop("detail", {})
    return event | changes


def test_what_is_scanned_no_more_is_a_change_of_coverage() -> None:
    delivery = parse(a_coverage_event())
    assert delivery.set_aside == ()
    assert delivery.coverage == (
        CoverageChange(
            resource="i-0a1b2c3d4e5f60718",
            account="210987654321",
            region="eu-west-1",
            scan_type="PACKAGE",
            reason="UNMANAGED_EC2_INSTANCE",
        ),
    )


def test_the_members_of_2026_and_the_names_of_the_api_say_the_same() -> None:
    provider = {"provider": "AWS", "providerAccountId": "111122223333", "providerRegion": "us-east-1"}
    event = a_coverage_event(detail=provider | {"scanStatus": {"statusCode": "INACTIVE", "reason": "EXCLUDED_BY_TAG"}})
    (change,) = parse(event).coverage
    assert (change.account, change.region, change.reason) == ("111122223333", "us-east-1", "EXCLUDED_BY_TAG")


@pytest.mark.parametrize(
    ("event", "code", "said"),
    [
        (
            a_coverage_event({"statusCodeValue": "ACTIVE", "reason": "SUCCESSFUL"}),
            "not-a-finding",
            "ACTIVE, SUCCESSFUL",
        ),
        (a_coverage_event({"reason": "RESOURCE_TERMINATED"}), "not-a-finding", "the resource is gone"),
        (a_coverage_event(resources=[AZURE]), "other-cloud", "the resource is not in AWS"),
        (a_coverage_event(detail={"provider": "AZURE"}), "other-cloud", "the resource is not in AWS"),
        (a_coverage_event(detail={"scanType": "DREAMS"}), "not-a-finding", "a type that no runbook rests on"),
        (a_coverage_event(resources=[]), "not-a-finding", "does not say which resource"),
        (a_coverage_event(account="../admin"), "not-a-finding", "does not say which resource"),
        (a_coverage_event(region="https://elsewhere"), "not-a-finding", "does not say which resource"),
    ],
)
def test_every_other_word_about_coverage_is_set_aside_with_the_reason(
    event: dict[str, Any], code: str, said: str
) -> None:
    delivery = parse(event)
    (aside,) = delivery.set_aside
    assert (delivery.coverage, aside.code, aside.kind, aside.news) == ((), code, "inspector-coverage", "")
    assert said in aside.reason


def an_event(source: str, detail_type: str, **detail: Any) -> dict[str, Any]:
    return {"source": source, "detail-type": detail_type, "detail": detail, "account": "210987654321"}


CALL = "AWS API Call via CloudTrail"


@pytest.mark.parametrize(
    ("event", "code", "kind"),
    [
        (an_event("aws.inspector2", CALL, eventName="CreateCisScanConfiguration"), "not-a-finding", "inspector-cis"),
        (an_event("aws.inspector2", CALL, eventName="CreateSbomExport"), "not-a-finding", "inspector-sbom"),
        (an_event("aws.inspector2", CALL, eventName="Enable"), "not-a-finding", "inspector-api-call"),
        (an_event("aws.inspector2", "Inspector Finding"), "unsupported-source", "inspector-classic"),
        (an_event("aws.s3", "Object Created"), "not-a-finding", "s3-object"),
        (an_event("aws.ecr", "ECR Image Action"), "not-a-finding", "ecr-image-action"),
        ({"bomFormat": "CycloneDX", "specVersion": "1.5"}, "not-a-finding", "sbom"),
        ({"spdxVersion": "SPDX-2.3"}, "not-a-finding", "sbom"),
    ],
)
def test_what_cis_scans_and_sboms_leave_behind_has_a_name(event: dict[str, Any], code: str, kind: str) -> None:
    (aside,) = parse(event).set_aside
    assert (aside.code, aside.kind, aside.news) == (code, kind, "")


@pytest.mark.parametrize(
    ("value", "news"),
    [
        (an_event("aws.inspector2", "Inspector3 Prophecy"), "Inspector3 Prophecy"),
        (an_event("aws.guardduty", "GuardDuty Prophecy"), ""),
        ({"prophecy": 1}, "an object"),
    ],
)
def test_only_what_inspector_itself_says_and_nobody_knows_is_news(value: dict[str, Any], news: str) -> None:
    wrapped = {"Type": "Notification", "MessageId": "1", "TopicArn": "arn:aws:sns:eu-west-1:210987654321:t"}
    for each in (value, wrapped | {"Message": json.dumps(value)}):
        (aside,) = parse(each).set_aside
        assert aside.news == news
