"""Which cases one response is over, how long they wait for one another, and what of a finding is only an echo."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from runbooks.facts import SUSPICION_TAG
from runbooks.grouping import Candidate, GroupKey, Pause, gist, group_key, is_hasty, settled
from tests.runbooks.builders import a_case_key, a_finding, a_package, a_resource, a_runbook, after

SECOND = timedelta(seconds=1)


def key(*findings: Any, **changes: Any) -> GroupKey:
    return group_key(a_case_key(**changes), findings or (a_finding(),), a_runbook())


def with_packages(number: int, *names: str, **changes: Any) -> Any:
    return a_finding(number, packages=tuple(a_package(name=name) for name in names), **changes)


def with_details(**instance: Any) -> Any:
    return a_finding(resource=a_resource(details={"awsEc2Instance": instance}))


# --- the key ---------------------------------------------------------------------------------------------------------


def test_the_key_says_where_and_what_would_be_done() -> None:
    assert key() == GroupKey(
        runbook="ec2-high-severity-cve",
        account="210987654321",
        region="eu-west-1",
        environment="unknown",
        remediation="AWS-RunPatchBaseline libssl3",
    )


def test_instances_with_the_same_packages_join_whatever_the_findings_and_their_order() -> None:
    one = key(with_packages(1, "zlib1g"), with_packages(2, "libssl3"))
    other = key(with_packages(3, "libssl3", "zlib1g"), with_packages(4, "libssl3"), resource_id="i-0b")
    assert one == other
    assert one.digest == other.digest


@pytest.mark.parametrize(
    "other",
    [
        key(with_packages(1, "libssl3", "zlib1g")),
        key(account="999988887777"),
        key(region="eu-west-2"),
        key(a_finding(resource=a_resource(tags={"environment": "production"}))),
        group_key(a_case_key(), (a_finding(),), a_runbook(remediate={"document": "AWS-RunPatchBaselineAssociation"})),
        group_key(a_case_key(), (a_finding(),), a_runbook(remediate={"strategy": "replace"})),
        group_key(a_case_key(), (a_finding(),), a_runbook(), "command:jdoe"),
    ],
)
def test_another_package_place_environment_action_or_asker_is_another_group(other: GroupKey) -> None:
    assert (other != key(), other.digest != key().digest) == (True, True)


@pytest.mark.parametrize("status", ["CLOSED", "SUPPRESSED"])
def test_what_is_over_asks_for_nothing(status: str) -> None:
    over = with_packages(2, "zlib1g", status=status, resource=a_resource(tags={"environment": "production"}))
    assert key(a_finding(), over) == key()


def test_the_environment_is_that_of_the_runbooks_tag() -> None:
    tagged = a_finding(resource=a_resource(tags={"stage": "canary", "environment": "production"}))
    runbook = a_runbook(limits={"environment_tag": "stage"})
    assert group_key(a_case_key(), (tagged,), runbook).environment == "canary"


def test_where_instances_are_replaced_those_of_one_image_join() -> None:
    runbook = a_runbook(remediate={"strategy": "replace"})
    old, new = (with_details(imageId=image) for image in ("ami-old", "ami-new"))
    assert group_key(a_case_key(), (old,), runbook).remediation == "replace ami-old"
    assert group_key(a_case_key(), (new,), runbook) != group_key(a_case_key(), (old,), runbook)


@pytest.mark.parametrize("source", ["webhook", "sweep", "commander"])
def test_only_a_persons_command_keeps_a_group_to_itself(source: str) -> None:
    assert group_key(a_case_key(), (a_finding(),), a_runbook(), source) == key()


# --- haste -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("details", "hasty"),
    [
        ({"ipV4Addresses": ["10.20.3.14", "203.0.113.7"]}, True),
        ({"ipV6Addresses": ["2001:db8::7"]}, True),
        ({"ipV4Addresses": ["10.20.3.14", "172.31.255.1", "192.168.0.9", "100.64.1.1", "169.254.1.1"]}, False),
        ({"ipV6Addresses": ["fd00::7", "fe80::1"]}, False),
        ({"ipV4Addresses": ["not an address", None, 7]}, False),
        ({"ipV4Addresses": "203.0.113.7"}, False),
        ({}, False),
    ],
)
def test_what_is_exploitable_and_has_a_public_address_waits_for_nobody(details: dict[str, Any], hasty: bool) -> None:
    assert is_hasty(with_details(**details), a_runbook()) is hasty


def test_a_public_instance_that_nobody_knows_to_exploit_waits() -> None:
    public: dict[str, Any] = {"resource": a_resource(details={"awsEc2Instance": {"ipV4Addresses": ["203.0.113.7"]}})}
    quiet = a_finding(exploit_available=False, epss=0.09, **public)
    assert is_hasty(quiet, a_runbook(thresholds={"epss": 0.1})) is False
    assert is_hasty(quiet, a_runbook(thresholds={"epss": 0.09})) is True
    assert is_hasty(a_finding(status="CLOSED", **public), a_runbook()) is False


def test_what_is_suspected_of_being_compromised_waits_for_nobody() -> None:
    suspected = a_finding(exploit_available=False, resource=a_resource(tags={SUSPICION_TAG: "GuardDuty"}))
    assert is_hasty(suspected, a_runbook()) is True


def test_details_that_are_no_instances_are_none() -> None:
    assert is_hasty(a_finding(resource=a_resource(details={"awsEc2Instance": "gone"})), a_runbook()) is False


# --- settling --------------------------------------------------------------------------------------------------------


def candidate(name: str, waited: float, quiet: float, hasty: bool = False, **changes: Any) -> Candidate:
    return Candidate(name, key().model_copy(update=changes), waited * SECOND, quiet * SECOND, hasty)


def groups(*candidates: Candidate, seconds: float = 40, **how: Any) -> list[list[str]]:
    return [[each.case for each in group] for group in settled(candidates, Pause(seconds, **how))]


@pytest.mark.parametrize(
    ("waited", "quiet", "over"), [(9.9, 9.9, False), (10, 10, True), (39.9, 1, False), (40, 0, True)]
)
def test_a_burst_has_settled_after_a_quarter_of_its_time_in_quiet_or_all_of_it(
    waited: float, quiet: float, over: bool
) -> None:
    assert groups(candidate("a", waited, quiet)) == ([["a"]] if over else [])


def test_the_newest_of_a_group_keeps_all_of_it_waiting_and_the_oldest_ends_that() -> None:
    old, new = candidate("a", 30, 30), candidate("b", 1, 1)
    assert groups(old, new) == []
    assert groups(candidate("a", 40, 30), new) == [["a", "b"]]


def test_other_groups_wait_for_themselves() -> None:
    assert groups(candidate("a", 30, 30), candidate("b", 1, 1, region="eu-west-2")) == [["a"]]


def test_a_hasty_case_takes_those_like_it_along() -> None:
    assert groups(candidate("a", 0, 0, hasty=True), candidate("b", 0, 0), candidate("c", 0, 0, region="x")) == [
        ["a", "b"]
    ]


def test_what_a_person_asks_for_waits_for_nobody() -> None:
    assert groups(candidate("a", 0, 0, asked_by="command:jdoe"), candidate("b", 0, 0)) == [["a"]]


def test_with_no_time_to_wait_nothing_waits() -> None:
    assert groups(candidate("a", 0, 0), seconds=0, more_to_come=True) == [["a"]]


def test_while_more_is_to_come_nothing_is_quiet_but_time_runs_out_all_the_same() -> None:
    assert groups(candidate("a", 30, 30), more_to_come=True) == []
    assert groups(candidate("a", 40, 40), more_to_come=True) == [["a"]]


# --- echoes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"updated_at": after(5), "last_observed_at": after(5)},
        {"resource": a_resource(tags={"Name": "checkout-7", "remediation:response": "resp-1"})},
        {"epss": 0.43},
        {"packages": (a_package(), a_package(version="3.0.1"))},
    ],
)
def test_what_changes_nothing_that_would_be_done_is_an_echo(changes: dict[str, Any]) -> None:
    assert gist(a_finding(**changes)) == gist(a_finding())


@pytest.mark.parametrize(
    "changes",
    [
        {"severity": "HIGH"},
        {"exploit_available": False},
        {"packages": (a_package(fixed_in="3.0.2-0ubuntu1.100"),)},
        {"packages": (a_package(), a_package(name="openssl"))},
        {"resource": a_resource(tags={SUSPICION_TAG: "GuardDuty"})},
    ],
)
def test_what_makes_it_another_matter_is_none(changes: dict[str, Any]) -> None:
    assert gist(a_finding(**changes)) != gist(a_finding())
