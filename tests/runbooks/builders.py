"""Values for tests: each with what every test would write anyway, so that a test says only what it is about.

The default is one story: checkout-7, an Ubuntu instance in an Auto Scaling group behind a load balancer, open to the
internet on port 443, with a libssl3 that has a known exploit. It can be contained, patched under quarantine, proven
fixed and released.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Literal

from runbooks.case import CaseKey
from runbooks.catalog import Catalog
from runbooks.definition import Runbook
from runbooks.facts import CaseFacts
from runbooks.finding import Finding, Resource, VulnerablePackage
from runbooks.instance import (
    AutoScalingMembership,
    Endpoint,
    Exploitation,
    InstalledPackage,
    Instance,
    InstanceFacts,
    Interface,
    Inventory,
    ManagedNode,
    Rule,
    SecurityGroup,
    Subnet,
    TargetRegistration,
    Volume,
)
from runbooks.plan import Plan
from runbooks.planning.containment import plan_containment
from runbooks.planning.release import plan_release
from runbooks.planning.remediation import plan_remediation
from runbooks.planning.verification import plan_verification
from runbooks.records import (
    Decision,
    Intent,
    Outcome,
)
from runbooks.steps import (
    AnyStep,
    Target,
)
from runbooks.triage import Assessment, assess
from runbooks.verdict import Coverage, Evidence, Verdict, VerdictKind

ACCOUNT, REGION = "210987654321", "eu-west-1"
INSTANCE_ID = "i-0a1b2c3d4e5f60718"
RUNBOOK = "ec2-high-severity-cve"
RESPONSE = "response-0001"
VPC, SUBNET, IMAGE = "vpc-0feedc0de", "subnet-0feedc0de", "ami-00c0ffee00c0ffee0"
ASSOCIATION = "00000000-0000-4000-8000-00000000a550"
BUCKET = "patches-{account}-{region}"
MIRROR = "10.0.9.0/24"

DISCLOSED = datetime(2026, 2, 27, 20, 15, tzinfo=UTC)
LAUNCHED = datetime(2026, 3, 2, 8, 50, tzinfo=UTC)
FIRST_SEEN = datetime(2026, 3, 2, 9, 15, 30, tzinfo=UTC)
RECEIVED = datetime(2026, 3, 2, 9, 16, tzinfo=UTC)
"""When the default story begins."""

NO_LIMITS = {
    "maximum_cases_at_once": 1000,
    "maximum_cases_per_hour": 10_000,
    "maximum_share_of_auto_scaling_group": 100,
    "maximum_share_of_target_group": 100,
    "maximum_share_of_environment": 100,
}
"""For tests that are about something else."""

OutcomeStatus = Literal["done", "already-done", "in-progress", "failed", "drifted", "refused"]


def after(minutes: float) -> datetime:
    """So many minutes into the default story."""
    return RECEIVED + timedelta(minutes=minutes)


# --- findings and cases ----------------------------------------------------------------------------------------------


def a_case_key(resource_id: str = INSTANCE_ID, **changes: Any) -> CaseKey:
    values: dict[str, Any] = {
        "runbook": RUNBOOK,
        "account": ACCOUNT,
        "region": REGION,
        "resource_type": "AWS_EC2_INSTANCE",
        "resource_id": resource_id,
    }
    return CaseKey(**(values | changes))


CASE = a_case_key().id


def a_package(**changes: Any) -> VulnerablePackage:
    values: dict[str, Any] = {
        "name": "libssl3",
        "version": "3.0.2",
        "release": "0ubuntu1.90",
        "arch": "X86_64",
        "fixed_in": "3.0.2-0ubuntu1.99",
    }
    return VulnerablePackage(**(values | changes))


def a_resource(instance_id: str = INSTANCE_ID, **changes: Any) -> Resource:
    values: dict[str, Any] = {
        "type": "AWS_EC2_INSTANCE",
        "id": instance_id,
        "account": ACCOUNT,
        "region": REGION,
        "tags": {"Name": "checkout-7"},
        "details": {"awsEc2Instance": {"imageId": IMAGE, "launchedAt": LAUNCHED.isoformat()}},
    }
    return Resource(**(values | changes))


def a_finding(number: int = 1, **changes: Any) -> Finding:
    """A CRITICAL package vulnerability. `number` makes another ARN and another CVE."""
    vulnerability = changes.get("vulnerability_id", f"CVE-2026-{10000 + number}")
    values: dict[str, Any] = {
        "arn": f"arn:aws:inspector2:{REGION}:{ACCOUNT}:finding/{number:032x}",
        "type": "PACKAGE_VULNERABILITY",
        "status": "ACTIVE",
        "severity": "CRITICAL",
        "title": f"{vulnerability} - libssl3",
        "vulnerability_id": vulnerability,
        "resource": a_resource(),
        "packages": (a_package(),),
        "inspector_score": 9.1,
        "epss": 0.42,
        "exploit_available": True,
        "fix_available": "YES",
        "source_url": f"https://vendor.example/{vulnerability}",
        "published_at": DISCLOSED,
        "first_observed_at": FIRST_SEEN,
        "last_observed_at": FIRST_SEEN,
        "updated_at": FIRST_SEEN,
    }
    return Finding(**(values | changes))


# --- the instance and what is around it ------------------------------------------------------------------------------


def an_interface(**changes: Any) -> Interface:
    values: dict[str, Any] = {
        "id": "eni-0000000000000000a",
        "device_index": 0,
        "subnet": SUBNET,
        "vpc": VPC,
        "groups": ("sg-0web", "sg-0base"),
        "private_address": "10.20.3.14",
        "public_address": "203.0.113.7",
    }
    return Interface(**(values | changes))


def an_auto_scaling_membership(**changes: Any) -> AutoScalingMembership:
    values: dict[str, Any] = {
        "group": "checkout",
        "lifecycle_state": "InService",
        "minimum": 1,
        "maximum": 6,
        "desired": 3,
        "launch_template": "lt-0feedc0de",
        "launch_template_version": "7",
        "image": IMAGE,
    }
    return AutoScalingMembership(**(values | changes))


def a_target_registration(**changes: Any) -> TargetRegistration:
    values: dict[str, Any] = {
        "target_group": f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/checkout/0123456789abcdef",
        "port": 443,
        "load_balancer": f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/app/shop/0123456789abcdef",
        "internet_facing": False,
    }
    return TargetRegistration(**(values | changes))


def an_instance(instance_id: str = INSTANCE_ID, **changes: Any) -> Instance:
    values: dict[str, Any] = {
        "account": ACCOUNT,
        "region": REGION,
        "id": instance_id,
        "state": "running",
        "image": IMAGE,
        "type": "m7i.large",
        "profile": f"arn:aws:iam::{ACCOUNT}:instance-profile/checkout",
        "tags": {"Name": "checkout-7"},
        "interfaces": (an_interface(),),
        "volumes": (Volume(id="vol-0000000000000000a", device="/dev/sda1", delete_on_termination=True),),
        "auto_scaling": an_auto_scaling_membership(),
        "targets": (a_target_registration(),),
    }
    return Instance(**(values | changes))


def a_rule(port: int | None = 443, peer: str = "0.0.0.0/0", protocol: str = "tcp") -> Rule:
    return Rule(protocol=protocol, from_port=port, to_port=port, peer=peer)


def a_security_group(group_id: str = "sg-0web", *ingress: Rule) -> SecurityGroup:
    return SecurityGroup(id=group_id, name=group_id.removeprefix("sg-0"), vpc=VPC, ingress=ingress)


def a_subnet(**changes: Any) -> Subnet:
    values: dict[str, Any] = {"id": SUBNET, "vpc": VPC, "internet_gateway": "igw-0feedc0de"}
    return Subnet(**(values | changes))


def endpoints() -> tuple[Endpoint, ...]:
    """All that patching under quarantine needs: the three of Systems Manager, and S3."""
    interfaces = tuple(
        Endpoint(id=f"vpce-0{service}", service=service, kind="Interface", groups=("sg-0endpoints",))
        for service in ("ssm", "ssmmessages", "ec2messages")
    )
    return (*interfaces, Endpoint(id="vpce-0s3", service="s3", kind="Gateway", prefix_list="pl-0s3"))


def an_inventory(version: str = "3.0.2-0ubuntu1.90", name: str = "libssl3") -> Inventory:
    return Inventory(packages=(InstalledPackage(name=name, version=version, architecture="amd64"),))


def instance_facts(instance: Instance | None = None, **changes: Any) -> InstanceFacts:
    """`instance=None` among the changes makes it gone; left out, it is the default one."""
    values: dict[str, Any] = {
        "instance": instance or an_instance(),
        "groups": (a_security_group("sg-0web", a_rule(443)), a_security_group("sg-0base")),
        "subnets": (a_subnet(),),
        "endpoints": endpoints(),
        "node": ManagedNode(ping_status="Online", platform_name="Ubuntu", platform_version="22.04"),
        "inventory": an_inventory(),
        "platform": "UBUNTU_22_04",
    }
    return InstanceFacts(**(values | changes))


def case_facts(*findings: Finding, case: str = CASE, **changes: Any) -> CaseFacts:
    values: dict[str, Any] = {
        "case": case,
        "findings": findings or (a_finding(),),
        "exploitation": Exploitation(exploit_available=True, epss=0.42),
        "resource": instance_facts(),
    }
    return CaseFacts(**(values | changes))


# --- the runbook, triage and plans -----------------------------------------------------------------------------------


def a_runbook(**changes: Any) -> Runbook:
    """The shipped runbook for high-severity CVEs, with a package mirror, and with limits that many cases pass.

    `changes` are merged into its sections.

    `a_runbook(contain={"stop": True})` changes that one choice and leaves the rest of the section.
    """
    values = _shipped().model_dump()
    values["contain"]["quarantine"]["package_mirrors"] = (MIRROR,)
    values["limits"] |= NO_LIMITS
    return Runbook.model_validate(_merged(values, changes))


@cache
def _shipped() -> Runbook:
    return Catalog.read().named(RUNBOOK)


def an_assessment(facts: CaseFacts | None = None, runbook: Runbook | None = None) -> Assessment:
    return assess(facts or case_facts(), runbook or a_runbook())


def assessments(number: int, runbook: Runbook | None = None) -> tuple[Assessment, ...]:
    """That many cases, each of an instance of its own, alike but for their ids."""
    return tuple(an_assessment(_numbered(each), runbook) for each in range(1, number + 1))


def keys_of(*each: Assessment) -> dict[str, CaseKey]:
    """Case id -> key, as those who tell want it; of the default case when none is named."""
    if not each:
        return {CASE: a_case_key()}
    return {one.case: a_case_key(one.facts.findings[0].resource.id) for one in each}


def a_contain_plan(*each: Assessment, runbook: Runbook | None = None, **changes: Any) -> Plan:
    """The real plan for these assessments, of the default case when none is given."""
    chosen = runbook or a_runbook()
    plan = plan_containment(RESPONSE, chosen, each or (an_assessment(runbook=chosen),))
    return plan.model_copy(update=changes)


def a_remediate_plan(*each: Assessment, runbook: Runbook | None = None, **changes: Any) -> Plan:
    chosen = runbook or a_runbook()
    given = each or (an_assessment(runbook=chosen),)
    return plan_remediation(RESPONSE, chosen, given, bucket=BUCKET, contained=True).model_copy(update=changes)


def a_verify_plan(*each: Assessment, runbook: Runbook | None = None) -> Plan:
    chosen = runbook or a_runbook()
    place = {f"{ACCOUNT}/{REGION}": ASSOCIATION}
    return plan_verification(RESPONSE, chosen, each or (an_assessment(runbook=chosen),), place)


def a_release_plan(contained: Plan, outcomes: Mapping[str, Outcome] | None = None, **choices: Any) -> Plan:
    """What puts `contained` back, as if each of its steps had been done where no outcomes are given."""
    done = outcomes if outcomes is not None else outcomes_of(contained)
    settings: dict[str, Any] = {"by_itself": True} | choices
    operations = {outcome.operation: outcome for outcome in done.values()}
    return plan_release(a_runbook(), (contained,), operations, contained.cases, response=RESPONSE, **settings)


def a_target(kind: str = "instance", identifier: str = INSTANCE_ID) -> Target:
    return Target(account=ACCOUNT, region=REGION, type=kind, id=identifier)


def a_plan_of(*steps: AnyStep, **changes: Any) -> Plan:
    """A plan of exactly these steps, of any kinds."""
    plan = a_contain_plan()
    return plan.model_copy(update={"steps": steps} | changes)


# --- what was answered, done and proven ------------------------------------------------------------------------------


def a_decision(plan: Plan, answer: str = "approved", **changes: Any) -> Decision:
    values: dict[str, Any] = {
        "digest": plan.digest,
        "attempt": 1,
        "answer": answer,
        "approver": "jane@corp.example",
        "channel": "prefect",
    }
    return Decision(**(values | changes))


def an_outcome(plan: Plan, step: AnyStep, status: OutcomeStatus = "done", **changes: Any) -> Outcome:
    values: dict[str, Any] = {
        "operation": plan.operation(step),
        "action": step.kind,
        "subject": step.key,
        "digest": plan.digest,
        "status": status,
    }
    return Outcome(**(values | changes))


def an_intent(plan: Plan, step: AnyStep) -> Intent:
    return Intent(operation=plan.operation(step), action=step.kind, subject=step.key, digest=plan.digest, epoch=1)


def outcomes_of(plan: Plan, *statuses: OutcomeStatus) -> dict[str, Outcome]:
    """Step key -> outcome: these statuses for the first steps, all done when none is named."""
    chosen = statuses or ("done",) * len(plan.steps)
    return {step.key: an_outcome(plan, step, status) for step, status in zip(plan.steps, chosen, strict=False)}


def evidence(**changes: Any) -> Evidence:
    """A scan and an inventory after the patch, which agree that it is fixed."""
    values: dict[str, Any] = {
        "resource": INSTANCE_ID,
        "platform": "UBUNTU_22_04",
        "findings": {a_finding().arn: "CLOSED"},
        "coverage": Coverage(status="ACTIVE", reason="SUCCESSFUL", last_scanned_at=after(40)),
        "installed": {"libssl3": "3.0.2-0ubuntu1.99"},
        "inventory_captured_at": after(39),
    }
    return Evidence(**(values | changes))


def a_verdict(kind: VerdictKind = VerdictKind.FIXED, *reasons: str, case: str = CASE) -> Verdict:
    default = f"libssl3 3.0.2-0ubuntu1.99 on {INSTANCE_ID} is at or after the fix 3.0.2-0ubuntu1.99"
    return Verdict(case=case, kind=kind, reasons=reasons or (default,), evidence=(evidence(),))


def _numbered(number: int) -> CaseFacts:
    instance_id = f"i-{number:017x}"
    instance = an_instance(
        instance_id, tags={"Name": f"checkout-{number}"}, interfaces=(an_interface(id=f"eni-{number:017x}"),)
    )
    finding = a_finding(number, vulnerability_id="CVE-2026-10001", resource=a_resource(instance_id))
    return case_facts(finding, case=a_case_key(instance_id).id, resource=instance_facts(instance))


def _merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(values)
    for name, change in changes.items():
        both = isinstance(change, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = _merged(merged[name], change) if both else change
    return merged
