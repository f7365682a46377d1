"""A way in, told to people: what triage found, the plan with what it breaks, why it was open, what was accepted."""

from __future__ import annotations

from runbooks.plan import Plan
from runbooks.planning.closing import plan_closing
from runbooks.telling.accepted import acceptance_comment
from runbooks.telling.network_causes import network_causes, network_lessons
from runbooks.telling.plan_text import plan_markdown
from runbooks.telling.triage_text import decision_in_words, triage_markdown
from tests.runbooks.builders import RESPONSE, a_case_key, an_auto_scaling_membership, an_instance
from tests.runbooks.network_builders import (
    NETWORK_CASE,
    WEB,
    a_group_rule,
    network_assessment,
    network_facts,
    network_runbook,
    tagged,
)

KEYS = {NETWORK_CASE: a_case_key(runbook="network-reachability")}


def a_plan() -> Plan:
    return plan_closing(RESPONSE, network_runbook(), [network_assessment()])


def test_triage_tells_the_way_in_and_what_follows() -> None:
    assessment = network_assessment()
    assert decision_in_words(assessment.triage) == "close the way in"
    text = triage_markdown([assessment], KEYS)
    assert "**P4: Close the way in.**" in text
    assert "Ways in from the internet" in text
    assert "203.0.113.7 tcp/22" in text


def test_the_plan_shows_each_rule_its_undo_and_what_breaks() -> None:
    text = plan_markdown(a_plan(), keys=KEYS)
    for words in (
        "1 of 1 can be put back",
        "then remove tcp/22 from 0.0.0.0/0 \\(sgr-tcp-22-0.0.0.0/0\\)".replace("\\", ""),
        "over the internet does so no more",
        "under another one",
    ):
        assert words in text.replace("\\", ""), words


def test_why_it_was_open_names_the_rule_and_what_it_was_said_to_be_for() -> None:
    rule = a_group_rule(description="for the migration")
    each = network_assessment(facts=network_facts(rule))
    told = list(network_causes(each, each.facts.network_facts, each.facts.findings))
    assert told[0].startswith("Port 22 is reachable from an Internet Gateway - TCP by igw-0feedc0de > acl-0feedc0de")
    assert told[1:] == [
        "tcp/22 was open to 0.0.0.0/0 by sg-0web, through igw-0feedc0de",
        "rule sgr-tcp-22-0.0.0.0/0 of sg-0web lets 0.0.0.0/0 reach tcp/22, described as for the migration",
    ]


def test_what_would_prevent_it_is_where_the_way_in_came_from() -> None:
    instance = an_instance(targets=(), auto_scaling=an_auto_scaling_membership())
    each = network_assessment(facts=network_facts(instance=instance, users={WEB: ("eni-1", "eni-2")}))
    assert list(network_lessons(each, each.facts.network_facts)) == [
        "Close tcp/22 in sg-0web itself: eni-1 and eni-2 carry it still",
        "Change the groups in the template of Auto Scaling group checkout: what it launches is open again",
    ]


def test_an_acceptance_says_who_said_so_and_escapes_what_they_wrote() -> None:
    accepted = network_assessment(facts=network_facts(instance=tagged("22 {color:red}")))
    assert accepted.triage.code == "unreadable"
    accepted = network_assessment(facts=network_facts(instance=tagged("22")))
    text = acceptance_comment([accepted], KEYS)
    assert text.startswith("*Accepted, and nothing is changed.*\n\n* i-0a1b2c3d4e5f60718: ")
    assert "expected\\-exposure=22 says so" in text or "expected-exposure=22 says so" in text
