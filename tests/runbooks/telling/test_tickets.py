"""The Jira tickets: what they say, within Jira's limits, and nothing in them that passes for markup of ours."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbooks.case import CaseKey
from runbooks.finding import Finding
from runbooks.history import fold
from runbooks.records import PhaseEnded, PlanMade, ResponseEnded
from runbooks.telling.escaping import size
from runbooks.telling.post_mortem import PostMortem, write_post_mortem
from runbooks.telling.tickets import NEXT_STEPS, Ticket, alert_ticket, jira_label, person_ticket, post_mortem_ticket
from runbooks.verdict import VerdictKind
from tests.runbooks.builders import (
    CASE,
    INSTANCE_ID,
    a_case_key,
    a_contain_plan,
    a_decision,
    a_finding,
    a_package,
    a_resource,
    a_runbook,
    a_verdict,
    an_assessment,
    an_intent,
    an_outcome,
    keys_of,
)
from tests.runbooks.histories import a_history, a_whole_response, asked_and_answered, case_entries, dated

URL = "https://prefect.example/runs/flow-run/1"
WORDS = st.text(max_size=300) | st.sampled_from(
    ["h1. Approved\nh1. Again", "[x|https://evil.example]", "{code}" * 50, "|| a || b ||", "\\" * 40, "😀" * 300]
)
PLAN = a_contain_plan()


def assert_jira_takes(ticket: Ticket) -> None:
    assert 1 <= size(ticket.summary) <= 255
    assert "\n" not in ticket.summary
    assert 1 <= size(ticket.description) <= 32_000
    assert len(set(ticket.labels)) == len(ticket.labels)
    for label in ticket.labels:
        assert re.fullmatch(r"[A-Za-z0-9._:-]{1,255}", label)


def headings(ticket: Ticket) -> list[str]:
    return re.findall(r"^h3\. (.*)$", ticket.description, re.MULTILINE)


def ending(result: str, **changes: object) -> ResponseEnded:
    return ResponseEnded.model_validate({"result": result, "reason": "because", **changes})


def a_post_mortem() -> PostMortem:
    verdict = a_verdict()
    return write_post_mortem(
        fold(a_whole_response()),
        keys_of(),
        {CASE: (a_finding(),)},
        [an_assessment()],
        [verdict],
        a_runbook(),
        case_entries=case_entries(verdict=verdict),
    )


def test_the_alert_ticket_says_what_where_and_what_comes_next() -> None:
    ticket = alert_ticket(keys_of(), {CASE: (a_finding(),)}, a_runbook(), run_url=URL)
    assert ticket.summary == f"CRITICAL CVE-2026-10001 on checkout-7 ({INSTANCE_ID})"
    assert ticket.priority == "High"
    assert ticket.labels == ("remediation-runbooks", "ec2-high-severity-cve", "critical", "CVE-2026-10001", CASE)
    assert headings(ticket) == ["Findings", "Where", "Links"]
    for line in (
        "Nothing is changed before a person approves the plan.",
        "| [CVE-2026-10001|https://vendor.example/CVE-2026-10001] | {{"
        + INSTANCE_ID
        + "}} | CRITICAL | 9.1 | 0.420 | yes "
        "| libssl3 3.0.2 | 3.0.2-0ubuntu1.99 | 2026-03-02 09:15:30 UTC |",
        "| {{" + INSTANCE_ID + "}} | 210987654321 | eu-west-1 | {{" + CASE + "}} |",
        f"* [Prefect run|{URL}]",
    ):
        assert line in ticket.description
    assert_jira_takes(ticket)


def a_burst(cases: int) -> tuple[dict[str, CaseKey], dict[str, tuple[Finding, ...]]]:
    """One vulnerability on every instance, a second on the last, which is the only critical one with an exploit."""
    keys = {key.id: key for key in (a_case_key(f"i-{number:017x}") for number in range(cases))}
    common: dict[str, Any] = {"severity": "HIGH", "exploit_available": False, "vulnerability_id": "CVE-2026-44228"}
    findings: dict[str, tuple[Finding, ...]] = {
        case: (a_finding(number, resource=a_resource(key.resource_id), **common),)
        for number, (case, key) in enumerate(keys.items(), start=1)
    }
    last = list(keys)[-1]
    findings[last] = (*findings[last], a_finding(cases + 1, resource=a_resource(keys[last].resource_id)))
    return keys, findings


def test_a_ticket_for_three_hundred_cases_has_the_most_urgent_and_counts_the_rest() -> None:
    keys, findings = a_burst(300)
    ticket = alert_ticket(keys, findings, a_runbook(), run_url=URL)
    assert_jira_takes(ticket)
    assert ticket.summary == "CRITICAL CVE-2026-10301 and 1 more on 300 instances (210987654321, eu-west-1)"
    assert headings(ticket) == ["Findings", "Cases", "Links"]
    vulnerabilities, cases = (part.split("\n\n")[0].split("\n") for part in ticket.description.split("h3. ")[1:3])
    assert [line.split(" | ")[:3] for line in vulnerabilities[2:]] == [
        ["| [CVE-2026-10301|https://vendor.example/CVE-2026-10301]", "{{i-0000000000000012b}}", "CRITICAL"],
        ["| [CVE-2026-44228|https://vendor.example/CVE-2026-44228]", "300 resources", "HIGH"],
    ]
    last = list(keys)[-1]
    assert cases[2] == (
        "| {{i-0000000000000012b}} | 210987654321 | eu-west-1 | CRITICAL CVE-2026-10301 | 2 | {{" + last + "}} |"
    )
    assert (len(cases), cases[-1]) == (2 + 40 + 1, "... and 260 more cases")
    assert len(ticket.description) < 10_000


def test_a_ticket_too_long_for_jira_is_cut_between_lines_and_says_so() -> None:
    keys = {key.id: key for key in (a_case_key(f"i-{number:017x}") for number in range(50))}
    many = tuple(a_package(name="p" * 190 + str(number), fixed_in="9" * 190 + str(number)) for number in range(3))
    findings = {
        case: tuple(
            a_finding(50 * place + each, resource=a_resource(key.resource_id), packages=many) for each in range(9)
        )
        for place, (case, key) in enumerate(keys.items())
    }
    ticket = alert_ticket(keys, findings, a_runbook())
    assert_jira_takes(ticket)
    assert re.fullmatch(
        r"\.\.\. and \d+ more lines, which are in the Prefect artifact", ticket.description.split("\n")[-1]
    )
    assert ticket.description.split("\n")[-2].endswith(" |")


@pytest.mark.parametrize("result", sorted(NEXT_STEPS))
def test_whoever_takes_over_reads_what_happened_and_what_to_do(result: str) -> None:
    ticket = person_ticket(ending(result, contained=True), a_history(), keys_of(), (), a_runbook(), run_url=URL)
    means, do = NEXT_STEPS[result]
    assert ticket.summary == f"A person is needed ({result}): {INSTANCE_ID} (210987654321, eu-west-1)"
    assert ticket.description.startswith(f"{means} because\n\n*The containment is still in place.*")
    assert "h3. What to do\n# " in ticket.description
    assert do.split(" (")[0] in ticket.description
    assert {"needs-a-person", jira_label(result)} <= set(ticket.labels)
    assert_jira_takes(ticket)


def test_a_rejection_is_quoted_with_who_and_why() -> None:
    decision = a_decision(PLAN, "rejected", comment="not during the sale [x|https://evil.example]")
    history = a_history(dated(1, PlanMade(digest=PLAN.digest, plan=PLAN)), *asked_and_answered(PLAN, 2, 3, decision))
    ticket = person_ticket(ending("rejected"), history, keys_of(), (), a_runbook())
    assert "rejected by {{jane@corp.example}} through the Prefect form, saying {{not during the sale \\[x" in (
        ticket.description
    )
    assert PLAN.digest in ticket.description
    assert "The containment is still in place" not in ticket.description


def test_a_drifted_step_and_the_evidence_are_in_the_ticket() -> None:
    swap = PLAN.steps[-1]
    history = a_history(
        dated(1, PlanMade(digest=PLAN.digest, plan=PLAN)),
        dated(2, an_intent(PLAN, swap)),
        dated(3, an_outcome(PLAN, swap, "drifted", detail="the groups are sg-0other")),
        dated(4, PhaseEnded(phase=PLAN.phase, result="failed", digest=PLAN.digest)),
    )
    verdict = a_verdict(VerdictKind.UNVERIFIABLE, "Inspector does not scan it now")
    ticket = person_ticket(ending("failed"), history, keys_of(), [verdict], a_runbook())
    assert "h3. Steps that did not succeed\n* Interface eni-0000000000000000a" in ticket.description
    assert "STOPPED: not as the plan found it. the groups are sg-0other" in ticket.description
    assert f"* {INSTANCE_ID} is unverifiable: Inspector does not scan it now" in ticket.description


def test_a_result_that_is_not_known_still_makes_a_ticket() -> None:
    assert_jira_takes(person_ticket(ending("something else"), a_history(), keys_of(), (), a_runbook()))


def test_the_post_mortem_ticket_holds_the_whole_account_with_the_timeline_last() -> None:
    ticket = post_mortem_ticket(a_post_mortem())
    assert ticket.summary == f"Post-mortem: CVE-2026-10001 on {INSTANCE_ID} (210987654321, eu-west-1): fixed"
    assert headings(ticket) == [
        "What stays open",
        "What would prevent it",
        "Root cause",
        "Vulnerabilities",
        "Where",
        "How long it took",
        "Who allowed what",
        "What was changed",
        "What proves it",
        "Timeline",
    ]
    assert "| Received to contained | 13 min 54 s |" in ticket.description
    assert ticket.labels == ("remediation-runbooks", "post-mortem", "ec2-high-severity-cve", "fixed", "response-0001")
    assert_jira_takes(ticket)


def test_a_long_post_mortem_loses_its_timeline_first() -> None:
    short = a_post_mortem()
    ticket = post_mortem_ticket(short.model_copy(update={"timeline": short.timeline * 40}))
    assert_jira_takes(ticket)
    assert headings(ticket)[-1] == "Timeline"
    assert ticket.description.split("\n")[-1].startswith("... and ")


@settings(deadline=None, max_examples=50)
@given(WORDS, WORDS)
def test_nothing_that_is_said_breaks_a_ticket(one: str, two: str) -> None:
    finding = a_finding(title=one, vulnerability_id=two, severity=one, source_url=two)
    decision = a_decision(PLAN, "rejected", approver=one, comment=two, reason=one)
    history = a_history(dated(1, PlanMade(digest=PLAN.digest, plan=PLAN)), *asked_and_answered(PLAN, 2, 3, decision))
    written = write_post_mortem(
        history, keys_of(), {CASE: (finding,)}, [], [a_verdict(VerdictKind.NOT_FIXED, one, two)], a_runbook()
    )
    for ticket in (
        alert_ticket(keys_of(), {CASE: (finding,) * 30}, a_runbook(), run_url=one),
        person_ticket(ending("rejected", reason=two), history, keys_of(), (), a_runbook()),
        post_mortem_ticket(written),
    ):
        assert_jira_takes(ticket)
        assert "[x|https://evil" not in ticket.description
        assert "Approved" not in " ".join(headings(ticket))
        assert not re.search(r"(?<!\\)\{code", ticket.description)


@given(st.text(max_size=400))
def test_every_label_is_one_that_jira_takes(text: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9._:-]{1,255}", jira_label(text))
