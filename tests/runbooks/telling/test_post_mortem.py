"""The post-mortem: the timeline, the times, the cause, what was changed, who allowed it and what is left."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from runbooks.history import Dated, fold
from runbooks.plan import Phase
from runbooks.records import Intent, Outcome, PhaseEnded, PlanMade, ResponseEnded, RunStarted
from runbooks.steps import SwapSecurityGroups
from runbooks.telling.post_mortem import PostMortem, write_post_mortem
from runbooks.telling.post_mortem_text import post_mortem_markdown
from runbooks.telling.tickets import post_mortem_ticket
from runbooks.verdict import VerdictKind
from tests.runbooks.builders import (
    CASE,
    DISCLOSED,
    FIRST_SEEN,
    INSTANCE_ID,
    LAUNCHED,
    a_contain_plan,
    a_decision,
    a_finding,
    a_package,
    a_release_plan,
    a_remediate_plan,
    a_resource,
    a_runbook,
    a_verdict,
    after,
    an_assessment,
    an_intent,
    an_outcome,
    case_facts,
    endpoints,
    instance_facts,
    keys_of,
)
from tests.runbooks.histories import a_whole_response, asked_and_answered, case_entries, dated

GFM = MarkdownIt("commonmark").enable(["table"])
CONTAIN = a_contain_plan()


def written(*entries: Dated, **changes: Any) -> PostMortem:
    """The default story's post-mortem, or that of other entries."""
    verdict = a_verdict()
    values: dict[str, Any] = {
        "findings": {CASE: (a_finding(),)},
        "assessments": [an_assessment()],
        "verdicts": [verdict],
        "runbook": a_runbook(),
        "case_entries": case_entries(verdict=verdict),
    }
    return write_post_mortem(fold(entries or a_whole_response()), keys_of(), **(values | changes))


def story(pm: PostMortem) -> list[str]:
    return [each.what for each in pm.timeline]


def test_the_timeline_tells_the_whole_story_in_order() -> None:
    contain, remediate = CONTAIN.short_digest, a_remediate_plan().short_digest
    told = story(written())
    assert told[:9] == [
        "CVE-2026-10001 was disclosed",
        f"Amazon Inspector first saw CVE-2026-10001 on {INSTANCE_ID}",
        f"Case opened for {INSTANCE_ID} (210987654321, eu-west-1)",
        f"Finding received: CVE-2026-10001 on {INSTANCE_ID} (webhook)",
        "Response to 1 case started by intake",
        f"Triaged {INSTANCE_ID}: P1, contain it, then patch it in place",
        f"Plan made (revision 1, {contain}): Contain {INSTANCE_ID} (210987654321, eu-west-1): 7 steps",
        f"Approval asked for Plan to contain ({contain}); valid until 2026-03-02 10:19:00 UTC",
        f"Plan to contain ({contain}) approved through the Prefect form",
    ]
    assert told[9:17] == [*(f"{step.describe()}: done" for step in CONTAIN.steps), "Contain: done"]
    assert f"Plan to remediate ({remediate}) approved through the Prefect form" in told
    assert "Waiting: Inspector has not looked again yet" in told
    assert f"Verdict on {INSTANCE_ID}: fixed ({a_verdict().reasons[0]})" in told
    assert told[-2:] == ["Release: done", "Ended, fixed: every case is proven fixed"]
    moments = [each.at for each in written().timeline]
    assert moments == sorted(moments)


def test_a_step_is_one_moment_from_its_intent_to_its_outcome() -> None:
    swap = next(each for each in written().timeline if each.what.startswith("Interface eni"))
    assert swap.until is not None
    assert swap.until - swap.at == timedelta(minutes=0.1)


def test_an_intent_without_an_outcome_is_told_and_stays_open() -> None:
    step = CONTAIN.steps[1]
    pm = written(_made(), dated(4, an_intent(CONTAIN, step)))
    assert f"{step.describe()}: no answer was recorded" in story(pm)
    assert f"{step.describe()}: it was begun and no answer was recorded" in pm.stays_open


def test_what_was_so_already_has_no_intent_and_is_no_change_of_ours() -> None:
    step = CONTAIN.steps[3]
    pm = written(_made(), dated(4, an_outcome(CONTAIN, step, "already-done")))
    assert f"{step.describe()}: was so already" in story(pm)
    (change,) = pm.changes
    assert (change.remains, change.in_place) == ("was so before; not a change of this response", False)


def test_a_message_is_told_by_what_it_was_not_by_its_id() -> None:
    subject = f"question/{'0' * 64}/1"
    intent = Intent(operation="op", action="post-message", subject=subject, epoch=1)
    outcome = Outcome(operation="op", action="post-message", subject=subject, status="done")
    assert "Slack message: the question: done" in story(written(dated(1, intent), dated(2, outcome)))


def test_a_take_over_is_told() -> None:
    runs = [dated(minute, RunStarted(attempt=minute, epoch=minute, flow_run="x")) for minute in (1, 2)]
    assert [each for each in story(written(*runs)) if "took the response over" in each] == [
        "Run 2 took the response over"
    ]


def test_the_times_are_measured_from_the_entries() -> None:
    values = {each.name: each.value for each in written().durations}
    assert values == {
        "Disclosed to first seen by Inspector": FIRST_SEEN - DISCLOSED,
        "First seen to received here": timedelta(seconds=36),
        "Received to triaged": timedelta(minutes=1.9),
        "Waiting for approval": timedelta(minutes=12),
        "Received to contained": timedelta(minutes=13.9),
        "Received to remediated": timedelta(minutes=29.9),
        "Last change to verdict": timedelta(minutes=14.5),
        "Received to ended": timedelta(minutes=45.9),
    }
    assert [each.words for each in written().durations][3:5] == ["12 min", "13 min 54 s"]


def test_what_was_not_reached_has_no_time() -> None:
    pm = written(dated(1, ResponseEnded(result="person", reason="a tag protects it")), case_entries=())
    words = {each.name: each.words for each in pm.durations}
    assert words["Received to contained"] == "not contained"
    assert words["Received to triaged"] == "not known"
    assert words["Waiting for approval"] == "nobody was asked, or nobody has answered"


def test_clocks_that_disagree_give_no_length_of_time() -> None:
    pm = written(findings={CASE: (a_finding(published_at=FIRST_SEEN + timedelta(hours=2)),)})
    assert (pm.durations[0].value, pm.durations[0].words) == (None, "the second came first, by 2 h")


def test_of_several_findings_the_longest_counts() -> None:
    findings = (a_finding(1), a_finding(2, published_at=DISCLOSED - timedelta(days=30)))
    pm = written(findings={CASE: findings})
    assert pm.durations[0].value == FIRST_SEEN - DISCLOSED + timedelta(days=30)


def test_the_root_cause_names_image_package_and_the_open_port() -> None:
    assert written().root_cause == (
        (
            f"{INSTANCE_ID} was started from the image ami-00c0ffee00c0ffee0 at 2026-03-02 08:50:00 UTC, "
            "by the Auto Scaling group checkout"
        ),
        (
            "libssl3 3.0.2 belongs to the operating system's packages; first seen 2026-03-02 09:15:30 UTC, "
            "25 min 30 s after the launch: it came with the image"
        ),
        "tcp/443 was open to 0.0.0.0/0 by sg-0web, through igw-0feedc0de",
    )


@pytest.mark.parametrize(
    ("launched", "published", "words"),
    [
        (LAUNCHED, DISCLOSED, "it came with the image"),
        (LAUNCHED - timedelta(days=90), DISCLOSED, "disclosed after the launch, so it may have been there"),
        (DISCLOSED + timedelta(days=1), DISCLOSED, "it was installed later, or Inspector did not look before"),
        (LAUNCHED - timedelta(days=90), None, "where it came from cannot be told"),
        (None, DISCLOSED, "whether it came with the image cannot be told"),
    ],
)
def test_how_the_package_came_is_said_only_as_far_as_it_can_be_told(launched: Any, published: Any, words: str) -> None:
    details = {"awsEc2Instance": {"launchedAt": launched.isoformat()}} if launched else {}
    finding = a_finding(resource=a_resource(details=details), published_at=published)
    assert words in written(findings={CASE: (finding,)}).root_cause[1]


def test_a_package_outside_the_operating_system_is_told_with_its_path() -> None:
    package = a_package(name="log4j-core", version="2.14.1", manager="JAR", file_path="/opt/app/log4j.jar")
    pm = written(findings={CASE: (a_finding(packages=(package,)),)})
    assert "was installed apart from the operating system (JAR) at /opt/app/log4j.jar" in pm.root_cause[1]


def test_every_change_says_what_has_become_of_it() -> None:
    changes = {(each.phase, each.what): each for each in written().changes}
    assert len(changes) == len(written().changes) == 15
    for step in CONTAIN.steps:
        change = changes["Contain", step.describe()]
        assert change.in_place == (step.undo is None)
        assert change.remains.startswith("put back at 2026-03-02 09:59" if step.undo else "stays: ")


def test_without_a_release_everything_is_still_in_place() -> None:
    ended = ResponseEnded(result="fixed", reason="the containment stays", contained=True)
    pm = written(*a_whole_response(released=False, ended=ended))
    contained = [each for each in pm.changes if each.phase == "Contain"]
    assert all(each.in_place for each in contained)
    assert "The containment is still in place until a person releases it" in pm.stays_open
    swap = next(step for step in CONTAIN.steps if isinstance(step, SwapSecurityGroups))
    assert f"Not put back: {swap.describe()}" in pm.stays_open


def test_after_a_whole_release_only_the_evidence_and_the_announced_stay_open() -> None:
    assert written().stays_open == (
        "checkout keeps the replacement: attached again, its desired capacity is one higher",
        "The snapshots of vol-0000000000000000a are kept as evidence until a person deletes them",
    )


def test_a_release_that_failed_half_way_leaves_the_rest_open() -> None:
    release = a_release_plan(CONTAIN)
    entries = [
        *a_whole_response(released=False),
        dated(47, PlanMade(digest=release.digest, plan=release)),
        dated(48, an_intent(release, release.steps[0])),
        dated(49, an_outcome(release, release.steps[0])),
        dated(50, an_intent(release, release.steps[1])),
        dated(51, an_outcome(release, release.steps[1], "failed", detail="access-denied")),
        dated(52, PhaseEnded(phase=Phase.RELEASE, result="partial", digest=release.digest)),
    ]
    pm = written(*entries)
    swap, volumes = CONTAIN.steps[-1], CONTAIN.steps[4]
    assert f"Not put back: {swap.describe()}" not in pm.stays_open
    assert f"Not put back: {volumes.describe()}" in pm.stays_open
    assert f"{release.steps[1].describe()}: FAILED (access-denied)" in pm.stays_open


def test_a_verdict_that_is_not_fixed_and_a_case_without_one_stay_open() -> None:
    assert written(verdicts=[a_verdict(VerdictKind.UNVERIFIABLE, "it was not scanned")]).stays_open[0] == (
        f"{INSTANCE_ID} is unverifiable: it was not scanned"
    )
    assert written(verdicts=[]).stays_open[0] == f"{INSTANCE_ID} has no verdict"


def test_every_answer_is_kept_with_who_how_and_for_which_plan() -> None:
    wrong = a_decision(CONTAIN, "invalid", approver="mallory", reason="not an approver", channel="slack")
    right = a_decision(CONTAIN, comment="go", attempt=2)
    entries = (_made(), dated(4, wrong), *asked_and_answered(CONTAIN, 5, 1, right))
    answers = written(*entries).answers
    assert [(each.at, each.answer, each.who, each.channel, each.comment, each.reason) for each in answers] == [
        (after(4), "answered, but the answer was not accepted", "mallory", "Slack", "", "not an approver"),
        (after(6), "approved", "jane@corp.example", "the Prefect form", "go", ""),
    ]
    assert {each.digest for each in answers} == {CONTAIN.digest}
    assert {each.plan for each in answers} == {"Contain, revision 1"}


def test_prevention_is_the_runbooks_own_and_what_follows_from_the_incident() -> None:
    no_s3 = case_facts(resource=instance_facts(endpoints=endpoints()[:3]), suspected="GuardDuty")
    pm = written(assessments=[an_assessment(no_s3)])
    own = a_runbook().post_mortem.prevention
    assert pm.prevention[: len(own)] == own
    derived = "\n".join(pm.prevention[len(own) :])
    for lesson in (
        "Rebuild the image ami-00c0ffee00c0ffee0",
        "Give the Auto Scaling group checkout a patched image",
        "Close tcp/443 from 0.0.0.0/0 in sg-0web",
        "Make i-0a1b2c3d4e5f60718 patchable under quarantine: the VPC has no S3 endpoint",
        "Require IMDSv2",
        "Revoke the sessions of arn:aws:iam::210987654321:instance-profile/checkout",
    ):
        assert lesson in derived


def test_an_expired_question_is_a_lesson() -> None:
    decision = a_decision(CONTAIN, "expired", approver=None, channel="sweep")
    pm = written(_made(), *asked_and_answered(CONTAIN, 3, 60, decision))
    assert "Find out why nobody answered in time about the plan to contain" in pm.prevention


def test_entries_of_the_cases_are_told_once_even_when_the_history_has_them() -> None:
    verdict = a_verdict()
    entries = sorted([*a_whole_response(), *case_entries(verdict=verdict)], key=lambda each: each.at)
    assert sorted(story(written(*entries))) == sorted(story(written()))


def test_a_post_mortem_survives_being_stored() -> None:
    pm = written()
    assert PostMortem.model_validate_json(pm.model_dump_json()) == pm


def test_the_markdown_has_the_result_first_the_picture_and_always_the_table() -> None:
    text = post_mortem_markdown(written())
    assert text.startswith(
        "# Post-mortem: High-severity CVE on an EC2 instance\n\n**Result: fixed.** CVE-2026-10001 on "
        f"{INSTANCE_ID} (210987654321, eu-west-1). The response ended: every case is proven fixed.\n"
    )
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == [
        "What stays open",
        "What it was about",
        "How long it took",
        "Root cause",
        "What was changed",
        "Who allowed what",
        "What proves it",
        "What would prevent it",
        "Timeline",
    ]
    assert text.count("![Timeline of the response](data:image/svg+xml;base64,") == 1
    table = text[text.index("| When | What happened | Took |") :]
    assert len(table.strip().split("\n")) == len(written().timeline) + 2
    assert "approved through the Prefect form by `jane@corp.example`" in table


@settings(deadline=None, max_examples=20)
@given(
    st.text(max_size=60) | st.sampled_from(["` | x |\n\n# Approved", "<!channel> [x](https://e.example)", "[~admin]"])
)
def test_an_approver_cannot_forge_anything(words: str) -> None:
    decision = a_decision(CONTAIN, approver=f"jane {words}", comment=f"{words}\n\n# Approved", reason=words)
    pm = written(*a_whole_response(decision=decision))
    tokens = GFM.parse(post_mortem_markdown(pm))
    assert sum(token.type == "heading_open" for token in tokens) == 10
    inline = [child for token in tokens for child in token.children or []]
    assert "html_inline" not in {child.type for child in inline}
    links = {str(child.attrs["href"]) for child in inline if child.type == "link_open"}
    assert links == {"https://vendor.example/CVE-2026-10001"}
    cells = sum(token.type == "td_open" for token in tokens)
    assert cells == sum(token.type == "td_open" for token in GFM.parse(post_mortem_markdown(written())))
    ticket = post_mortem_ticket(pm).description
    assert not re.search(r"^h\d\. Approved", ticket, re.MULTILINE)
    assert not re.search(r"(?<!\\)\[(?!CVE-2026-10001\|https://vendor)", ticket)


def test_what_was_read_from_aws_is_told_only_where_it_was_meant_to_be() -> None:
    canary = "aws-canary-0000"
    step = CONTAIN.steps[1]
    hidden = {"token": canary}
    intent = an_intent(CONTAIN, step).model_copy(update={"original": hidden})
    outcome = an_outcome(CONTAIN, step, result=hidden)
    finding = a_finding(extra=hidden, resource=a_resource(details=hidden, extra=hidden), description=canary)
    pm = written(_made(), dated(4, intent), dated(5, outcome), findings={CASE: (finding,)}, case_entries=())
    for text in (post_mortem_markdown(pm), post_mortem_ticket(pm).description, pm.model_dump_json()):
        assert canary not in text


def _made() -> Dated:
    return dated(3, PlanMade(digest=CONTAIN.digest, plan=CONTAIN))
