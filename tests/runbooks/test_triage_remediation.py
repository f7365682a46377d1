"""Patched in place, replaced from a patched AMI, or handed to a person: each with what stood in the way."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks.finding import VulnerablePackage
from runbooks.instance import Exploitation, ManagedNode
from runbooks.triage import triage
from tests.runbooks.builders import (
    a_finding,
    a_package,
    a_runbook,
    an_instance,
    an_interface,
    case_facts,
    endpoints,
    instance_facts,
)

HIDDEN = an_instance(targets=(), interfaces=(an_interface(public_address=None),))
OFFLINE = ManagedNode(ping_status="ConnectionLost")
PATCHED_AMI = "ami-0patched"


def remediation(
    strategy: str = "patch-else-replace", packages: tuple[VulnerablePackage, ...] = (a_package(),), **resource: Any
) -> tuple[str, str]:
    """What is done and why, for an instance that need not be contained."""
    facts = case_facts(
        a_finding(exploit_available=None, epss=None, packages=packages),
        exploitation=Exploitation(),
        resource=instance_facts(HIDDEN, **resource),
    )
    found = triage(facts, a_runbook(remediate={"strategy": strategy}))
    return found.remediation, found.reasons[-1]


def test_what_can_be_patched_is_patched_and_what_the_runbook_replaces_is_replaced() -> None:
    assert remediation("patch")[0] == remediation("patch-else-replace")[0] == "patch"
    assert remediation("replace", replacement_image=PATCHED_AMI) == (
        "replace",
        "replace from ami-0patched: the runbook prefers it",
    )
    assert remediation("replace") == (
        "person",
        "a person must remediate: the runbook prefers it, and no patched AMI is known to replace it from",
    )


@pytest.mark.parametrize(
    ("changes", "obstacle"),
    [
        (
            {"packages": (a_package(manager="JAR"),)},
            "the operating system's package manager does not manage libssl3 (JAR)",
        ),
        ({"packages": (a_package(fixed_in=None),)}, "no fixed version of the package is published"),
        ({"node": OFFLINE}, "the SSM agent is not online (ping status ConnectionLost)"),
        ({"node": None}, "Systems Manager does not know the instance: it is not a managed node"),
        ({"platform": "SOLARIS_11"}, "Patch Manager cannot be told exactly which package to update: libssl3"),
        (
            {"packages": (a_package(arch=None),), "inventory": None},
            "Patch Manager cannot be told exactly which package to update: libssl3",
        ),
    ],
)
def test_what_cannot_be_patched_is_replaced_where_there_is_an_ami_and_handed_over_where_not(
    changes: dict[str, Any], obstacle: str
) -> None:
    assert remediation(replacement_image=PATCHED_AMI, **changes) == (
        "replace",
        f"replace from ami-0patched: {obstacle}",
    )
    no_image = f"a person must remediate: {obstacle}, and no patched AMI is known to replace it from"
    assert remediation(**changes) == ("person", no_image)
    only_patches = f"a person must remediate: {obstacle}, and the runbook only patches"
    assert remediation("patch", replacement_image=PATCHED_AMI, **changes) == ("person", only_patches)


@pytest.mark.parametrize(
    ("changes", "obstacle"),
    [
        ({"endpoints": ()}, "the VPC has no interface endpoint for ssm, ssmmessages, ec2messages"),
        (
            {"endpoints": tuple(each for each in endpoints() if each.service != "s3")},
            "the VPC has no S3 endpoint, from which the list of packages is read",
        ),
    ],
)
def test_what_cannot_be_patched_under_quarantine_stands_in_the_way_only_of_the_contained(
    changes: dict[str, Any], obstacle: str
) -> None:
    contained = triage(case_facts(resource=instance_facts(**changes)), a_runbook())
    assert (contained.contain, contained.remediation) == (True, "person")
    assert contained.reasons[-1].startswith(
        f"a person must remediate: patching cannot work under quarantine: {obstacle}"
    )
    assert contained.patchability is not None
    assert not contained.patchability.ok
    assert remediation(**changes)[0] == "patch"
