"""The one ticket of what only people act upon says all that its owner needs, and lets nobody write in our name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runbooks.case import CaseKey
from runbooks.catalog import Catalog
from runbooks.event import parse
from runbooks.facts import CaseFacts
from runbooks.finding import Finding
from runbooks.instance import Exploitation
from runbooks.other_resource import OtherFacts
from runbooks.telling.handover_ticket import NOBODY, handover_ticket, over_comment
from runbooks.telling.messages import what_happens_next
from runbooks.telling.tickets import Ticket
from runbooks.telling.triage_text import triage_markdown
from runbooks.triage import Assessment, assess

EVENTS = Path(__file__).parents[2] / "events"
CODE, ANY = "lambda-code-vulnerability", "any-high-severity-finding"
CATALOG = Catalog.read()
SUGGESTION = "Read the secret from a store.\n[how](https://vendor.example/secrets)"


def findings_of(name: str, **changes: Any) -> Finding:
    event = json.loads((EVENTS / f"{name}.json").read_text())
    event["detail"] |= changes
    (finding,) = parse(event).findings
    return finding


def an_assessment(*findings: Finding, runbook: str = CODE, tags: dict[str, str] | None = None) -> Assessment:
    first = findings[0]
    key = CaseKey.of(first, runbook)
    resource = OtherFacts(
        type=key.resource_type, id=key.resource_id, account=key.account, region=key.region, tags=tags or {}
    )
    facts = CaseFacts(case=key.id, findings=findings, exploitation=Exploitation(), resource=resource)
    return assess(facts, CATALOG.named(runbook))


def told(*assessments: Assessment, runbook: str = CODE) -> Ticket:
    keys = {each.case: CaseKey.of(each.facts.findings[0], runbook) for each in assessments}
    return handover_ticket(assessments, keys, CATALOG.named(runbook), run_url="https://prefect.example/run")


def a_weakness(**changes: Any) -> Finding:
    suggested = {"recommendation": {"text": SUGGESTION}}
    return findings_of("lambda_code_event", **({"remediation": suggested} | changes))


def test_a_weakness_is_told_with_its_place_its_detector_and_what_inspector_suggests() -> None:
    ticket = told(an_assessment(a_weakness(), tags={"team": "payments", "Name": "receipts"}))
    assert ticket.summary == (
        "CRITICAL CWE-798 - Hardcoded credentials on arn:aws:lambda:eu-west-1:210987654321:function:receipts:$LATEST"
    )
    lines = ticket.description.splitlines()
    assert "* Owner: payments" in lines
    assert "* Weakness: CWE\\-798" in lines or "* Weakness: CWE-798" in lines
    assert any(line.startswith("* Detector: Hardcoded credentials {{python/hardcoded") for line in lines)
    assert any(line.startswith("* Where in the code: {{app.py}}, line 4") for line in lines)
    assert any(line.startswith("* What Inspector suggests: Read the secret from a store.") for line in lines)
    assert any("revoke it first" in line for line in lines)
    assert {"needs-a-person", "owner:payments", CODE, "critical"} <= set(ticket.labels)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ({"filePath": "src/app.py", "startLine": 4, "endLine": 9}, "{{src/app.py}}, lines 4 to 9"),
        ({"fileName": "app.py"}, "{{app.py}}"),
        ({"filePath": "app.py", "startLine": "four"}, "{{app.py}}"),
    ],
)
def test_the_place_is_told_as_far_as_it_is_known(place: dict[str, Any], words: str) -> None:
    ticket = told(an_assessment(a_weakness(codeVulnerabilityDetails={"filePath": place})))
    (line,) = [each for each in ticket.description.splitlines() if each.startswith("* Where in the code: ")]
    assert line.removeprefix("* Where in the code: ").replace("\\", "") == words


@pytest.mark.parametrize("details", [{}, {"cwes": "CWE-1", "filePath": ["a"], "detectorName": 7}, {"cwes": [None]}])
def test_details_of_another_shape_are_left_out(details: dict[str, Any]) -> None:
    description = told(an_assessment(a_weakness(codeVulnerabilityDetails=details))).description
    assert not any(word in description for word in ("Weakness:", "Detector:", "Where in the code:"))


def test_what_has_no_owner_says_so_and_what_is_in_a_package_names_it() -> None:
    finding = findings_of("ecr_package_event", severity="HIGH")
    ticket = told(an_assessment(finding, runbook=ANY), runbook=ANY)
    assert f"* Owner: {NOBODY}" in ticket.description.splitlines()
    assert "Package zlib1g" in ticket.description
    assert "What Inspector suggests" not in ticket.description
    assert not [label for label in ticket.labels if label.startswith("owner:")]


def test_nothing_that_others_wrote_is_read_as_markup() -> None:
    bad = "{color:red}h1. Approved{color}|| [x|https://evil.example]"
    finding = a_weakness(title=bad, description=bad, remediation={"recommendation": {"text": bad}})
    ticket = told(an_assessment(finding, tags={"owner": bad}))
    assert "{color" not in ticket.description.replace("\\{", "")
    assert "[x|" not in ticket.description.replace("\\[", "")


def test_the_alert_and_the_triage_say_that_nothing_is_changed() -> None:
    each = an_assessment(a_weakness())
    key = CaseKey.of(each.facts.findings[0], CODE)
    assert what_happens_next(CATALOG.named(CODE)) == "A person is asked to see to it: this runbook changes nothing."
    text = triage_markdown([each], {each.case: key})
    assert "a person decides" in text.lower()
    assert "Ways in from the internet" not in text


@pytest.mark.parametrize(
    ("findings", "code", "decision"),
    [
        ((a_weakness(),), "for-a-person", "person"),
        ((a_weakness(status="CLOSED"),), "finding-closed", "nothing-to-do"),
        ((a_weakness(status="SUPPRESSED"),), "finding-suppressed", "nothing-to-do"),
        ((a_weakness(status="CLOSED"), a_weakness(findingArn="arn:other")), "for-a-person", "person"),
    ],
)
def test_triage_hands_over_what_inspector_still_reports(
    findings: tuple[Finding, ...], code: str, decision: str
) -> None:
    triaged = an_assessment(*findings).triage
    assert (triaged.code, triaged.decision, triaged.contain) == (code, decision, False)


def test_triage_of_what_inspector_has_no_more_is_over() -> None:
    each = an_assessment(a_weakness())
    gone = assess(each.facts.model_copy(update={"findings": ()}), CATALOG.named(CODE))
    assert (gone.triage.code, gone.triage.decision) == ("finding-gone", "nothing-to-do")


def test_many_cases_are_a_table_and_the_most_urgent_of_them_are_told_in_full() -> None:
    def weak(number: int, severity: str) -> Assessment:
        finding = a_weakness(findingArn=f"arn:{number}", severity=severity)
        place = f"arn:aws:lambda:eu-west-1:210987654321:function:receipts-{number}:$LATEST"
        return an_assessment(finding.model_copy(update={"resource": finding.resource.model_copy(update={"id": place})}))

    every = [weak(number, "HIGH") for number in range(59)] + [weak(59, "CRITICAL")]
    ticket = told(*every)
    lines = ticket.description.splitlines()
    table = [line for line in lines if line.startswith("| ")]
    assert ticket.summary == "CRITICAL CWE-798 - Hardcoded credentials on 60 functions (210987654321, eu-west-1)"
    assert len(table) == 40
    assert "receipts-59" in table[0]
    assert "... and 20 more cases" in lines
    assert len([line for line in lines if line.startswith("* Case ")]) == 10
    assert [line for line in lines if line.startswith("h3. ")][1:3] == ["h3. Cases", "h3. receipts-59"]


def test_of_one_case_the_worst_findings_are_told_and_the_others_counted() -> None:
    findings = [a_weakness(findingArn=f"arn:{number}", severity="LOW") for number in range(30)]
    lines = told(an_assessment(a_weakness(), *findings)).description.splitlines()
    told_of = [line for line in lines if line.startswith("* Finding ")]
    assert (len(told_of), "... and 11 more findings" in lines) == (20, True)
    assert told_of[0] == f"* Finding {{{{{a_weakness().arn}}}}}"


def test_what_has_ended_is_said_with_its_reason_and_nobody_counts_it_as_fixed() -> None:
    keys: dict[CaseKey, str] = {}
    keys[CaseKey.of(a_weakness(), CODE)] = "Inspector reports it no more (1 closed): {color:red}"
    comment = over_comment(keys)
    first, second = comment.splitlines()
    assert first == "1 case of this ticket ended, and none of them is counted as fixed:"
    assert second.startswith("* {{arn:aws:lambda:eu-west-1:210987654321:function:receipts:$LATEST}}: Inspector reports")
    assert "{color" not in second.replace("\\{", "")
