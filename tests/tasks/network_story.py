"""A port that is open to the internet, from its finding to its verdict, with the product's own tasks on the sandbox."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

from deployments.sandbox import events, inspector, network_scanning
from deployments.sandbox.furnish_network import NetworkOptions, furnish_network
from deployments.sandbox.world import Finding
from runbooks.case import CaseKey
from runbooks.catalog import Catalog
from runbooks.event import read_payload
from runbooks.plan import Phase, Plan
from runbooks.records import ResponseEnded
from runbooks.verdict import Verdict
from tasks.triage import Triaged, already_triaged, triage_cases
from tasks.verdicts import verdicts_on
from tasks.verifying import Verified, look_for_verdict
from tests.tasks.conftest import OpenHouse
from tests.tasks.gateways.aws_world import ACCOUNT, REGION
from tests.tasks.harness import House
from tests.tasks.harness import Run as HouseRun
from tests.tasks.playing import Playing

INSTANCE = "i-0c1d2e3f4a5b6c7d8"
TWELVE_HOURS = 43_200
RULE_PARTS = ("IsEgress", "IpProtocol", "FromPort", "ToPort", "CidrIpv4", "CidrIpv6", "Description")


def furnished(open_house: OpenHouse, **options: Any) -> House:
    """A house with one open port, whose finding has arrived."""
    house = open_house(runbook=Catalog.read().named("network-reachability"))
    finding_on(house, INSTANCE, **options)
    return house


def finding_on(house: House, instance: str, **options: Any) -> None:
    """An instance with one open port, whose finding has arrived."""
    chosen = NetworkOptions(account=ACCOUNT, region=REGION, instance_id=instance, **options)
    built = furnish_network(house.sandbox.cloud, chosen)
    house.built.append(built | {"bucket": "none"})
    (finding,) = read_payload(json.dumps(built["event"], default=str)).findings
    house.ledger.take_finding(CaseKey.of(finding, house.runbook.name), finding, "webhook")


def also_behind_a_balancer(house: House, port: int) -> Finding:
    """Inspector reports another port of the instance, by way of a load balancer: its finding has arrived as well."""
    cloud = house.sandbox.cloud
    with cloud.lock:
        world = cloud.world(ACCOUNT, REGION)
        node = next(each for each in world.nodes.values() if each.instance_id == INSTANCE)
        advisory = deepcopy(next(iter(network_scanning.findings_of(world, INSTANCE).values())).advisory)
        details = advisory.body["networkReachabilityDetails"]
        details["openPortRange"] = {"begin": port, "end": port}
        balancer = {"componentType": "AWS::ElasticLoadBalancingV2::LoadBalancer", "componentId": "app/shop/1"}
        details["networkPath"]["steps"].insert(1, balancer)
        arn = inspector.finding_arn(world, INSTANCE, f"balanced/{port}")
        found = inspector.open_finding(world, node, advisory, (), arn)
        event = events.finding_event(world, found)
    (finding,) = read_payload(json.dumps(event, default=str)).findings
    house.ledger.take_finding(CaseKey.of(finding, house.runbook.name), finding, "webhook")
    return found


class NetworkStory(Playing):
    """The response to it, as its flow plays it."""

    def begin(self) -> HouseRun:
        self.run = self.house.start()
        with self.running():
            self.triaged: Triaged = already_triaged() or triage_cases()
        return self.run

    def released(self) -> None:
        """The response ends as it should, and somebody asks for what it closed to be opened again."""
        ledger, cases = self.house.ledger, self.run.cases
        result = ResponseEnded(result="fixed", reason="it is closed")
        ledger.end_response(self.house.response, result, dict.fromkeys(cases, "fixed"), lease=self.run.lease)
        self.house.response = ledger.start_response(self.house.runbook.name, cases, "command:joe", purpose="release").id
        self.run = self.house.take_over()

    def looks_again(self) -> None:
        """The response ends without a proof, and the case is looked at anew."""
        ledger, cases = self.house.ledger, self.run.cases
        ledger.end_response(
            self.house.response, ResponseEnded(result="unverifiable", reason="not yet"), {}, lease=self.run.lease
        )
        self.house.response = ledger.start_response(self.house.runbook.name, cases, "command:joe", purpose="verify").id
        self.run = self.house.take_over()
        with self.running():
            triage_cases()

    def looked(self) -> Verified:
        with self.running():
            return look_for_verdict()

    def verdict(self, plan: Plan) -> Verdict:
        row = self.have.ledger.response(self.house.response)
        assert row is not None
        (verdict,) = verdicts_on(self.have, row, plan).values()
        return verdict

    def advance(self, seconds: float) -> None:
        """Let time pass, while the run lives on."""
        self.house.sandbox.advance(seconds)
        self.run = self.house.take_over(after_a_death=True)


def remediated(playing: NetworkStory) -> Plan:
    """The plan, carried out."""
    assert playing.phase(Phase.REMEDIATE).result == "done"
    assert playing.phase(Phase.VERIFY).result == "not-needed"
    (plan,) = playing.asked
    return plan


def rules_of(house: House, group: str) -> list[dict[str, Any]]:
    """What the group lets through, with descriptions and tags, in an order of its own."""
    raws = house.client("ec2").describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])
    found = [
        {part: raw[part] for part in RULE_PARTS if part in raw}
        | {
            "Tags": {
                tag["Key"]: tag["Value"] for tag in raw.get("Tags", ()) if not tag["Key"].startswith("remediation-")
            }
        }
        for raw in raws["SecurityGroupRules"]
    ]
    return sorted(found, key=lambda rule: json.dumps(rule, sort_keys=True))


def reaching(house: House, group: str, port: int) -> set[str]:
    """Who gets to a TCP port by the group's own rules."""
    return {
        raw.get("CidrIpv4") or raw.get("CidrIpv6", "")
        for raw in rules_of(house, group)
        if not raw["IsEgress"]
        and raw["IpProtocol"] in ("tcp", "-1")
        and (raw["FromPort"] == -1 or raw["FromPort"] <= port <= raw["ToPort"])
    }


def story(open_house: OpenHouse, folder: Path, **options: Any) -> NetworkStory:
    return NetworkStory(furnished(open_house, **options), folder)
