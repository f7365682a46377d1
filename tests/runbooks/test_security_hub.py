"""A finding that came by way of Security Hub, as ASFF or as OCSF, is the one that Inspector sent."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runbooks.case import CaseKey
from runbooks.event import parse
from runbooks.finding import Finding
from runbooks.inspector import read_finding, to_detail

EVENTS = Path(__file__).parents[1] / "events"
BY_WAY_OF_SECURITY_HUB = [
    ("security_hub_finding", "ec2_package_event"),
    ("security_hub_event", "ec2_package_event"),
    ("security_hub_action_event", "ec2_package_event"),
    ("security_hub_ocsf_event", "ec2_package_event"),
    ("security_hub_findings", "ecr_package_event"),
    ("security_hub_findings", "lambda_package_event"),
    ("security_hub_findings", "ec2_network_event"),
    ("ocsf_findings", "ecr_package_event"),
    ("ocsf_findings", "lambda_package_event"),
]
ROOT = "arn:aws:ecr:eu-west-1:210987654321:repository/shop/checkout"
DIGEST = "sha256:" + "5e" * 32
FUNCTION = "arn:aws:lambda:eu-west-1:210987654321:function:receipts"


def read(name: str) -> Any:
    return json.loads((EVENTS / f"{name}.json").read_bytes())


def asff() -> dict[str, Any]:
    return read("security_hub_finding")


def ocsf() -> dict[str, Any]:
    return read("security_hub_ocsf_event")["detail"]["findings"][0]


def changed(finding: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """A copy with the member at a dotted path set, or taken out where the value is `...`."""
    finding = copy.deepcopy(finding)
    part: Any = finding
    *way, last = path.split(".")
    for step in way:
        part = part[int(step)] if isinstance(part, list) else part.setdefault(step, {})
    place: Any = int(last) if isinstance(part, list) else last
    if value is ...:
        del part[place]
    else:
        part[place] = value
    return finding


def only(value: object) -> Finding:
    delivery = parse(value)
    assert delivery.set_aside == ()
    (finding,) = delivery.findings
    return finding


def facts(finding: Finding) -> dict[str, Any]:
    """What a finding says, but for what is kept beside; `vm` says again what the form for EC2 says."""
    told = finding.model_dump(exclude={"extra": True, "resource": {"extra"}, "packages": {"__all__": {"extra"}}})
    forms: dict[str, dict[str, Any]] = told["resource"].pop("details")
    for form, members in forms.items():
        if form != "vm":
            told |= {f"{form} {name}": member for name, member in members.items() if member != []}
    return told


@pytest.mark.parametrize(("name", "original"), BY_WAY_OF_SECURITY_HUB)
def test_every_fact_reads_as_in_inspectors_own_form(name: str, original: str) -> None:
    own = only(read(original))
    there = next(each for each in parse(read(name)).findings if each.arn == own.arn)

    without = {"inspector_score": None, "source_url": None} if "ocsf" in there.extra else {}
    assert facts(there) == facts(own) | without
    assert CaseKey.of(there, "any") == CaseKey.of(own, "any")


@pytest.mark.parametrize(("name", "original"), BY_WAY_OF_SECURITY_HUB)
def test_it_is_written_in_inspectors_form_and_read_back_as_it_was(name: str, original: str) -> None:
    for finding in parse(read(name)).findings:
        assert read_finding(json.loads(json.dumps(to_detail(finding)))) == finding


def test_what_inspector_has_no_member_for_is_kept_as_it_was_sent() -> None:
    sent = asff() | {"Confidence": 99, "Note": {"Text": "seen"}}
    kept = only(sent).extra["securityHub"]

    gone = {"Id", "AwsAccountId", "Title", "Description", "Remediation", "Resources", "Vulnerabilities"}
    gone |= {"FirstObservedAt", "LastObservedAt", "UpdatedAt"}
    assert kept == {name: member for name, member in sent.items() if name not in gone}

    kept = only(ocsf() | {"unmapped": {"a": 1}}).extra["ocsf"]
    assert kept["unmapped"] == {"a": 1}
    assert kept["metadata"] == ocsf()["metadata"]
    assert kept["vulnerabilities"] == [
        {
            "cve": {},
            "fix_coverage": "Complete",
            "fix_coverage_id": 1,
            "is_exploit_available": True,
            "is_fix_available": True,
        }
    ]


def test_products_of_others_and_other_clouds_are_set_aside_by_name() -> None:
    assert [
        (each.code, each.kind, each.reason.partition(",")[0]) for each in parse(read("security_hub_findings")).set_aside
    ] == [
        ("other-product", "security-hub-finding", "a finding of 'GuardDuty'"),
        ("other-product", "security-hub-finding", "a finding of 'Inspector Classic'"),
        ("other-cloud", "security-hub-finding", "the finding is on 'Other'"),
    ]
    assert [
        (each.code, each.kind, each.reason.partition(",")[0]) for each in parse(read("ocsf_findings")).set_aside
    ] == [
        ("other-product", "ocsf-finding", "a finding of 'Security Hub Exposure Detection'"),
        ("other-cloud", "ocsf-finding", "the finding is on 'Microsoft.Compute/virtualMachines'"),
    ]


@pytest.mark.parametrize(
    "sent",
    [
        changed(asff(), "ProductArn", "arn:aws:securityhub:eu-west-1:210987654321:product/210987654321/default"),
        changed(asff(), "ProductArn", "arn:aws:securityhub:eu-west-1::product/aws/inspector-like"),
        changed(asff(), "ProductArn", 7),
        changed(ocsf(), "metadata.product.uid", "arn:aws:securityhub:eu-west-1::productv2/aws/guardduty"),
        changed(ocsf(), "metadata.product.uid", ...),
        changed(ocsf(), "metadata.product", "Inspector"),
    ],
)
def test_whoever_calls_himself_inspector_is_not_for_that(sent: dict[str, Any]) -> None:
    delivery = parse(sent)

    assert delivery.findings == ()
    (aside,) = delivery.set_aside
    assert (aside.code, aside.resource, aside.account) == ("other-product", "i-0a1b2c3d4e5f60718", "210987654321")


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_inspector_is_inspector_in_every_partition(partition: str) -> None:
    product = f"arn:{partition}:securityhub:eu-west-1::product/aws/inspector"

    assert only(changed(asff(), "ProductArn", product)).arn == only(asff()).arn
    assert only(changed(ocsf(), "metadata.product.uid", product)).arn == only(ocsf()).arn


@pytest.mark.parametrize(
    "sent",
    [
        changed(asff(), "Resources.0.Provider", "Azure"),
        changed(asff(), "Resources.0.Provider", "GCP"),
        changed(asff(), "Resources.0.Partition", "AzureCloud"),
        changed(asff(), "Resources.0.Id", "/subscriptions/1/providers/microsoft.compute/virtualmachines/vm"),
        changed(asff(), "Resources.0.Id", "//compute.googleapis.com/projects/p/instances/1"),
        changed(ocsf(), "resources.0.provider", "Azure"),
        changed(ocsf(), "cloud.provider", "Azure"),
        changed(ocsf(), "resources.0.cloud_partition", "AzureCloud"),
        changed(ocsf(), "resources.0.type", "Microsoft.Compute/virtualMachines"),
    ],
)
def test_any_word_of_another_cloud_is_enough(sent: dict[str, Any]) -> None:
    delivery = parse(sent)

    assert (delivery.findings, [each.code for each in delivery.set_aside]) == ((), ["other-cloud"])


@pytest.mark.parametrize(
    ("kind", "sent", "known", "name"),
    [
        ("AwsEc2Instance", "arn:aws:ec2:eu-west-1:210987654321:instance/i-0a1b", "AWS_EC2_INSTANCE", "i-0a1b"),
        ("AwsEc2Instance", "arn:aws-cn:ec2:cn-north-1:210987654321:i-0a1b", "AWS_EC2_INSTANCE", "i-0a1b"),
        ("AwsEc2Instance", "i-0a1b", "AWS_EC2_INSTANCE", "i-0a1b"),
        ("AwsEcrContainerImage", f"{ROOT}/{DIGEST}", "AWS_ECR_CONTAINER_IMAGE", f"{ROOT}/{DIGEST}"),
        ("AwsEcrContainerImage", f"{ROOT}@{DIGEST}", "AWS_ECR_CONTAINER_IMAGE", f"{ROOT}/{DIGEST}"),
        ("AwsEcrRepository", ROOT, "AWS_ECR_REPOSITORY", ROOT),
        ("AwsLambdaFunction", FUNCTION, "AWS_LAMBDA_FUNCTION", f"{FUNCTION}:$LATEST"),
        ("AwsLambdaFunction", f"{FUNCTION}:7", "AWS_LAMBDA_FUNCTION", f"{FUNCTION}:7"),
        ("AwsSomethingNew", "arn:aws:new:eu-west-1:210987654321:thing/1", "AwsSomethingNew", ...),
    ],
)
def test_a_resource_is_named_as_inspector_names_it(kind: str, sent: str, known: str, name: str) -> None:
    expected = (known, sent if name is ... else name)
    for finding in (
        only(changed(changed(asff(), "Resources.0.Type", kind), "Resources.0.Id", sent)),
        only(changed(changed(ocsf(), "resources.0.type", kind), "resources.0.uid", sent)),
    ):
        assert (finding.resource.type, finding.resource.id) == expected


def test_an_image_is_known_by_its_digest_where_only_the_details_tell_it() -> None:
    sent = changed(asff(), "Resources.0", {"Type": "AwsEcrContainerImage", "Id": ROOT})
    sent["Resources"][0]["Details"] = {"AwsEcrContainerImage": {"ImageDigest": DIGEST}}
    assert only(sent).resource.id == f"{ROOT}/{DIGEST}"

    sent = changed(ocsf(), "resources.0.uid", ROOT)
    sent["resources"][0]["data"] = {"awsEcrContainerImageDetails": {"imageHash": DIGEST}}
    assert only(sent).resource.id == f"{ROOT}/{DIGEST}"


def statuses(*changes: tuple[str, object]) -> Callable[[dict[str, Any]], str]:
    def status(sent: dict[str, Any]) -> str:
        for path, value in changes:
            sent = changed(sent, path, value)
        return only(sent).status

    return status


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ((), "ACTIVE"),
        ((("Workflow.Status", "NOTIFIED"),), "ACTIVE"),
        ((("RecordState", "ARCHIVED"),), "CLOSED"),
        ((("RecordState", "ARCHIVED"), ("ProductFields.aws/inspector/FindingStatus", "SUPPRESSED")), "SUPPRESSED"),
        ((("Workflow.Status", "SUPPRESSED"),), "SUPPRESSED"),
        ((("Workflow.Status", "RESOLVED"),), "CLOSED"),
        ((("ProductFields.aws/inspector/FindingStatus", "CLOSED"),), "CLOSED"),
        ((("ProductFields", {}), ("Workflow", {})), "ACTIVE"),
        ((("RecordState", ...), ("Workflow", ...)), "ACTIVE"),
        ((("RecordState", "PARKED"),), "PARKED"),
        ((("Workflow.Status", "PONDERED"),), "PONDERED"),
    ],
)
def test_a_status_of_asff_is_inspectors(changes: tuple[tuple[str, object], ...], expected: str) -> None:
    assert statuses(*changes)(asff()) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ((), "ACTIVE"),
        ((("status_id", 2),), "ACTIVE"),
        ((("status_id", 3),), "SUPPRESSED"),
        ((("status_id", 4),), "CLOSED"),
        ((("status_id", 5),), "CLOSED"),
        ((("status_id", 6),), "CLOSED"),
        ((("activity_id", 3),), "CLOSED"),
        ((("activity_name", "Close"),), "CLOSED"),
        ((("status_id", ...), ("status", ...)), "ACTIVE"),
        ((("status_id", 99), ("status", "Pondered")), "PONDERED"),
        ((("status_id", 77), ("status", ...)), "OCSF 77"),
    ],
)
def test_a_status_of_ocsf_is_inspectors(changes: tuple[tuple[str, object], ...], expected: str) -> None:
    assert statuses(*changes)(ocsf()) == expected


def test_the_severity_is_what_inspector_said_and_not_what_was_made_of_it() -> None:
    assert only(changed(asff(), "Severity.Label", "LOW")).severity == "CRITICAL"
    assert only(changed(changed(asff(), "FindingProviderFields", ...), "Severity.Label", "LOW")).severity == "LOW"
    assert only(changed(ocsf(), "severity", "Low")).severity == "CRITICAL"
    assert only(changed(changed(ocsf(), "vendor_attributes", ...), "severity", "Ghastly")).severity == "GHASTLY"


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (changed(asff(), "Vulnerabilities.0.CodeVulnerabilities", [{"Cwes": ["CWE-798"]}]), "CODE_VULNERABILITY"),
        (changed(changed(asff(), "Vulnerabilities", ...), "Network", {"Protocol": "TCP"}), "NETWORK_REACHABILITY"),
        (changed(changed(asff(), "Vulnerabilities", ...), "Types", ["a/b/Something New"]), "a/b/Something New"),
        (changed(changed(asff(), "Vulnerabilities", []), "Types", ...), "UNKNOWN"),
        (changed(ocsf(), "vulnerabilities.0.affected_code", [{"file": {"path": "a.py"}}]), "CODE_VULNERABILITY"),
        (
            changed(changed(ocsf(), "vulnerabilities", ...), "finding_info.types", ["a/Network Reachability"]),
            "NETWORK_REACHABILITY",
        ),
        (changed(changed(ocsf(), "vulnerabilities", ...), "finding_info.types", ["New"]), "New"),
        (changed(changed(ocsf(), "vulnerabilities", ...), "finding_info.types", ...), "UNKNOWN"),
    ],
)
def test_what_is_not_of_a_package_has_its_own_type_and_names_no_package(sent: dict[str, Any], expected: str) -> None:
    finding = only(sent)

    assert (finding.type, finding.vulnerability_id, finding.packages) == (expected, None, ())


def test_unknown_words_are_kept() -> None:
    for finding in (
        only(changed(asff(), "Vulnerabilities.0.VulnerablePackages.0.PackageManager", "BREW")),
        only(changed(ocsf(), "vulnerabilities.0.affected_packages.0.package_manager", "BREW")),
    ):
        assert finding.packages[0].manager == "BREW"
    assert only(changed(asff(), "Vulnerabilities.0.FixAvailable", "SOON")).fix_available == "SOON"
    assert only(changed(asff(), "Vulnerabilities.0.ExploitAvailable", "SOON")).extra["exploitAvailable"] == "SOON"
    assert only(changed(asff(), "ProductFields.aws/inspector/inspectorScore", "n/a")).inspector_score is None
    package = only(changed(asff(), "Vulnerabilities.0.VulnerablePackages.0.Novel", 1)).packages[0]
    assert package.extra == {"novel": 1}


def test_a_time_of_ocsf_is_its_text_or_its_milliseconds() -> None:
    expected = only(ocsf())
    bare = ocsf()
    for name in ("created_time", "first_seen_time", "last_seen_time", "modified_time"):
        del bare["finding_info"][f"{name}_dt"]
    del bare["vulnerabilities"][0]["exploit_last_seen_time_dt"]
    del bare["vulnerabilities"][0]["cve"]["created_time_dt"]

    assert only(bare).model_dump(exclude={"extra"}) == expected.model_dump(exclude={"extra"})
    for name in ("first_seen_time", "last_seen_time"):
        del bare["finding_info"][name]
    assert only(bare).model_dump(exclude={"extra"}) == expected.model_dump(exclude={"extra"})


def test_a_time_of_asff_that_inspector_did_not_give_is_when_it_was_made_or_changed() -> None:
    sent = asff() | {"CreatedAt": "2026-03-01T00:00:00Z", "UpdatedAt": "2026-03-03T00:00:00Z"}
    del sent["FirstObservedAt"], sent["LastObservedAt"]

    finding = only(sent)
    moments = (finding.first_observed_at, finding.last_observed_at, finding.updated_at)
    assert [moment.isoformat()[:10] for moment in moments] == ["2026-03-01", "2026-03-03", "2026-03-03"]


def test_no_fix_is_no_version_and_the_second_vulnerability_is_kept() -> None:
    assert (
        only(changed(asff(), "Vulnerabilities.0.VulnerablePackages.0.FixedInVersion", "NotAvailable"))
        .packages[0]
        .fixed_in
        is None
    )
    second = {"Id": "CVE-2026-10009"}
    assert only(changed(asff(), "Vulnerabilities", [*asff()["Vulnerabilities"], second])).extra["securityHub"][
        "Vulnerabilities"
    ] == [second]
    second = {"cve": {"uid": "CVE-2026-10009"}}
    sent = changed(ocsf(), "vulnerabilities", [*ocsf()["vulnerabilities"], second])
    assert only(sent).extra["ocsf"]["vulnerabilities"][1:] == [second]


def test_one_that_cannot_be_read_is_set_aside_at_its_member_with_what_is_known_of_it() -> None:
    broken = changed(asff(), "Vulnerabilities.0.VulnerablePackages.0.Version", ...)
    delivery = parse({"Findings": [broken, changed(ocsf(), "finding_info.uid", ...), asff()]})

    assert delivery.findings == (only(asff()),)
    assert [(each.code, each.kind, each.resource) for each in delivery.set_aside] == [
        ("malformed-finding", "security-hub-finding", "i-0a1b2c3d4e5f60718"),
        ("malformed-finding", "ocsf-finding", "i-0a1b2c3d4e5f60718"),
    ]
    place = "$.Findings[0], put into Inspector's form, $.packageVulnerabilityDetails.vulnerablePackages[0].version: is"
    assert place in delivery.set_aside[0].reason


def test_a_list_of_security_hub_that_goes_on_elsewhere_says_so() -> None:
    assert [each.code for each in parse({"Findings": [asff()], "NextToken": "more"}).set_aside] == ["partial-list"]


@pytest.mark.parametrize("name", ["security_hub_event", "security_hub_ocsf_event"])
def test_an_event_without_its_list_of_findings_is_refused(name: str) -> None:
    with pytest.raises(Exception, match=r"\$\.detail\.findings is missing or is not a list"):
        parse(read(name) | {"detail": {}})


def test_an_image_scanned_on_demand_is_set_aside_in_every_form() -> None:
    arn = "arn:aws:inspector2:eu-west-1:210987654321:finding/ondemand/" + "ab" * 16 + "/" + "0a" * 16
    for sent in (changed(asff(), "Id", arn), changed(ocsf(), "finding_info.uid", arn)):
        assert [each.kind for each in parse(sent).set_aside] == ["inspector-on-demand-finding"]
