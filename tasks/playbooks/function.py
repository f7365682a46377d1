"""The playbook of a Lambda function: contained by who may call it, updated, shifted by alias, and proven by these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from runbooks.candidate import Candidate
from runbooks.case import case_stream
from runbooks.definition import protected_by
from runbooks.errors import Refused
from runbooks.facts import CaseFacts
from runbooks.finding import FindingStatus
from runbooks.function import FunctionContent, FunctionId
from runbooks.function_package import FunctionPackage
from runbooks.function_verdict import judge_function
from runbooks.gating.subject import ImageName
from runbooks.history import ResponseHistory
from runbooks.image_verdict import Examination, examine
from runbooks.plan import Phase, Plan
from runbooks.planning.functions.becoming import Built
from runbooks.planning.functions.containing import plan_function_containment
from runbooks.planning.functions.rebuilding import gets_image, gets_package, plan_function_rebuild
from runbooks.planning.functions.updating import plan_function_update
from runbooks.planning.functions.verification import plan_function_verification
from runbooks.records import CaseTriaged, Outcome
from runbooks.steps import AnyStep, RebuildImage, RebuildPackage
from runbooks.triage import Assessment
from runbooks.verdict import NotYet, Verdict
from tasks.authority import require_ours
from tasks.containments import is_contained
from tasks.examining import require_passed
from tasks.function_evidence import FunctionSubject, gather_functions
from tasks.function_facts import read_function_facts
from tasks.gateways.actions import actions
from tasks.gateways.functions import FunctionGateway
from tasks.gateways.inspector import InspectorGateway
from tasks.image_evidence import gather_candidate
from tasks.playbooks.playbook import Playbook
from tasks.protection import acted_upon
from tasks.releasing import release
from tasks.reopening import put_remedy_back
from tasks.run import Run
from tasks.triage import to_act_on

_UPDATED_BACK = (
    "what the update changed is put back: $LATEST and the aliases are what they were, AND VULNERABLE AGAIN; "
    "Inspector's next finding begins anew"
)


def _read(run: Run, cases: Sequence[str]) -> dict[str, CaseFacts]:
    keys = {case: run.keys[case] for case in cases}
    seen = {case: run.services.ledger.case_findings(case) for case in cases}
    return read_function_facts(run.aws, keys, seen, run.runbook, run.now().date())


def _contain(run: Run, history: ResponseHistory, cases: Sequence[str]) -> Plan:
    revision = history.next_revision(Phase.CONTAIN)
    return plan_function_containment(run.response.id, run.runbook, to_act_on(run, cases), revision=revision)


def _rebuild(run: Run, history: ResponseHistory, cases: Sequence[str]) -> Plan:
    revision = history.next_revision(Phase.REBUILD)
    return plan_function_rebuild(run.response.id, run.runbook, to_act_on(run, cases), revision=revision)


def _update(run: Run, history: ResponseHistory, cases: Sequence[str]) -> Plan:
    acting = to_act_on(run, cases)
    if any(gets_image(each) for each in acting):
        require_passed(run, history, _made(run, history))
    if any(gets_package(each) for each in acting):
        _require_built(run, history)
    return plan_function_update(
        run.response.id, run.runbook, acting, built(history), revision=history.next_revision(Phase.REMEDIATE)
    )


def _verify(run: Run, history: ResponseHistory, cases: Sequence[str]) -> Plan:
    update = history.plan(Phase.REMEDIATE)
    return plan_function_verification(
        run.response.id,
        run.runbook,
        to_act_on(run, cases),
        revision=history.next_revision(Phase.VERIFY),
        previous=update.digest if update else None,
    )


def _release(run: Run, history: ResponseHistory, cases: Sequence[str]) -> Plan:
    """End the containment; where none is in force, a person who asks for a release means the update itself."""
    if run.response.purpose != "release" or is_contained(run.services.ledger, run.response):
        return release(run, history, cases)
    return put_remedy_back(run, history, _UPDATED_BACK)


def _judged(
    run: Run,
    history: ResponseHistory,
    remediation: Plan | None,
    assessments: Mapping[str, Assessment],
    since: datetime,
    final: bool,
) -> dict[str, Verdict | NotYet]:
    subjects = [_subject(run, each) for each in assessments.values()]
    evidence = gather_functions(run.aws, subjects)
    return {each.case: judge_function(each.case, evidence[each.case], final=final) for each in subjects}


def _subject(run: Run, each: Assessment) -> FunctionSubject:
    case = each.case
    return FunctionSubject(
        case=case,
        key=run.keys[case],
        findings=each.facts.findings or run.services.ledger.case_findings(case),
        vulnerable=_vulnerable(run, case),
    )


def _vulnerable(run: Run, case: str) -> tuple[FunctionContent, ...]:
    """What $LATEST was whenever a triage of the case, in whichever response, read an active finding on it."""
    records = (entry.record() for entry in run.services.ledger.entries_of(case_stream(case), "case-triaged"))
    read = [record.assessment.facts for record in records if isinstance(record, CaseTriaged)]
    return tuple(
        dict.fromkeys(
            function.content
            for facts in read
            if (function := facts.function_facts.function) is not None
            and any(finding.status == FindingStatus.ACTIVE for finding in facts.findings)
        )
    )


def built(history: ResponseHistory) -> dict[str, Built]:
    """Case -> what the newest rebuild made for it; those of which the build failed are left out."""
    found = dict[str, Built]()
    for step, outcome in history.succeeded(Phase.REBUILD):
        if (made := _made_by(step, outcome)) is not None:
            found |= dict.fromkeys(step.cases, made)
    return found


def _made_by(step: AnyStep, outcome: Outcome) -> Built | None:
    match step:
        case RebuildImage():
            name = ImageName(account=step.target.account, region=step.target.region, repository=step.repository)
            return Candidate(
                repository_uri=name.uri,
                digest=str(outcome.result["digest"]),
                tag=step.tag,
                build=str(outcome.result.get("build", "")),
            )
        case RebuildPackage():
            return _package(outcome.result)
        case _:
            return None


def _package(result: Mapping[str, object]) -> FunctionPackage:
    return FunctionPackage.model_validate({name: result.get(name) for name in FunctionPackage.model_fields})


def _require_built(run: Run, history: ResponseHistory) -> None:
    """Each zip is what its build has made, which CodeBuild and S3 are asked once more.

    What was built may be in the ledger by anybody who can write there.

    Raises:
        NotApproved: this system has not made the plan of the builds that is in the ledger.
        Refused: one of them is another one.
        Outside: nobody said what was built.
    """
    plan, known = history.plan(Phase.REBUILD), built(history)
    steps = [each for each in plan.steps if isinstance(each, RebuildPackage)] if plan is not None else []
    if plan is None or not steps:
        return
    require_ours(history, plan, run.services.signer)
    looks = actions(run.aws)[steps[0].kind].look(steps, {each.key: plan.operation(each) for each in plan.steps})
    for step in steps:
        look = looks[step.key]
        made = _package(look.result) if look.status == "as-left" else None
        if any(known.get(case, made) != made for case in step.cases):
            what = f"what the ledger has of {step.address} is not what its build has made"
            raise Refused(f"{what}: {look.detail}" if look.detail else what, code="person")


def _candidates(history: ResponseHistory) -> dict[str, Candidate]:
    """Case -> the image that was built for it."""
    return {case: made for case, made in built(history).items() if isinstance(made, Candidate)}


def _made(run: Run, history: ResponseHistory) -> str:
    """The digests of the images: one, for a function that runs an image shares its response with none."""
    found = _candidates(history)
    if not found:
        raise Refused("no build has made an image", code="person")
    return " ".join(dict.fromkeys(each.digest for each in found.values()))


def _examined(run: Run, history: ResponseHistory, final: bool) -> Examination | NotYet:
    """What Inspector says of the image in its repository, against the function's findings and the old image's."""
    inspector, answers = InspectorGateway(run.aws), list[Examination | NotYet]()
    acting = {each.case: each for each in to_act_on(run, run.response.cases)}
    for case, made in _candidates(history).items():
        name = ImageName.parse(made.image)
        function = acting[case].facts.function_facts.function
        image = ImageName.parse(function.image) if function and function.image else name
        old = inspector.findings_of(image.account, image.region, image.arn(str(image.digest)))
        evidence = gather_candidate(run.aws, run.keys[case].model_copy(update={"resource_id": str(name)}), made.digest)
        answers.append(examine(evidence, [*acting[case].facts.findings, *old], run.runbook, final=final))
    waiting = [each for each in answers if isinstance(each, NotYet)]
    reasons = tuple(reason for each in waiting or answers for reason in each.reasons)
    if waiting:
        return NotYet(reasons=reasons)
    passed = bool(answers) and all(isinstance(each, Examination) and each.passed for each in answers)
    return Examination(passed=passed, reasons=reasons or ("no build has made an image",))


def _protected(run: Run, steps: Sequence[AnyStep]) -> dict[str, str]:
    """The cases of functions that carry a protected tag now."""
    tags, found = run.runbook.limits.protected_tags, dict[str, str]()
    for case in acted_upon(run.keys, steps) if tags else ():
        key = run.keys[case]
        named = FunctionId.of(key.resource_id)
        carried = FunctionGateway(run.aws).tags(key.account, key.region, named.arn) if named else {}
        if named and (mark := protected_by(carried, tags)) is not None:
            found[case] = f"protected: function {named.name} carries the protected tag {mark}"
    return found


PLAYBOOK = Playbook(
    read=_read,
    planners={
        Phase.CONTAIN: _contain,
        Phase.REBUILD: _rebuild,
        Phase.REMEDIATE: _update,
        Phase.VERIFY: _verify,
        Phase.RELEASE: _release,
    },
    judged=_judged,
    protected=_protected,
    made=_made,
    examined=_examined,
)
