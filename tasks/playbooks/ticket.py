"""The playbook of what only people act upon: Inspector is asked, a ticket says it all, nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from runbooks.case import CaseKey
from runbooks.errors import Refused
from runbooks.evidence import Evidence
from runbooks.facts import CaseFacts
from runbooks.finding import Finding, FindingStatus
from runbooks.history import ResponseHistory
from runbooks.plan import ApprovalRule, Phase, Plan
from runbooks.steps import AnyStep
from runbooks.triage import Assessment
from runbooks.verdict import NotYet, Verdict, VerdictKind
from tasks.other_facts import read_other_facts
from tasks.playbooks.playbook import Playbook
from tasks.run import Run


def _read(run: Run, cases: Sequence[str]) -> dict[str, CaseFacts]:
    keys = {case: run.keys[case] for case in cases}
    return read_other_facts(run.aws, keys, {case: run.services.ledger.case_findings(case) for case in cases})


def _verify(run: Run, history: ResponseHistory, cases: Sequence[str]) -> Plan:
    """A plan without steps: nothing was changed that Inspector could be hurried to look at."""
    return Plan(
        response=run.response.id,
        runbook=run.runbook.name,
        runbook_digest=run.runbook.digest,
        phase=Phase.VERIFY,
        revision=history.next_revision(Phase.VERIFY),
        cases=tuple(cases),
        steps=(),
        reasons=("Inspector is asked once more, and nothing has to be done for that",),
        approval=ApprovalRule(required=False),
    )


def _judged(
    run: Run,
    history: ResponseHistory,
    remediation: Plan | None,
    assessments: Mapping[str, Assessment],
    since: datetime,
    final: bool,
) -> dict[str, Verdict | NotYet]:
    """Never `fixed`: nothing but Inspector is asked, and it also closes what it scans no more."""
    facts = _read(run, [*assessments])
    return {case: _verdict(case, run.keys[case], each.findings) for case, each in facts.items()}


def _verdict(case: str, key: CaseKey, findings: Sequence[Finding]) -> Verdict:
    statuses = {each.arn: each.status for each in findings}
    is_active = FindingStatus.ACTIVE in statuses.values()
    words = (
        f"Inspector still reports {key.name}"
        if is_active
        else f"Inspector reports {key.name} no more, and nothing else was looked at: that does not prove a fix"
    )
    return Verdict(
        case=case,
        kind=VerdictKind.NOT_FIXED if is_active else VerdictKind.UNVERIFIABLE,
        reasons=(words,),
        evidence=(Evidence(resource=key.resource_id, platform="", findings=statuses, coverage=None, installed={}),),
    )


def _nothing_to_protect(run: Run, steps: Sequence[AnyStep]) -> dict[str, str]:
    if steps:
        raise Refused(f"{run.runbook.name} changes nothing", code="nothing-to-do")
    return {}


PLAYBOOK = Playbook(read=_read, planners={Phase.VERIFY: _verify}, judged=_judged, protected=_nothing_to_protect)
