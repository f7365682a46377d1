"""Which of Inspector's scan events make the gate judge an image: one that names a digest in ECR, and no other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runbooks.delivery import Aside, ScannedImage
from runbooks.event import parse
from tests.runbooks.gating.gated import ACCOUNT, ARN, DIGEST, REGION

REPOSITORY_ARN = ARN.removesuffix(f"/{DIGEST}")


def an_event(**detail: Any) -> dict[str, Any]:
    return {
        "version": "0",
        "id": "00000000-0000-4000-8000-000000000010",
        "detail-type": "Inspector2 Scan",
        "source": "aws.inspector2",
        "account": ACCOUNT,
        "time": "2026-03-02T09:15:31Z",
        "region": REGION,
        "resources": [REPOSITORY_ARN],
        "detail": {
            "scan-status": "INITIAL_SCAN_COMPLETE",
            "repository-name": REPOSITORY_ARN,
            "finding-severity-counts": {"CRITICAL": 0, "HIGH": 0, "MEDIUM": 0, "TOTAL": 0},
            "image-digest": DIGEST,
            "image-tags": ["1.4.0"],
            "version": "1.0",
        }
        | detail,
    }


def test_a_complete_scan_of_an_image_is_understood() -> None:
    delivery = parse(an_event())

    assert (delivery.scanned, delivery.findings, delivery.set_aside) == ((ScannedImage(arn=ARN),), (), ())
    assert delivery.event_id == "00000000-0000-4000-8000-000000000010"


def test_it_is_understood_as_a_message_too() -> None:
    message = {"Message": json.dumps(an_event()), "Type": "Notification", "TopicArn": "t", "MessageId": "m"}
    records = {"Records": [{"body": json.dumps(each), "eventSource": "aws:sqs"} for each in (message, an_event())]}
    assert parse(records).scanned == (ScannedImage(arn=ARN),) * 2


@pytest.mark.parametrize(
    "detail",
    [
        {"scan-status": "INITIAL_SCAN_FAILED"},
        {"image-digest": None},
        {"image-digest": "sha256:5e"},
        {"repository-name": "team/checkout"},
        {"repository-name": ["x"]},
        {"repository-name": REPOSITORY_ARN.replace(":ecr:", ":s3:")},
    ],
)
def test_what_names_no_image_is_set_aside_as_before(detail: dict[str, Any]) -> None:
    delivery = parse(an_event(**detail))

    assert delivery.scanned == ()
    assert [(each.code, each.kind) for each in delivery.set_aside] == [(Aside.NOT_A_FINDING, "inspector-scan")]


def test_a_push_is_known_and_waits_for_its_scan() -> None:
    pushed = an_event() | {
        "source": "aws.ecr",
        "detail-type": "ECR Image Action",
        "detail": {
            "result": "SUCCESS",
            "repository-name": "team/checkout",
            "image-digest": DIGEST,
            "action-type": "PUSH",
            "image-tag": "1.4.0",
        },
    }
    delivery = parse(pushed)
    assert delivery.scanned == ()
    assert [(each.code, each.kind) for each in delivery.set_aside] == [(Aside.NOT_A_FINDING, "ecr-image-action")]
