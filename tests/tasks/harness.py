"""A response from its findings to its release, carried out by the executor itself against the sandbox.

What a flow decides is played here in a few lines; what touches the world is the product's own: the ledger in SQLite,
the pure planners, the executor, and the actions with their boto3 clients over HTTP. `Shaky` breaks one point of it.
"""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from deployments.sandbox.server import Sandbox
from runbooks.case import APPROVERS_STREAM, CaseKey, case_stream, response_stream
from runbooks.definition import Runbook
from runbooks.event import read_payload
from runbooks.history import ResponseHistory
from runbooks.plan import Phase, Plan
from runbooks.planning.containment import plan_containment
from runbooks.planning.release import plan_release
from runbooks.planning.remediation import plan_remediation
from runbooks.planning.verification import plan_verification
from runbooks.records import ApprovalAsked, CaseTriaged, CaseVerdict, PhaseEnded
from runbooks.registry import Registry
from runbooks.steps import AnyStep
from runbooks.steps.base import Role
from runbooks.triage import Assessment, assess
from runbooks.verdict import ABSENT, Evidence, NotYet, Verdict, judge
from tasks.authority import Trust
from tasks.containments import contained_by
from tasks.executor import Executor, Progress
from tasks.facts import platform_of, read_case_facts
from tasks.gateways.actions import actions
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.inspector import InspectorGateway
from tasks.gateways.ledger import Lease
from tasks.gateways.ssm import SsmGateway
from tasks.journal import Journal
from tests.runbooks.builders import a_runbook
from tests.runbooks.signatures import JANE, JOE, SIGNER, added, answered, decided, made, signed
from tests.tasks.gateways.aws_world import ACCOUNT, REGION, ROLE_ARN
from tests.tasks.shaky import SERVICES, Shaky, ShakyLedger, ShakySessions

PACKAGE_SOURCE = "10.20.0.0/16"
"""Where the sandbox's VPC has its package mirror."""
LEASE_SECONDS = 30.0
SETTLES_AFTER = LEASE_SECONDS + 27.0
"""When the lease of a run that died has lapsed and settled."""
LOOK_SECONDS = 5.0
MOST_LOOKS = 60
EMPTY_LEDGER = "empty-ledger.db"


def the_runbook(**changes: Any) -> Runbook:
    """The shipped runbook, with the sandbox's package mirror and no replacement of what it detaches."""
    contain = {"quarantine": {"package_mirrors": (PACKAGE_SOURCE,)}, "replacement_capacity": "none"}
    return a_runbook(contain=contain | changes.pop("contain", {}), **changes)


class House:
    """One sandbox with one ledger, and the response that is carried out in it."""

    def __init__(self, sandbox: Sandbox, sessions: ShakySessions, folder: Path, runbook: Runbook | None = None) -> None:
        self.sandbox = sandbox
        self.sessions = sessions
        self.runbook = runbook or the_runbook()
        self.built: list[dict[str, Any]] = []
        self.response = ""
        self.watch: Callable[[str], None] = lambda name: None
        """Told of every call that changes something, immediately before it leaves."""
        path = folder / f"ledger-{next(_numbers)}.db"
        shutil.copy(folder / EMPTY_LEDGER, path)
        self.ledger = ShakyLedger.open(f"sqlite:///{path}", clock=self.now, sign=SIGNER.signed)
        self.ledger.append(APPROVERS_STREAM, *signed(added(JANE), added(JOE)))
        self.shake(Shaky())

    def close(self) -> None:
        self.ledger.close()

    def shake(self, shaky: Shaky) -> Shaky:
        """From here on everything that leaves the process passes by this one."""
        self.sessions.shaky = self.ledger.shaky = shaky
        return shaky

    def now(self) -> datetime:
        return self.sandbox.cloud.clock.now()

    def furnish(self, event: dict[str, Any], **options: Any) -> dict[str, Any]:
        """An instance and all around it, and its finding taken in as a case."""
        self.built.append(self.sandbox.furnish(event, **options))
        (finding,) = read_payload(json.dumps(event)).findings
        key = CaseKey(
            runbook=self.runbook.name,
            account=finding.resource.account,
            region=finding.resource.region,
            resource_type=finding.resource.type,
            resource_id=finding.resource.id,
        )
        self.ledger.take_finding(key, finding, "webhook")
        return self.built[-1]

    def start(self) -> Run:
        """A response over every case, and its first run."""
        self.sandbox.cloud.record.clear()
        self.respond()
        return self.take_over()

    def respond(self) -> None:
        """The response over every case, as the sweep starts it; started again it is the same one."""
        cases = [case.id for case in self.ledger.cases("open")]
        self.response = self.ledger.start_response(self.runbook.name, cases, "webhook").id

    def take_over(self, *, after_a_death: bool = False) -> Run:
        """A new run under a higher epoch; one whose predecessor died waits until its lease has lapsed and settled."""
        attempt = self.ledger.next_attempt(self.response)
        if after_a_death:
            self.sandbox.advance(SETTLES_AFTER)
        row = self.ledger.response(self.response)
        assert row is not None
        keys = [case.key for each in row.cases if (case := self.ledger.case(each))]
        resources = [f"{key.account}/{key.region}/{key.resource_id}" for key in keys]
        lease = self.ledger.take_over(self.response, attempt, f"run-{attempt}", resources, LEASE_SECONDS)
        return Run(self, lease, row.cases, {key.id: key for key in keys})

    def overtake(self) -> None:
        """Somebody starts another run: this one's lease is taken away."""
        self.ledger.next_attempt(self.response)

    def history(self) -> ResponseHistory:
        return Journal(self.ledger, self.response, _NO_LEASE).history()

    def trust(self) -> Trust:
        return Trust(SIGNER, Registry.read(self.ledger.entries(APPROVERS_STREAM), SIGNER))

    def mutating_calls(self) -> list[str]:
        """What was changed since the response began, as `service:Operation`, in order; role sessions aside."""
        calls = (call for call in self.sandbox.cloud.record.calls() if call["mutating"] and call["service"] != "sts")
        return [f"{SERVICES.get(call['service'], call['service'])}:{call['operation']}" for call in calls]

    def client(self, service: str, role: Role = Role.READ) -> Any:
        """A client that nobody watches: the test's own, or somebody else's."""
        return _own_client(self.sandbox.url, service, role)

    def groups_of(self, interface: str) -> list[str]:
        answer = self.client("ec2").describe_network_interfaces(NetworkInterfaceIds=[interface])
        return [group["GroupId"] for group in answer["NetworkInterfaces"][0]["Groups"]]

    def set_groups(self, interface: str, groups: list[str]) -> None:
        self.client("ec2").modify_network_interface_attribute(NetworkInterfaceId=interface, Groups=groups)

    def make_group(self, name: str) -> str:
        vpc = self.built[0]["vpc_id"]
        made = self.client("ec2").create_security_group(GroupName=name, Description=name, VpcId=vpc)
        return made["GroupId"]


@dataclass
class Run:
    """One run of the response: what a flow run does, in the flow's order, from the ledger alone."""

    house: House
    lease: Lease
    cases: tuple[str, ...]
    keys: dict[str, CaseKey]

    def __post_init__(self) -> None:
        self.journal = Journal(self.house.ledger, self.house.response, self.lease)
        self.actions = actions(self.house.sessions)

    def to_the_end(self) -> dict[str, Verdict]:
        """Contain, patch, verify and release, whatever of it is left to do."""
        run = self
        for phase in (Phase.CONTAIN, Phase.REMEDIATE, Phase.VERIFY):
            run = run.phase(phase)
        verdicts = run.verdicts()
        run.phase(Phase.RELEASE)
        return verdicts

    def phase(self, phase: Phase) -> Run:
        """One phase from its plan to its end; gives the run that was the last to work on it."""
        run = self
        if run.journal.history().phase_ended(phase) is None:
            plan = run.plan(phase)
            run = run.approved(plan)
            run.carry_out(plan)
            run.journal.write(PhaseEnded(phase=phase, result="done", digest=plan.digest))
        return run

    def plan(self, phase: Phase) -> Plan:
        """The phase's plan, as the ledger has it or made now."""
        known = self.journal.history().plan(phase)
        if known is not None:
            return known
        plan = self._made(phase)
        self.journal.write(made(plan))
        return plan

    def approved(self, plan: Plan, answer: Literal["approved", "rejected"] = "approved") -> Run:
        """The plan is asked about and answered; the run that goes on after the answer is another one."""
        history = self.journal.history()
        ledger, response = self.house.ledger, self.house.response
        if plan.digest in history.decisions:
            return self
        if not plan.approval.required:
            ledger.decide(response, decided(plan, answer, channel="plan"))
            return self
        expires = self.house.now() + timedelta(minutes=plan.approval.expires_minutes)
        asked = ApprovalAsked(digest=plan.digest, attempt=1, expires_at=expires, flow_run="run")
        ledger.ask(response, asked, lease=self.lease)
        ledger.append(response_stream(response), *answered(plan, answer, at=self.house.now()))
        return self.house.take_over()

    def carry_out(self, plan: Plan) -> dict[str, str]:
        """Every stage in order, looking again while something is waited for; step key -> status."""
        for stage in plan.stages():
            self.stage(plan, stage)
        outcomes = self.journal.history().step_outcomes(plan)
        return {key: outcome.status for key, outcome in outcomes.items()}

    def stage(self, plan: Plan, stage: tuple[AnyStep, ...]) -> Progress:
        progress = self.once(plan, stage)
        for _ in range(MOST_LOOKS):
            if progress.finished:
                return progress
            self.wait()
            progress = self.once(plan, stage)
        raise AssertionError(f"still waiting: {progress.waiting}")

    def once(self, plan: Plan, stage: tuple[AnyStep, ...]) -> Progress:
        """One call of the executor for one stage, under this run's lease."""
        self.house.sessions.guard = self._guard
        return self._executor().carry_out(plan, stage)

    def give_up(self, plan: Plan, stage: tuple[AnyStep, ...]) -> None:
        """The stage has taken longer than the runbook allows."""
        self._executor().give_up(plan, stage)

    def _executor(self) -> Executor:
        house = self.house
        return Executor(self.journal, self.actions, house.now(), house.trust(), limits=house.runbook.limits)

    def _guard(self, name: str) -> None:
        self.house.watch(name)
        self.house.ledger.check(self.lease)

    def wait(self) -> None:
        self.house.sandbox.advance(LOOK_SECONDS)
        self.house.ledger.renew(self.lease, LEASE_SECONDS)

    def assessments(self) -> list[Assessment]:
        """What triage wrote down of every case, or writes down now."""
        ledger, response = self.house.ledger, self.house.response
        known = {case: found[-1] for case in self.cases if (found := self._triaged(case))}
        missing = {case: key for case, key in self.keys.items() if case not in known}
        if missing:
            seen = {case: ledger.case_findings(case) for case in missing}
            facts = read_case_facts(self.house.sessions, missing, seen, None)
            for case, each in facts.items():
                known[case] = assess(each, self.house.runbook)
                ledger.append(
                    case_stream(case), CaseTriaged(response=response, assessment=known[case]), lease=self.lease
                )
        return [known[case] for case in self.cases]

    def verdicts(self) -> dict[str, Verdict]:
        """The verdict on every case; Inspector is waited for."""
        for _ in range(MOST_LOOKS):
            judged = {case: self._judge(case) for case in self.cases}
            verdicts = {case: verdict for case, verdict in judged.items() if isinstance(verdict, Verdict)}
            if verdicts.keys() == judged.keys():
                return verdicts
            self.wait()
        raise AssertionError("there is no verdict")

    def _triaged(self, case: str) -> list[Assessment]:
        records = (entry.record() for entry in self.house.ledger.entries(case_stream(case)))
        return [
            each.assessment
            for each in records
            if isinstance(each, CaseTriaged) and each.response == self.lease.response_id
        ]

    def _made(self, phase: Phase) -> Plan:
        runbook, response, history = self.house.runbook, self.house.response, self.journal.history()
        assessments = self.assessments()
        match phase:
            case Phase.CONTAIN:
                return plan_containment(response, runbook, assessments)
            case Phase.REMEDIATE:
                bucket = self.house.built[0]["bucket"]
                return plan_remediation(response, runbook, assessments, bucket=bucket, contained=history.contained)
            case Phase.VERIFY:
                association = SsmGateway(self.house.sessions).inventory_association(ACCOUNT, REGION)
                assert association is not None
                patched = history.plan(Phase.REMEDIATE)
                previous = patched.digest if patched else None
                place = {f"{ACCOUNT}/{REGION}": association}
                return plan_verification(response, runbook, assessments, place, previous=previous)
            case Phase.RELEASE:
                row = self.house.ledger.response(response)
                assert row is not None
                contained = contained_by(self.house.ledger, row)
                by_itself = all(plan.releases_when_fixed for plan in contained.plans)
                return plan_release(
                    runbook, contained.plans, contained.outcomes, self.cases, response=response, by_itself=by_itself
                )
            case Phase.REBUILD | Phase.TEST | Phase.DEPRECATE:
                raise AssertionError(f"the playbook of an instance has no phase {phase}")

    def _judge(self, case: str) -> Verdict | NotYet:
        """As verifying does, for an instance that was patched in place."""
        known = [
            record.verdict
            for entry in self.house.ledger.entries(case_stream(case))
            if isinstance(record := entry.record(), CaseVerdict)
        ]
        if known:
            return known[-1]
        sessions, history, instance = self.house.sessions, self.journal.history(), self.keys[case].resource_id
        seen = self.house.ledger.case_findings(case)
        inspector, inventories = (
            InspectorGateway(sessions),
            SsmGateway(sessions).inventories(ACCOUNT, REGION, [instance]),
        )
        live = inspector.findings(ACCOUNT, REGION, [finding.arn for finding in seen])
        inventory = inventories.get(instance)
        packages = {package.name: package.fixed_in for finding in seen for package in finding.packages}
        evidence = Evidence(
            resource=instance,
            platform=platform_of(seen),
            findings={arn: found.status if found else ABSENT for arn, found in live.items()},
            coverage=inspector.coverage(ACCOUNT, REGION, [instance]).get(instance),
            installed={name: inventory.version_of(name) if inventory else None for name in packages},
            inventory_captured_at=inventory.captured_at if inventory else None,
        )
        since = history.last_change(Phase.REMEDIATE)
        assert since is not None
        answer = judge(case, [evidence], packages, since, final=False)
        if isinstance(answer, Verdict):
            remediation = history.plan(Phase.REMEDIATE)
            record = CaseVerdict(
                response=self.house.response, remediation=remediation.digest if remediation else None, verdict=answer
            )
            self.house.ledger.append(case_stream(case), SIGNER.signed(case_stream(case), record), lease=self.lease)
        return answer


_numbers = itertools.count(1)
_NO_LEASE = Lease(response_id="", attempt=0, holder="", epochs={})
_own: dict[tuple[str, str, Role], Any] = {}


def _own_client(url: str, service: str, role: Role) -> Any:
    key = (url, service, role)
    if key not in _own:
        _own[key] = AwsSessions(ROLE_ARN, session_name="the-test").client(service, ACCOUNT, REGION, role)
    return _own[key]
