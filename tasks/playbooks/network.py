"""The playbook of a way into an EC2 instance: the rules that open it are closed, and the path evaluated again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from runbooks.errors import BadInput
from runbooks.facts import CaseFacts
from runbooks.history import ResponseHistory
from runbooks.network import opening_of
from runbooks.network_verdict import judge_network
from runbooks.plan import Phase, Plan
from runbooks.planning.closing import plan_closing
from runbooks.planning.verification import plan_looking
from runbooks.ports import without
from runbooks.steps import AnyStep
from runbooks.triage import Assessment
from runbooks.triage.network import ways_of
from runbooks.verdict import NotYet, Verdict
from runbooks.waves import to_verify
from tasks.network_evidence import WaySubject, gather_ways
from tasks.network_facts import read_network_facts
from tasks.playbooks.playbook import Playbook
from tasks.protection import protected_cases
from tasks.reopening import reopen
from tasks.run import Run
from tasks.triage import to_act_on


def _read(run: Run, cases: Sequence[str]) -> dict[str, CaseFacts]:
    keys = {case: run.keys[case] for case in cases}
    seen = {case: run.services.ledger.case_findings(case) for case in cases}
    return read_network_facts(run.aws, keys, seen, run.runbook)


def _close(run: Run, history: ResponseHistory, cases: Sequence[str]) -> Plan:
    revision = history.next_revision(Phase.REMEDIATE)
    return plan_closing(run.response.id, run.runbook, to_act_on(run, cases), revision=revision)


def _verify(run: Run, history: ResponseHistory, cases: Sequence[str]) -> Plan:
    """Nothing hurries Inspector's network scan: the plan has no steps."""
    closing = history.plan(Phase.REMEDIATE)
    acting = to_act_on(run, to_verify(history, closing) if closing and closing.waves else cases)
    return plan_looking(
        run.response.id,
        run.runbook,
        acting,
        "the path is evaluated again at once; Inspector evaluates it every 12 hours, which nothing hurries",
        revision=history.next_revision(Phase.VERIFY),
        previous=closing.digest if closing else None,
    )


def _judged(
    run: Run,
    history: ResponseHistory,
    remediation: Plan | None,
    assessments: Mapping[str, Assessment],
    since: datetime,
    final: bool,
) -> dict[str, Verdict | NotYet]:
    evidence = gather_ways(run.aws, [_subject(run, each) for each in assessments.values()])
    return {case: judge_network(case, each, since, final=final) for case, each in evidence.items()}


def _subject(run: Run, assessment: Assessment) -> WaySubject:
    case = assessment.case
    findings = assessment.facts.findings or run.services.ledger.case_findings(case)
    facts = assessment.facts.model_copy(update={"findings": findings})
    try:
        ways = ways_of(facts, run.runbook)
    except BadInput:
        return WaySubject(case=case, key=run.cases[case].key, findings=findings, closing=())
    subject = WaySubject(
        case=case, key=run.cases[case].key, findings=findings, closing=ways.closing, expected=ways.expected
    )
    # Where Inspector has closed what was to be closed, a look is about that, and not about nothing.
    closed = [opening.ports for each in subject.counted if (opening := opening_of(each)) is not None]
    return subject if ways.closing else replace(subject, closing=without(closed, ways.expected))


def _protected(run: Run, steps: Sequence[AnyStep]) -> dict[str, str]:
    return protected_cases(run.aws, run.keys, run.runbook.limits.protected_tags, steps)


PLAYBOOK = Playbook(
    read=_read,
    planners={Phase.REMEDIATE: _close, Phase.VERIFY: _verify, Phase.RELEASE: reopen},
    judged=_judged,
    protected=_protected,
)
