"""A response about container images, as people read it."""

from __future__ import annotations

import json
from typing import Any

from runbooks.container_image import OtherUse
from runbooks.image_verdict import judge_image
from runbooks.plan import Phase, Plan
from runbooks.planning.images.deploying import plan_deployment
from runbooks.planning.images.deprecating import plan_deprecation
from runbooks.planning.images.promotion import plan_promotion_block
from runbooks.planning.images.rebuilding import plan_rebuild
from runbooks.planning.images.testing import plan_test
from runbooks.planning.images.verification import plan_image_verification
from runbooks.planning.release import plan_release
from runbooks.records import (
    CandidateExamined,
    CaseOpened,
    CaseTriaged,
    PhaseEnded,
    PlanMade,
    ResponseEnded,
    ResponseStarted,
)
from runbooks.telling.difference import difference_lines
from runbooks.telling.messages import alert_message, alert_summary, approval_message, what_happens_next
from runbooks.telling.plan_text import plan_markdown, plan_title
from runbooks.telling.plan_words import blast_radius
from runbooks.telling.post_mortem import write_post_mortem
from runbooks.telling.post_mortem_text import post_mortem_markdown
from runbooks.telling.progress import progress_line
from runbooks.telling.tickets import alert_ticket, post_mortem_ticket
from runbooks.telling.triage_text import decision_in_words, triage_markdown
from runbooks.telling.verdict_text import verdicts_markdown
from runbooks.verdict import Verdict
from tests.runbooks.builders import RESPONSE, after, outcomes_of
from tests.runbooks.histories import a_history, carried_out, dated
from tests.runbooks.image_builders import (
    IMAGE_CASE,
    a_base,
    a_candidate,
    a_service,
    an_image,
    an_image_assessment,
    an_image_case,
    an_image_finding,
    an_image_key,
    an_image_runbook,
    digest,
)
from tests.runbooks.image_steps import NEW_DIGEST
from tests.runbooks.test_image_verdict import seen, successor

KEYS = {IMAGE_CASE: an_image_key()}
SHORT = "shop/checkout@sha256:0123456789ab"
WHERE = f"{SHORT} (210987654321, eu-west-1)"
DENIES = an_image_runbook(contain={"block": {"deny_pulls": True, "stages": ("checkout/Production",)}})


def a_plan(phase: Phase, runbook: Any = None, **changes: Any) -> Plan:
    chosen = runbook or an_image_runbook()
    case, candidate = [an_image_assessment(runbook=chosen, **changes)], a_candidate()
    if phase is Phase.RELEASE:
        blocked = plan_promotion_block(RESPONSE, chosen, case)
        done = {outcome.operation: outcome for outcome in outcomes_of(blocked).values()}
        return plan_release(chosen, (blocked,), done, blocked.cases, response=RESPONSE, by_itself=True)
    made: dict[Phase, Any] = {
        Phase.CONTAIN: lambda: plan_promotion_block(RESPONSE, chosen, case),
        Phase.REBUILD: lambda: plan_rebuild(RESPONSE, chosen, case),
        Phase.TEST: lambda: plan_test(RESPONSE, chosen, case, candidate),
        Phase.REMEDIATE: lambda: plan_deployment(RESPONSE, chosen, case, candidate),
        Phase.VERIFY: lambda: plan_image_verification(RESPONSE, chosen, case),
        Phase.DEPRECATE: lambda: plan_deprecation(RESPONSE, chosen, case, candidate),
    }
    plan: Plan = made[phase]()
    return plan


def test_every_phase_says_what_it_does_to_an_image() -> None:
    assert {phase: plan_title(a_plan(phase), KEYS) for phase in Phase} == {
        Phase.CONTAIN: f"Block promotion of {WHERE}",
        Phase.REBUILD: f"Rebuild {WHERE}",
        Phase.TEST: f"Test the rebuild of {WHERE}",
        Phase.REMEDIATE: f"Deploy the rebuild of {WHERE}",
        Phase.VERIFY: f"Verify {WHERE}",
        Phase.RELEASE: f"Allow promotion of {WHERE}",
        Phase.DEPRECATE: f"Retire {WHERE}",
    }


def test_every_plan_is_told_whole() -> None:
    for phase in Phase:
        plan = a_plan(phase, DENIES)
        text = plan_markdown(plan, keys=KEYS)
        assert plan.digest in text
        for step in plan.steps:
            assert step.target.id in text
        assert progress_line(plan, outcomes_of(plan)).endswith(f"{len(plan.steps)} of {len(plan.steps)} steps done")


def test_a_policy_and_a_configuration_are_shown_as_they_will_be_put() -> None:
    denied = plan_markdown(a_plan(Phase.CONTAIN, DENIES), keys=KEYS)
    assert "The policy of repository `shop/checkout`" in denied
    assert '"Sid": "RemediationDenyPulls"' in denied
    assert "what restarts or scales out fails" in denied
    configured = plan_markdown(a_plan(Phase.REMEDIATE), keys=KEYS)
    assert "How service `checkout` is deployed" in configured
    assert '"alarmNames": [' in configured
    assert ", for app" in configured


def test_a_policy_that_deletes_images_is_not_counted_among_what_can_be_put_back() -> None:
    selection = {"tagStatus": "untagged", "countType": "imageCountMoreThan", "countNumber": 10}
    rule = {"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}
    plan = a_plan(Phase.DEPRECATE, an_image_runbook(deprecate={"lifecycle_policy": json.dumps({"rules": [rule]})}))
    assert [step.kind for step in plan.steps] == ["set-image-tag", "set-image-archived", "put-lifecycle-policy"]
    text = plan_markdown(plan, keys=KEYS)
    assert "3 steps, exactly as listed below, and nothing else. 2 of 3 can be put back." in text
    assert "Put the former lifecycle policy of shop/checkout back: what was deleted by the other one stays deleted" in (
        text
    )
    message = approval_message(plan, KEYS, "https://prefect.example/runs/1", after(60))
    assert "3, of which 2 can be put back" in str(message.blocks)


def test_how_much_it_touches_is_told_by_its_services() -> None:
    assert tuple(blast_radius(a_plan(Phase.REMEDIATE))) == (
        "1 container image of environment production",
        "service shop/checkout, with all of its 4 tasks",
        "service shop/basket, with all of its 2 tasks",
    )
    assert tuple(blast_radius(a_plan(Phase.REBUILD))) == ("1 container image of environment production",)


def test_what_sets_two_plans_apart_is_told_of_an_images_services_too() -> None:
    one = a_plan(Phase.REMEDIATE)
    other = a_plan(Phase.REMEDIATE, services=(a_service(desired=1),))
    lines = difference_lines(one, other)
    assert any("service shop/checkout, with its 1 task" in line for line in lines)
    assert any(line.startswith("Steps: no longer: Deploy") for line in lines)


def test_the_alert_names_the_image_by_repository_tag_and_digest() -> None:
    findings = {IMAGE_CASE: (an_image_finding(),)}
    name = "shop/checkout:1.4.2@sha256:0123456789ab"
    assert alert_summary(KEYS, findings) == f"CRITICAL CVE-2026-10001 on {name}"
    message = alert_message(KEYS, findings, an_image_runbook())
    assert name in message.text
    assert WHERE in str(message.blocks)
    assert name in alert_ticket(KEYS, findings, an_image_runbook()).summary


def test_the_alert_says_what_may_happen_without_asking() -> None:
    assert what_happens_next(an_image_runbook()) == (
        "Triage comes next, and then a patched image may be built without asking. Nothing that runs is changed before "
        "a person approves the plan."
    )
    asked = an_image_runbook(rebuild={"approval": {"required": True}})
    assert what_happens_next(asked) == "Triage comes next. Nothing is changed before a person approves the plan."
    unasked = an_image_runbook(deprecate={"approval": {"required": False}})
    assert "may change things without asking" in what_happens_next(unasked)


def test_triage_tells_who_runs_it_and_whom_to_blame() -> None:
    assessment = an_image_assessment(
        others=(OtherUse(kind="eks-cluster", arn="arn:aws:eks:eu-west-1:1:cluster/pods", count=2),)
    )
    text = triage_markdown([assessment], KEYS)
    assert text.startswith("## shop/checkout:1.4.2@sha256:0123456789ab")
    for line in (
        "Who runs it",
        "- service checkout (4 tasks)",
        "- EKS cluster pods (2)",
        "is to blame for libssl3",
        "P2: Block its promotion, then rebuild it",
    ):
        assert line in text.replace("\\", ""), line
    assert "Ways in from the internet" not in text


def test_triage_of_several_names_each_and_one_that_is_gone() -> None:
    nobody: dict[str, Any] = {"services": (), "image": None}
    gone = an_image_assessment(an_image_case(of=digest(1), **nobody))
    text = triage_markdown([an_image_assessment(), gone], KEYS).replace("\\", "")
    assert "shop/checkout@sha256:000000000000" in text
    assert "Nobody was seen to" not in triage_markdown([gone], {})
    assert decision_in_words(an_image_assessment(runbook=an_image_runbook(contain={"when": []})).triage) == "rebuild it"


def test_the_question_about_a_deployment_says_what_an_approver_needs() -> None:
    message = approval_message(a_plan(Phase.REMEDIATE), KEYS, "https://prefect.example/form", after(60))
    text = str(message.blocks)
    assert "Deploy the rebuild of" in text
    assert "going back when checkout-errors is raised" in text
    assert "service shop/basket, with all of its 2 tasks" in text


def test_a_verdict_shows_who_runs_it_and_what_runs_instead() -> None:
    answer = judge_image(IMAGE_CASE, seen(archived=True), (an_image_finding(),), final=True)
    assert isinstance(answer, Verdict)
    text = verdicts_markdown([answer], KEYS).replace("\\", "")
    assert f"## Fixed: {SHORT}" in text
    assert f"| `{SHORT}` (archived) | nobody | nothing |" in text
    assert "| `sha256:fedcba987654` | ACTIVE, SUCCESSFUL | 2026-03-02 09:46:00 UTC | CVE-2026-10001: absent |" in text
    running = seen(users=("service checkout (4 tasks)",), unseen=("account 1",), successors=(successor("ACTIVE"),))
    still = judge_image(IMAGE_CASE, running, (an_image_finding(),), final=True)
    assert isinstance(still, Verdict)
    assert "| service checkout (4 tasks) | account 1 |" in verdicts_markdown([still], KEYS).replace("\\", "")


def a_post_mortem(**changes: Any) -> Any:
    assessment = an_image_assessment(**changes)
    plans = [a_plan(phase) for phase in (Phase.CONTAIN, Phase.REBUILD, Phase.TEST, Phase.REMEDIATE, Phase.DEPRECATE)]
    entries = [dated(1, ResponseStarted(response=RESPONSE, runbook="r", cases=(IMAGE_CASE,), started_by="webhook"))]
    for number, plan in enumerate(plans):
        start = 5 + 10 * number
        entries.append(dated(start, PlanMade(digest=plan.digest, plan=plan)))
        entries += carried_out(plan, start + 1)
        entries.append(dated(start + 9, PhaseEnded(phase=plan.phase, result="done", digest=plan.digest)))
    examined: dict[str, Any] = {"rebuild": plans[1].digest, "candidate": NEW_DIGEST}
    entries.append(dated(25, CandidateExamined(**examined, passed=False, reasons=("it has CVE-1 still",))))
    entries.append(dated(26, CandidateExamined(**examined, passed=True, reasons=("scanned", "nothing new"))))
    entries.append(dated(70, ResponseEnded(result="fixed", reason="every case is proven fixed")))
    verdict = judge_image(IMAGE_CASE, seen(), (an_image_finding(),), final=True)
    assert isinstance(verdict, Verdict)
    return write_post_mortem(
        a_history(*entries),
        KEYS,
        {IMAGE_CASE: assessment.facts.findings},
        [assessment],
        [verdict],
        an_image_runbook(),
        case_entries=(
            dated(0, CaseOpened(key=an_image_key())),
            dated(2, CaseTriaged(response=RESPONSE, assessment=assessment)),
        ),
    )


def test_the_post_mortem_tells_the_whole_story_of_an_image() -> None:
    pm = a_post_mortem()
    assert [span.name for span in pm.spans] == [
        "Block promotion",
        "Rebuild",
        "Test the rebuild",
        "Deploy the rebuild",
        "Retire",
    ]
    debian, then = "docker.io/library/debian:12", "2026-03-02 09:15:30 UTC"
    assert pm.root_cause == (
        f"shop/checkout:1.4.2@sha256:0123456789ab was pushed at {then}, built on {debian} (sha256:bbbbbbbbbbbb)",
        f"libssl3 3.0.11 belongs to the operating system's packages, and came with {debian}; first seen {then}",
        "it was run by service checkout (4 tasks) and service basket (2 tasks)",
    )
    assert "Rebuild shop/checkout whenever docker.io/library/debian:12 changes: a newer one was there already" in (
        pm.prevention
    )
    assert [each.words for each in pm.durations if each.name == "Received to rebuilt"] == ["23 min"]
    assert any(each.what.startswith("Deploy the rebuild: done") for each in pm.timeline)
    said = {each.what: each.kind for each in pm.timeline if each.what.startswith("What was built")}
    assert said == {
        "What was built, sha256:fedcba987654, must not be deployed: it has CVE-1 still": "failed",
        "What was built, sha256:fedcba987654, may be deployed: scanned; nothing new": "proven",
    }
    text = post_mortem_markdown(pm)
    assert "Close the way into stage Production of pipeline checkout" in text
    assert "Archive shop/checkout" in text
    assert "CVE-2026-10001" in post_mortem_ticket(pm).summary


def test_the_post_mortem_says_what_to_change_in_the_build() -> None:
    unknown = a_post_mortem(image=an_image(base=None), services=(a_service(alarms=()),))
    assert any("write down which base image it used" in line for line in unknown.prevention)
    assert any("Give service checkout an alarm" in line for line in unknown.prevention)
    assert any("Make the tags of repository shop/checkout immutable" in line for line in unknown.prevention)
    current = a_post_mortem(image=an_image(base=a_base(newest=a_base().digest)))
    assert any("Update the packages of docker.io/library/debian:12" in line for line in current.prevention)
