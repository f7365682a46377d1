"""The remediate plan: what is alike is patched by one command, what cannot be is replaced, by group or alone."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import yaml

from runbooks.errors import LimitExceeded, Refused
from runbooks.finding import VulnerablePackage
from runbooks.instance import Exploitation, InstanceFacts
from runbooks.plan import Phase, Plan
from runbooks.planning.patching import override_list, packages_to_patch
from runbooks.planning.remediation import plan_remediation
from runbooks.steps import (
    CreateLaunchTemplateVersion,
    LaunchReplacement,
    PatchPackages,
    RefreshInstances,
    WriteOverrideList,
)
from runbooks.triage import Assessment
from tests.runbooks.builders import (
    BUCKET,
    RESPONSE,
    SUBNET,
    a_finding,
    a_package,
    a_runbook,
    an_assessment,
    an_auto_scaling_membership,
    an_instance,
    an_interface,
    case_facts,
    instance_facts,
)

LIBSSL = ("libssl3.amd64",)
PATCHED_AMI = "ami-0patched"


def a_case(number: int = 1, *packages: VulnerablePackage, strategy: str = "patch", **instance: Any) -> Assessment:
    """A case that is patched, or replaced from the patched AMI."""
    values: dict[str, Any] = {"tags": {"Name": f"checkout-{number}", "aws:autoscaling:groupName": "checkout"}}
    resource = instance_facts(
        an_instance(f"i-{number}", **(values | instance)),
        replacement_image=PATCHED_AMI if strategy == "replace" else None,
    )
    finding = a_finding(packages=packages or (a_package(),))
    facts = case_facts(finding, case=f"case-{number}", resource=resource, exploitation=Exploitation())
    return an_assessment(facts, a_runbook(remediate={"strategy": strategy}))


def a_plan(*cases: Assessment, bucket: str = BUCKET, contained: bool = True, **choices: Any) -> Plan:
    runbook = choices.pop("runbook", a_runbook())
    return plan_remediation(RESPONSE, runbook, cases, bucket=bucket, contained=contained, **choices)


def commands(plan: Plan) -> list[PatchPackages]:
    return [step for step in plan.steps if isinstance(step, PatchPackages)]


def kinds(plan: Plan) -> list[str]:
    return [step.kind for step in plan.steps]


# --- patching --------------------------------------------------------------------------------------------------------


def test_the_list_is_written_before_the_command_that_names_it() -> None:
    write, command = a_plan(a_case()).steps
    assert isinstance(write, WriteOverrideList)
    assert isinstance(command, PatchPackages)
    assert write.bucket == "patches-210987654321-eu-west-1"
    assert write.target.id == f"{write.bucket}/{write.object_key}"
    assert command.override_list == f"s3://{write.bucket}/{write.object_key}"
    assert (command.instances, command.case_of, command.cases) == (("i-1",), {"i-1": "case-1"}, ("case-1",))
    assert (command.packages, command.document, command.reboot) == (LIBSSL, "AWS-RunPatchBaseline", "RebootIfNeeded")


def test_the_list_is_named_by_its_content_and_its_content_is_what_patch_manager_reads() -> None:
    (write,) = (step for step in a_plan(a_case()).steps if isinstance(step, WriteOverrideList))
    assert yaml.safe_load(write.content) == {"patches": [{"id": "libssl3.amd64", "title": "*"}]}
    assert write.content == override_list(LIBSSL)
    assert write.object_key == f"override-lists/{hashlib.sha256(write.content.encode()).hexdigest()[:32]}.yaml"
    other = a_plan(a_case(1, a_package(name="zlib1g"))).steps[0]
    assert isinstance(other, WriteOverrideList)
    assert other.object_key != write.object_key


def test_the_packages_are_named_once_each_and_in_order() -> None:
    several = a_case(1, a_package(name="zlib1g"), a_package(), a_package(name="curl"), a_package())
    assert packages_to_patch(several) == ("curl.amd64", "libssl3.amd64", "zlib1g.amd64")


def test_what_is_fixed_already_is_not_patched() -> None:
    case = a_case(1, a_package(fixed_in="3.0.2-0ubuntu1.10"), a_package(name="curl"))
    assert [state.state for state in case.triage.packages] == ["fixed", "absent"]
    assert packages_to_patch(case) == ("curl.amd64",)


@pytest.mark.parametrize(("number", "sizes"), [(1, [1]), (50, [50]), (51, [50, 1]), (101, [50, 50, 1])])
def test_cases_with_the_same_packages_share_commands_of_at_most_fifty(number: int, sizes: list[int]) -> None:
    cases = [a_case(each) for each in range(number)]
    plan = a_plan(*cases, runbook=a_runbook(limits={"maximum_cases": 200}))
    found = commands(plan)
    assert [len(command.instances) for command in found] == sizes
    assert [one for command in found for one in command.instances] == [f"i-{each}" for each in range(number)]
    assert {one: case for command in found for one, case in command.case_of.items()} == {
        f"i-{each}": f"case-{each}" for each in range(number)
    }
    assert kinds(plan) == ["write-override-list"] + ["patch-packages"] * len(sizes)
    assert len({command.snapshot_id for command in found}) == len({command.key for command in found}) == len(sizes)


def test_other_packages_are_another_command() -> None:
    plan = a_plan(a_case(1), a_case(2, a_package(name="zlib1g")), a_case(3))
    assert [(command.packages, command.cases) for command in commands(plan)] == [
        (LIBSSL, ("case-1", "case-3")),
        (("zlib1g.amd64",), ("case-2",)),
    ]
    assert kinds(plan) == ["write-override-list"] * 2 + ["patch-packages"] * 2


@pytest.mark.parametrize("bucket", [BUCKET, "one-for-all"])
def test_each_account_and_region_has_its_own_list_and_command(bucket: str) -> None:
    elsewhere = (a_case(2, region="us-east-1"), a_case(3, account="111122223333"))
    plan = a_plan(a_case(1), *elsewhere, bucket=bucket)
    assert [(command.target.account, command.target.region) for command in commands(plan)] == [
        ("210987654321", "eu-west-1"),
        ("210987654321", "us-east-1"),
        ("111122223333", "eu-west-1"),
    ]
    assert len({step.key for step in plan.steps}) == len(plan.steps) == 6


def test_planning_the_same_again_gives_the_same_plan_and_a_new_revision_another_run() -> None:
    first, again, second = a_plan(a_case()), a_plan(a_case()), a_plan(a_case(), revision=2)
    assert first == again
    assert commands(first)[0].snapshot_id != commands(second)[0].snapshot_id
    assert second.revision == 2


@pytest.mark.parametrize(
    ("reboot", "word"), [("NoReboot", "does not reboot"), ("RebootIfNeeded", "the instance reboots")]
)
def test_what_a_reboot_means_is_told(reboot: str, word: str) -> None:
    plan = a_plan(a_case(), runbook=a_runbook(remediate={"reboot": reboot}))
    assert len(plan.not_covered) == 1
    assert word in plan.not_covered[0]
    assert commands(plan)[0].reboot == reboot


# --- replacing -------------------------------------------------------------------------------------------------------


def test_an_instance_of_a_group_is_replaced_by_a_refresh_to_a_new_template_version() -> None:
    version, refresh = a_plan(a_case(1, strategy="replace"), a_case(2, strategy="replace")).steps
    assert isinstance(version, CreateLaunchTemplateVersion)
    assert isinstance(refresh, RefreshInstances)
    assert (version.target.type, version.target.id) == ("launch-template", "lt-0feedc0de")
    assert (version.source_version, version.image, version.cases) == ("7", PATCHED_AMI, ("case-1", "case-2"))
    assert (refresh.target.type, refresh.target.id, refresh.cases) == (
        "auto-scaling-group",
        "checkout",
        ("case-1", "case-2"),
    )
    assert (refresh.launch_template, refresh.version, refresh.previous_version) == ("lt-0feedc0de", "@operation", "7")
    assert (refresh.minimum_healthy_percentage, refresh.checkpoints) == (90, (20, 100))


def test_groups_that_share_a_launch_template_share_its_new_version() -> None:
    shop = a_case(2, strategy="replace", auto_scaling=an_auto_scaling_membership(group="shop"))
    plan = a_plan(a_case(1, strategy="replace"), shop)
    assert kinds(plan) == ["create-launch-template-version", "refresh-instances", "refresh-instances"]
    assert [step.cases for step in plan.steps] == [("case-1", "case-2"), ("case-1",), ("case-2",)]
    assert len({step.key for step in plan.steps}) == 3


def test_groups_at_different_versions_of_one_template_are_a_persons_matter() -> None:
    behind = an_auto_scaling_membership(group="shop", launch_template_version="6")
    with pytest.raises(Refused, match="checkout, shop use different versions") as refused:
        a_plan(a_case(1, strategy="replace"), a_case(2, strategy="replace", auto_scaling=behind))
    assert refused.value.code == "person"


def test_groups_of_the_same_name_in_two_regions_are_two_refreshes() -> None:
    other = an_auto_scaling_membership(launch_template="lt-other")
    plan = a_plan(a_case(1, strategy="replace"), a_case(2, strategy="replace", region="us-east-1", auto_scaling=other))
    assert kinds(plan) == ["create-launch-template-version"] * 2 + ["refresh-instances"] * 2
    assert len({step.key for step in plan.steps}) == 4


def test_the_new_version_says_which_groups_it_is_for() -> None:
    plan = a_plan(a_case(1, strategy="replace"))
    (version,) = (step for step in plan.steps if isinstance(step, CreateLaunchTemplateVersion))
    assert version.groups == ("checkout",)


def test_a_launch_template_that_another_group_follows_is_not_given_a_new_version() -> None:
    shared = an_auto_scaling_membership(template_followers=("api", "batch"))
    with pytest.raises(Refused) as refused:
        a_plan(a_case(1, strategy="replace", auto_scaling=shared))
    assert refused.value.code == "shared-template"
    assert refused.value.detail == (
        "launch template lt-0feedc0de is shared: api, batch would launch from its new version too; give them a fixed "
        "version, or $Default"
    )


def test_groups_that_follow_a_template_are_no_others_when_the_plan_refreshes_them_too() -> None:
    one = an_auto_scaling_membership(template_followers=("shop",))
    other = an_auto_scaling_membership(group="shop", template_followers=("checkout",))
    plan = a_plan(a_case(1, strategy="replace", auto_scaling=one), a_case(2, strategy="replace", auto_scaling=other))
    (version,) = (step for step in plan.steps if isinstance(step, CreateLaunchTemplateVersion))
    assert version.groups == ("checkout", "shop")


def test_an_instance_on_its_own_is_launched_anew_with_the_groups_and_tags_it_had() -> None:
    (launch,) = a_plan(a_case(1, strategy="replace", auto_scaling=None)).steps
    assert launch == LaunchReplacement(
        target=launch.target,
        cases=("case-1",),
        image=PATCHED_AMI,
        instance_type="m7i.large",
        subnet=SUBNET,
        groups=("sg-0web", "sg-0base"),
        profile="arn:aws:iam::210987654321:instance-profile/checkout",
        tags={"Name": "checkout-1"},
    )
    assert launch.target.id == "i-1"


@pytest.mark.parametrize(("contained", "number"), [(True, 2), (False, 1)])
def test_what_a_replacement_leaves_behind_is_told(contained: bool, number: int) -> None:
    plan = a_plan(a_case(1, strategy="replace"), contained=contained)
    assert len(plan.not_covered) == number
    assert plan.not_covered[0] == "data on the old instance's own volumes does not move to its successor"
    assert plan.cannot_be_put_back == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"auto_scaling": an_auto_scaling_membership(launch_template_version=None)},
        {"auto_scaling": None, "interfaces": ()},
    ],
)
def test_what_is_not_known_well_enough_to_replace_is_a_persons_matter(changes: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        a_plan(a_case(1, strategy="replace", **changes))
    assert refused.value.code == "person"


# --- change windows --------------------------------------------------------------------------------------------------

NIGHTLY = {"start": "22:00", "end": "02:00"}


def windowed(*cases: Assessment, **choices: Any) -> Plan:
    return a_plan(*cases, runbook=a_runbook(remediate={"windows": [NIGHTLY], **choices}))


def test_the_plan_carries_the_runbooks_windows() -> None:
    plan = windowed(a_case(1))
    assert [str(window) for window in plan.windows] == ["daily 22:00 to 02:00 UTC"]
    assert a_plan(a_case(1)).windows == ()


def test_what_does_not_wait_for_a_window_has_none_and_says_why() -> None:
    plan = windowed(a_case(1), any_time_when=[["compromise-suspected"], ["known-exploit", "exposed"]])
    assert plan.windows == ()
    assert plan.reasons[-1] == (
        "no change window is waited for: ec2-high-severity-cve does not wait with what is exploitable by a known "
        "exploit and exposed to the internet"
    )


def test_without_windows_nothing_is_said_of_them() -> None:
    runbook = a_runbook(remediate={"any_time_when": [["known-exploit", "exposed"]]})
    assert not any("window" in reason for reason in a_plan(a_case(1), runbook=runbook).reasons)


@pytest.mark.parametrize("when", [[["known-exploit", "compromise-suspected"]], [[]], []])
def test_a_condition_must_hold_as_a_whole(when: list[list[str]]) -> None:
    assert len(windowed(a_case(1), any_time_when=when).windows) == 1


def test_one_case_that_can_wait_has_all_of_them_wait() -> None:
    private = a_case(2, interfaces=(an_interface(public_address=None),), targets=())
    at_once = [["known-exploit", "exposed"]]
    assert windowed(a_case(1), any_time_when=at_once).windows == ()
    assert len(windowed(a_case(1), private, any_time_when=at_once).windows) == 1


# --- the plan --------------------------------------------------------------------------------------------------------


def test_patched_and_replaced_cases_share_a_plan() -> None:
    plan = a_plan(a_case(2, strategy="replace", auto_scaling=None), a_case(1))
    assert kinds(plan) == ["write-override-list", "patch-packages", "launch-replacement"]
    assert plan.cases == ("case-1", "case-2")
    assert plan.phase is Phase.REMEDIATE
    assert plan.reasons == (
        "patch in place through Systems Manager: libssl3 to 3.0.2-0ubuntu1.99",
        "replace from ami-0patched: the runbook prefers it",
    )
    assert plan.approval == a_runbook().remediate.approval.rule()


@pytest.mark.parametrize(
    ("snapshots", "words"),
    [
        (True, "a package update is not downgraded; the snapshots are the way back"),
        (False, "a package update is not downgraded: a backup of your own is the only way back"),
    ],
)
def test_the_snapshots_are_called_the_way_back_only_where_there_are_any(snapshots: bool, words: str) -> None:
    plan = a_plan(a_case(), snapshots=snapshots)
    assert plan.cannot_be_put_back == (words,)
    (command,) = commands(plan)
    assert command.undo_reason == "a package is not downgraded; only a copy from before, if there is one, is a way back"


def test_who_does_not_say_that_there_are_snapshots_gets_a_plan_that_counts_on_none() -> None:
    assert a_plan(a_case()).cannot_be_put_back == a_plan(a_case(), snapshots=False).cannot_be_put_back


def a_case_for_a_person() -> Assessment:
    return a_case(9, a_package(fixed_in=None))


def test_a_case_for_a_person_is_not_in_the_plan_and_alone_makes_none() -> None:
    assert a_plan(a_case(1), a_case_for_a_person()).cases == ("case-1",)
    with pytest.raises(Refused, match="nothing can be remediated without a person") as refused:
        a_plan(a_case_for_a_person())
    assert refused.value.code == "person"


def test_every_case_of_the_plan_is_served_by_a_step() -> None:
    nameless = a_case(2)
    unnamed = nameless.triage.packages[0].model_copy(update={"architecture": None})
    triaged = nameless.triage.model_copy(update={"packages": (unnamed,)})
    plan = a_plan(a_case(1), nameless.model_copy(update={"triage": triaged}))
    assert set(plan.cases) == {case for step in plan.steps for case in step.cases} == {"case-1"}


def test_more_cases_than_the_runbook_allows_are_refused_patched_or_replaced() -> None:
    runbook = a_runbook(limits={"maximum_cases": 2})
    cases = [a_case(1), a_case(2), a_case(3, strategy="replace")]
    assert len(a_plan(*cases[:2], runbook=runbook).cases) == 2
    with pytest.raises(LimitExceeded, match="3 cases to remediate, and ec2-high-severity-cve allows 2"):
        a_plan(*cases, runbook=runbook)


def test_a_case_whose_instance_is_gone_is_refused() -> None:
    case = a_case(1, strategy="replace")
    facts = case.facts.model_copy(update={"resource": InstanceFacts(instance=None)})
    with pytest.raises(Refused, match="case-1 has no instance to act upon") as refused:
        a_plan(case.model_copy(update={"facts": facts}))
    assert refused.value.code == "instance-gone"


def test_an_interface_on_another_subnet_leads_to_a_replacement_there() -> None:
    first = an_interface(subnet="subnet-a", groups=("sg-0a",))
    (launch,) = a_plan(a_case(1, strategy="replace", auto_scaling=None, interfaces=(first,))).steps
    assert isinstance(launch, LaunchReplacement)
    assert (launch.subnet, launch.groups) == ("subnet-a", ("sg-0a",))
