"""The playbook of a container image: promotion blocked, a patched image built, examined, tested and deployed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial

from runbooks.candidate import Candidate
from runbooks.case import CaseKey, case_stream
from runbooks.container_image import ImageFacts
from runbooks.definition import protected_by
from runbooks.errors import Refused
from runbooks.facts import CaseFacts
from runbooks.gating.subject import ImageName
from runbooks.history import ResponseHistory
from runbooks.image_verdict import Examination, examine, judge_image
from runbooks.plan import Phase, Plan
from runbooks.planning.images.deploying import plan_deployment
from runbooks.planning.images.deprecating import plan_deprecation
from runbooks.planning.images.promotion import plan_promotion_block
from runbooks.planning.images.rebuilding import plan_rebuild
from runbooks.planning.images.testing import plan_test
from runbooks.planning.images.verification import plan_image_verification
from runbooks.records import CaseOpened, CaseTriaged
from runbooks.steps import AnyStep, ImageBuild
from runbooks.triage import Assessment
from runbooks.verdict import NotYet, Verdict
from tasks.builders import why_not
from tasks.examining import require_passed
from tasks.gateways.ecr import EcrGateway
from tasks.gateways.inspector import InspectorGateway
from tasks.gateways.ledger import Ledger
from tasks.image_evidence import ImageSubject, gather_candidate, gather_images
from tasks.image_facts import read_image_facts
from tasks.image_services import deployed_to, with_owners
from tasks.playbooks.playbook import Playbook
from tasks.protection import acted_upon
from tasks.releasing import release
from tasks.run import Run
from tasks.successors import note_successors
from tasks.testing import why_untested
from tasks.triage import assessments_of, to_act_on


def _read(run: Run, cases: Sequence[str]) -> dict[str, CaseFacts]:
    keys = {case: run.keys[case] for case in cases}
    seen = {case: run.services.ledger.case_findings(case) for case in cases}
    cannot_build = partial(why_not, run.services, run.runbook.rebuild)
    return with_owners(run.aws, read_image_facts(run.aws, keys, seen, run.runbook, cannot_build))


def _block(run: Run, history: ResponseHistory, cases: Sequence[str]) -> Plan:
    revision = history.next_revision(Phase.CONTAIN)
    return plan_promotion_block(run.response.id, run.runbook, to_act_on(run, cases), revision=revision)


def _rebuild(run: Run, history: ResponseHistory, cases: Sequence[str]) -> Plan:
    revision = history.next_revision(Phase.REBUILD)
    return plan_rebuild(run.response.id, run.runbook, to_act_on(run, cases), revision=revision)


def _test(run: Run, history: ResponseHistory, cases: Sequence[str]) -> Plan:
    return plan_test(
        run.response.id,
        run.runbook,
        to_act_on(run, cases),
        _fit(run, history),
        revision=history.next_revision(Phase.TEST),
    )


def _deploy(run: Run, history: ResponseHistory, cases: Sequence[str]) -> Plan:
    acting, made, response = to_act_on(run, cases), _fit(run, history), run.response.id
    tests = plan_test(response, run.runbook, acting, made).steps
    if (why := why_untested(run, history, tests)) is not None:
        raise Refused(f"{made.digest} is not deployed: {why}", code="person")
    return plan_deployment(response, run.runbook, acting, made, revision=history.next_revision(Phase.REMEDIATE))


def _verify(run: Run, history: ResponseHistory, cases: Sequence[str]) -> Plan:
    deployment = history.plan(Phase.REMEDIATE)
    return plan_image_verification(
        run.response.id,
        run.runbook,
        to_act_on(run, cases),
        revision=history.next_revision(Phase.VERIFY),
        previous=deployment.digest if deployment else None,
    )


def _deprecate(run: Run, history: ResponseHistory, cases: Sequence[str]) -> Plan:
    """A plan without steps where somebody has retired the images meanwhile: that is nothing to hand over."""
    known = assessments_of(run.services.ledger, run.response.id, cases)
    return plan_deprecation(
        run.response.id,
        run.runbook,
        [each for each in known.values() if each.triage.decision == "respond"],
        _fit(run, history),
        revision=history.next_revision(Phase.DEPRECATE),
    )


def _examined(run: Run, history: ResponseHistory, final: bool) -> Examination | NotYet:
    made, acting = candidate(run, history), to_act_on(run, run.response.cases)
    keys = [run.keys[each.case] for each in acting]
    if (doubt := _not_what_was_pushed(run, keys[0], made, final)) is not None:
        return doubt
    evidence = gather_candidate(run.aws, keys[0], made.digest)
    inspector = InspectorGateway(run.aws)
    # Every finding there is on them: what they had is nothing that the new image brings.
    old = [each for key in keys for each in inspector.findings_of(key.account, key.region, key.resource_id)]
    known = [finding for each in acting for finding in each.facts.findings]
    return examine(evidence, [*old, *known], run.runbook, final=final)


def _not_what_was_pushed(run: Run, key: CaseKey, made: Candidate, final: bool) -> Examination | NotYet | None:
    """What the ledger says that the build has made is held against the tag under which it has pushed."""
    image = EcrGateway(run.aws).image(key.account, key.region, _repository_of(key), tag=made.tag)
    if image is not None and image.digest == made.digest:
        return None
    if image is None and not final:
        return NotYet(reasons=(f"no image has the tag {made.tag} yet",))
    return Examination(passed=False, reasons=(f"{made.digest} is not what stands under {made.tag}",))


def _judged(
    run: Run,
    history: ResponseHistory,
    remediation: Plan | None,
    assessments: Mapping[str, Assessment],
    since: datetime,
    final: bool,
) -> dict[str, Verdict | NotYet]:
    subjects = [_subject(run, history, each) for each in assessments.values()]
    evidence = gather_images(run.aws, subjects)
    return {each.case: judge_image(each.case, evidence[each.case], each.findings, final=final) for each in subjects}


def _subject(run: Run, history: ResponseHistory, each: Assessment) -> ImageSubject:
    case, key = each.case, run.keys[each.case]
    rebuilt = history.plan(Phase.REBUILD) is not None
    successors = note_successors(run, case, (candidate(run, history).digest,) if rebuilt else ())
    seen = as_seen(run.services.ledger, case)
    services = tuple({service.arn: service for facts in seen for service in facts.services}.values())
    return ImageSubject(
        case=case,
        key=key,
        successors=successors,
        findings=each.facts.findings,
        services=services,
        others=frozenset(other.arn for facts in seen for other in facts.others),
        was_run=any(facts.running for facts in seen),
        deployed_to=deployed_to(history, services),
    )


def as_seen(ledger: Ledger, case: str) -> tuple[ImageFacts, ...]:
    """What every triage since the case was opened read of the image, in whichever response, the oldest first.

    Who ran it then runs something else by now, which the newest triage does not see; and that is what counts.
    """
    seen: list[ImageFacts] = []
    for entry in ledger.entries(case_stream(case)):
        match entry.record():
            case CaseOpened():
                seen.clear()
            case CaseTriaged() as triaged:
                seen.append(triaged.assessment.facts.image_facts)
            case _:
                pass
    return tuple(seen)


def candidate(run: Run, history: ResponseHistory) -> Candidate:
    """The image that the newest rebuild made.

    Raises:
        Refused: no build has made one.
    """
    for step, outcome in history.succeeded(Phase.REBUILD):
        if isinstance(step, ImageBuild):
            return Candidate(
                repository_uri=_repository_uri(run),
                digest=str(outcome.result["digest"]),
                tag=step.tag,
                build=str(outcome.result.get("build", "")),
            )
    raise Refused("no build has made an image", code="person")


def _repository_uri(run: Run) -> str:
    """All cases of a response are of one repository."""
    return ImageName.parse(run.keys[run.response.cases[0]].resource_id).uri


def _made(run: Run, history: ResponseHistory) -> str:
    return candidate(run, history).digest


def _fit(run: Run, history: ResponseHistory) -> Candidate:
    """The candidate, where its examination let it pass."""
    made = candidate(run, history)
    require_passed(run, history, made.digest)
    return made


def _repository_of(key: CaseKey) -> str:
    return key.resource_id.partition(":repository/")[2].rpartition("/")[0]


def _protected(run: Run, steps: Sequence[AnyStep]) -> dict[str, str]:
    """The cases of repositories that carry a protected tag now."""
    tags, found = run.runbook.limits.protected_tags, dict[str, str]()
    for case in acted_upon(run.keys, steps) if tags else ():
        key = run.keys[case]
        name = _repository_of(key)
        repository = EcrGateway(run.aws).repositories(key.account, key.region, [name])[name]
        if repository is not None and (mark := protected_by(repository.tags, tags)) is not None:
            found[case] = f"protected: repository {name} carries the protected tag {mark}"
    return found


PLAYBOOK = Playbook(
    read=_read,
    planners={
        Phase.CONTAIN: _block,
        Phase.REBUILD: _rebuild,
        Phase.TEST: _test,
        Phase.REMEDIATE: _deploy,
        Phase.VERIFY: _verify,
        Phase.RELEASE: release,
        Phase.DEPRECATE: _deprecate,
    },
    judged=_judged,
    protected=_protected,
    made=_made,
    examined=_examined,
)
