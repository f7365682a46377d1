"""Why an instance could be reached from the internet, and what would keep the next one from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runbooks.finding import Finding
from runbooks.group_rules import ports_in_words
from runbooks.network import NetworkFacts, offending, opening_of
from runbooks.telling.words import listed
from runbooks.timestamps import moment
from runbooks.triage import Assessment

_NAMED = 5


def network_causes(each: Assessment, facts: NetworkFacts, findings: Sequence[Finding]) -> Iterator[str]:
    """The rules, whose they are, and the path."""
    for finding in findings:
        opening = opening_of(finding)
        by = f" by {opening.words}" if opening and opening.steps else ""
        yield f"{finding.title}{by}; first seen {moment(finding.first_observed_at)}"
    for path in each.triage.paths:
        yield f"{path.ports} was open to {path.source} by {path.group}, through {path.gateway}"
    for group, rules in offending(facts, each.triage.paths).items():
        for rule in rules:
            said = f", described as {rule.description}" if rule.description else ", which nobody has described"
            yield f"rule {rule.id} of {group} lets {rule.peer} reach {ports_in_words(rule)}{said}"


def network_lessons(each: Assessment, facts: NetworkFacts) -> Iterator[str]:
    """What to change where the way in came from."""
    for group, rules in offending(facts, each.triage.paths).items():
        users = facts.users.get(group, ())
        if users:
            ports = listed(dict.fromkeys(ports_in_words(rule) for rule in rules))
            yield f"Close {ports} in {group} itself: {listed(users, most=_NAMED)} carry it still"
    group = facts.instance.auto_scaling if facts.instance else None
    if group is not None and each.triage.paths:
        yield f"Change the groups in the template of Auto Scaling group {group.group}: what it launches is open again"
