"""What the approver of a contain plan reads: where it comes from, why, and what it leaves open."""

from __future__ import annotations

import pytest

from runbooks.plan import Phase
from runbooks.planning.containment import (
    ALWAYS_UNCOVERED,
    ESTABLISHED_CONNECTIONS,
    ISSUED_CREDENTIALS,
    plan_containment,
)
from tests.runbooks.builders import (
    CASE,
    RESPONSE,
    a_contain_plan,
    a_finding,
    a_runbook,
    an_assessment,
    an_instance,
    an_interface,
    assessments,
    case_facts,
    instance_facts,
)


def test_the_plan_names_its_origin_and_its_approval() -> None:
    runbook = a_runbook(contain={"approval": {"approvers": ("jane",), "expires_minutes": 30}})
    plan = plan_containment(RESPONSE, runbook, [an_assessment()], revision=2)
    assert (plan.response, plan.runbook, plan.runbook_digest) == (RESPONSE, runbook.name, runbook.digest)
    assert (plan.phase, plan.revision, plan.cases) == (Phase.CONTAIN, 2, (CASE,))
    assert plan.approval == runbook.contain.approval.rule()
    assert plan.reasons == an_assessment().triage.reasons


def test_reasons_that_cases_share_are_told_once() -> None:
    plan = a_contain_plan(*assessments(5))
    exposed = [reason for reason in plan.reasons if reason.startswith("exposed to the internet: ")]
    assert len(set(plan.reasons)) == len(plan.reasons)
    assert len(exposed) == 5, "each by a way of its own"
    assert len(plan.reasons) - len(exposed) == len(an_assessment().triage.reasons) - 1


@pytest.mark.parametrize(
    ("when_fixed", "suspected", "releases"),
    [
        ("by-itself", None, True),
        ("by-itself", "a detection", False),
        ("ask", None, False),
        ("ask", "a detection", False),
    ],
)
def test_a_release_by_itself_needs_the_runbooks_word_and_nobodys_suspicion(
    when_fixed: str, suspected: str | None, releases: bool
) -> None:
    runbook = a_runbook(release={"when_fixed": when_fixed})
    case = an_assessment(case_facts(suspected=suspected), runbook)
    assert a_contain_plan(case, runbook=runbook).releases_when_fixed is releases


def test_one_suspected_host_keeps_the_whole_plan_from_releasing_by_itself() -> None:
    another = instance_facts(an_instance("i-0b", interfaces=(an_interface(id="eni-0b"),)))
    suspected = an_assessment(case_facts(a_finding(2), case="b", suspected="a detection", resource=another))
    assert not a_contain_plan(an_assessment(), suspected).releases_when_fixed


def test_what_isolation_does_not_cover_is_told_and_issued_credentials_outlive_even_a_stop() -> None:
    assert a_contain_plan().not_covered[:4] == (ESTABLISHED_CONNECTIONS, *ALWAYS_UNCOVERED)
    lonely = an_assessment(case_facts(resource=instance_facts(an_instance(auto_scaling=None))))
    stopped = a_contain_plan(lonely, runbook=a_runbook(contain={"stop": True}))
    assert stopped.not_covered == (ISSUED_CREDENTIALS,)


def test_where_connections_are_cut_only_those_that_are_always_tracked_may_live_on() -> None:
    hidden = an_instance(auto_scaling=None, interfaces=(an_interface(public_address=None),), targets=())
    case = an_assessment(case_facts(resource=instance_facts(hidden), suspected="a detection"))
    plan = a_contain_plan(case, runbook=a_runbook(contain={"cut_connections": True}))
    assert plan.not_covered == ALWAYS_UNCOVERED
    (living,) = [words for words in plan.not_covered if "live on" in words]
    assert living.startswith("flows that are always tracked may live on: ")
    assert all(way in living for way in ("NAT gateways", "network load balancers", "PrivateLink", "ICMP"))
