"""What triage decides of a case, and that it says why."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.definition import Runbook, Signal
from runbooks.facts import CaseFacts
from runbooks.finding import Finding, VulnerablePackage
from runbooks.instance import Exploitation, InstalledPackage, InstanceFacts, Inventory
from runbooks.triage import Triage, assess, package_states, triage
from tests.runbooks.builders import (
    a_finding,
    a_package,
    a_runbook,
    an_instance,
    an_interface,
    an_inventory,
    case_facts,
    instance_facts,
)

SUSPECTED = "GuardDuty reports a reverse shell"
HIDDEN = an_instance(targets=(), interfaces=(an_interface(public_address=None),))
KEV = datetime(2026, 2, 1, tzinfo=UTC)


def a_quiet_finding(number: int = 1, **changes: Any) -> Finding:
    """A finding of which no exploit is known."""
    return a_finding(number, **({"exploit_available": None, "epss": None} | changes))


def facts_with(
    *findings: Finding, signals: tuple[Signal, ...] = (), resource: InstanceFacts | None = None, **changes: Any
) -> CaseFacts:
    """A case with exactly these signals; `resource` replaces the instance that goes with them."""
    exposed = instance_facts(an_instance() if Signal.EXPOSED in signals else HIDDEN)
    exploitation = Exploitation(
        exploit_available=Signal.KNOWN_EXPLOIT in signals,
        known_exploited_since=KEV if Signal.EXPLOITED_IN_THE_WILD in signals else None,
    )
    values: dict[str, Any] = {
        "exploitation": exploitation,
        "resource": resource or exposed,
        "suspected": SUSPECTED if Signal.COMPROMISE_SUSPECTED in signals else None,
    }
    return case_facts(*(findings or (a_quiet_finding(),)), **(values | changes))


def decided(facts: CaseFacts, runbook: Runbook | None = None) -> Triage:
    return triage(facts, runbook or a_runbook())


# --- the decision ----------------------------------------------------------------------------------------------------


def test_a_vulnerable_instance_is_responded_to() -> None:
    found = decided(case_facts())
    assert (found.decision, found.code) == ("respond", "vulnerable")
    assert found == assess(case_facts(), a_runbook()).triage


@pytest.mark.parametrize("state", ["terminated", "shutting-down", None])
def test_an_instance_that_is_gone_is_no_longer_acted_upon(state: str | None) -> None:
    resource = instance_facts(an_instance(state=state)) if state else InstanceFacts(instance=None)
    found = decided(case_facts(resource=resource))
    assert (found.decision, found.code) == ("nothing-to-do", "instance-gone")
    assert found.reasons == ("the instance is gone: nothing is left to contain or patch (and nothing was fixed)",)


def test_a_finding_that_inspector_no_longer_has_is_no_longer_acted_upon() -> None:
    found = decided(case_facts().model_copy(update={"findings": ()}))
    assert (found.decision, found.code) == ("nothing-to-do", "finding-gone")


@pytest.mark.parametrize(
    ("statuses", "decision", "code"),
    [
        (("CLOSED",), "nothing-to-do", "finding-closed"),
        (("CLOSED", "CLOSED"), "nothing-to-do", "finding-closed"),
        (("SUPPRESSED",), "nothing-to-do", "finding-suppressed"),
        (("SUPPRESSED", "CLOSED"), "nothing-to-do", "finding-suppressed"),
        (("CLOSED", "ACTIVE"), "respond", "vulnerable"),
        (("SUPPRESSED", "ACTIVE"), "respond", "vulnerable"),
    ],
)
def test_one_active_finding_is_enough_to_respond(statuses: tuple[str, ...], decision: str, code: str) -> None:
    findings = [a_finding(number, status=status) for number, status in enumerate(statuses)]
    found = decided(case_facts(*findings))
    assert (found.decision, found.code) == (decision, code)


def test_what_is_at_or_past_the_fix_needs_nothing_done() -> None:
    found = decided(case_facts(resource=instance_facts(inventory=an_inventory("3.0.2-0ubuntu1.100"))))
    assert (found.decision, found.code, found.contain) == ("nothing-to-do", "already-fixed", False)
    assert found.reasons == ("the installed version is already at or after the fix: libssl3 3.0.2-0ubuntu1.100",)


def test_a_protected_instance_is_left_to_a_person() -> None:
    resource = instance_facts(an_instance(tags={"remediation": "never", "Name": "x"}))
    found = decided(case_facts(resource=resource, suspected=SUSPECTED))
    assert (found.decision, found.code) == ("person", "protected")
    assert (found.contain, found.remediation) == (False, "person")
    assert found.reasons == ("the instance carries the protected tag remediation=never: a person decides",)


def test_another_value_of_a_protected_tag_protects_nothing() -> None:
    assert (
        decided(case_facts(resource=instance_facts(an_instance(tags={"remediation": "always"})))).code == "vulnerable"
    )


# --- packages --------------------------------------------------------------------------------------------------------


def conditions(facts: CaseFacts) -> list[tuple[str, str, str | None]]:
    return [(state.name, state.state, state.fixed_in) for state in package_states(facts)]


@pytest.mark.parametrize(
    ("resource", "package", "condition"),
    [
        (instance_facts(), a_package(), "vulnerable"),
        (instance_facts(), a_package(fixed_in=None), "vulnerable"),
        (instance_facts(inventory=an_inventory("3.0.2-0ubuntu1.99")), a_package(), "fixed"),
        (instance_facts(inventory=an_inventory(name="openssl")), a_package(), "absent"),
        (instance_facts(inventory=None), a_package(), "unknown"),
        (instance_facts(platform="SOLARIS_11"), a_package(), "unknown"),
        (instance_facts(inventory=an_inventory("no version at all")), a_package(), "unknown"),
        (instance_facts(), a_package(manager="PIP"), "unknown"),
    ],
)
def test_a_package_is_compared_with_what_is_installed(
    resource: InstanceFacts, package: VulnerablePackage, condition: str
) -> None:
    facts = case_facts(a_finding(packages=(package,)), resource=resource)
    assert [state.state for state in package_states(facts)] == [condition]


def two_findings(first: dict[str, Any], second: dict[str, Any]) -> CaseFacts:
    return case_facts(a_finding(1, packages=(a_package(**first),)), a_finding(2, packages=(a_package(**second),)))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize(
    ("fixes", "wanted"),
    [
        (("3.0.2-0ubuntu1.99", "3.0.2-0ubuntu1.100"), "3.0.2-0ubuntu1.100"),
        (("3.0.2-0ubuntu1.80", "3.0.2-0ubuntu1.99"), "3.0.2-0ubuntu1.99"),
        (("3.0.2-0ubuntu1.99", None), None),
        (("3.0.2-0ubuntu1.80", None), None),
    ],
)
def test_of_several_findings_on_one_package_the_one_that_asks_most_counts(
    fixes: tuple[str, str | None], wanted: str | None, order: tuple[int, int]
) -> None:
    first, second = (fixes[each] for each in order)
    facts = two_findings({"fixed_in": first}, {"fixed_in": second})
    assert conditions(facts) == [("libssl3", "vulnerable", wanted)]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_finding_whose_fix_cannot_be_compared_is_not_hidden_by_one_that_is_fixed(order: tuple[int, int]) -> None:
    fixes = ("3.0.2-0ubuntu1.80", "no version at all")
    first, second = (fixes[each] for each in order)
    facts = two_findings({"fixed_in": first}, {"fixed_in": second})
    assert conditions(facts) == [("libssl3", "unknown", "no version at all")]


def test_packages_of_the_same_name_from_two_managers_are_two_packages() -> None:
    facts = two_findings({}, {"manager": "PIP"})
    assert [(state.name, state.manager) for state in package_states(facts)] == [("libssl3", "OS"), ("libssl3", "PIP")]


def test_an_accepted_or_closed_finding_asks_for_nothing_while_another_is_active() -> None:
    accepted = a_finding(
        2, status="SUPPRESSED", severity="CRITICAL", packages=(a_package(name="zlib1g", fixed_in=None),)
    )
    active = a_quiet_finding(severity="MEDIUM", inspector_score=5.0)
    found = decided(facts_with(accepted, active))
    assert [package.name for package in found.packages] == ["libssl3"]
    assert (found.signals, found.priority, found.remediation) == ((), "P4", "patch")


def test_the_inventory_knows_the_architecture_better_than_inspector() -> None:
    all_of_them = a_finding(packages=(a_package(arch="ALL"),))
    assert [each.architecture for each in package_states(case_facts(all_of_them))] == ["amd64"]
    blind = case_facts(all_of_them, resource=instance_facts(inventory=None))
    assert [each.architecture for each in package_states(blind)] == ["ALL"]


# --- signals ---------------------------------------------------------------------------------------------------------

ALL_SIGNALS = tuple(Signal)
EVERY_SET = [chosen for size in range(len(ALL_SIGNALS) + 1) for chosen in combinations(ALL_SIGNALS, size)]


@pytest.mark.parametrize("signals", EVERY_SET, ids=lambda signals: "+".join(signals) or "none")
def test_signals_alone_and_together(signals: tuple[Signal, ...]) -> None:
    found = decided(facts_with(signals=signals))
    assert set(found.signals) == set(signals)
    expected_contain = any(set(chosen) <= set(signals) for chosen in a_runbook().contain.when)
    assert found.contain is expected_contain
    assert found.priority == priority_of(set(signals), severe=True)


def priority_of(signals: set[Signal], *, severe: bool) -> str:
    exploited, exposed = bool(signals & {Signal.KNOWN_EXPLOIT, Signal.EXPLOITED_IN_THE_WILD}), Signal.EXPOSED in signals
    if Signal.COMPROMISE_SUSPECTED in signals or (exploited and exposed):
        return "P1"
    if exploited or (severe and exposed):
        return "P2"
    return "P3" if severe else "P4"


@pytest.mark.parametrize(
    ("severity", "signals", "priority"),
    [
        ("LOW", (Signal.COMPROMISE_SUSPECTED,), "P1"),
        ("LOW", (Signal.KNOWN_EXPLOIT, Signal.EXPOSED), "P1"),
        ("HIGH", (Signal.EXPLOITED_IN_THE_WILD, Signal.EXPOSED), "P1"),
        ("LOW", (Signal.KNOWN_EXPLOIT,), "P2"),
        ("HIGH", (Signal.EXPOSED,), "P2"),
        ("MEDIUM", (Signal.EXPOSED,), "P4"),
        ("CRITICAL", (), "P3"),
        ("HIGH", (), "P3"),
        ("MEDIUM", (), "P4"),
        ("UNTRIAGED", (), "P4"),
    ],
)
def test_the_priority_table(severity: str, signals: tuple[Signal, ...], priority: str) -> None:
    assert decided(facts_with(a_quiet_finding(severity=severity), signals=signals)).priority == priority


@pytest.mark.parametrize(
    ("of_finding", "of_details", "known"),
    [
        (None, None, False),
        (0.09, None, False),
        (0.1, None, True),
        (None, 0.5, True),
        (0.01, 0.5, True),
        (0.5, 0.01, True),
    ],
)
def test_an_exploit_is_known_from_the_runbooks_epss_on_whoever_tells_it(
    of_finding: float | None, of_details: float | None, known: bool
) -> None:
    facts = facts_with(a_quiet_finding(epss=of_finding), exploitation=Exploitation(epss=of_details))
    assert (Signal.KNOWN_EXPLOIT in decided(facts).signals) is known


def test_the_runbook_says_from_which_epss_on() -> None:
    facts = facts_with(a_quiet_finding(epss=0.4))
    assert Signal.KNOWN_EXPLOIT not in decided(facts, a_runbook(thresholds={"epss": 0.5})).signals


def test_an_exploit_that_inspector_reports_in_the_finding_is_known() -> None:
    assert decided(facts_with(a_quiet_finding(exploit_available=True))).signals == (Signal.KNOWN_EXPLOIT,)


@pytest.mark.parametrize("when", [(), ((),)])
def test_a_runbook_without_a_condition_never_contains(when: tuple[tuple[Signal, ...], ...]) -> None:
    assert not decided(facts_with(signals=ALL_SIGNALS), a_runbook(contain={"when": when})).contain


@given(
    when=st.lists(st.lists(st.sampled_from(ALL_SIGNALS), min_size=1, max_size=3).map(tuple), max_size=3).map(tuple),
    signals=st.sets(st.sampled_from(ALL_SIGNALS)).map(tuple),
)
def test_containment_is_any_of_the_runbooks_sets_held_whole(
    when: tuple[tuple[Signal, ...], ...], signals: tuple[Signal, ...]
) -> None:
    found = decided(facts_with(signals=signals), a_runbook(contain={"when": when}))
    assert found.contain is any(all(each in signals for each in chosen) for chosen in when)


# --- reasons ---------------------------------------------------------------------------------------------------------


def test_the_reasons_of_the_worst_case_name_their_numbers_in_order() -> None:
    path = "0.0.0.0/0 -> igw-0feedc0de -> 203.0.113.7 tcp/443 (sg-0web on eni-0000000000000000a)"
    known, suspected = "exploited in the wild, exploitable by a known exploit", "suspected of being compromised"
    assert decided(facts_with(signals=ALL_SIGNALS)).reasons == (
        "libssl3 3.0.2-0ubuntu1.90 is installed, fixed in 3.0.2-0ubuntu1.99",
        "exploited in the wild: in CISA's KEV catalogue since 2026-02-01",
        "an exploit is publicly known",
        f"exposed to the internet: {path}",
        f"compromise of this host is suspected: {SUSPECTED}",
        f"priority P1: severity CRITICAL, score 9.1, {known}, exposed to the internet, {suspected}",
        "contain first: ec2-high-severity-cve contains what is exploited in the wild and exposed to the internet",
        "patch in place through Systems Manager: libssl3 to 3.0.2-0ubuntu1.99",
    )


def test_the_reasons_of_a_quiet_case_say_what_is_not_so() -> None:
    assert decided(facts_with(a_quiet_finding(epss=0.05))).reasons == (
        "libssl3 3.0.2-0ubuntu1.90 is installed, fixed in 3.0.2-0ubuntu1.99",
        "no path from the internet reaches the instance",
        "no exploit is known (EPSS 0.050)",
        "priority P3: severity CRITICAL, score 9.1, neither exploited nor exposed",
        "no containment: none of the conditions of ec2-high-severity-cve holds",
        "patch in place through Systems Manager: libssl3 to 3.0.2-0ubuntu1.99",
    )


def test_an_epss_at_the_threshold_and_further_ways_in_are_told() -> None:
    two_ways = an_instance(interfaces=(an_interface(), an_interface(id="eni-b", device_index=1)))
    reasons = decided(facts_with(a_quiet_finding(epss=0.25), resource=instance_facts(two_ways))).reasons
    assert "EPSS 0.250 is at or above the runbook's 0.1" in reasons
    assert [reason for reason in reasons if reason.endswith("(and 1 more)")]


def test_the_worst_finding_gives_the_priority_its_reason() -> None:
    facts = facts_with(
        a_quiet_finding(1, severity="HIGH", inspector_score=8.0),
        a_quiet_finding(2, severity="CRITICAL", inspector_score=None, cvss_score=9.8),
        a_quiet_finding(3, severity="CRITICAL", inspector_score=9.1),
    )
    assert "priority P3: severity CRITICAL, score 9.8, neither exploited nor exposed" in decided(facts).reasons


def test_a_runbook_that_never_contains_says_so() -> None:
    reasons = decided(case_facts(), a_runbook(contain={"when": ()})).reasons
    assert "no containment: ec2-high-severity-cve never contains" in reasons


def test_the_same_facts_give_the_same_answer() -> None:
    inventory = Inventory(packages=(InstalledPackage(name="zlib1g", version="1:1.2.11"), *an_inventory().packages))
    facts = case_facts(resource=instance_facts(inventory=inventory))
    again = CaseFacts.model_validate_json(facts.model_dump_json())
    assert decided(facts) == decided(again)
