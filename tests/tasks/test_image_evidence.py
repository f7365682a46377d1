"""Evidence on images, gathered from the sandbox: what is still run, what runs instead, and how it was scanned."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from deployments.sandbox.server import Sandbox
from runbooks.case import CaseKey
from runbooks.catalog import Catalog
from runbooks.event import read_payload
from runbooks.evidence import SuccessorEvidence
from runbooks.finding import Finding
from runbooks.image_verdict import Examination, examine, judge_image
from runbooks.steps.base import Role
from runbooks.verdict import NotYet, Verdict, VerdictKind
from tasks.gateways.image_use import who_runs
from tasks.image_evidence import ImageSubject, gather_candidate, gather_images
from tests.tasks.gateways.aws_world import ACCOUNT, REGION, AwsWorld
from tests.tasks.gateways.running_images import (
    ELSEWHERE,
    LONG_ENOUGH,
    a_cluster_elsewhere,
    a_definition,
    a_rule,
    a_service,
    an_image,
    build,
    let_pull,
    push,
    push_index,
)

SCANNED = 10


@pytest.fixture
def aws(executor_aws: Sandbox, monkeypatch: pytest.MonkeyPatch) -> AwsWorld:
    for name, value in (("ENDPOINT_URL", executor_aws.url), ("ACCESS_KEY_ID", "testing"), ("SECRET_ACCESS_KEY", "x")):
        monkeypatch.setenv(f"AWS_{name}", value)
    executor_aws.reset()
    return AwsWorld(executor_aws)


def the_key(built: dict[str, Any]) -> CaseKey:
    return CaseKey(
        runbook="ecr-critical-cve",
        account=ACCOUNT,
        region=REGION,
        resource_type="AWS_ECR_CONTAINER_IMAGE",
        resource_id=built["image_arn"],
    )


def findings_of(built: dict[str, Any]) -> tuple[Finding, ...]:
    return read_payload(json.dumps(built["event"])).findings


def a_subject(
    aws: AwsWorld, built: dict[str, Any], *successors: str, deployed: bool = False, **values: Any
) -> ImageSubject:
    """As triage sees it now.

    Args:
        deployed: whether its services were deployed to.
    """
    use = who_runs(aws.sessions, ACCOUNT, REGION, [built["image_arn"]])[built["image_arn"]]
    given: dict[str, Any] = {
        "services": use.services,
        "others": frozenset(each.arn for each in use.others),
        "was_run": use.running,
        "deployed_to": frozenset(each.arn for each in use.services if deployed),
    } | values
    return ImageSubject("case-1", the_key(built), successors, findings_of(built), **given)


def judged(aws: AwsWorld, subject: ImageSubject, *, final: bool = False) -> Verdict | NotYet:
    evidence = gather_images(aws.sessions, [subject])["case-1"]
    return judge_image("case-1", evidence, subject.findings, final=final)


def deploy(aws: AwsWorld, image: str) -> None:
    client = aws.client("ecs", Role.PATCH)
    container = {"name": "checkout", "image": image, "memory": 512}
    new = client.register_task_definition(family="checkout", containerDefinitions=[container])["taskDefinition"]
    client.update_service(cluster="shop", service="checkout", taskDefinition=new["taskDefinitionArn"])


def examined(aws: AwsWorld, built: dict[str, Any], digest: str, *, final: bool = False) -> Examination | NotYet:
    runbook = Catalog.read().named("ecr-critical-cve")
    evidence = gather_candidate(aws.sessions, the_key(built), digest)
    assert evidence.digest == digest
    return examine(evidence, findings_of(built), runbook, final=final)


def test_what_was_built_is_examined_when_its_initial_scan_is_complete(aws: AwsWorld):
    built = an_image(aws)
    digest = build(aws, built, "1.4.3")
    waiting = examined(aws, built, digest)
    assert isinstance(waiting, NotYet)
    assert "its initial scan is still to come" in waiting.reasons[0]
    aws.sandbox.advance(SCANNED)
    found = examined(aws, built, digest)
    assert isinstance(found, Examination)
    assert found.passed, found.reasons


def test_what_was_built_and_has_the_vulnerability_still_does_not_pass(aws: AwsWorld):
    built = an_image(aws)
    digest = push(aws, built, "1.4.3")
    aws.sandbox.advance(SCANNED)
    found = examined(aws, built, digest)
    assert isinstance(found, Examination)
    assert not found.passed
    assert f"it has {built['vulnerability_id']} still" in found.reasons[0]


def test_an_index_is_as_far_as_the_image_it_lists_that_is_farthest_back(aws: AwsWorld):
    built = an_image(aws)
    good = build(aws, built, "amd64")
    aws.sandbox.advance(SCANNED)
    later = build(aws, built, "arm64")
    index = push_index(aws, built, "multi", good, later)
    assert isinstance(examined(aws, built, index), NotYet)
    aws.sandbox.advance(SCANNED)
    found = examined(aws, built, index)
    assert isinstance(found, Examination)
    assert found.passed, found.reasons
    bad = push_index(aws, built, "worse", good, push(aws, built, "s390x"))
    aws.sandbox.advance(SCANNED)
    found = examined(aws, built, bad)
    assert isinstance(found, Examination)
    assert not found.passed


def test_a_case_is_fixed_when_its_services_run_a_scanned_image_without_the_vulnerability(aws: AwsWorld):
    built = an_image(aws)
    a_service(aws, built["image"])
    patched = build(aws, built, "1.4.3")
    aws.sandbox.advance(SCANNED)
    subject = a_subject(aws, built, patched, deployed=True)
    deploy(aws, f"{built['repository_uri']}@{patched}")
    aws.sandbox.advance(60)
    between = judged(aws, subject)
    assert isinstance(between, NotYet)
    assert between.reasons[0] == "the vulnerable image is still run by service checkout (4 tasks)"
    aws.sandbox.advance(LONG_ENOUGH)
    evidence = gather_images(aws.sessions, [subject])["case-1"]
    assert (evidence.users, evidence.unseen, evidence.gone, evidence.archived) == ((), (), False, False)
    assert [each.digest for each in evidence.successors] == [patched]
    assert evidence.successors[0].vulnerabilities == {built["vulnerability_id"]: "ABSENT"}
    verdict = judged(aws, subject)
    assert isinstance(verdict, Verdict)
    assert verdict.kind is VerdictKind.FIXED, verdict.reasons


def run_alone(aws: AwsWorld, image: str) -> str:
    """A task of no service."""
    client = aws.client("ecs", Role.PATCH)
    client.register_task_definition(
        family="nightly", containerDefinitions=[{"name": "job", "image": image, "memory": 512}]
    )
    (task,) = client.run_task(cluster="shop", taskDefinition="nightly")["tasks"]
    aws.sandbox.advance(10)
    return task["taskArn"].rpartition("/")[2]


def test_whom_nothing_was_deployed_to_is_not_waited_for(aws: AwsWorld):
    built = an_image(aws)
    a_service(aws, built["image"])
    a_service(aws, built["image"], name="basket", tasks=1)
    task = run_alone(aws, built["image"])
    patched = build(aws, built, "1.4.3")
    aws.sandbox.advance(SCANNED)
    subject = a_subject(aws, built, patched)
    checkout = frozenset(each.arn for each in subject.services if each.name == "checkout")
    subject = dataclasses.replace(subject, deployed_to=checkout)
    evidence = gather_images(aws.sessions, [subject])["case-1"]
    left = ("service basket (1 task)", f"ECS task of no service {task} (1)")
    assert (evidence.users, evidence.left, evidence.deployed) == (
        (left[0], "service checkout (4 tasks)", left[1]),
        left,
        True,
    )
    verdict = judged(aws, subject)
    assert isinstance(verdict, Verdict)
    assert verdict.kind is VerdictKind.NOT_FIXED
    assert verdict.reasons[1] == f"nothing was deployed to {', '.join(left)}: a person brings them to another image"


def test_whoever_starts_it_later_is_seen_now_and_brought_to_another_by_nobody_here(aws: AwsWorld):
    built = an_image(aws)
    shop = a_service(aws, built["image"])
    a_rule(aws, "nightly", shop["cluster_arn"], a_definition(aws, built["image"]))
    patched = build(aws, built, "1.4.3")
    subject = a_subject(aws, built, patched, deployed=True)
    deploy(aws, f"{built['repository_uri']}@{patched}")
    aws.sandbox.advance(LONG_ENOUGH)
    evidence = gather_images(aws.sessions, [subject])["case-1"]
    words = ("EventBridge rule nightly (starts it later)",)
    assert (evidence.users, evidence.unseen, evidence.left) == (words, (), words)
    verdict = judged(aws, subject)
    assert isinstance(verdict, Verdict)
    assert verdict.kind is VerdictKind.NOT_FIXED


def test_a_count_that_names_nobody_is_waited_for_only_where_it_may_be_those_deployed_to(aws: AwsWorld):
    built = an_image(aws)
    a_service(aws, built["image"])
    deployed = a_subject(aws, built, deployed=True)
    client = aws.sessions.client("inspector2", ACCOUNT, REGION, Role.READ)
    client.meta.events.register("after-call.inspector2.ListCoverage", _count_two_more)
    late = gather_images(aws.sessions, [deployed])["case-1"]
    (counted,) = late.unseen
    assert counted == "2 more that Inspector counts and does not name"
    assert late.left == ()
    known_before = a_subject(aws, built, deployed=True)
    assert gather_images(aws.sessions, [known_before])["case-1"].left == (counted,)
    nothing_deployed = dataclasses.replace(deployed, deployed_to=frozenset())
    assert gather_images(aws.sessions, [nothing_deployed])["case-1"].left == ("service checkout (4 tasks)", counted)


def _count_two_more(parsed: dict[str, Any], **_: Any) -> None:
    for row in parsed["coveredResources"]:
        row["resourceMetadata"]["ecrImage"]["inUseCount"] += 2


def test_what_its_services_run_counts_and_not_what_was_built(aws: AwsWorld):
    built = an_image(aws)
    a_service(aws, built["image"])
    patched = build(aws, built, "1.4.3")
    by_hand = push(aws, built, "hotfix")
    aws.sandbox.advance(SCANNED)
    subject = a_subject(aws, built, patched, deployed=True)
    deploy(aws, f"{built['repository_uri']}:hotfix")
    aws.sandbox.advance(LONG_ENOUGH)
    verdict = judged(aws, subject)
    assert isinstance(verdict, Verdict)
    assert verdict.kind is VerdictKind.NOT_FIXED
    assert [each.digest for each in _successors(verdict)] == [by_hand]


def test_an_image_that_inspector_does_not_scan_proves_nothing(aws: AwsWorld):
    built = an_image(aws)
    a_service(aws, built["image"])
    subject = a_subject(aws, built, deployed=True)
    deploy(aws, "public.example/shop/checkout:2")
    aws.sandbox.advance(LONG_ENOUGH)
    assert isinstance(judged(aws, subject), NotYet)
    verdict = judged(aws, subject, final=True)
    assert isinstance(verdict, Verdict)
    assert verdict.kind is VerdictKind.UNVERIFIABLE
    assert [each.coverage for each in _successors(verdict)] == [None]


def test_a_service_that_runs_the_index_of_the_image_runs_the_image(aws: AwsWorld):
    built = an_image(aws)
    push_index(aws, built, "multi", built["digest"])
    a_service(aws, f"{built['repository_uri']}:multi")
    subject = a_subject(aws, built)
    evidence = gather_images(aws.sessions, [subject])["case-1"]
    assert (evidence.users, evidence.successors) == (("service checkout (4 tasks)",), ())


def test_the_new_image_by_its_index_is_judged_by_what_the_index_lists(aws: AwsWorld):
    built = an_image(aws)
    a_service(aws, built["image"])
    index = push_index(aws, built, "multi", build(aws, built, "amd64"), build(aws, built, "arm64"))
    aws.sandbox.advance(SCANNED)
    subject = a_subject(aws, built, index, deployed=True)
    deploy(aws, f"{built['repository_uri']}@{index}")
    aws.sandbox.advance(LONG_ENOUGH)
    verdict = judged(aws, subject)
    assert isinstance(verdict, Verdict)
    assert verdict.kind is VerdictKind.FIXED, verdict.reasons


def test_what_only_inspector_counts_is_not_seen(aws: AwsWorld):
    built = an_image(aws)
    patched = build(aws, built, "1.4.3")
    aws.sandbox.advance(SCANNED)
    a_cluster_elsewhere(aws, built["digest"], f"arn:aws:eks:{REGION}:{ELSEWHERE}:cluster/platform", running=3)
    subject = a_subject(aws, built, patched)
    evidence = gather_images(aws.sessions, [subject])["case-1"]
    assert evidence.users == ()
    (words,) = evidence.unseen
    assert "platform" in words
    assert evidence.left == (words,)
    verdict = judged(aws, subject)
    assert isinstance(verdict, Verdict)
    assert verdict.kind is VerdictKind.UNVERIFIABLE


def test_an_image_that_inspector_does_not_list_may_be_run_by_anybody(aws: AwsWorld):
    built = an_image(aws)
    client = aws.sessions.client("inspector2", ACCOUNT, REGION, Role.READ)
    client.meta.events.register("after-call.inspector2.ListCoverage", _list_nothing)
    subject = a_subject(aws, built)
    (words,) = gather_images(aws.sessions, [subject])["case-1"].unseen
    assert words == "Inspector does not list the image, so that nobody tells who else runs it"
    verdict = judged(aws, subject, final=True)
    assert isinstance(verdict, Verdict)
    assert verdict.kind is VerdictKind.UNVERIFIABLE


def _list_nothing(parsed: dict[str, Any], **_: Any) -> None:
    parsed["coveredResources"] = []


def test_whoever_may_pull_it_where_nobody_can_look_may_run_it_still(aws: AwsWorld):
    built = an_image(aws)
    patched = build(aws, built, "1.4.3")
    aws.sandbox.advance(SCANNED)
    subject = a_subject(aws, built, patched, was_run=True)
    verdict = judged(aws, subject, final=True)
    assert isinstance(verdict, Verdict)
    assert verdict.kind is VerdictKind.FIXED
    let_pull(aws, built, "*", Condition={"StringEquals": {"aws:PrincipalOrgID": "o-1a2b"}})
    evidence = gather_images(aws.sessions, [subject])["case-1"]
    words = ("it may be used in organization o-1a2b: whoever is there may pull it, and this system cannot look there",)
    assert (evidence.users, evidence.unseen) == ((), words)
    verdict = judged(aws, subject, final=True)
    assert isinstance(verdict, Verdict)
    assert verdict.kind is VerdictKind.UNVERIFIABLE


def test_who_runs_an_image_is_not_seen_where_that_may_not_be_read(aws: AwsWorld):
    built = an_image(aws)
    patched = build(aws, built, "1.4.3")
    aws.sandbox.advance(SCANNED)
    subject = a_subject(aws, built, patched)
    aws.sessions.client("ecs", ACCOUNT, REGION, Role.READ).meta.events.register("before-call.ecs", _deny)
    evidence = gather_images(aws.sessions, [subject])["case-1"]
    assert evidence.unseen == ("ListClusters: AccessDenied: no",)
    verdict = judged(aws, subject, final=True)
    assert isinstance(verdict, Verdict)
    assert verdict.kind is VerdictKind.UNVERIFIABLE


def _deny(model: Any, **_: Any) -> None:
    raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, model.name)


def test_an_image_that_went_away_by_itself_is_not_fixed_by_that(aws: AwsWorld):
    built = an_image(aws)
    patched = build(aws, built, "1.4.3")
    aws.sandbox.advance(SCANNED)
    subject = a_subject(aws, built, patched)
    client = aws.client("ecr", Role.PATCH)
    where = {"repositoryName": built["repository"]}
    client.update_image_storage_class(**where, imageId={"imageDigest": built["digest"]}, targetStorageClass="ARCHIVE")
    archived = gather_images(aws.sessions, [subject])["case-1"]
    assert (archived.archived, archived.gone) == (True, False)
    client.batch_delete_image(**where, imageIds=[{"imageDigest": built["digest"]}])
    gone = gather_images(aws.sessions, [subject])["case-1"]
    assert (gone.archived, gone.gone, gone.users) == (False, True, ())
    verdict = judged(aws, subject)
    assert isinstance(verdict, Verdict)
    assert verdict.kind is VerdictKind.UNVERIFIABLE


def _successors(verdict: Verdict) -> tuple[SuccessorEvidence, ...]:
    (evidence,) = verdict.evidence
    return evidence.successors  # pyright: ignore[reportAttributeAccessIssue] - of an image
