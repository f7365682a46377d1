"""The playbook of an EC2 instance: quarantine, patch or replace, and Inspector's evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from runbooks.facts import CaseFacts
from runbooks.history import ResponseHistory
from runbooks.plan import Phase, Plan
from runbooks.planning.containment import plan_containment
from runbooks.planning.remediation import plan_remediation
from runbooks.planning.verification import plan_verification
from runbooks.steps import AnyStep
from runbooks.triage import Assessment
from runbooks.verdict import NotYet, Verdict, judge
from runbooks.waves import to_verify
from tasks.containments import contained_by, first_contained_by, is_contained, remediated
from tasks.evidence import Subject, gather
from tasks.facts import read_case_facts
from tasks.gateways.ssm import SsmGateway
from tasks.playbooks.playbook import Playbook
from tasks.protection import protected_cases
from tasks.releasing import release
from tasks.run import Run
from tasks.successors import note_successors
from tasks.triage import all_assessments, to_act_on


def _read(run: Run, cases: Sequence[str]) -> dict[str, CaseFacts]:
    runbook = run.runbook
    return read_case_facts(
        run.aws,
        {case: run.keys[case] for case in cases},
        {case: run.services.ledger.case_findings(case) for case in cases},
        runbook.remediate.image_parameter,
        environment_tag=runbook.limits.environment_tag,
        protection=runbook.contain.protect_evidence,
    )


def _contain(run: Run, history: ResponseHistory, cases: Sequence[str]) -> Plan:
    return plan_containment(
        run.response.id,
        run.runbook,
        to_act_on(run, cases),
        revision=history.next_revision(Phase.CONTAIN),
    )


def _remediate(run: Run, history: ResponseHistory, cases: Sequence[str]) -> Plan:
    return plan_remediation(
        run.response.id,
        run.runbook,
        [_with_its_first_self(run, each) for each in to_act_on(run, cases)],
        bucket=run.services.settings.package_bucket,
        contained=is_contained(run.services.ledger, run.response),
        snapshots=_has_snapshots(run),
        revision=history.next_revision(Phase.REMEDIATE),
    )


def _verify(run: Run, history: ResponseHistory, cases: Sequence[str]) -> Plan:
    places = {f"{key.account}/{key.region}": (key.account, key.region) for key in run.keys.values()}
    ssm = SsmGateway(run.aws)
    found = {place: ssm.inventory_association(*where) for place, where in places.items()}
    remediation = history.plan(Phase.REMEDIATE)
    return plan_verification(
        run.response.id,
        run.runbook,
        to_act_on(run, to_verify(history, remediation) if remediation and remediation.waves else cases),
        {place: association for place, association in found.items() if association is not None},
        revision=history.next_revision(Phase.VERIFY),
        previous=remediation.digest if remediation else None,
    )


def _judged(
    run: Run,
    history: ResponseHistory,
    remediation: Plan | None,
    assessments: Mapping[str, Assessment],
    since: datetime,
    final: bool,
) -> dict[str, Verdict | NotYet]:
    subjects = [_subject(run, history, remediation, each) for each in assessments.values()]
    evidence = gather(run.aws, subjects, None if final else since)
    return {each.case: judge(each.case, evidence[each.case], each.fixed_in, since, final=final) for each in subjects}


def _subject(run: Run, history: ResponseHistory, remediation: Plan | None, assessment: Assessment) -> Subject:
    case, key = assessment.case, run.cases[assessment.case].key
    fate = remediated(history, case)
    noted = note_successors(run, case, fate.successors)
    # A look on demand, long after the response that replaced the instance, is about its successors too.
    instead = fate.successors if fate.replaced else noted if remediation is None else ()
    return Subject(
        case=case,
        key=key,
        resources=instead or (() if fate.replaced else (key.resource_id,)),
        findings=assessment.facts.findings or run.services.ledger.case_findings(case),
        packages=assessment.triage.packages,
    )


def _has_snapshots(run: Run) -> bool:
    """Whether snapshots were taken when the cases were contained."""
    contained = contained_by(run.services.ledger, run.response)
    return any(outcome.action == "create-snapshots" for outcome in contained.outcomes.values())


def _with_its_first_self(run: Run, assessment: Assessment) -> Assessment:
    """The instance as it was before it was contained: a successor takes its groups, not the quarantine's."""
    ledger = run.services.ledger
    before = all_assessments(ledger, first_contained_by(ledger, run.response), assessment.case)
    first = (before or [assessment])[0].facts.host
    resource = assessment.facts.host.model_copy(update={"instance": first.instance})
    return assessment.model_copy(update={"facts": assessment.facts.model_copy(update={"resource": resource})})


def _protected(run: Run, steps: Sequence[AnyStep]) -> dict[str, str]:
    return protected_cases(run.aws, run.keys, run.runbook.limits.protected_tags, steps)


PLAYBOOK = Playbook(
    read=_read,
    planners={Phase.CONTAIN: _contain, Phase.REMEDIATE: _remediate, Phase.VERIFY: _verify, Phase.RELEASE: release},
    judged=_judged,
    protected=_protected,
)
