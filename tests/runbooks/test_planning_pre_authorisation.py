"""Nobody is asked only where the runbook says so, every signal holds, and every instance carries the tags."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks.definition import Runbook
from runbooks.instance import Exploitation
from runbooks.plan import Plan
from runbooks.triage import Assessment
from tests.runbooks.builders import (
    a_case_key,
    a_contain_plan,
    a_finding,
    a_release_plan,
    a_remediate_plan,
    a_resource,
    a_runbook,
    an_assessment,
    an_instance,
    an_interface,
    case_facts,
    instance_facts,
)

TAGGED = {"Name": "checkout-7", "containment": "automatic", "team": "shop"}


def authorising(**changes: Any) -> Runbook:
    values: dict[str, Any] = {"when": [["known-exploit", "exposed"]], "tags": {"containment": "automatic"}}
    contain = {"pre_authorised": values | changes.pop("pre_authorised", {})}
    return a_runbook(contain=contain | changes)


def a_case(runbook: Runbook, number: int = 1, tags: dict[str, str] | None = None, **changes: Any) -> Assessment:
    name = f"i-{number:017x}"
    instance = an_instance(name, tags=tags or TAGGED, interfaces=(an_interface(id=f"eni-{number:017x}"),))
    finding = a_finding(number, resource=a_resource(name), **changes.pop("finding", {}))
    return an_assessment(
        case_facts(finding, case=a_case_key(name).id, resource=instance_facts(instance), **changes), runbook
    )


def planned(*cases: Assessment, runbook: Runbook) -> Plan:
    return a_contain_plan(*cases, runbook=runbook)


def test_what_qualifies_says_why_nobody_is_asked() -> None:
    runbook = authorising()
    rule = planned(a_case(runbook), a_case(runbook, 2), runbook=runbook).approval
    assert rule.pre_authorised == (
        "ec2-high-severity-cve has authorised beforehand to contain what is exploitable by a known exploit and exposed "
        "to the internet and tagged containment=automatic"
    )
    assert rule.required, "a person is asked all the same once its number for an hour is used up"


@pytest.mark.parametrize("tags", [{"Name": "checkout-7"}, {"containment": "manual"}])
def test_without_its_tags_somebody_is_asked(tags: dict[str, str]) -> None:
    runbook = authorising()
    assert planned(a_case(runbook, tags=tags), runbook=runbook).approval.pre_authorised is None


def test_every_tag_is_needed() -> None:
    runbook = authorising(pre_authorised={"tags": {"containment": "automatic", "team": "billing"}})
    assert planned(a_case(runbook), runbook=runbook).approval.pre_authorised is None


def test_every_signal_of_a_condition_is_needed_and_an_empty_one_never_holds() -> None:
    for when in ([["exploited-in-the-wild", "exposed"]], [[]], [[], ["compromise-suspected"]]):
        runbook = authorising(pre_authorised={"when": when})
        assert planned(a_case(runbook), runbook=runbook).approval.pre_authorised is None


def test_one_case_that_does_not_qualify_has_somebody_asked_about_all() -> None:
    runbook = authorising()
    suspected = a_case(
        runbook,
        2,
        suspected="guardduty",
        exploitation=Exploitation(),
        finding={"epss": 0.0, "exploit_available": False},
    )
    assert planned(a_case(runbook), suspected, runbook=runbook).approval.pre_authorised is None


def test_what_is_suspected_is_contained_unasked_only_where_the_runbook_lists_it() -> None:
    runbook = authorising(pre_authorised={"when": [["compromise-suspected"]]})
    assert planned(a_case(runbook, suspected="guardduty"), runbook=runbook).approval.pre_authorised
    assert planned(a_case(runbook), runbook=runbook).approval.pre_authorised is None


def test_the_shipped_runbooks_way_is_to_ask() -> None:
    runbook = a_runbook()
    assert runbook.contain.pre_authorised is None
    assert planned(a_case(runbook), runbook=runbook).approval.pre_authorised is None


def test_what_opens_something_on_its_way_is_never_done_unasked() -> None:
    runbook = authorising(cut_connections=True, pre_authorised={"when": [["compromise-suspected"]]})
    private = an_instance(tags=TAGGED, interfaces=(an_interface(public_address=None),), targets=())
    facts = case_facts(resource=instance_facts(private, subnets=()), suspected="guardduty")
    plan = planned(an_assessment(facts, runbook), runbook=runbook)
    assert plan.steps
    assert plan.approval.pre_authorised is None


def test_the_release_of_what_nobody_was_asked_about_is_asked_about() -> None:
    runbook = authorising()
    plan = planned(a_case(runbook), runbook=runbook)
    assert not plan.releases_when_fixed
    asked = planned(a_case(runbook, tags={"Name": "checkout-7"}), runbook=runbook)
    assert asked.releases_when_fixed


def test_neither_remediation_nor_release_is_authorised_beforehand() -> None:
    runbook = authorising()
    case = a_case(runbook)
    contained = planned(case, runbook=runbook)
    assert a_remediate_plan(case, runbook=runbook).approval.pre_authorised is None
    assert a_release_plan(contained, by_itself=False).approval.pre_authorised is None
