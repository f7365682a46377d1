"""One response over a whole fleet: what the flows decide, by the product's own parts, without Prefect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.fleet import ACCOUNT, AT, REGION, case_key
from benchmarks.sandbox_apart import SandboxApart
from runbooks.case import case_stream, response_stream
from runbooks.definition import Runbook
from runbooks.finding import Finding
from runbooks.plan import Phase, Plan
from runbooks.planning.containment import plan_containment
from runbooks.planning.release import plan_release
from runbooks.planning.remediation import plan_remediation
from runbooks.planning.verification import plan_verification
from runbooks.records import CaseTriaged, CaseVerdict, Decision, PhaseEnded, PlanMade
from runbooks.registry import Registry
from runbooks.signing import Signer
from runbooks.triage import Assessment, assess
from runbooks.verdict import NotYet, judge
from tasks.authority import Trust
from tasks.containments import contained_by
from tasks.evidence import Subject, gather
from tasks.executor import Executor
from tasks.facts import read_case_facts
from tasks.gateways.actions import actions
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.ledger import Ledger
from tasks.gateways.ssm import SsmGateway
from tasks.journal import Journal

ROLE_ARN = "arn:{partition}:iam::{account}:role/remediation-runbooks-{role}"
SIGNER = Signer(bytes(range(32)))
LOOK_SECONDS = 5.0
MOST_LOOKS = 60


class Response:
    """One run over all cases, from the findings to the release."""

    def __init__(
        self, sandbox: SandboxApart, ledger: Ledger, runbook: Runbook, findings: list[Finding], bucket: str
    ) -> None:
        self._sandbox, self._ledger, self._runbook, self._bucket = sandbox, ledger, runbook, bucket
        for each in findings:
            ledger.take_finding(case_key(runbook, each), each, "webhook")
        found = {each.resource.id: each for each in findings}
        self._keys = {row.id: row.key for row in ledger.cases("open")}
        self._findings = {case: (found[key.resource_id],) for case, key in self._keys.items()}
        self._row = ledger.start_response(runbook.name, [*self._keys], "webhook")
        resources = [f"{key.account}/{key.region}/{key.resource_id}" for key in self._keys.values()]
        attempt = ledger.next_attempt(self._row.id)
        self._lease = ledger.take_over(self._row.id, attempt, "run", resources, 86_400.0)
        self._journal = Journal(ledger, self._row.id, self._lease)
        self._aws = AwsSessions(ROLE_ARN, session_name=self._row.id, guard=lambda name: ledger.check(self._lease))
        self._assessed: dict[str, Assessment] = {}
        self._fixed: set[str] = set()
        self.minimum = 0
        """The mutating calls that the plans name."""
        self.acting = 0
        """Calls from the approved plans on."""

    def phase(self, phase: Phase) -> None:
        """Plan one phase, and carry it out."""
        plan = self._plan(phase)
        self.minimum += sum(len(step.calls) for step in plan.steps)
        self._write(PlanMade(digest=plan.digest, plan=plan))
        decision = Decision(digest=plan.digest, attempt=1, answer="approved", channel="plan", approver=None)
        self._ledger.decide(self._row.id, SIGNER.signed(response_stream(self._row.id), decision))
        before = len(self._sandbox.calls())
        for stage in plan.stages():
            self._until(lambda stage=stage: self._executor().carry_out(plan, stage).finished)
        self.acting += len(self._sandbox.calls()) - before
        outcomes = self._journal.history().step_outcomes(plan).values()
        bad = [each for each in outcomes if each.status not in ("done", "already-done")]
        if bad or len(outcomes) != len(plan.steps):
            raise SystemExit(f"{phase}: {len(bad)} of {len(plan.steps)} steps failed, the first: {bad[:1]}")
        if phase is Phase.VERIFY:
            self._until(self._judged)
        self._journal.write(PhaseEnded(phase=phase, result="done", digest=plan.digest))

    def _plan(self, phase: Phase) -> Plan:
        response, runbook, history = self._row.id, self._runbook, self._journal.history()
        assessments = self._triaged()
        match phase:
            case Phase.CONTAIN:
                return plan_containment(response, runbook, assessments)
            case Phase.REMEDIATE:
                return plan_remediation(response, runbook, assessments, bucket=self._bucket, contained=True)
            case Phase.VERIFY:
                association = SsmGateway(self._aws).inventory_association(ACCOUNT, REGION)
                patched = history.plan(Phase.REMEDIATE)
                places = {f"{ACCOUNT}/{REGION}": association or ""}
                previous = patched.digest if patched else None
                return plan_verification(response, runbook, assessments, places, previous=previous)
            case Phase.RELEASE:
                held = contained_by(self._ledger, self._row)
                return plan_release(
                    runbook,
                    held.plans,
                    held.outcomes,
                    [*self._keys],
                    response=response,
                    by_itself=False,
                    proven="fixed",
                )
            case _:
                raise SystemExit(f"an instance has no phase {phase}")

    def _triaged(self) -> list[Assessment]:
        if not self._assessed:
            protection = self._runbook.contain.protect_evidence
            facts_of = read_case_facts(self._aws, self._keys, self._findings, None, protection=protection)
            for case, facts in facts_of.items():
                self._assessed[case] = assess(facts, self._runbook)
            triaged = {
                case_stream(case): [CaseTriaged(response=self._row.id, assessment=each)]
                for case, each in self._assessed.items()
            }
            self._ledger.append_all(triaged, lease=self._lease)
        return [*self._assessed.values()]

    def _executor(self) -> Executor:
        trust = Trust(SIGNER, Registry())
        now, limits = self._sandbox.now(), self._runbook.limits
        return Executor(self._journal, actions(self._aws), now, trust, limits=limits)

    def _judged(self) -> bool:
        history = self._journal.history()
        since, plan = history.last_change(Phase.REMEDIATE) or AT, history.plan(Phase.REMEDIATE)
        patched = plan.digest if plan else None
        subjects = [
            Subject(case, self._keys[case], (self._keys[case].resource_id,), each.facts.findings, each.triage.packages)
            for case, each in self._assessed.items()
            if case not in self._fixed
        ]
        evidence = gather(self._aws, subjects, since)
        known: dict[str, list[CaseVerdict]] = {}
        for each in subjects:
            verdict = judge(each.case, evidence[each.case], each.fixed_in, since, final=False)
            if not isinstance(verdict, NotYet):
                record = CaseVerdict(response=self._row.id, remediation=patched, verdict=verdict)
                known[case_stream(each.case)] = [record]
                self._fixed |= {each.case} if verdict.kind == "fixed" else set()
        self._ledger.append_all(known, lease=self._lease)
        return self._fixed == self._keys.keys()

    def _until(self, done: Callable[[], bool]) -> None:
        for _ in range(MOST_LOOKS):
            if done():
                return
            self._sandbox.advance(LOOK_SECONDS)
        raise SystemExit("it does not end")

    def _write(self, record: Any) -> None:
        self._journal.write(SIGNER.signed(response_stream(self._row.id), record))
