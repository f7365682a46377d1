"""One finding has one value, whichever door it came through, and it can be written back.

The findings are drawn from the API's own model, so a member that AWS adds is tried as soon as botocore knows it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from hypothesis import given, settings
from hypothesis import strategies as st

from runbooks import timestamps
from runbooks.event import parse, read_payload
from runbooks.finding import Finding, Resource, VulnerablePackage
from runbooks.inspector import read_finding, to_detail

EVENTS = Path(__file__).parents[1] / "events"
START = datetime(2020, 1, 1, tzinfo=UTC)


def milliseconds_since(start: datetime) -> st.SearchStrategy[datetime]:
    return st.integers(0, 10**12 // 4).map(lambda count: start + timedelta(milliseconds=count))


def drawn_from(shape: Any) -> st.SearchStrategy[Any]:  # noqa: C901 - one line for each type of shape
    """Values of one botocore shape, with datetimes where times are."""
    meta = shape.metadata
    match shape.type_name:
        case "structure":
            required = {name: drawn_from(m) for name, m in shape.members.items() if name in shape.required_members}
            optional = {name: drawn_from(m) for name, m in shape.members.items() if name not in required}
            return st.fixed_dictionaries(required, optional=optional)
        case "list":
            return st.lists(drawn_from(shape.member), min_size=meta.get("min", 0), max_size=min(meta.get("max", 2), 2))
        case "map":
            return st.dictionaries(WORDS, WORDS, max_size=2)
        case "timestamp":
            return milliseconds_since(START)
        case "string" if "enum" in meta:
            return st.sampled_from([*meta["enum"], "SOMETHING_NEW"])
        case "string" if shape.name in ("AwsAccountId", "AccountId") or meta.get("pattern") == r"\d{12}":
            return st.text("0123456789", min_size=12, max_size=12)
        case "string" if shape.name == "FindingArn":
            return st.integers(0, 2**128 - 1).map(
                lambda n: f"arn:aws:inspector2:eu-west-1:210987654321:finding/{n:032x}"
            )
        case "string":
            return WORDS
        case "integer" | "long":
            return st.integers(meta.get("min", 0), meta.get("max", 2**31))
        case "double":
            return st.floats(meta.get("min", 0), meta.get("max", 10))
        case "boolean":
            return st.booleans()
        case other:
            raise NotImplementedError(other)


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=8) | st.sampled_from(
    ["NotAvailable", "0:1.2-3", "launchedAt", "2026-03-02T09:15:30Z"]
)
FINDINGS = drawn_from(ServiceModel(Loader().load_service_model("inspector2", "service-2")).shape_for("Finding"))


def written(value: Any, form: Callable[[datetime], object]) -> Any:
    """The value as it is on the wire, its times in `form`."""
    if isinstance(value, dict):
        return {name: written(member, form) for name, member in value.items()}
    if isinstance(value, list):
        return [written(entry, form) for entry in value]
    return form(value) if isinstance(value, datetime) else value


@settings(max_examples=150, deadline=None)
@given(FINDINGS)
def test_a_finding_is_the_same_value_through_every_door(drawn: dict[str, Any]) -> None:
    in_event = parse({"findings": [written(drawn, timestamps.event_form)]})
    in_api = parse({"findings": [json.loads(json.dumps(written(drawn, datetime.timestamp)))]})
    in_cli = parse({"findings": [written(drawn, datetime.isoformat)]})
    in_boto3 = parse({"findings": [drawn]})

    assert in_event == in_api == in_cli == in_boto3
    assert len(in_event.findings) + len(in_event.set_aside) == 1
    assert len(in_event.findings) == any(map(in_aws, drawn["resources"]))


@settings(max_examples=150, deadline=None)
@given(FINDINGS)
def test_a_finding_is_written_back_without_loss(drawn: dict[str, Any]) -> None:
    for finding in parse({"findings": [written(drawn, timestamps.event_form)]}).findings:
        detail = to_detail(finding)

        assert read_finding(detail) == finding
        event = {"source": "aws.inspector2", "detail-type": "Inspector2 Finding", "id": "e", "detail": detail}
        assert read_payload(json.dumps(event)).findings == (finding,)
        assert Finding.model_validate_json(finding.model_dump_json()) == finding
        resource = next(filter(in_aws, drawn["resources"]))
        rest = [other for other in drawn["resources"] if other is not resource]
        sent = written(drawn | {"resources": [resource, *rest]}, timestamps.event_form)
        assert missing(sent, detail) == []


def in_aws(resource: dict[str, Any]) -> bool:
    in_path = set("/.") & set(resource["type"]) or resource["id"].startswith("/")
    return resource.get("provider", "AWS") == "AWS" and not in_path


def missing(sent: Any, kept: Any, path: str = "$") -> list[str]:
    """Paths of what was sent and is not there any more; empty objects and lists, and no-fix words, say nothing."""
    if isinstance(sent, dict):
        there = kept if isinstance(kept, dict) else {}
        return [p for name, member in sent.items() for p in missing(member, there.get(name), f"{path}.{name}")]
    if isinstance(sent, list):
        there = kept if isinstance(kept, list) else []
        pairs = zip(sent, [*there, *[None] * len(sent)], strict=False)
        return [p for index, (mine, its) in enumerate(pairs) for p in missing(mine, its, f"{path}[{index}]")]
    if path.endswith(".fixedInVersion") and sent == "NotAvailable":
        return []
    if path.rpartition(".")[2] in ("launchedAt", "pushedAt") and "tags" not in path:
        return [] if timestamps.read(sent) == timestamps.read(kept) else [path]
    return [] if sent == kept else [path]


def a_finding(**changed: Any) -> Finding:
    moment = datetime(2026, 3, 2, 9, 15, 30, 123456, tzinfo=UTC)
    facts: dict[str, Any] = {
        "arn": "arn:aws:inspector2:eu-west-1:210987654321:finding/" + "0a" * 16,
        "type": "PACKAGE_VULNERABILITY",
        "status": "ACTIVE",
        "severity": "HIGH",
        "title": "CVE-2026-10001 - libssl3",
        "resource": Resource(type="AWS_EC2_INSTANCE", id="i-1", account="210987654321", region="eu-west-1"),
        "packages": (VulnerablePackage(name="libssl3", version="3.0.2", epoch=1, fixed_in="1:3.0.3"),),
        "cvss_score": 9.8,
        "first_observed_at": moment,
        "last_observed_at": moment,
        "updated_at": moment,
    }
    return Finding(**facts | changed)


@pytest.mark.parametrize("known", [True, False, None])
def test_a_finding_made_by_hand_is_written_and_read_back_too(known: bool | None) -> None:
    finding = a_finding(exploit_available=known)

    assert read_finding(to_detail(finding)) == finding


@pytest.mark.parametrize(
    ("arn", "valid"),
    [
        ("arn:aws:inspector2:eu-west-1:210987654321:finding/" + "0a" * 16, True),
        ("arn:aws-us-gov:inspector2:us-gov-west-1:210987654321:finding/" + "0a" * 16, True),
        ("arn:aws:inspector2:eu-west-1:210987654321:finding/" + "0a" * 16 + "\n", False),
        ("arn:aws:inspector2:eu-west-1:210987654321:finding/" + "0A" * 16, False),
        ("arn:aws:inspector2:eu-west-1:210987654321:finding/FINDING_ID", False),
        ("arn:aws:inspector2:eu-west-1:210987654321:finding/ondemand/" + "ab" * 16 + "/" + "0a" * 16, False),
        ("arn:aws:test123", False),
    ],
)
def test_a_placeholder_arn_is_kept_and_known_for_what_it_is(arn: str, valid: bool) -> None:
    finding = a_finding(arn=arn)

    assert finding.arn == arn
    assert finding.arn_is_valid is valid


def test_no_fix_and_no_opinion_are_not_the_same_as_no() -> None:
    (finding,) = parse(json.loads((EVENTS / "ecr_package_event.json").read_bytes())).findings

    assert [package.fixed_in for package in finding.packages] == [None]
    assert (finding.fix_available, finding.exploit_available) == ("NO", False)
    assert (finding.cvss_score, finding.inspector_score, finding.epss) == (None, None, None)
    assert finding.packages[0].extra == {"sourceLayerHash": "sha256:" + "1a" * 32}


def test_an_untriaged_suppressed_finding_without_fixes_from_the_api() -> None:
    finding = parse(json.loads((EVENTS / "list_findings.json").read_bytes())).findings[0]

    assert (finding.severity, finding.severity_rank, finding.status) == ("UNTRIAGED", -1, "SUPPRESSED")
    assert [(p.name, p.fixed_in) for p in finding.packages] == [("kernel", None), ("kernel-tools", None)]
    assert finding.updated_at == datetime(2026, 3, 2, 9, 15, 30, tzinfo=UTC)


def test_the_form_of_2023_reads_to_the_same_moments_as_todays() -> None:
    def finding(name: str) -> Finding:
        return parse(json.loads((EVENTS / f"{name}.json").read_bytes())).findings[0]

    old, new = finding("ec2_package_event_2023_form"), finding("ec2_package_event")
    assert old.updated_at == new.updated_at.replace(microsecond=0)
    assert (old.published_at, old.last_known_exploit_at) == (new.published_at, new.last_known_exploit_at)
    assert old.resource.details["awsEc2Instance"] == new.resource.details["awsEc2Instance"]


def test_what_is_understood_in_part_keeps_its_rest() -> None:
    (finding,) = parse(json.loads((EVENTS / "ec2_package_event.json").read_bytes())).findings

    assert sorted(finding.extra) == ["inspectorScoreDetails", "packageVulnerabilityDetails", "remediation"]
    details = finding.extra["packageVulnerabilityDetails"]
    assert sorted(details) == ["cvss", "referenceUrls", "relatedVulnerabilities", "source"]
    assert [entry["baseScore"] for entry in details["cvss"]] == [7.8, 9.1]


def test_of_several_resources_the_first_in_aws_is_the_one() -> None:
    detail = to_detail(a_finding())
    azure = {"type": "Microsoft.Web/sites", "id": "/subscriptions/1", "provider": "AZURE"}
    second = {"type": "AWS_EC2_INSTANCE", "id": "i-2", "region": "eu-west-1"}

    finding = read_finding(detail | {"resources": [azure, *detail["resources"], second]})

    assert finding == a_finding(extra={"resources": [azure, second]})
    assert read_finding(to_detail(finding)) == finding


@pytest.mark.parametrize(
    ("resource", "arn", "region", "partition"),
    [
        ({"region": "eu-west-1", "partition": "aws"}, "arn:aws:test", "eu-west-1", "aws"),
        ({"id": "arn:aws-cn:lambda:cn-north-1:210987654321:function:f"}, "arn:aws:test", "cn-north-1", "aws-cn"),
        ({}, "arn:aws-us-gov:inspector2:us-gov-west-1:2:finding/x", "us-gov-west-1", "aws-us-gov"),
        ({"region": "eu-west-1"}, "arn:aws:test", "eu-west-1", "aws"),
    ],
)
def test_the_region_is_the_resources_or_an_arns(
    resource: dict[str, str], arn: str, region: str, partition: str
) -> None:
    only = {"type": "AWS_EC2_INSTANCE", "id": "i-1"} | resource

    finding = read_finding(to_detail(a_finding()) | {"resources": [only], "findingArn": arn})

    assert (finding.resource.region, finding.resource.partition) == (region, partition)


def test_an_exploit_answer_nobody_knows_is_no_answer_and_is_kept() -> None:
    finding = read_finding(to_detail(a_finding()) | {"exploitAvailable": "MAYBE"})

    assert finding.exploit_available is None
    assert to_detail(finding)["exploitAvailable"] == "MAYBE"


def test_a_package_whose_manager_was_not_sent_is_not_taken_for_the_systems() -> None:
    detail = to_detail(a_finding())
    del detail["packageVulnerabilityDetails"]["vulnerablePackages"][0]["packageManager"]

    assert read_finding(detail).packages[0].manager == "UNKNOWN"


def test_a_tag_that_is_named_like_a_time_stays_as_it_is() -> None:
    detail = to_detail(a_finding())
    tags = {"launchedAt": "2026-03-02T09:15:30Z"}
    tagged = detail["resources"][0] | {"tags": tags}

    finding = read_finding(detail | {"resources": [tagged, tagged]})
    assert finding.resource.tags == tags
    assert [resource["tags"] for resource in to_detail(finding)["resources"]] == [tags, tags]
