"""Triage of a way into an instance: close it, accept it as it was declared, or hand it to a person."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from runbooks.definition import Runbook, protected_by
from runbooks.errors import BadInput
from runbooks.exposure import InternetPath, shut_by
from runbooks.facts import CaseFacts
from runbooks.finding import Finding
from runbooks.group_rules import GroupRule, is_everybody, is_inside, ports_in_words
from runbooks.network import NetworkFacts, Opening, offending, opening_of, ways_in
from runbooks.ports import PortRange, in_words, narrowed, read_ports, without
from runbooks.triage.assessment import Decided, Triage
from runbooks.triage.signals import active, answered, ends, priority, signals

STOPPED = ("stopped", "stopping")


@dataclass(frozen=True)
class Ways:
    """What of Inspector's openings is to be closed, and by which rules it is open."""

    openings: tuple[Opening, ...]
    expected: tuple[PortRange, ...]
    """What the instance's tag says the internet is meant to reach."""
    closing: tuple[PortRange, ...]
    beside: tuple[PortRange, ...]
    """What is not meant to be open, and leads through more than an internet gateway: nothing of it is closed here."""
    paths: tuple[InternetPath, ...]
    rules: dict[str, tuple[GroupRule, ...]]
    """Security group -> the rules of it that let the internet in."""


def triage_network(facts: CaseFacts, runbook: Runbook) -> Triage:
    """Decide what the case calls for. Pure: the same facts and runbook give the same answer, with its reasons."""
    settled = _nothing_to_do(facts, runbook)
    if settled is not None:
        return settled
    facts = facts.model_copy(update={"findings": active(facts)})
    try:
        ways = ways_of(facts, runbook)
    except BadInput as error:
        return ends(facts, "unreadable", str(error), "person")
    told = tuple(_told(facts, runbook, ways))
    if (left := _left_alone(facts, runbook, ways)) is not None:
        code, reason, decision = left
        return Triage(case=facts.case, decision=decision, code=code, reasons=(*told, reason), paths=ways.paths)
    found, why_found = signals(facts, runbook, in_words(ways.closing), "no path from the internet reaches the ports")
    level, why_urgent = priority(facts, found)
    return Triage(
        case=facts.case,
        decision="respond",
        code="reachable",
        priority=level,
        signals=found,
        remediation="close",
        paths=ways.paths,
        reasons=(*told, *why_found, why_urgent, _what_is_done(facts.network_facts, ways)),
    )


def ways_of(facts: CaseFacts, runbook: Runbook) -> Ways:
    """What is to be closed of the case's active findings, as things are.

    Raises:
        BadInput: a finding, or the tag that says what is meant to be open, cannot be read.
    """
    openings = tuple(map(_opening, active(facts)))
    instance, tag = facts.network_facts.instance, runbook.network.expected_exposure_tag
    stated = instance.tags.get(tag) if instance else None
    expected = _expected(tag, stated) if stated is not None else ()
    closing = without((each.ports for each in openings if each.direct), expected)
    beside = without((each.ports for each in openings if not each.direct), expected)
    paths = ways_in(facts.host, closing)
    return Ways(openings, expected, closing, beside, paths, offending(facts.network_facts, paths))


def inside_of(facts: NetworkFacts, runbook: Runbook) -> tuple[str, ...]:
    """Who is not the internet, and keeps what a rule for everybody gave them."""
    return (*runbook.network.inside, *facts.inside)


def also_let_in(facts: NetworkFacts, runbook: Runbook, ways: Ways) -> Iterator[tuple[str, GroupRule]]:
    """Group and rule of what else reaches the ports from outside: prefix lists, and addresses named one by one."""
    inside = inside_of(facts, runbook)
    for group, rule in _reaching(facts, ways):
        if not is_everybody(rule.peer) and not is_inside(rule.peer, inside):
            yield group, rule


def is_shared(facts: NetworkFacts, group: str) -> bool:
    """Whether an interface of somebody else carries the group."""
    return bool(facts.users.get(group))


def group_name(facts: NetworkFacts, group: str) -> str:
    """`sg-0abc (web)`."""
    known = facts.host.group(group)
    return f"{group} ({known.name})" if known else group


def _nothing_to_do(facts: CaseFacts, runbook: Runbook) -> Triage | None:
    instance = facts.network_facts.instance
    without_it = answered(facts)
    if without_it is not None and without_it[0] == "finding-gone":
        return ends(facts, *without_it)
    if instance is None or instance.state in ("terminated", "shutting-down"):
        return ends(facts, "instance-gone", "the instance is gone: no way leads to it (and nothing was fixed)")
    if without_it is not None:
        return ends(facts, *without_it)
    if (mark := protected_by(instance.tags, runbook.limits.protected_tags)) is not None:
        return ends(facts, "protected", f"the instance carries the protected tag {mark}: a person decides", "person")
    return None


def _left_alone(facts: CaseFacts, runbook: Runbook, ways: Ways) -> tuple[str, str, Decided] | None:
    """Code, reason and decision where this system closes nothing."""
    network, instance = facts.network_facts, facts.network_facts.instance
    tag = runbook.network.expected_exposure_tag
    if not without((each.ports for each in ways.openings), ways.expected):
        value = instance.tags.get(tag, "") if instance else ""
        open_ones = in_words(without((each.ports for each in ways.openings), ()))
        return (
            "expected-exposure",
            f"{open_ones} is meant to be open: its owner's tag {tag}={value} says so",
            ("nothing-to-do"),
        )
    if not ways.closing:
        return _other_path(ways)
    if not ways.paths:
        return _without_a_path(network, runbook, ways)
    referenced = [group for group in ways.rules if is_shared(network, group) and network.references.get(group)]
    if referenced and runbook.network.when_referenced == "person":
        return "referenced", "; ".join(_why_referenced(network, group) for group in referenced), "person"
    return None


def _without_a_path(facts: NetworkFacts, runbook: Runbook, ways: Ways) -> tuple[str, str, Decided]:
    """Inspector sees a way, and none is seen here: only that no rule lets anybody in proves it closed."""
    instance, ports = facts.instance, in_words(ways.closing)
    if instance is not None and instance.state in STOPPED:
        return (
            "not-running",
            f"the instance is {instance.state}: whether {ports} can be reached is only seen once it runs",
            "person",
        )
    if wide := [(group, rule) for group, rule in _reaching(facts, ways) if is_everybody(rule.peer)]:
        seen = "; ".join(_why_shut(facts, group, rule) for group, rule in wide)
        return (
            "unseen-path",
            f"Inspector reports a way to {ports}, and none is seen here: {seen}; a person finds out who gets in",
            "person",
        )
    if others := tuple(also_let_in(facts, runbook, ways)):
        named = ", ".join(f"{rule.peer} (rule {rule.id} of {group})" for group, rule in others)
        return (
            "narrow-source",
            (
                f"no rule opens {ports} to the internet at large; it is open to {named}: a person decides whether they "
                "may reach it"
            ),
            "person",
        )
    if ways.beside:
        return _other_path(ways)
    return (
        "already-closed",
        (
            f"no rule of its security groups lets anybody outside in on {ports} now: Inspector's next network scan, up "
            "to 12 hours after the last one, closes the finding"
        ),
        "nothing-to-do",
    )


def _reaching(facts: NetworkFacts, ways: Ways) -> Iterator[tuple[str, GroupRule]]:
    """Group and rule of all that lets anybody in on one of the ports, whoever it is."""
    for group, rules in facts.rules.items():
        for rule in rules:
            if not rule.egress and any(narrowed(rule, ports) for ports in ways.closing):
                yield group, rule


def _other_path(ways: Ways) -> tuple[str, str, Decided]:
    return (
        "other-path",
        (
            f"Inspector's path to {in_words(ways.beside)} does not lead straight from an internet gateway: a load "
            "balancer, a peering or a VPN is there to be used, and a person decides who may reach what is behind it"
        ),
        "person",
    )


def _told(facts: CaseFacts, runbook: Runbook, ways: Ways) -> Iterator[str]:
    """The path, whole, and what surrounds it."""
    network, tag = facts.network_facts, runbook.network.expected_exposure_tag
    for opening in ways.openings:
        by = f" by {opening.words}" if opening.steps else ""
        yield f"Inspector: {opening.ports} can be reached from outside{by}"
    if ways.expected and ways.closing:
        yield f"{in_words(ways.expected)} is meant to be open ({tag}); {in_words(ways.closing)} is not"
    if ways.closing and ways.beside:
        yield (f"{in_words(ways.beside)} leads through more than an internet gateway: a person decides")
    yield from (f"the way in: {path}" for path in ways.paths)
    for group, rules in ways.rules.items():
        open_by = ", ".join(f"{ports_in_words(rule)} from {rule.peer} ({rule.id})" for rule in rules)
        users = facts.network_facts.users.get(group, ())
        who = f"{len(users)} other interfaces carry it" if users else "no other interface carries it"
        yield f"{group_name(network, group)} lets it in by {open_by}; {who}"


def _what_is_done(facts: NetworkFacts, ways: Ways) -> str:
    copied = [group_name(facts, each) for each in ways.rules if is_shared(facts, each)]
    edited = [group_name(facts, each) for each in ways.rules if not is_shared(facts, each)]
    how = [f"change the rules of {' and '.join(edited)}, which nobody else carries"] if edited else []
    if copied:
        how.append(f"put a copy of {' and '.join(copied)} without them on this instance alone, for others carry it")
    return f"close {in_words(ways.closing)} to the internet: {'; '.join(how)}"


def _why_referenced(facts: NetworkFacts, group: str) -> str:
    names = ", ".join(group_name(facts, each) for each in facts.references[group])
    return (
        f"{group_name(facts, group)} is shared, and rules of {names} let its members in: out of the group, the "
        "instance would be shut out there; a person decides"
    )


def _why_shut(facts: NetworkFacts, group: str, rule: GroupRule) -> str:
    why = " and ".join(shut_by(facts.host, group, rule))
    return f"{ports_in_words(rule)} is open to {rule.peer} by {rule.id} of {group_name(facts, group)}, but {why}"


def _opening(finding: Finding) -> Opening:
    found = opening_of(finding)
    if found is None:
        raise BadInput("the finding does not say which ports can be reached: a person decides")
    return found


def _expected(tag: str, stated: str) -> tuple[PortRange, ...]:
    try:
        return read_ports(stated)
    except BadInput as error:
        raise BadInput(f"what is meant to be open cannot be read from the tag {tag}={stated}: {error}") from error
