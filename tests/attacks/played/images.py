"""Attacks on what the response to an image rests on: its rebuild, the examination, the plan's digest, and the world."""

from __future__ import annotations

from typing import Any

from moto.cloudwatch.models import cloudwatch_backends

from deployments.sandbox import registry
from deployments.sandbox.furnish_service import ServiceOptions, add_alarm, furnish_service
from runbooks.chain import Entry
from runbooks.history import ResponseHistory
from runbooks.plan import Phase, Plan
from runbooks.records import AnswerGiven, CandidateExamined, Decision, Outcome, PhaseEnded, PlanMade
from tests.attacks.played.attack import Moment, Played, PlayedAttack
from tests.attacks.rewriting import edited, rewrite, saying, without
from tests.runbooks.signatures import SIGNER
from tests.tasks.gateways.aws_world import ACCOUNT, REGION

REPOSITORY = "shop/checkout"
OTHER = f"sha256:{'e' * 64}"
EXAMINED = "candidate-examined"


def asked(phase: Phase) -> Moment:
    """Somebody has been asked about the phase, and has answered in Prefect; nothing of it is written down yet."""

    def come(history: ResponseHistory) -> bool:
        plan = history.plan(phase)
        return plan is not None and plan.digest in history.questions and plan.digest not in history.decisions

    return come


def building(history: ResponseHistory) -> bool:
    """The build runs."""
    plan = history.plan(Phase.REBUILD)
    return plan is not None and bool(history.step_outcomes(plan)) and history.phase_ended(Phase.REBUILD) is None


def testing(history: ResponseHistory) -> bool:
    """The candidate was examined, and is being tested."""
    plan = history.plan(Phase.TEST)
    return plan is not None and bool(history.step_outcomes(plan)) and history.phase_ended(Phase.TEST) is None


# --- what the ledger says ---------------------------------------------------------------------------------------------


def rebuild_of(played: Played) -> Plan:
    plan = played.history.plan(Phase.REBUILD)
    assert plan is not None
    return plan


def plan_of(played: Played, phase: Phase) -> Plan:
    plan = played.history.plan(phase)
    assert plan is not None
    return plan


def says_it_passed(played: Played, signature: str = "", candidate: str = OTHER) -> None:
    record = CandidateExamined(
        rebuild=rebuild_of(played).digest,
        candidate=candidate,
        passed=True,
        reasons=("it lacks the vulnerability",),
        signature=signature,
    )
    played.ledger.append(played.stream, record)


def with_a_signature_from_elsewhere(played: Played) -> None:
    """Word for word what this system signed of another response."""
    record = CandidateExamined(rebuild=rebuild_of(played).digest, candidate=OTHER, passed=True, reasons=())
    says_it_passed(played, SIGNER.signed("response/another", record).signature)


def outcome_of_the_build(played: Played, digest: str, kind: str = "rebuild-image") -> None:
    """The outcome of the build says another image."""

    def edit(entries: Any) -> Any:
        return [_with_digest(each, digest, kind) for each in entries]

    rewrite(played, played.stream, edit)


def _with_digest(entry: Entry, digest: str, kind: str) -> Entry:
    if entry.kind != "outcome" or entry.body.get("action") != kind:
        return entry
    result = {**entry.body["result"], "digest": digest}
    return entry.model_copy(update={"body": {**entry.body, "status": "done", "result": result}})


def vulnerable(played: Played) -> str:
    return played.world.built["digest"]


def base(played: Played) -> str:
    """Another image, scanned and clean; in the wrong repository for all that."""
    return played.world.built["newer_base_digest"]


def another_image_everywhere(played: Played) -> None:
    """The outcome and the examination name the same image, and only the signature tells."""
    outcome_of_the_build(played, vulnerable(played))
    rewrite(played, played.stream, edited(EXAMINED, saying(candidate=vulnerable(played))))


def examination_deleted(played: Played) -> None:
    """Outcome changed, and the examination of the honest one taken away, so that it is looked at anew."""
    outcome_of_the_build(played, vulnerable(played))
    rewrite(played, played.stream, without(EXAMINED))


def built_elsewhere(played: Played) -> None:
    """The build is said to have ended, with an image that no build of this response has pushed."""
    plan = rebuild_of(played)
    outcome_of_the_build(played, _somebody_elses(played))
    assert played.history.step_outcomes(plan)


def _somebody_elses(played: Played) -> str:
    """An image without the vulnerability, which somebody has pushed into the repository."""
    with played.world.cloud.lock:
        world = played.world.cloud.world(ACCOUNT, REGION)
        newer = next(each for each in world.container_images.values() if each.digest == base(played))
        pushed = registry.push(world, REPOSITORY, newer.record.image_manifest, "trust-me")
        played.world.moment.advance(60)
        played.world.cloud.clock.catch_up()
        return pushed.digest


def said_to_have_passed(played: Played) -> None:
    """The test goes on, and the ledger says already how it ended."""
    plan = plan_of(played, Phase.TEST)
    (step,) = plan.steps
    of_the_test = {"operation": plan.operation(step), "action": step.kind, "subject": step.key, "digest": plan.digest}
    outcome = Outcome.model_validate({**of_the_test, "status": "done"})
    played.ledger.append(played.stream, outcome, PhaseEnded(phase=Phase.TEST, result="done", digest=plan.digest))


def digest_in_the_plan(played: Played) -> None:
    """The plan that was shown and said yes to names another image now, under the digest that was said yes to."""
    plan = plan_of(played, Phase.REMEDIATE)
    changed = _with_image(plan, vulnerable(played))
    rewrite(played, played.stream, edited("plan-made", _plan_of_phase(changed, plan.digest)))


def digest_in_the_plan_and_everywhere(played: Played) -> None:
    """And every digest of the plan follows."""
    old = plan_of(played, Phase.REMEDIATE)
    changed = _with_image(old, vulnerable(played))

    def edit(body: dict[str, Any]) -> dict[str, Any]:
        return body | {"digest": changed.digest} if body.get("digest") == old.digest else body

    rewrite(played, played.stream, edited("plan-made", _plan_of_phase(changed, changed.digest)))
    rewrite(played, played.stream, edited("approval-asked", edit))


def _with_image(plan: Plan, digest: str) -> Plan:
    steps = tuple(
        step.model_copy(update={"image": f"{step.image.partition('@')[0]}@{digest}"})
        if step.kind == "register-task-definition"
        else step
        for step in plan.steps
    )
    return plan.model_copy(update={"steps": steps})


def _plan_of_phase(plan: Plan, digest: str) -> Any:
    def edit(body: dict[str, Any]) -> dict[str, Any]:
        same = body["plan"]["phase"] == plan.phase
        return body | {"plan": plan.model_dump(mode="json"), "digest": digest} if same else body

    return edit


def yes_for_another_image(played: Played) -> None:
    """A newer plan of somebody else's, with what was said and decided of the block of promotion."""
    plan = plan_of(played, Phase.REMEDIATE)
    other = _with_image(plan, vulnerable(played)).model_copy(update={"revision": plan.revision + 1})
    played.ledger.append(played.stream, PlanMade(digest=other.digest, plan=other))
    contain = plan_of(played, Phase.CONTAIN).digest
    for entry in played.ledger.entries(played.stream):
        record = entry.record()
        if isinstance(record, AnswerGiven | Decision) and record.digest == contain:
            played.ledger.append(played.stream, record.model_copy(update={"digest": other.digest}))


# --- what the world has become ----------------------------------------------------------------------------------------


def somebody_runs_it(played: Played) -> None:
    """Another service begins to run the old image, while its end was approved."""
    with played.world.cloud.lock:
        options = {"image": played.world.built["image"], "name": "batch", "tasks": 1}
        place = {"account": ACCOUNT, "region": REGION}
        furnish_service(played.world.cloud, ServiceOptions.model_validate({**place, **options}))


def protected_now(played: Played) -> None:
    with played.world.cloud.lock:
        ecr = registry.backend(played.world.cloud.world(ACCOUNT, REGION))
        repository = ecr.repositories[REPOSITORY]
        ecr.tag_resource(repository.arn, [{"Key": "remediation", "Value": "never"}])


def policy_changed(played: Played) -> None:
    """Somebody puts a policy of theirs on the repository, after the plan has read that there is none."""
    with played.world.cloud.lock:
        ecr = registry.backend(played.world.cloud.world(ACCOUNT, REGION))
        statement = '{"Sid":"Theirs","Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}'
        ecr.set_repository_policy(ACCOUNT, REPOSITORY, f'{{"Version":"2012-10-17","Statement":[{statement}]}}')


def raised(played: Played) -> None:
    with played.world.cloud.lock:
        add_alarm(played.world.cloud.world(ACCOUNT, REGION), "checkout-5xx", "AWS/ApplicationELB", "HTTPCode_5XX")
        cloudwatch_backends[ACCOUNT][REGION].set_alarm_state("checkout-5xx", "too many errors", "{}", "ALARM")


ENDED = "response-ended"

ATTACKS = (
    PlayedAttack("an examination that nobody made", "bad-build", building, says_it_passed, f"{ENDED}: not fixed"),
    PlayedAttack(
        "an examination with another response's signature",
        "bad-build",
        building,
        with_a_signature_from_elsewhere,
        f"{ENDED}: not fixed",
    ),
    PlayedAttack(
        "the build said to have made an image that somebody else pushed",
        "image",
        building,
        built_elsewhere,
        f"{ENDED}: not fixed",
    ),
    PlayedAttack(
        "the build's image changed after it was examined",
        "image",
        testing,
        lambda s: outcome_of_the_build(s, vulnerable(s)),
        f"{ENDED}: person",
    ),
    PlayedAttack(
        "the build's image changed, and what was examined",
        "image",
        testing,
        another_image_everywhere,
        f"{ENDED}: not fixed",
    ),
    PlayedAttack(
        "the build's image changed, and its examination deleted",
        "image",
        testing,
        examination_deleted,
        f"{ENDED}: not fixed",
    ),
    PlayedAttack("a test said to have passed", "bad-test", testing, said_to_have_passed, f"{ENDED}: person"),
    PlayedAttack(
        "an approved plan that names another image",
        "image",
        asked(Phase.REMEDIATE),
        digest_in_the_plan,
        f"{ENDED}: not-approved",
    ),
    PlayedAttack(
        "an approved plan that names another image, with its digest everywhere",
        "image",
        asked(Phase.REMEDIATE),
        digest_in_the_plan_and_everywhere,
        f"{ENDED}: forged",
    ),
    PlayedAttack(
        "a yes to one image used for another",
        "image",
        asked(Phase.REMEDIATE),
        yes_for_another_image,
        f"{ENDED}: forged",
    ),
    PlayedAttack(
        "an image that somebody runs since its end was approved",
        "image",
        asked(Phase.DEPRECATE),
        somebody_runs_it,
        "outcome: drifted",
    ),
    PlayedAttack(
        "a repository protected since the deployment was planned",
        "image",
        asked(Phase.REMEDIATE),
        protected_now,
        "outcome: refused",
    ),
    PlayedAttack(
        "a repository protected since the end of its image was planned",
        "image",
        asked(Phase.DEPRECATE),
        protected_now,
        "outcome: refused",
    ),
    PlayedAttack(
        "a policy that somebody changed since pulls were to be denied",
        "image-denied",
        asked(Phase.CONTAIN),
        policy_changed,
        "outcome: drifted",
    ),
    PlayedAttack(
        "an alarm raised before the deployment begins",
        "image",
        asked(Phase.REMEDIATE),
        raised,
        "outcome: drifted",
        changes=("ecs:RegisterTaskDefinition",),
    ),
    PlayedAttack(
        "a package named like a command",
        "hostile-names",
        asked(Phase.CONTAIN),
        lambda s: None,
        f"{ENDED}: person",
        changes=("codepipeline:DisableStageTransition",),
    ),
)
