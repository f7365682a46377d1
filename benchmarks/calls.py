"""How many AWS calls a response makes, and how long it takes beside a bare script that does the same work.

    python -m benchmarks.calls [INSTANCES [ROUNDS]]

Instances with two volumes and one interface each are contained, patched, verified and released in one response, by
the product's own planners, executor and gateways with their ledger, over HTTP in one process with the sandbox. Every
request that the sandbox records is counted: `calls_per_instance`; `plan_minimum`, the mutating calls that the plans
name; `calls_ratio`, all calls over that. `cut_down` is one snapshot, one group swap and the patch alone:
`calls_per_instance` from the findings on, and `acting_per_instance` from the approved plans on. `asked_one_by_one` are
the calls for what AWS tells of one instance at a time only, for each instance: no batch makes them fewer. `time_ratio`
is the response over boto3 alone, batched, that makes the same changes and the same one-by-one reads, without a plan or
a ledger; `bare_calls_per_instance` are its calls; `processor_ratio` is the same of processor seconds, the sandbox's
included, for machines that are busy.

Why nothing is asked in bulk there. Installed packages: GetInventory takes many nodes at a time, and refuses
`AWS:Application` as what to tell of them ("Supported type names are: AWS:InstanceInformation, AWS:PatchSummary": open
issue 640 of github.com/aws/aws-sdk); filtered by AWS:Application it names the nodes that have a version, and not when
that was seen, which is no evidence for a verdict. Attributes: DescribeInstances does not tell termination protection
and what a shutdown does; a plan shows what they are before it changes them, and whoever changes them looks first, once
to contain and once to release. GetLaunchTemplateData tells both in one call, and the instance's user data with them,
which nothing here is allowed to read.

Prints a table, and then one JSON object. The sandbox's clock is moved on while something is waited for.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.calls_bare import bare
from deployments.sandbox.server import Sandbox
from runbooks.case import CaseKey, case_stream, response_stream
from runbooks.catalog import Catalog
from runbooks.definition import Runbook
from runbooks.finding import Finding, Resource, VulnerablePackage
from runbooks.inspector import to_detail
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
ACCOUNT, REGION = "210987654321", "eu-west-1"
PACKAGE_SOURCE = "10.20.0.0/16"
AT = datetime(2026, 3, 2, 9, 15, 30, tzinfo=UTC)
LOOK_SECONDS = 5.0
MOST_LOOKS = 60
INSTANCES, QUICK = 200, 40
ONE_BY_ONE = ("ec2:DescribeInstanceAttribute", "ssm:ListInventoryEntries")


def measure(instances: int = INSTANCES, rounds: int = 1) -> dict[str, Any]:
    """Both kinds of work over so many instances; times are medians of the rounds, counts those of the last."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder, Sandbox(pace=0.0) as sandbox, _reaching(sandbox):
        whole, alone = list[Work](), list[Work]()
        for number in range(rounds):
            whole.append(_respond(sandbox, Path(folder, f"whole-{number}.db"), instances, _runbook(whole=True)))
            alone.append(_bare(sandbox, instances))
        part = _respond(
            sandbox, Path(folder, "part.db"), instances, _runbook(whole=False), Phase.CONTAIN, Phase.REMEDIATE
        )
    last, seconds = whole[-1], statistics.median(each.seconds for each in whole)
    bare_seconds = statistics.median(each.seconds for each in alone)
    processor = [statistics.median(each.processor_seconds for each in some) for some in (whole, alone)]
    one_by_one = sum(last.counted[name] for name in ONE_BY_ONE)
    return {
        "instances": instances,
        "calls_per_instance": round(last.calls / instances, 3),
        "plan_minimum": last.minimum,
        "calls_ratio": round(last.calls / last.minimum, 3),
        "asked_one_by_one": round(one_by_one / instances, 3),
        "calls_ratio_without_those": round((last.calls - one_by_one) / last.minimum, 3),
        "seconds": round(seconds, 2),
        "bare_seconds": round(bare_seconds, 2),
        "bare_calls_per_instance": round(alone[-1].calls / instances, 3),
        "time_ratio": round(seconds / bare_seconds, 2),
        "processor_ratio": round(processor[0] / processor[1], 2),
        "by_operation": dict(last.counted.most_common()),
        "cut_down": {
            "calls_per_instance": round(part.calls / instances, 3),
            "acting_per_instance": round(part.acting / instances, 3),
            "plan_minimum": part.minimum,
            "by_operation": dict(part.counted.most_common()),
        },
    }


@dataclass
class Work:
    """What a response came to."""

    seconds: float = 0.0
    processor_seconds: float = 0.0
    """Of this process: the sandbox's part included."""
    minimum: int = 0
    acting: int = 0
    """Calls from the approved plans on."""
    counted: Counter[str] = field(default_factory=Counter[str])

    @property
    def calls(self) -> int:
        return self.counted.total()


def _respond(sandbox: Sandbox, database: Path, instances: int, runbook: Runbook, *phases: Phase) -> Work:
    with _sandbox_of(sandbox, instances) as (findings, bucket):
        ledger = Ledger.open(f"sqlite:///{database}", clock=sandbox.cloud.clock.now, sign=_SIGNER.signed)
        response = Response(sandbox, ledger, runbook, findings, bucket)
        with _timed(sandbox, response.work):
            for phase in phases or (Phase.CONTAIN, Phase.REMEDIATE, Phase.VERIFY, Phase.RELEASE):
                response.phase(phase)
        ledger.close()
    return response.work


class Response:
    """One run over all cases, from the findings to the release: what the flows decide, without Prefect."""

    def __init__(
        self, sandbox: Sandbox, ledger: Ledger, runbook: Runbook, findings: list[Finding], bucket: str
    ) -> None:
        self._sandbox, self._ledger, self._runbook, self._bucket = sandbox, ledger, runbook, bucket
        for each in findings:
            ledger.take_finding(_key(runbook, each), each, "webhook")
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
        self.work = Work()

    def phase(self, phase: Phase) -> None:
        """Plan one phase, and carry it out."""
        plan = self._plan(phase)
        self.work.minimum += sum(len(step.calls) for step in plan.steps)
        self._write(PlanMade(digest=plan.digest, plan=plan))
        decision = Decision(digest=plan.digest, attempt=1, answer="approved", channel="plan", approver=None)
        self._ledger.decide(self._row.id, _SIGNER.signed(response_stream(self._row.id), decision))
        before = len(self._sandbox.cloud.record.calls())
        for stage in plan.stages():
            self._until(lambda stage=stage: self._executor().carry_out(plan, stage).finished)
        self.work.acting += len(self._sandbox.cloud.record.calls()) - before
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
                triaged = CaseTriaged(response=self._row.id, assessment=self._assessed[case])
                self._ledger.append(case_stream(case), triaged, lease=self._lease)
        return [*self._assessed.values()]

    def _executor(self) -> Executor:
        trust = Trust(_SIGNER, Registry())
        now, limits = self._sandbox.cloud.clock.now(), self._runbook.limits
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
        for each in subjects:
            verdict = judge(each.case, evidence[each.case], each.fixed_in, since, final=False)
            if not isinstance(verdict, NotYet):
                record = CaseVerdict(response=self._row.id, remediation=patched, verdict=verdict)
                self._ledger.append(case_stream(each.case), record, lease=self._lease)
                self._fixed |= {each.case} if verdict.kind == "fixed" else set()
        return self._fixed == self._keys.keys()

    def _until(self, done: Any) -> None:
        for _ in range(MOST_LOOKS):
            if done():
                return
            self._sandbox.advance(LOOK_SECONDS)
        raise SystemExit("it does not end")

    def _write(self, record: Any) -> None:
        self._journal.write(_SIGNER.signed(response_stream(self._row.id), record))


def _bare(sandbox: Sandbox, instances: int) -> Work:
    work = Work()
    with _sandbox_of(sandbox, instances) as (findings, bucket), _timed(sandbox, work):
        bare(REGION, f"arn:aws:iam::{ACCOUNT}:role/bare", findings, bucket, lambda: sandbox.advance(LOOK_SECONDS))
    return work


@contextmanager
def _timed(sandbox: Sandbox, work: Work) -> Iterator[None]:
    began, processor = time.perf_counter(), time.process_time()
    yield
    work.seconds, work.processor_seconds = time.perf_counter() - began, time.process_time() - processor
    calls = sandbox.cloud.record.calls()
    work.counted = Counter(f"{call['service']}:{call['operation']}" for call in calls)


@contextmanager
def _reaching(sandbox: Sandbox) -> Iterator[None]:
    """The clients of this process reach the sandbox, and nothing else."""
    wanted = {"AWS_ENDPOINT_URL": sandbox.url, "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@contextmanager
def _sandbox_of(sandbox: Sandbox, instances: int) -> Iterator[tuple[list[Finding], str]]:
    """An emptied sandbox with so many instances that the internet reaches, and their findings."""
    sandbox.reset()
    findings = [_finding(number) for number in range(instances)]
    built: dict[str, Any] = {}
    for each in findings:
        event = {"detail-type": "Inspector2 Finding", "source": "aws.inspector2", "detail": to_detail(each)}
        event |= {"account": ACCOUNT, "region": REGION, "time": "2026-03-02T09:15:31Z", "resources": [each.resource.id]}
        built = sandbox.furnish(event, interfaces=1, volumes=2, known_exploited=True)
    sandbox.cloud.record.clear()
    yield findings, built["bucket"]


def _finding(number: int) -> Finding:
    address = f"10.20.{number // 250}.{number % 250 + 4}"
    instance = {
        "imageId": "ami-00c0ffee00c0ffee0",
        "platform": "UBUNTU_22_04",
        "type": "m7g.large",
        "ipV4Addresses": [address],
        "iamInstanceProfileArn": f"arn:aws:iam::{ACCOUNT}:instance-profile/fleet",
        "vpcId": "vpc-0feedc0de",
        "subnetId": "subnet-0feedc0de",
        "launchedAt": "Sun Feb 01 06:00:02.000 UTC 2026",
    }
    return Finding(
        arn=f"arn:aws:inspector2:{REGION}:{ACCOUNT}:finding/{number:032x}",
        type="PACKAGE_VULNERABILITY",
        status="ACTIVE",
        severity="CRITICAL",
        title="CVE-2026-10001 - libssl3",
        description="An attacker who can reach the service can make it run what they send.",
        resource=Resource(
            type="AWS_EC2_INSTANCE",
            id=f"i-{number:017x}",
            account=ACCOUNT,
            region=REGION,
            tags={"Name": f"fleet-{number}", "environment": "production"},
            details={"awsEc2Instance": instance},
        ),
        vulnerability_id="CVE-2026-10001",
        packages=(
            VulnerablePackage(
                name="libssl3", version="3.0.2-0ubuntu1.10", fixed_in="3.0.2-0ubuntu1.15", arch="ARM64", manager="OS"
            ),
        ),
        inspector_score=9.1,
        exploit_available=True,
        first_observed_at=AT,
        last_observed_at=AT,
        updated_at=AT,
    )


def _runbook(*, whole: bool) -> Runbook:
    """The shipped runbook with room for everything, asking nobody; `whole`: with the evidence protected."""
    values = Catalog.read().named("ec2-high-severity-cve").model_dump()
    values["contain"] |= {"protect_evidence": whole, "replacement_capacity": "none"}
    values["contain"]["quarantine"]["package_mirrors"] = (PACKAGE_SOURCE,)
    for phase in ("contain", "remediate", "release"):
        values[phase]["approval"]["required"] = False
    values["limits"] |= {"maximum_cases": 1_000, "maximum_cases_at_once": 1_000, "maximum_cases_per_hour": 10_000}
    values["limits"] |= dict.fromkeys(
        ("maximum_share_of_auto_scaling_group", "maximum_share_of_target_group", "maximum_share_of_environment"), 100
    )
    return Runbook.model_validate(values)


def _key(runbook: Runbook, finding: Finding) -> CaseKey:
    resource = finding.resource
    return CaseKey(
        runbook=runbook.name,
        account=resource.account,
        region=resource.region,
        resource_type=resource.type,
        resource_id=resource.id,
    )


_SIGNER = Signer(bytes(range(32)))


def main(instances: int = INSTANCES, rounds: int = 3) -> None:
    measured = measure(instances, rounds)
    for title, counted in (("all", measured["by_operation"]), ("cut down", measured["cut_down"]["by_operation"])):
        sys.stdout.write(f"{title}:\n")
        for name, count in counted.items():
            sys.stdout.write(f"  {count:6} {count / instances:6.3f} an instance  {name}\n")
    sys.stdout.write(json.dumps(measured) + "\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
