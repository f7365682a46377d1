"""Triage told: what was found and why it matters, with both answers about patching under quarantine."""

from __future__ import annotations

from datetime import UTC, datetime

from runbooks.instance import Exploitation
from runbooks.telling.triage_text import triage_markdown
from tests.runbooks.builders import (
    CASE,
    INSTANCE_ID,
    a_finding,
    a_package,
    a_runbook,
    a_security_group,
    an_assessment,
    assessments,
    case_facts,
    endpoints,
    instance_facts,
    keys_of,
)


def test_the_decision_comes_first_then_finding_package_way_in_and_patchability() -> None:
    text = triage_markdown([an_assessment()], keys_of())
    lead = f"**P1: Contain it, then patch it in place.** Case `{CASE}` in account `210987654321`, `eu-west-1`."
    assert text.startswith(f"## checkout-7 ({INSTANCE_ID})\n\n{lead}")
    assert (
        "| [CVE-2026-10001](https://vendor.example/CVE-2026-10001) | CRITICAL | 9.1 | 0.420 | yes | not listed | yes |"
    ) in text
    assert "| `libssl3` | `3.0.2-0ubuntu1.90` | `3.0.2-0ubuntu1.99` | vulnerable |" in text
    assert "- 0.0.0.0/0 -> igw-0feedc0de -> 203.0.113.7 tcp/443 (sg-0web on eni-0000000000000000a)" in text
    assert "- An exploit is known\n- Reachable from the internet" in text
    assert "- Can Systems Manager reach it? **Yes**" in text
    assert "- Can it reach its packages? **Yes**" in text


def test_both_answers_about_patching_are_told_when_one_is_no() -> None:
    facts = case_facts(resource=instance_facts(endpoints=endpoints()[:3]))
    text = triage_markdown([an_assessment(facts)], keys_of())
    assert "- Can Systems Manager reach it? **Yes**" in text
    assert "- Can it reach its packages? **No**: the VPC has no S3 endpoint" in text


def test_the_kev_catalogue_is_quoted_with_its_due_date() -> None:
    since, due = datetime(2026, 2, 28, tzinfo=UTC), datetime(2026, 3, 21, tzinfo=UTC)
    facts = case_facts(exploitation=Exploitation(known_exploited_since=since, known_exploited_due=due))
    text = triage_markdown([an_assessment(facts)], keys_of())
    assert "| since 2026-02-28, due 2026-03-21 |" in text
    assert "- Exploited in the wild" in text


def test_where_nothing_leads_in_it_says_so() -> None:
    closed = instance_facts(groups=(a_security_group("sg-0web"), a_security_group("sg-0base")))
    text = triage_markdown([an_assessment(case_facts(resource=closed))], keys_of())
    assert "### Ways in from the internet\n\nNone was found." in text


def test_what_is_not_known_is_not_made_up() -> None:
    bare = a_finding(
        inspector_score=None, epss=None, exploit_available=None, fix_available=None, source_url=None,
        packages=(a_package(fixed_in=None),),
    )  # fmt: skip
    facts = case_facts(bare, exploitation=Exploitation(), resource=instance_facts(inventory=None))
    text = triage_markdown([an_assessment(facts)], keys_of())
    assert "| CVE-2026-10001 | CRITICAL | not scored | not known | no | not listed | not said |" in text
    assert "| `libssl3` | `not known` | `none published` | could not be compared |" in text


def test_a_case_with_nothing_to_do_says_why() -> None:
    gone = case_facts(resource=instance_facts().model_copy(update={"instance": None}))
    text = triage_markdown([an_assessment(gone)], keys_of())
    assert "**Nothing to do.**" in text
    assert "- the instance is gone" in text


def test_a_runbook_that_never_contains_is_told_so() -> None:
    text = triage_markdown([an_assessment(runbook=a_runbook(contain={"when": ()}))], keys_of())
    assert "Do not contain it, patch it in place" in text
    assert "never contains" in text


def test_of_many_cases_the_overview_has_all_and_the_most_urgent_first() -> None:
    calm = case_facts(case="case-calm", resource=instance_facts().model_copy(update={"instance": None}))
    every = (an_assessment(calm), *assessments(3))
    text = triage_markdown(every, keys_of(*every[1:]), most_details=2)
    overview = [line for line in text.split("\n") if line.startswith("| ")][2:6]
    assert [line.split(" | ")[0] for line in overview] == [
        "| checkout-1 (i-00000000000000001)",
        "| checkout-2 (i-00000000000000002)",
        "| checkout-3 (i-00000000000000003)",
        f"| {INSTANCE_ID}",
    ]
    assert text.count("Case `") == 2
    assert "2 cases more are in the overview only." in text


def test_a_name_tag_cannot_forge_a_heading() -> None:
    facts = case_facts()
    assert facts.host.instance is not None
    named = facts.host.instance.model_copy(update={"tags": {"Name": "x\n\n# Approved [a](https://evil.example)"}})
    hostile = facts.model_copy(update={"resource": facts.host.model_copy(update={"instance": named})})
    text = triage_markdown([an_assessment(hostile)], keys_of())
    assert "\n# Approved" not in text
    assert "](https://evil" not in text
