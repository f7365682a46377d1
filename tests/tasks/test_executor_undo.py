"""The executor: everything that containment changed is put back to what was there."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runbooks.plan import Phase
from tests.tasks.aftermath import described, effects
from tests.tasks.conftest import OpenHouse
from tests.tasks.contained import furnished
from tests.tasks.gateways.aws_world import INSTANCE
from tests.tasks.harness import House

# --- everything has an undo ------------------------------------------------------------------------------------------


def test_the_whole_way_of_one_instance_makes_exactly_these_calls(open_house: OpenHouse):
    house = furnished(open_house, in_group=True)
    before = described(house)
    run, made = house.start(), {}
    for phase in (Phase.CONTAIN, Phase.REMEDIATE, Phase.VERIFY, Phase.RELEASE):
        sofar = len(house.mutating_calls())
        run = run.phase(phase)
        if phase is Phase.VERIFY:
            assert {verdict.kind for verdict in run.verdicts().values()} == {"fixed"}
        made[str(phase)] = house.mutating_calls()[sofar:]
    assert made == {
        "contain": [
            "ec2:CreateSecurityGroup",
            "ec2:RevokeSecurityGroupEgress",
            "ec2:AuthorizeSecurityGroupEgress",
            "autoscaling:DetachInstances",
            "ec2:ModifyInstanceAttribute",
            "ec2:ModifyInstanceAttribute",
            "ec2:CreateSnapshots",
            "ec2:ModifyNetworkInterfaceAttribute",
            "ec2:ModifyNetworkInterfaceAttribute",
        ],
        "remediate": ["s3:PutObject", "ssm:SendCommand"],
        "verify": ["ssm:StartAssociationsOnce"],
        "release": [
            "ec2:ModifyNetworkInterfaceAttribute",
            "ec2:ModifyNetworkInterfaceAttribute",
            "ec2:ModifyInstanceAttribute",
            "ec2:ModifyInstanceAttribute",
            "elasticloadbalancing:RegisterTargets",
            "autoscaling:AttachInstances",
        ],
    }
    assert described(house) == before


@st.composite
def instances(draw: st.DrawFn) -> dict[str, Any]:
    """An instance as its owner left it: any groups in any order on each interface, volumes, group, protection."""
    interfaces, volumes = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    groups = st.lists(st.integers(0, 4), min_size=1, max_size=5, unique=True)
    return {
        "interfaces": interfaces,
        "volumes": volumes,
        "groups": draw(st.lists(groups, min_size=interfaces, max_size=interfaces)),
        "deleted": draw(st.lists(st.booleans(), min_size=volumes, max_size=volumes)),
        "protected": draw(st.booleans()),
        "shutdown": draw(st.sampled_from(["stop", "terminate"])),
        "in_group": draw(st.booleans()),
        "registered": draw(st.booleans()),
    }


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(instance=instances())
def test_any_instance_is_described_the_same_before_it_was_contained_and_after_its_release(
    open_house: OpenHouse, instance: dict[str, Any]
):
    house = furnished(
        open_house,
        # Without load balancer and open port triage would find no reason to contain: somebody suspects this host.
        exposed=False,
        tags={"remediation:compromise-suspected": "the test"},
        interfaces=instance["interfaces"],
        volumes=instance["volumes"],
        termination_protection=instance["protected"],
        target_group=instance["registered"],
        in_group=instance["in_group"],
    )
    arrange(house, instance)
    before = described(house)
    run = house.start().phase(Phase.CONTAIN)
    contained = described(house)
    assert_contained(house, before, contained)
    run.phase(Phase.RELEASE)
    assert described(house) == before


def arrange(house: House, instance: dict[str, Any]) -> None:
    ec2, built = house.client("ec2"), house.built[0]
    groups = [house.make_group(f"group-{number}") for number in range(5)]
    for interface, chosen in zip(built["interfaces"], instance["groups"], strict=True):
        house.set_groups(interface, [groups[number] for number in chosen])
    raw = ec2.describe_instances(InstanceIds=[INSTANCE])["Reservations"][0]["Instances"][0]
    devices = [each["DeviceName"] for each in raw["BlockDeviceMappings"]]
    mappings = [
        {"DeviceName": device, "Ebs": {"DeleteOnTermination": deleted}}
        for device, deleted in zip(devices, instance["deleted"], strict=True)
    ]
    ec2.modify_instance_attribute(InstanceId=INSTANCE, BlockDeviceMappings=mappings)
    behavior = {"Value": instance["shutdown"]}
    ec2.modify_instance_attribute(InstanceId=INSTANCE, InstanceInitiatedShutdownBehavior=behavior)


def assert_contained(house: House, before: dict[str, Any], contained: dict[str, Any]) -> None:
    (quarantine,) = {tuple(groups) for groups in contained["interfaces"].values()}
    assert len(quarantine) == 1
    assert contained["disableApiTermination"] is True
    assert contained["instanceInitiatedShutdownBehavior"] == "stop"
    assert set(contained["volumes"].values()) == {False}
    members = [member for group in contained["auto_scaling"].values() for member in group[3]]
    assert (INSTANCE, "InService") not in members
    assert not any(served for of in contained["targets"].values() for _, served in of)
    assert effects(house)["snapshots"] == dict.fromkeys(house.built[0]["volumes"], 1)
    assert before["volumes"].keys() == contained["volumes"].keys()


def test_what_someone_else_changed_while_it_was_contained_is_reported_at_release_and_left(open_house: OpenHouse):
    house = furnished(open_house, in_group=True)
    before = described(house)
    run = house.start().phase(Phase.CONTAIN)
    first, second = before["interfaces"]
    stranger = house.make_group("of-somebody-else")
    house.set_groups(first, [stranger])
    house.client("ec2").modify_instance_attribute(
        InstanceId=INSTANCE, InstanceInitiatedShutdownBehavior={"Value": "terminate"}
    )

    run = run.approved(plan := run.plan(Phase.RELEASE))
    statuses = run.carry_out(plan)

    (drifted,) = [key for key, status in statuses.items() if status != "done"]
    assert drifted == f"swap-security-groups:{first}"
    assert statuses[drifted] == "drifted"
    detail = next(one.detail for one in house.history().step_outcomes(plan).values() if one.subject == drifted)
    assert detail.startswith(f"groups is [{stranger}], and the plan found [sg-")
    assert described(house) == before | {
        "interfaces": {first: [stranger], second: before["interfaces"][second]},
        "instanceInitiatedShutdownBehavior": "terminate",
    }
