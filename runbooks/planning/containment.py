"""The contain plan: out of rotation, evidence protected, snapshots requested, then the network cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from runbooks.definition import Quarantine, Runbook, Signal
from runbooks.errors import LimitExceeded, Refused
from runbooks.exposure import InternetPath, paths_from_internet
from runbooks.instance import AutoScalingMembership, Instance, InstanceFacts, Interface, Rule, SecurityGroup
from runbooks.plan import Phase, Plan
from runbooks.planning.extents import as_many_as_may, extents
from runbooks.planning.pre_authorisation import pre_authorised
from runbooks.quarantine import egress_rules, is_quarantine_group, quarantine_group_name
from runbooks.steps import (
    AnyStep,
    CreateSnapshots,
    DeregisterTarget,
    DetachFromAutoScaling,
    EnsureOpenGroup,
    EnsureQuarantineGroup,
    SetDeleteOnTermination,
    SetInstanceAttribute,
    StopInstance,
    SwapSecurityGroups,
    Target,
)
from runbooks.steps.containment import EVERYTHING, short_arn
from runbooks.triage import Assessment

TOGETHER = 50
"""Cases that go through all of it before the next ones begin."""
STOPPED = ("stopped", "stopping")
ISSUED_CREDENTIALS = "credentials the instance has already been issued stay valid until they expire"
ESTABLISHED_CONNECTIONS = (
    "connections that are already established may live on: tracked flows survive a change of security groups"
)
ALWAYS_TRACKED = (
    "flows that are always tracked may live on: through NAT gateways, egress-only internet gateways, network load "
    "balancers, Global Accelerator, Network Firewall and PrivateLink, and ICMP"
)
"""EC2 user guide, "Amazon EC2 security group connection tracking"."""
ALWAYS_UNCOVERED = (
    ISSUED_CREDENTIALS,
    "DNS through the VPC resolver, the metadata service and time are not filtered by security groups",
    ALWAYS_TRACKED,
)


def plan_containment(
    response: str,
    runbook: Runbook,
    assessments: Sequence[Assessment],
    *,
    revision: int = 1,
) -> Plan:
    """One plan that contains every assessed case that calls for it.

    Raises:
        LimitExceeded: the plan would touch more than the runbook's limits allow.
        Refused: the runbook cuts connections while a path from the internet exists.
    """
    wanted = [each for each in assessments if each.triage.contain and _left_to_isolate(runbook, each)]
    _within_limits(runbook, wanted)
    chosen, deferred = as_many_as_may(runbook, wanted)
    touched = extents(runbook, chosen)
    by_vpc = _by_vpc(chosen)
    quarantines = tuple(_quarantine_groups(runbook.contain.quarantine, by_vpc))
    openings = tuple(_open_groups(runbook.contain.quarantine, by_vpc)) if runbook.contain.cut_connections else ()
    steps = (*quarantines, *openings, *_in_order(runbook, chosen, quarantines))
    suspected = any(Signal.COMPROMISE_SUSPECTED in each.triage.signals for each in chosen)
    unasked = pre_authorised(runbook, chosen)
    rule = runbook.contain.approval.rule([each.environment for each in touched])
    return Plan(
        response=response,
        runbook=runbook.name,
        runbook_digest=runbook.digest,
        phase=Phase.CONTAIN,
        revision=revision,
        cases=tuple(each.case for each in chosen),
        steps=steps,
        reasons=tuple(dict.fromkeys(reason for each in chosen for reason in each.triage.reasons)),
        not_covered=_not_covered(runbook, chosen, steps),
        cannot_be_put_back=tuple(_cannot_be_put_back(runbook, chosen, steps)),
        # What nobody was asked about does not approve a release as well.
        releases_when_fixed=runbook.release.when_fixed == "by-itself" and not suspected and unasked is None,
        approval=rule.model_copy(update={"pre_authorised": unasked}),
        deferred=tuple(each.case for each in deferred),
        extents=touched,
    )


def _within_limits(runbook: Runbook, chosen: Sequence[Assessment]) -> None:
    if len(chosen) > runbook.limits.maximum_cases:
        raise LimitExceeded(f"{len(chosen)} cases to contain, and {runbook.name} allows {runbook.limits.maximum_cases}")
    for each in chosen:
        instance = each.instance
        if len(instance.interfaces) > runbook.limits.maximum_interfaces:
            raise LimitExceeded(
                f"{instance.id} has {len(instance.interfaces)} interfaces, and {runbook.name} allows "
                f"{runbook.limits.maximum_interfaces}"
            )
        if runbook.contain.cut_connections and (paths := _paths_when_open(each.facts.host, instance)):
            raise Refused(
                f"{runbook.name} cuts connections by way of an open group, which would open {instance.id} to the "
                f"internet for a moment ({paths[0]}); set contain.cut_connections to false",
                code="open-to-the-internet",
            )


def _paths_when_open(facts: InstanceFacts, instance: Instance) -> tuple[InternetPath, ...]:
    """The ways in that there are while every interface is in the open group; today's groups may hide them."""
    name = "the open group"
    opened = tuple(each.model_copy(update={"groups": (name,)}) for each in instance.interfaces)
    group = SecurityGroup(id=name, name=name, vpc=instance.vpc or "", ingress=EVERYTHING, egress=EVERYTHING)
    inside = instance.model_copy(update={"interfaces": opened})
    return paths_from_internet(facts.model_copy(update={"instance": inside, "groups": (group,)}))


Vpc = tuple[str, str, str]
"""Account, region, id."""


def _by_vpc(chosen: Sequence[Assessment]) -> dict[Vpc, list[Assessment]]:
    by_vpc: dict[Vpc, list[Assessment]] = {}
    for each in chosen:
        instance = each.instance
        for vpc in dict.fromkeys(interface.vpc for interface in instance.interfaces):
            by_vpc.setdefault((instance.account, instance.region, vpc), []).append(each)
    return by_vpc


def _quarantine_groups(
    choice: Quarantine, by_vpc: Mapping[Vpc, Sequence[Assessment]]
) -> Iterator[EnsureQuarantineGroup]:
    """One group for each VPC, serving every case in it."""
    for (account, region, vpc), members in by_vpc.items():
        egress = _egress(choice, vpc, members)
        name = quarantine_group_name(choice, egress)
        yield EnsureQuarantineGroup(
            target=Target(account=account, region=region, type="security-group", id=f"{vpc}/{name}"),
            cases=tuple(each.case for each in members),
            vpc=vpc,
            name=name,
            egress=egress,
        )


def _open_groups(choice: Quarantine, by_vpc: Mapping[Vpc, Sequence[Assessment]]) -> Iterator[EnsureOpenGroup]:
    name = open_group_name(choice)
    for (account, region, vpc), members in by_vpc.items():
        yield EnsureOpenGroup(
            target=Target(account=account, region=region, type="security-group", id=f"{vpc}/{name}"),
            cases=tuple(each.case for each in members),
            vpc=vpc,
            name=name,
        )


def open_group_name(choice: Quarantine) -> str:
    """The name of the group through which interfaces pass when their connections are cut."""
    return f"{choice.group_name}-open"


def _egress(choice: Quarantine, vpc: str, members: Sequence[Assessment]) -> tuple[Rule, ...]:
    """What all of them need: a gateway endpoint is within reach of some subnets of a VPC only.

    An instance may have interfaces in several VPCs, and a rule can only name a group of its own one.
    """
    rules = [
        rule
        for each in members
        for rule in egress_rules(each.facts.host, choice)
        if (group := each.facts.host.group(rule.peer)) is None or group.vpc == vpc
    ]
    by_peer = {(rule.peer, rule.from_port or 0): rule for rule in rules}
    return tuple(by_peer[peer] for peer in sorted(by_peer))


def _in_order(
    runbook: Runbook, chosen: Sequence[Assessment], quarantines: Sequence[EnsureQuarantineGroup]
) -> Iterator[AnyStep]:
    """Kind by kind over fifty cases at a time: alike is done together, and nobody's isolation waits for everyone's."""
    detachments = {step.cases[0]: step for step in _detachments(runbook, chosen)}
    names = {(group.target.account, group.target.region, group.vpc): group.name for group in quarantines}
    isolate = partial(_isolate, names)
    for start in range(0, len(chosen), TOGETHER):
        together = chosen[start : start + TOGETHER]
        yield from (detachments[each.case] for each in together if each.case in detachments)
        for steps_of in (_deregister, _protect, _keep_volumes, _snapshot, isolate, _stop):
            for each in together:
                yield from steps_of(runbook, each)


def _detachments(runbook: Runbook, chosen: Sequence[Assessment]) -> Iterator[DetachFromAutoScaling]:
    """Those that leave one group share what it can spare, and on their way back the room it has."""
    fewer, more = Counter[tuple[str, str, str]](), Counter[tuple[str, str, str]]()
    for each in chosen:
        instance = each.instance
        group = instance.auto_scaling
        if group is None:
            continue
        place = (instance.account, instance.region, group.group)
        # The group does not count what is on standby, and would put into service what is attached.
        standby = group.lifecycle_state == "Standby"
        spare = group.desired - fewer[place] > group.minimum
        decrement = spare and not standby and runbook.contain.replacement_capacity == "none"
        room = not standby and (decrement or group.desired + more[place] < group.maximum)
        if not standby:
            (fewer if decrement else more)[place] += 1
        yield DetachFromAutoScaling(
            target=_target(instance),
            cases=(each.case,),
            group=group.group,
            decrement=decrement,
            room_to_return=room,
            on_standby=standby,
            protected=group.protected_from_scale_in,
        )


def _deregister(runbook: Runbook, each: Assessment) -> Iterator[AnyStep]:
    instance = each.instance
    if instance.state in STOPPED:
        # It serves nothing, and only what runs can be registered again (ELB API reference, RegisterTargets).
        return
    for registration in instance.targets:
        yield DeregisterTarget(
            target=_target(instance),
            cases=(each.case,),
            target_group=registration.target_group,
            port=registration.port,
            after_detachment=_looked_after(instance, registration.target_group),
        )


def _looked_after(instance: Instance, target_group: str) -> bool:
    """Whether leaving the Auto Scaling group takes the instance out of this target group."""
    return instance.auto_scaling is not None and target_group in instance.auto_scaling.target_groups


def _protect(runbook: Runbook, each: Assessment) -> Iterator[AnyStep]:
    if not runbook.contain.protect_evidence:
        return
    instance = each.instance
    # A spot instance takes no termination protection (EC2 user guide, change termination protection).
    if not instance.termination_protection and instance.lifecycle != "spot":
        yield SetInstanceAttribute(
            target=_target(instance),
            cases=(each.case,),
            attribute="disableApiTermination",
            expects=False,
            leaves=True,
        )
    if instance.shutdown_behavior != "stop" and instance.lifecycle != "spot":
        yield SetInstanceAttribute(
            target=_target(instance),
            cases=(each.case,),
            attribute="instanceInitiatedShutdownBehavior",
            expects=instance.shutdown_behavior,
            leaves="stop",
        )


def _keep_volumes(runbook: Runbook, each: Assessment) -> Iterator[AnyStep]:
    instance = each.instance
    # Those that are kept as it is are nothing of this step's, whoever changes them meanwhile.
    before = {volume.device: True for volume in instance.volumes if volume.delete_on_termination}
    if runbook.contain.protect_evidence and before:
        yield SetDeleteOnTermination(
            target=_target(instance),
            cases=(each.case,),
            expects=before,
            leaves=dict.fromkeys(before, False),
        )


def _snapshot(runbook: Runbook, each: Assessment) -> Iterator[AnyStep]:
    instance = each.instance
    if runbook.contain.snapshots and instance.volumes:
        volumes = tuple(volume.id for volume in instance.volumes)
        yield CreateSnapshots(target=_target(instance), cases=(each.case,), volumes=volumes)


def _left_to_isolate(runbook: Runbook, each: Assessment) -> bool:
    """Whether there is anything to contain: not where the instance is gone, or wholly isolated by us already."""
    instance = each.facts.host.instance
    if instance is None:
        return False
    isolated = all(_is_isolated(runbook, each, interface) for interface in instance.interfaces)
    return not (each.facts.contained and isolated)


def _is_isolated(runbook: Runbook, each: Assessment, interface: Interface) -> bool:
    held = [each.facts.host.group(group) for group in interface.groups]
    return len(held) == 1 and held[0] is not None and is_quarantine_group(runbook.contain.quarantine, held[0].name)


def _isolate(names: Mapping[Vpc, str], runbook: Runbook, each: Assessment) -> Iterator[AnyStep]:
    instance = each.instance
    choice = runbook.contain
    for interface in instance.interfaces:
        if _is_isolated(runbook, each, interface):
            # An earlier plan isolated it; swapping again would make the quarantine its original state.
            continue
        yield SwapSecurityGroups(
            target=_target(instance, "network-interface", interface.id),
            cases=(each.case,),
            vpc=interface.vpc,
            expects=interface.groups,
            leaves=(f"@{names[instance.account, instance.region, interface.vpc]}",),
            via=f"@{open_group_name(choice.quarantine)}" if choice.cut_connections else None,
        )


def _stop(runbook: Runbook, each: Assessment) -> Iterator[AnyStep]:
    instance = each.instance
    if runbook.contain.stop and instance.state == "running":
        yield StopInstance(target=_target(instance), cases=(each.case,))


def _not_covered(runbook: Runbook, chosen: Sequence[Assessment], steps: Sequence[AnyStep]) -> tuple[str, ...]:
    survives = () if runbook.contain.cut_connections else (ESTABLISHED_CONNECTIONS,)
    uncovered = (ISSUED_CREDENTIALS,) if runbook.contain.stop else (*survives, *ALWAYS_UNCOVERED)
    leaving = _leaving(steps)
    others: list[str] = []
    for each in chosen:
        group, step = each.instance.auto_scaling, leaving.get(each.case)
        if group is not None and step is not None and not step.decrement and not step.on_standby:
            others.append(
                f"{group.group} launches a replacement from {group.image or 'its template'}: it will be as vulnerable "
                "until the group's AMI is patched"
            )
    return (*uncovered, *dict.fromkeys(others))


def _cannot_be_put_back(runbook: Runbook, chosen: Sequence[Assessment], steps: Sequence[AnyStep]) -> Iterator[str]:
    leaving = _leaving(steps)
    for each in chosen:
        instance = each.instance
        step = leaving.get(each.case)
        if instance.auto_scaling is not None and step is not None:
            yield from _after_the_return(instance, instance.auto_scaling, step)
        if runbook.contain.stop:
            for interface in instance.interfaces:
                if interface.public_address and not interface.elastic:
                    yield f"{instance.id} gets another public address than {interface.public_address} after the stop"


def _after_the_return(instance: Instance, group: AutoScalingMembership, step: DetachFromAutoScaling) -> Iterator[str]:
    """What is different once the instance is back in its Auto Scaling group, or that it does not come back."""
    if step.on_standby:
        yield f"{instance.id} is on standby in {group.group}, and attached it would serve: it stays out of the group"
        return
    if not step.room_to_return:
        yield f"{group.group} is at its maximum of {group.maximum}: {instance.id} cannot be attached again"
        return
    if not step.decrement:
        yield f"{group.group} keeps the replacement: attached again, its desired capacity is one higher"
    registered = {registration.target_group for registration in instance.targets}
    for arn in group.target_groups:
        if arn not in registered:
            yield f"{group.group} registers {instance.id} with {short_arn(arn)} when it is attached again"


def _leaving(steps: Sequence[AnyStep]) -> dict[str, DetachFromAutoScaling]:
    """Case -> how its instance leaves its Auto Scaling group."""
    return {step.cases[0]: step for step in steps if isinstance(step, DetachFromAutoScaling)}


def _target(instance: Instance, kind: str = "instance", identifier: str | None = None) -> Target:
    return Target(account=instance.account, region=instance.region, type=kind, id=identifier or instance.id)
