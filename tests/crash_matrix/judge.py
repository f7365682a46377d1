"""What a world has come to, and what is wrong with it: compared with the world of an undisturbed run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from moto.autoscaling.models import autoscaling_backends
from moto.elbv2.models import elbv2_backends

from runbooks.case import case_stream
from runbooks.history import FINISHED, SUCCEEDED, ResponseHistory
from runbooks.plan import Plan
from runbooks.records import CaseVerdict, RunStarted
from runbooks.steps import AnyStep
from runbooks.steps.containment import OPERATION_TAG
from tasks.gateways.ledger import Ledger
from tasks.journal import read_history
from tests.crash_matrix.line import NOT_AWS
from tests.crash_matrix.world import World
from tests.tasks.gateways.aws_world import ACCOUNT, INSTANCE, REGION

Wrong = Literal["duplicate", "lost", "unrestorable", "left open"]

MAY_BE_REPEATED = frozenset(
    {
        "ssm:StartAssociationsOnce",  # an inventory more
        "ec2:RunInstances",  # under a client token
        "ec2:CreateLaunchTemplateVersion",
        "elbv2:DeregisterTargets",  # the group does it too, for what it lets go
    }
)
"""Once more they do nothing; what they make is counted all the same."""


@dataclass(frozen=True)
class Facts:
    """What there is at the end."""

    ended: list[tuple[str | None, bool]]
    """Of each response: its result, and whether it leaves something contained."""
    verdicts: list[str]
    unfinished: list[str]
    """Steps of the newest plans that did not succeed, and intents that have no end."""
    done_without: list[str]
    """Evidence that failed, and is recorded so: the plan goes on without it."""
    made: Counter[str]
    """Everything of which there may be one, by what made it."""
    told: Counter[str]
    """Messages and tickets, by what they are about."""
    done: Counter[str]
    """Changes that took effect, by operation."""
    instance: dict[str, Any]
    """The instance as it is described."""
    open_interfaces: list[str]
    ledger: list[str]
    """What is wrong with the ledger itself."""


def facts_of(world: World) -> Facts:
    """Read a world whose processes have ended."""
    ledger = world.ledger()
    try:
        responses = ledger.responses()
        histories = [read_history(ledger, each.id) for each in responses]
        return Facts(
            ended=[
                (each.result, bool(h.ended and h.ended.contained)) for each, h in zip(responses, histories, strict=True)
            ],
            verdicts=sorted(_verdicts(ledger)),
            unfinished=[words for history in histories for words in _unfinished(history)],
            done_without=[step.key for history in histories for step in _done_without(history)],
            made=Counter([*_made_in_ec2(world), *_made_elsewhere(world), *(f"told {each}" for each in _told(world))]),
            told=Counter(_subjects(world, histories)),
            done=Counter({name: number for name, number in world.line.done.items() if not name.startswith("prefect:")}),
            instance=described(world),
            open_interfaces=list(open_interfaces(world)),
            ledger=[words for history in histories for words in _broken(ledger, history)],
        )
    finally:
        ledger.close()


def compare(undisturbed: Facts, facts: Facts) -> Iterator[tuple[Wrong, str]]:
    """What is wrong, in words."""
    for words in _duplicates(undisturbed, facts):
        yield "duplicate", words
    for words in _losses(undisturbed, facts):
        yield "lost", words
    for name, value in undisturbed.instance.items():
        if facts.instance[name] != value:
            yield "unrestorable", f"{name} was to be {value} and is {facts.instance[name]}"
    for interface in facts.open_interfaces:
        yield "left open", interface


def _duplicates(undisturbed: Facts, facts: Facts) -> Iterator[str]:
    yield from (f"{what} ({number})" for what, number in facts.made.items() if number > 1)
    # Of messages there may be more: trouble is told too.
    yield from (f"{what} too many" for what in _kinds(facts) - _kinds(undisturbed) if what != "told")
    for name, number in (facts.done - undisturbed.done).items():
        if not name.startswith(NOT_AWS) and name not in MAY_BE_REPEATED:
            yield f"{name} took effect {number} times too often"


def _losses(undisturbed: Facts, facts: Facts) -> Iterator[str]:
    for kind, number in (_kinds(undisturbed) - _kinds(facts)).items():
        if kind != "told" and not (kind == "snapshot" and facts.done_without):
            yield f"{number} of {kind}"
    yield from (f"nobody was told: {subject}" for subject in undisturbed.told - facts.told)
    if (facts.ended, facts.verdicts) != (undisturbed.ended, undisturbed.verdicts):
        yield f"it ended as {facts.ended}, verdicts {facts.verdicts}"
    yield from (*facts.unfinished, *facts.ledger)


def _kinds(facts: Facts) -> Counter[str]:
    """How many of a kind: ids and digests differ where AWS gave other ids."""
    return Counter(what.partition(" ")[0] for what in facts.made.elements())


def described(world: World) -> dict[str, Any]:
    """Everything of the instance that containing it changes and releasing it puts back; groups by their names."""
    ec2 = world.cloud.world(ACCOUNT, REGION).ec2
    instance = world.cloud.world(ACCOUNT, REGION).instance(INSTANCE)
    assert instance is not None
    balancers, scaling = elbv2_backends[ACCOUNT][REGION], autoscaling_backends[ACCOUNT][REGION]
    return {
        "interfaces": {
            each.id: [group.name for group in each.group_set]
            for each in ec2.enis.values()
            if each.instance is not None and each.instance.id == INSTANCE
        },
        "attributes": [instance.disable_api_termination, instance.instance_initiated_shutdown_behavior],
        "volumes": {name: device.delete_on_termination for name, device in instance.get_block_device_mapping},
        "targets": {
            arn: [each["Port"] for each in group.targets.values() if each["Id"] == INSTANCE]
            for arn, group in balancers.target_groups.items()
        },
        "auto_scaling": {
            name: [
                (group.min_size, group.desired_capacity, group.max_size, len(group.instance_states)),
                [each.lifecycle_state for each in group.instance_states if each.instance.id == INSTANCE],
            ]
            for name, group in scaling.autoscaling_groups.items()
        },
    }


def open_interfaces(world: World) -> Iterator[str]:
    """Interfaces that rest on a group with a rule for everything that comes in, by our own making."""
    for each in world.cloud.world(ACCOUNT, REGION).ec2.enis.values():
        for group in each.group_set:
            ours = any(tag["key"] == OPERATION_TAG for tag in group.get_tags())
            if ours and group.ingress_rules:
                yield f"{each.id} rests on {group.name}"


def _verdicts(ledger: Ledger) -> Iterator[str]:
    for case in ledger.cases():
        records = (entry.record() for entry in ledger.entries(case_stream(case.id)))
        kinds = [str(record.verdict.kind) for record in records if isinstance(record, CaseVerdict)]
        yield f"{case.status}: {kinds[-1] if kinds else 'none'}"


def _unfinished(history: ResponseHistory) -> Iterator[str]:
    without = list(_done_without(history))
    for plan in _newest(history):
        for step in plan.steps:
            outcome = history.outcome(plan, step)
            if step not in without and (outcome is None or outcome.status not in SUCCEEDED):
                yield f"{step.key} to {plan.phase}: {outcome.status if outcome else 'no outcome'}"
    for operation, intent in history.intents.items():
        outcome = history.outcomes.get(operation)
        if outcome is None or outcome.status not in FINISHED:
            yield f"{intent.action} of {intent.subject} was begun, and its end is not recorded"


def _done_without(history: ResponseHistory) -> Iterator[AnyStep]:
    for plan in _newest(history):
        for step in plan.steps:
            outcome = history.outcome(plan, step)
            if step.evidence and not step.undoes and outcome is not None and outcome.status == "failed":
                yield step


def _newest(history: ResponseHistory) -> Iterable[Plan]:
    return {plan.phase: plan for plan in sorted(history.plans.values(), key=lambda each: each.revision)}.values()


def _broken(ledger: Ledger, history: ResponseHistory) -> Iterator[str]:
    epochs = [each.record.epoch for each in history.entries if isinstance(each.record, RunStarted)]
    if epochs != sorted(set(epochs)):
        yield f"epochs do not rise: {epochs}"
    if not ledger.verify().ok:
        yield "the ledger does not verify"


def _made_in_ec2(world: World) -> Iterator[str]:
    here = world.cloud.world(ACCOUNT, REGION)
    groups = [group for groups in here.ec2.groups.values() for group in groups.values()]
    named = [
        *((snapshot, f"snapshot of {snapshot.volume.id}") for snapshot in here.ec2.snapshots.values()),
        *((group, f"group {group.name}") for group in groups),
        *((instance, "instance") for instance in here.instances()),
    ]
    for resource, what in named:
        if operation := _operation(resource):
            yield f"{what} by {operation}"


def _made_elsewhere(world: World) -> Iterator[str]:
    here = world.cloud.world(ACCOUNT, REGION)
    for command in here.commands.values():
        if command.document == "AWS-RunPatchBaseline":
            yield f"command {command.comment}"
    for template in here.ec2.launch_templates.values():
        yield from (f"version {one.description} of {template.name}" for one in template.versions if one.description)
    yield from (f"refresh number {number}" for number, _ in enumerate(here.refreshes))


def _told(world: World) -> Iterator[str]:
    """The operations that posted a message or made a ticket."""
    for message in world.slack.messages:
        yield str((message.metadata or {}).get("event_payload", {}).get("operation"))
    for issue in world.jira.issues.values():
        yield from (label.removeprefix("runbooks-") for label in issue.labels if label.startswith("runbooks-"))


def _subjects(world: World, histories: list[ResponseHistory]) -> Iterator[str]:
    intents = {operation: intent for history in histories for operation, intent in history.intents.items()}
    for operation in set(_told(world)) & set(intents):
        yield f"{intents[operation].action} of {intents[operation].subject.partition('/')[0]}"


def _operation(resource: Any) -> str | None:
    return next((tag["value"] for tag in resource.get_tags() if tag["key"] == OPERATION_TAG), None)
