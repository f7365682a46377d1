"""The contain plan of an instance that has interfaces in several VPCs."""

from __future__ import annotations

from runbooks.instance import Endpoint, SecurityGroup
from runbooks.steps import EnsureQuarantineGroup
from tests.runbooks.builders import (
    VPC,
    a_contain_plan,
    an_assessment,
    an_instance,
    an_interface,
    case_facts,
    endpoints,
    instance_facts,
)


def test_a_quarantine_group_names_endpoints_of_its_own_vpc_alone() -> None:
    there = Endpoint(id="vpce-0there", service="ssm", kind="Interface", groups=("sg-0there",))
    away = an_interface(id="eni-away", device_index=1, vpc="vpc-0there", groups=("sg-0else",))
    known = {"sg-0web": VPC, "sg-0endpoints": VPC, "sg-0else": "vpc-0there", "sg-0there": "vpc-0there"}
    plan = a_contain_plan(
        an_assessment(
            case_facts(
                suspected="the test",
                resource=instance_facts(
                    an_instance(interfaces=(an_interface(), away)),
                    endpoints=(*endpoints(), there),
                    groups=tuple(SecurityGroup(id=each, name=each, vpc=vpc) for each, vpc in known.items()),
                ),
            )
        )
    )
    named = {
        step.vpc: {rule.peer for rule in step.egress if rule.peer.startswith("sg-")}
        for step in plan.steps
        if isinstance(step, EnsureQuarantineGroup)
    }
    assert named == {VPC: {"sg-0endpoints"}, "vpc-0there": {"sg-0there"}}
