"""A port is closed by exactly the rule that opens it, and proven closed by the path and by Inspector's next scan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runbooks.plan import Phase
from runbooks.steps import EnsureClosedGroup, ReplaceGroupRules, SwapSecurityGroups
from runbooks.telling.plan_text import plan_markdown
from runbooks.verdict import VerdictKind
from tasks.looking import SHOWS_WITHIN
from tests.runbooks.signatures import made
from tests.tasks.conftest import OpenHouse
from tests.tasks.network_story import INSTANCE, TWELVE_HOURS, reaching, remediated, rules_of, story
from tests.tasks.playing import prefect_alone

PRIVATE = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"}
OFFICE = "198.51.100.0/24"
VPC = "10.20.0.0/16"


@pytest.fixture(scope="module", autouse=True)
def prefect() -> Iterator[None]:
    with prefect_alone():
        yield


def test_a_group_of_its_own_loses_the_rule_and_keeps_office_and_network(open_house: OpenHouse, tmp_path: Path) -> None:
    playing = story(open_house, tmp_path)
    house, group = playing.house, playing.house.built[0]["group_id"]
    assert reaching(house, group, 22) == {"0.0.0.0/0", OFFICE, VPC}
    plan = remediated(playing)
    assert [type(step) for step in plan.steps] == [ReplaceGroupRules]
    assert house.mutating_calls() == ["ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"]
    assert reaching(house, group, 22) == {OFFICE, VPC, *PRIVATE}
    assert "add tcp/22 from 10.0.0.0/8" in plan_markdown(plan, keys=playing.run.keys)


def test_no_way_in_is_not_enough_until_inspector_has_looked_too(open_house: OpenHouse, tmp_path: Path) -> None:
    playing = story(open_house, tmp_path)
    plan = remediated(playing)
    waiting = playing.looked()
    assert (waiting.kind, waiting.words) == (
        None,
        f"Inspector has not evaluated the network of {INSTANCE} since the change, which it does every 12 hours",
    )
    playing.advance(TWELVE_HOURS)
    assert playing.looked().kind is VerdictKind.FIXED
    verdict = playing.verdict(plan)
    assert verdict.reasons[0] == f"nothing leads from the internet to tcp/22 of {INSTANCE} now"
    assert "after the change, and reports the way in no more" in verdict.reasons[1]


def test_a_way_that_is_opened_again_is_not_fixed_whatever_inspector_says(open_house: OpenHouse, tmp_path: Path) -> None:
    playing = story(open_house, tmp_path)
    remediated(playing)
    playing.advance(TWELVE_HOURS)
    playing.house.client("ec2").authorize_security_group_ingress(
        GroupId=playing.house.built[0]["group_id"], IpProtocol="tcp", FromPort=20, ToPort=30, CidrIp="0.0.0.0/0"
    )
    verified = playing.looked()
    assert verified.kind is VerdictKind.NOT_FIXED
    assert "the way in is still there, and Inspector has closed the finding" in verified.words


def test_an_instance_that_ends_meanwhile_is_never_called_fixed(open_house: OpenHouse, tmp_path: Path) -> None:
    playing = story(open_house, tmp_path)
    remediated(playing)
    playing.house.client("ec2").terminate_instances(InstanceIds=[INSTANCE])
    assert playing.looked().kind is None, "read right after the change, it may be the world before it"
    playing.advance(SHOWS_WITHIN.total_seconds())
    assert playing.looked().kind is VerdictKind.UNVERIFIABLE


def test_of_a_shared_group_the_instance_alone_gets_a_copy_in_the_same_place(
    open_house: OpenHouse, tmp_path: Path
) -> None:
    playing = story(open_house, tmp_path, shared=2)
    house, built = playing.house, playing.house.built[0]
    (interface, groups), before = next(iter(built["interfaces"].items())), rules_of(house, built["group_id"])
    plan = remediated(playing)
    assert [type(step) for step in plan.steps] == [EnsureClosedGroup, SwapSecurityGroups]
    copy, second = house.groups_of(interface)
    assert (copy != groups[0], second) == (True, groups[1])
    assert rules_of(house, built["group_id"]) == before
    assert [house.groups_of(each) for each in built["others"]] == [[built["group_id"]]] * 2
    assert reaching(house, copy, 22) == {OFFICE, VPC, *PRIVATE}
    kept = [rule for rule in rules_of(house, copy) if rule.get("CidrIpv4") == OFFICE]
    assert [rule["Description"] for rule in kept] == ["the office"]
    assert any(f"{built['group_id']} (web) keeps its rules" in words for words in plan.not_covered)
    playing.advance(TWELVE_HOURS)
    assert playing.looked().kind is VerdictKind.FIXED


def test_both_ip_versions_are_closed(open_house: OpenHouse, tmp_path: Path) -> None:
    playing = story(open_house, tmp_path, ipv6=True)
    remediated(playing)
    house = playing.house
    assert reaching(house, house.built[0]["group_id"], 22) == {OFFICE, VPC, *PRIVATE, "fc00::/7"}
    playing.advance(TWELVE_HOURS)
    assert playing.looked().kind is VerdictKind.FIXED


def test_a_rule_for_all_traffic_keeps_what_is_expected_and_the_rest_of_it(
    open_house: OpenHouse, tmp_path: Path
) -> None:
    playing = story(open_house, tmp_path, all_traffic=True, tags={"remediation:expected-exposure": "443"})
    house, group = playing.house, playing.house.built[0]["group_id"]
    plan = remediated(playing)
    assert "0.0.0.0/0" in reaching(house, group, 443)
    assert reaching(house, group, 22) == reaching(house, group, 444) == {OFFICE, VPC, *PRIVATE}
    assert any("a rule cannot say all but one port" in words for words in plan.not_covered)
    playing.advance(TWELVE_HOURS)
    # What is open to UDP is another finding, which has not arrived: of TCP it now reports 443 alone.
    assert playing.looked().kind is VerdictKind.FIXED


def test_what_was_changed_is_put_back_with_descriptions_and_tags(open_house: OpenHouse, tmp_path: Path) -> None:
    playing = story(open_house, tmp_path, ipv6=True)
    house, group = playing.house, playing.house.built[0]["group_id"]
    before = rules_of(house, group)
    plan = remediated(playing)
    assert rules_of(house, group) != before
    undo = plan.model_copy(
        update={
            "phase": Phase.VERIFY,
            "revision": 9,
            "code": "",
            "steps": tuple(step.undo for step in plan.steps),
            "approval": plan.approval.model_copy(update={"required": False}),
        }
    )
    run = playing.run
    run.journal.write(made(undo))
    assert set(run.approved(undo).carry_out(undo).values()) == {"done"}
    assert rules_of(house, group) == before


def test_somebody_who_was_shut_out_has_it_opened_again_and_is_asked_first(
    open_house: OpenHouse, tmp_path: Path
) -> None:
    playing = story(open_house, tmp_path, shared=2)
    house, (interface, groups) = playing.house, next(iter(playing.house.built[0]["interfaces"].items()))
    remediated(playing)
    assert house.groups_of(interface) != groups
    playing.advance(TWELVE_HOURS)
    assert playing.looked().kind is VerdictKind.FIXED
    playing.released()
    assert playing.phase(Phase.RELEASE).result == "done"
    plan = playing.asked[-1]
    assert (plan.approval.required, [step.undoes for step in plan.steps]) == (True, [True])
    assert "AND SO DOES THE INTERNET" in plan.reasons[0]
    assert house.groups_of(interface) == groups
    # Put back once, there is nothing more to put back.
    playing.released()
    assert playing.phase(Phase.RELEASE).result == "not-needed"


def test_expected_exposure_is_accepted_and_nothing_is_changed(open_house: OpenHouse, tmp_path: Path) -> None:
    playing = story(open_house, tmp_path, ports=(443, 443), tags={"remediation:expected-exposure": "80, 443"})
    (assessment,) = playing.triaged.assessments
    assert (assessment.triage.decision, assessment.triage.code) == ("nothing-to-do", "expected-exposure")
    assert assessment.triage.reasons[-1] == (
        "tcp/443 is meant to be open: its owner's tag remediation:expected-exposure=80, 443 says so"
    )
    assert playing.house.mutating_calls() == []


def test_a_shared_group_that_other_rules_name_is_for_a_person(open_house: OpenHouse, tmp_path: Path) -> None:
    playing = story(open_house, tmp_path, shared=1, referenced=True)
    (assessment,) = playing.triaged.assessments
    assert (assessment.triage.decision, assessment.triage.code) == ("person", "referenced")
    assert playing.house.built[0]["referenced_by"] in assessment.triage.reasons[-1]
