"""Verifying, as a task: gather the evidence on every case, and judge it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from runbooks.case import CaseKey, case_stream
from runbooks.history import ResponseHistory
from runbooks.packages import os_managed
from runbooks.plan import Phase, Plan
from runbooks.records import CaseSuccessors, CaseVerdict
from runbooks.verdict import ABSENT, Evidence, NotYet, Verdict, VerdictKind, judge
from tasks.artifacts import show
from tasks.containments import Remediated, remediated
from tasks.executor import fallen_out
from tasks.facts import platform_of
from tasks.gateways.ec2 import Ec2Gateway
from tasks.gateways.inspector import InspectorGateway
from tasks.gateways.ssm import SsmGateway
from tasks.planning import remediates_again
from tasks.run import Run, current
from tasks.verdicts import verdicts_on
from tasks.visible import visible

WORST_FIRST = (VerdictKind.NOT_FIXED, VerdictKind.UNVERIFIABLE, VerdictKind.FIXED)


@dataclass(frozen=True)
class Verified:
    """The verdict over all cases of the response; `kind` is None while the evidence is not in."""

    kind: VerdictKind | None
    words: str
    again: bool = False
    """Whether the runbook remediates once more."""


@visible("verify", "Verify by re-scan")
def look_for_verdict() -> Verified:
    """Judge every case that has no verdict yet; what is known is written down at once."""
    run = current()
    history = run.history()
    remediation = history.plan(Phase.REMEDIATE)
    verdicts = verdicts_on(run.services.ledger, run.response, remediation)
    left = fallen_out(history, remediation) if remediation else {}
    open_cases = [case for case in run.response.cases if case not in verdicts and case not in left]
    waiting: list[str] = []
    for case, answer in _judged(run, history, remediation, open_cases).items():
        if isinstance(answer, NotYet):
            waiting += answer.reasons
            continue
        verdicts[case] = answer
        record = CaseVerdict(
            response=run.response.id, remediation=remediation.digest if remediation else None, verdict=answer
        )
        run.services.ledger.append(case_stream(case), record, lease=run.lease)
    if waiting:
        show.waiting(run, "verify", waiting)
        return Verified(kind=None, words="; ".join(dict.fromkeys(waiting)))
    return _over_all(run, history, remediation, verdicts)


def _over_all(run: Run, history: ResponseHistory, remediation: Plan | None, verdicts: dict[str, Verdict]) -> Verified:
    show.verdicts(run, tuple(verdicts.values()))
    kinds = {verdict.kind for verdict in verdicts.values()}
    kind = next((each for each in WORST_FIRST if each in kinds), VerdictKind.UNVERIFIABLE)
    words = "; ".join(dict.fromkeys(reason for verdict in verdicts.values() for reason in verdict.reasons))
    again = remediation is not None and remediates_again(run, history, remediation)
    return Verified(kind=kind, words=words, again=again)


def _judged(
    run: Run, history: ResponseHistory, remediation: Plan | None, cases: Sequence[str]
) -> dict[str, Verdict | NotYet]:
    since = history.last_change(Phase.REMEDIATE) or _first_run(history)
    limit = timedelta(minutes=run.runbook.verify.timeout_minutes)
    final = run.now() - max(since, _first_run(history)) > limit
    places: dict[tuple[str, str], list[str]] = {}
    for case in cases:
        places.setdefault((run.cases[case].key.account, run.cases[case].key.region), []).append(case)
    answers: dict[str, Verdict | NotYet] = {}
    for (account, region), members in places.items():
        fates = {case: remediated(history, remediation, case) for case in members}
        resources = {case: _resources(run.cases[case].key, fate) for case, fate in fates.items()}
        _note_successors(run, fates)
        evidence = _evidence(run, account, region, resources)
        for case in members:
            fixed_in = _fixes(run, case)
            answers[case] = judge(case, evidence[case], fixed_in, since, final=final)
    return answers


def _first_run(history: ResponseHistory) -> datetime:
    return history.entries[0].at


def _resources(key: CaseKey, fate: Remediated) -> tuple[str, ...]:
    """What is judged: the instance itself, or those that took its place."""
    return fate.successors if fate.replaced else (key.resource_id,)


def _note_successors(run: Run, fates: dict[str, Remediated]) -> None:
    for case, fate in fates.items():
        if not fate.successors:
            continue
        records = (entry.record() for entry in run.services.ledger.entries(case_stream(case)))
        noted = {record.successors for record in records if isinstance(record, CaseSuccessors)}
        if fate.successors not in noted:
            record = CaseSuccessors(response=run.response.id, successors=fate.successors)
            run.services.ledger.append(case_stream(case), record, lease=run.lease)


def _fixes(run: Run, case: str) -> dict[str, str | None]:
    findings = run.services.ledger.case_findings(case)
    return {package.name: package.fixed_in for finding in findings for package in finding.packages}


def _evidence(run: Run, account: str, region: str, resources: dict[str, tuple[str, ...]]) -> dict[str, list[Evidence]]:
    """Finding, coverage and inventory of every resource, read in bulk."""
    ids = sorted({resource for each in resources.values() for resource in each})
    inspector, ssm = InspectorGateway(run.aws), SsmGateway(run.aws)
    coverage = inspector.coverage(account, region, ids)
    alive = Ec2Gateway(run.aws).existing(account, region, ids)
    nodes = ssm.nodes(account, region, ids)
    inventories = ssm.inventories(account, region, sorted(nodes))
    found: dict[str, list[Evidence]] = {}
    for case, mine in resources.items():
        seen = run.services.ledger.case_findings(case)
        statuses = _statuses(inspector, account, region, case, run, mine)
        for resource in mine:
            inventory = inventories.get(resource)
            packages = [package for finding in seen for package in finding.packages]
            found.setdefault(case, []).append(
                Evidence(
                    resource=resource,
                    gone=resource not in alive,
                    platform=platform_of(seen),
                    findings=statuses[resource],
                    coverage=coverage.get(resource),
                    installed={each.name: inventory.version_of(each.name) if inventory else None for each in packages},
                    unreadable=tuple(each.name for each in packages if not os_managed(each)),
                    inventory_captured_at=inventory.captured_at if inventory else None,
                )
            )
        found.setdefault(case, [])
    return found


def _statuses(
    inspector: InspectorGateway, account: str, region: str, case: str, run: Run, resources: tuple[str, ...]
) -> dict[str, dict[str, str]]:
    """Resource -> ARN -> status, of the findings of the case's vulnerabilities."""
    seen = run.services.ledger.case_findings(case)
    own = run.cases[case].key.resource_id
    statuses: dict[str, dict[str, str]] = {}
    for resource in resources:
        if resource == own:
            now = inspector.findings(account, region, [finding.arn for finding in seen])
            statuses[resource] = {arn: live.status if live else ABSENT for arn, live in now.items()}
        else:
            vulnerabilities = {finding.vulnerability_id for finding in seen}
            live_ones = inspector.findings_of(account, region, resource)
            statuses[resource] = {
                each.arn: each.status for each in live_ones if each.vulnerability_id in vulnerabilities
            }
    return statuses
