from __future__ import annotations

import json
from typing import Any

import pytest

from deployments.sandbox.server import Sandbox
from runbooks.case import CaseKey
from runbooks.catalog import Catalog
from runbooks.container_image import ImageFacts, StageTransition
from runbooks.definition import BlockPromotion, Runbook
from runbooks.event import read_payload
from runbooks.facts import SUSPICION_TAG, CaseFacts
from runbooks.finding import Finding
from runbooks.steps.base import Role
from runbooks.triage import assess
from tasks.image_facts import read_image_facts
from tests.tasks.gateways.aws_world import ACCOUNT, REGION, AwsWorld
from tests.tasks.gateways.image_world import REASON, REPOSITORY, a_dormant_version, another_image, furnish, run_it
from tests.tasks.gateways.running_images import a_definition, a_rule, a_service, let_pull, push_index

PROJECT = "shop-checkout-build"


@pytest.fixture
def aws(executor_aws: Sandbox, monkeypatch: pytest.MonkeyPatch) -> AwsWorld:
    executor_aws.reset()
    monkeypatch.setenv("AWS_ENDPOINT_URL", executor_aws.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    return AwsWorld(executor_aws)


def the_runbook(*stages: str) -> Runbook:
    shipped = Catalog.read().named("ecr-critical-cve")
    contain = shipped.contain.model_copy(update={"block": BlockPromotion(stages=stages)})
    return shipped.model_copy(update={"contain": contain})


def finding_of(built: dict[str, Any]) -> Finding:
    (finding,) = read_payload(json.dumps(built["event"], default=str)).findings
    return finding


def read(aws: AwsWorld, *findings: Finding, stages: tuple[str, ...] = ()) -> list[CaseFacts]:
    keys = {key.id: key for finding in findings if (key := CaseKey.of(finding, "ecr-critical-cve"))}
    seen = {key.id: [finding] for finding in findings if (key := CaseKey.of(finding, "ecr-critical-cve"))}
    found = read_image_facts(aws.sessions, keys, seen, the_runbook(*stages))
    assert set(found) == set(keys)
    return [found[case] for case in keys]


def test_all_that_triage_takes_of_an_image_that_somebody_runs(aws: AwsWorld):
    built = furnish(aws, project=PROJECT, known_exploited=True)
    service = run_it(aws, built["image"], tasks=3)
    client = aws.client("codepipeline", Role.CONTAIN)
    client.disable_stage_transition(
        pipelineName="checkout", stageName="Staging", transitionType="Inbound", reason=REASON
    )
    (facts,) = read(aws, finding_of(built), stages=("checkout/Production", "checkout/Staging", "checkout/Canary"))
    assert [finding.arn for finding in facts.findings] == [built["finding_arn"]]
    assert facts.exploitation.known_exploited_since is not None
    assert facts.suspected is None
    found = facts.image_facts
    assert found.image is not None
    assert (found.image.arn, found.image.tags) == (built["image_arn"], ("1.4.2", "production"))
    assert found.image.base is not None
    assert found.image.base.newest == built["newer_base_digest"]
    assert found.repository is not None
    assert found.repository.uri == built["repository_uri"]
    assert [(one.name, one.running) for one in found.services] == [(service["service"], 3)]
    assert (found.in_use_count, found.running, found.last_in_use_at is not None) == (3, True, True)
    assert found.stages == (
        StageTransition(pipeline="checkout", stage="Production", enabled=True),
        StageTransition(pipeline="checkout", stage="Staging", enabled=False, reason=REASON),
    )
    assert found.project == PROJECT


def test_a_build_project_that_is_not_there_is_not_named(aws: AwsWorld):
    (facts,) = read(aws, finding_of(furnish(aws, project="another-name")))
    assert facts.image_facts.project is None


def test_an_image_that_nobody_runs(aws: AwsWorld):
    (facts,) = read(aws, finding_of(furnish(aws)))
    assert facts.image_facts.running is False
    assert facts.image_facts.stages == ()


def test_who_starts_it_later_and_what_misses_it_are_named_though_nobody_runs_it(aws: AwsWorld):
    built = furnish(aws)
    cluster = a_service(aws, "public.example/other:1")["cluster_arn"]
    a_rule(aws, "nightly", cluster, a_definition(aws, built["image"]))
    a_dormant_version(aws, built["image"])
    (facts,) = read(aws, finding_of(built))
    found = facts.image_facts
    assert [(one.kind, one.arn.rpartition("/")[2]) for one in found.others] == [("event-rule", "nightly")]
    assert (found.services, found.functions, found.in_use_count, found.running) == ((), (), 0, True)
    assert [(one.name, one.version) for one in found.versions] == [("exporter", "1")]
    reasons = " ".join(assess(facts, the_runbook()).triage.reasons)
    assert "it is run by EventBridge rule nightly (starts it later)" in reasons


def test_an_image_that_is_gone_is_none_and_its_repository_is_still_there(aws: AwsWorld):
    built = furnish(aws)
    aws.client("ecr", Role.PATCH).batch_delete_image(
        repositoryName=REPOSITORY, imageIds=[{"imageDigest": built["digest"]}]
    )
    (facts,) = read(aws, finding_of(built))
    assert facts.image_facts.image is None
    assert facts.image_facts.repository is not None
    assert facts.image_facts.running is False


def test_a_repository_that_is_gone_leaves_nothing(aws: AwsWorld):
    built = furnish(aws)
    aws.client("ecr", Role.PATCH).delete_repository(repositoryName=REPOSITORY, force=True)
    (facts,) = read(aws, finding_of(built))
    assert facts.resource == ImageFacts(image=None)


def test_a_platform_image_has_the_tags_of_its_index_and_is_not_closed_as_unused(aws: AwsWorld):
    """What BuildKit pushes: the tag is the index's, and Inspector finds what is vulnerable in an image without one."""
    built = furnish(aws, tags=("1.4.2",))
    push_index(aws, built, "1.4.2", built["digest"])
    (facts,) = read(aws, finding_of(built))
    image = facts.image_facts.image
    assert image is not None
    assert (image.tags, image.index_tags, facts.image_facts.running) == ((), ("1.4.2",), False)
    assert assess(facts, the_runbook()).triage.decision == "respond"


def test_who_may_use_it_where_nobody_can_look_is_told(aws: AwsWorld):
    built = furnish(aws)
    let_pull(aws, built, "*")
    (facts,) = read(aws, finding_of(built))
    assert facts.image_facts.may_be_used_in == ("any account",)


def test_who_suspects_a_compromise_tags_the_repository(aws: AwsWorld):
    built = furnish(aws)
    arn = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{REPOSITORY}"
    aws.client("ecr", Role.CONTAIN).tag_resource(resourceArn=arn, tags=[{"Key": SUSPICION_TAG, "Value": "GuardDuty"}])
    (facts,) = read(aws, finding_of(built))
    assert facts.suspected == "GuardDuty"


def test_images_of_one_repository_are_read_together(aws: AwsWorld):
    built = furnish(aws)
    finding = finding_of(built)
    other = another_image(aws, "1.4.3", packages="")
    arn = built["image_arn"].replace(built["digest"], other)
    second = finding.model_copy(update={"resource": finding.resource.model_copy(update={"id": arn})})
    read(aws, finding)
    one = aws.calls()
    aws.sandbox.cloud.record.clear()
    found = [facts.image_facts.image for facts in read(aws, finding, second)]
    assert [image.digest for image in found if image] == [built["digest"], other]
    # Inspector names the clusters of one image at a time; everything else is asked once for both.
    assert sorted(aws.calls()) == sorted([*one, "inspector2:GetClustersForImage"])
