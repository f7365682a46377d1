"""The plan that closes a way in: exactly the rules that open it, and on this instance alone where others share them.

A group that nobody else carries has its rules changed. Of one that others carry the instance gets a copy without these
rules, in the same place among its groups. Nothing else of what reaches the instance is touched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import rfc8785

from runbooks.definition import Runbook
from runbooks.errors import LimitExceeded, Refused
from runbooks.group_rules import EVERY_TRAFFIC, GroupRule, ports_in_words, replacing
from runbooks.instance import Instance
from runbooks.plan import Phase, Plan
from runbooks.planning.change_windows import why_at_once
from runbooks.planning.containment import ALWAYS_TRACKED, ESTABLISHED_CONNECTIONS
from runbooks.planning.extents import extent_of, extents
from runbooks.planning.waves import Unit, in_waves
from runbooks.ports import in_words
from runbooks.steps import AnyStep, EnsureClosedGroup, ReplaceGroupRules, SwapSecurityGroups, Target
from runbooks.triage import Assessment
from runbooks.triage.network import Ways, also_let_in, group_name, inside_of, is_shared, ways_of

MOST_NAMED = 5
"""Interfaces that are named one by one."""


def plan_closing(response: str, runbook: Runbook, assessments: Sequence[Assessment], *, revision: int = 1) -> Plan:
    """One plan that closes what is to be closed of every assessed case.

    Raises:
        LimitExceeded: the plan would touch more than the runbook's limits allow.
        Refused: nothing in it can be closed by this system.
    """
    chosen = [each for each in assessments if each.triage.remediation == "close"]
    if len(chosen) > runbook.limits.maximum_cases:
        raise LimitExceeded(f"{len(chosen)} cases to close, and {runbook.name} allows {runbook.limits.maximum_cases}")
    if not chosen:
        raise Refused("nothing can be closed without a person", code="person")
    units = in_waves(runbook, [Unit((each,), (extent_of(runbook, each),)) for each in chosen])
    waves = [[each for unit in wave for each in unit.members] for wave in units]
    cases = [each for wave in waves for each in wave]
    touched = tuple(extent for wave in waves for extent in extents(runbook, wave))
    at_once = why_at_once(runbook, cases)
    return Plan(
        response=response,
        runbook=runbook.name,
        runbook_digest=runbook.digest,
        phase=Phase.REMEDIATE,
        revision=revision,
        cases=tuple(each.case for each in cases),
        steps=tuple(_steps(runbook, waves)),
        waves=tuple(tuple(each.case for each in wave) for wave in waves) if len(waves) > 1 else (),
        reasons=(*dict.fromkeys(reason for each in cases for reason in each.triage.reasons), *at_once),
        not_covered=tuple(dict.fromkeys(words for each in cases for words in _consequences(runbook, each))),
        cannot_be_put_back=tuple(dict.fromkeys(words for each in cases for words in _not_put_back(runbook, each))),
        approval=runbook.remediate.approval.rule([each.environment for each in touched]),
        extents=touched,
        windows=() if at_once else runbook.remediate.windows,
    )


def closed_group_name(prefix: str, source: str, rules: Sequence[GroupRule]) -> str:
    """The copy's name, which follows its source and its rules: found by it, its rules must be these."""
    content = [source, *sorted(rfc8785.dumps(rule.bare.model_dump(mode="json")).hex() for rule in rules)]
    return f"{prefix}-{hashlib.sha256(rfc8785.dumps(content)).hexdigest()[:8]}"


def _steps(runbook: Runbook, waves: Sequence[Sequence[Assessment]]) -> Iterator[AnyStep]:
    """Wave by wave: the copies that it is the first to need, the interfaces that get them, the groups' own rules."""
    copies = _copies(runbook, [each for wave in waves for each in wave])
    made = set[str]()
    for wave in waves:
        named = {each.case: _named(runbook, each) for each in wave}
        new = dict.fromkeys(key for names in named.values() for key in names.values() if key not in made)
        yield from (copies[key] for key in new)
        made |= set(new)
        for each in wave:
            yield from _swaps(each, named[each.case])
        for each in wave:
            yield from _edits(runbook, each)


def _copies(runbook: Runbook, cases: Sequence[Assessment]) -> dict[str, EnsureClosedGroup]:
    """Each copy once, for all the cases that it serves."""
    found: dict[str, EnsureClosedGroup] = {}
    for each in cases:
        for group, key in _named(runbook, each).items():
            step = found.get(key) or _copy(runbook, each, group, key)
            found[key] = step.model_copy(update={"cases": (*step.cases, each.case)})
    return found


def _named(runbook: Runbook, each: Assessment) -> dict[str, str]:
    """Shared group -> the target of its copy: the VPC and the name."""
    facts, found = each.facts.network_facts, dict[str, str]()
    ways = ways_of(each.facts, runbook)
    for group in ways.rules:
        known = facts.host.group(group)
        if known is not None and is_shared(facts, group):
            rules = _rules_of_the_copy(runbook, each, ways, group)
            found[group] = f"{known.vpc}/{closed_group_name(runbook.network.group_name, group, rules)}"
    return found


def _rules_of_the_copy(runbook: Runbook, each: Assessment, ways: Ways, group: str) -> tuple[GroupRule, ...]:
    facts = each.facts.network_facts
    kept = [rule for rule in facts.rules[group] if rule not in ways.rules[group]]
    added = replacing(ways.rules[group], facts.rules[group], ways.closing, inside_of(facts, runbook))
    return tuple(rule.model_copy(update={"id": ""}) for rule in (*kept, *added))


def _copy(runbook: Runbook, each: Assessment, group: str, key: str) -> EnsureClosedGroup:
    rules = _rules_of_the_copy(runbook, each, ways_of(each.facts, runbook), group)
    vpc, name = key.split("/", 1)
    return EnsureClosedGroup(
        target=_target(each.instance, "security-group", key),
        cases=(),
        vpc=vpc,
        name=name,
        source=group,
        ingress=tuple(rule for rule in rules if not rule.egress),
        egress=tuple(rule for rule in rules if rule.egress),
    )


def _swaps(each: Assessment, named: dict[str, str]) -> Iterator[AnyStep]:
    for interface in each.instance.interfaces:
        if not set(interface.groups) & named.keys() or interface.id not in {
            path.interface for path in each.triage.paths
        }:
            continue
        leaves = tuple(f"@{named[group].split('/', 1)[1]}" if group in named else group for group in interface.groups)
        yield SwapSecurityGroups(
            target=_target(each.instance, "network-interface", interface.id),
            cases=(each.case,),
            vpc=interface.vpc,
            expects=interface.groups,
            leaves=leaves,
        )


def _edits(runbook: Runbook, each: Assessment) -> Iterator[AnyStep]:
    facts, ways = each.facts.network_facts, ways_of(each.facts, runbook)
    for group, rules in ways.rules.items():
        known = facts.host.group(group)
        if known is None or is_shared(facts, group):
            continue
        yield ReplaceGroupRules(
            target=_target(each.instance, "security-group", group),
            cases=(each.case,),
            name=known.name,
            carriers=tuple(sorted(one.id for one in each.instance.interfaces if group in one.groups)),
            removes=rules,
            adds=replacing(rules, facts.rules[group], ways.closing, inside_of(facts, runbook)),
        )


def _consequences(runbook: Runbook, each: Assessment) -> Iterator[str]:
    """What else breaks, and what stays open."""
    facts, ways, instance = each.facts.network_facts, ways_of(each.facts, runbook), each.instance
    yield f"whoever reaches {in_words(ways.closing)} of {instance.id} over the internet does so no more"
    yield ESTABLISHED_CONNECTIONS
    yield ALWAYS_TRACKED
    for rule in (rule for rules in ways.rules.values() for rule in rules if rule.protocol == EVERY_TRAFFIC):
        yield (
            f"{rule.id} lets in all traffic, and a rule cannot say all but one port: for {rule.peer} TCP, UDP and ICMP "
            "of it stay, and what has neither ports nor ICMP (GRE, ESP) is closed as well"
        )
    for group, rule in also_let_in(facts, runbook, ways):
        yield f"{rule.peer} still reaches {ports_in_words(rule)} by {rule.id} of {group}: that is not everybody"
    for target in instance.targets:
        if target.internet_facing and target.load_balancer:
            yield f"what reaches port {target.port} through the load balancer {target.load_balancer} goes on to do so"
    for group in (each for each in ways.rules if is_shared(facts, each)):
        yield from _of_a_shared_group(facts.users[group], group_name(facts, group), instance)
        if named := facts.references.get(group):
            others = ", ".join(group_name(facts, one) for one in named)
            yield f"rules of {others} let members of {group} in; {instance.id} is none any more, and is shut out there"


def _of_a_shared_group(users: Sequence[str], group: str, instance: Instance) -> Iterator[str]:
    named = ", ".join(users[:MOST_NAMED]) + (f" and {len(users) - MOST_NAMED} more" if len(users) > MOST_NAMED else "")
    yield f"{group} keeps its rules: {named} stay as open as they are"
    if instance.auto_scaling is not None:
        yield f"{instance.auto_scaling.group} launches instances with the groups of its template: they are open again"


def _not_put_back(runbook: Runbook, each: Assessment) -> Iterator[str]:
    facts, ways = each.facts.network_facts, ways_of(each.facts, runbook)
    for rule in (rule for group, rules in ways.rules.items() if not is_shared(facts, group) for rule in rules):
        yield f"the id of {rule.id}: put back, the rule has the same content, description and tags under another one"
        if any(name.startswith("aws:") for name in rule.tags):
            yield f"the tags of {rule.id} that AWS itself gave it (aws:...)"


def _target(instance: Instance, kind: str, identifier: str) -> Target:
    return Target(account=instance.account, region=instance.region, type=kind, id=identifier)
