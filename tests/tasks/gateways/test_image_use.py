from __future__ import annotations

import json
from typing import Any

import pytest

from runbooks.container_image import EcsService, OtherUse
from runbooks.errors import AccessDenied, Outside
from runbooks.repository_policy import with_pulls_denied
from runbooks.steps.base import Role
from tasks.gateways.image_use import ImageUse
from tests.tasks.gateways.aws_world import ACCOUNT, REGION, AwsWorld
from tests.tasks.gateways.running_images import (
    ELSEWHERE,
    LONG_ENOUGH,
    a_cluster_elsewhere,
    a_job,
    a_service,
    an_image,
    arn_of,
    configuration_of,
    let_pull,
    push,
    push_index,
    revisions_of,
    users,
)

NOBODY = "sha256:" + "0" * 64


def update(aws: AwsWorld, **change: Any) -> None:
    aws.client("ecs", Role.PATCH).update_service(cluster="shop", service="checkout", **change)
    aws.sandbox.advance(LONG_ENOUGH)


def test_a_service_is_told_with_all_that_its_deployment_needs(aws: AwsWorld):
    built = an_image(aws)
    shop = a_service(aws, built["image"], tags={"environment": "production"})
    (use,) = users(aws, built["image_arn"])
    assert use.services == (
        EcsService(
            account=ACCOUNT,
            region=REGION,
            cluster=shop["cluster_arn"],
            name="checkout",
            arn=shop["service_arn"],
            controller="ECS",
            strategy="CANARY",
            task_definition=shop["task_definition_arn"],
            revisions=tuple(revisions_of(aws)),
            containers=("checkout",),
            desired=4,
            running=4,
            alarms=("checkout-5xx",),
            rolls_back=True,
            configuration=configuration_of(aws),
            execution_role=f"arn:aws:iam::{ACCOUNT}:role/checkout-execution",
            tags={"environment": "production"},
        ),
    )
    assert (use.functions, use.others, use.in_use_count, use.listed) == ((), (), 4, True)
    assert use.running
    assert use.last_in_use_at is not None


def test_nobody_runs_what_nobody_runs_and_all_images_are_asked_about_at_once(aws: AwsWorld):
    built = an_image(aws)
    a_service(aws, built["image"])
    patched = push(aws, built, "1.4.3")
    aws.sandbox.cloud.record.clear()
    old, new, unknown = users(aws, built["image_arn"], arn_of(built, patched), arn_of(built, NOBODY))
    assert [service.running for service in old.services] == [4]
    assert new == ImageUse(tags=("1.4.3",), listed=True)
    assert not new.running
    assert unknown == ImageUse(listed=False)
    assert sorted(aws.calls()) == [
        "batch:DescribeJobDefinitions",
        "ecr:DescribeImages",
        "ecr:GetRegistryPolicy",
        "ecr:GetRepositoryPolicy",
        "ecs:DescribeServiceRevisions",
        "ecs:DescribeServices",
        "ecs:DescribeTaskDefinition",
        "ecs:DescribeTasks",
        "ecs:ListClusters",
        "ecs:ListServices",
        "ecs:ListTasks",
        "events:ListEventBuses",
        "events:ListRuleNamesByTarget",
        "inspector2:GetClustersForImage",
        "inspector2:GetClustersForImage",
        "inspector2:GetClustersForImage",
        "inspector2:ListCoverage",
        "lambda:ListFunctions",
        "scheduler:ListSchedules",
    ]
    assert {one["RoleArn"].rpartition("-")[2] for one in aws.parameters("AssumeRole")} <= {"read"}


def test_a_service_that_is_taken_back_runs_the_old_image_before_its_first_task_does(aws: AwsWorld):
    built = an_image(aws)
    shop = a_service(aws, built["image"])
    patched = push(aws, built, "1.4.3")
    client = aws.client("ecs", Role.PATCH)
    container = {"name": "checkout", "image": f"{built['repository_uri']}@{patched}", "memory": 512}
    new = client.register_task_definition(family="checkout", containerDefinitions=[container])["taskDefinition"]
    client.update_service(cluster="shop", service="checkout", taskDefinition=new["taskDefinitionArn"])
    aws.sandbox.advance(LONG_ENOUGH)
    assert not users(aws, built["image_arn"])[0].services
    client.update_service(cluster="shop", service="checkout", taskDefinition=shop["task_definition_arn"])
    tasks = client.list_tasks(cluster="shop")["taskArns"]
    shown = client.describe_tasks(cluster="shop", tasks=tasks)["tasks"]
    assert {task["taskDefinitionArn"] for task in shown} == {new["taskDefinitionArn"]}
    (use,) = users(aws, built["image_arn"])
    assert [(one.name, one.running) for one in use.services] == [("checkout", 0)]


def test_in_mid_deployment_both_images_are_run_by_the_service(aws: AwsWorld):
    built = an_image(aws)
    shop = a_service(aws, built["image"])
    patched = push(aws, built, "1.4.3")
    client = aws.client("ecs", Role.PATCH)
    container = {"name": "checkout", "image": f"{built['repository_uri']}@{patched}", "memory": 512}
    new = client.register_task_definition(family="checkout", containerDefinitions=[container])["taskDefinition"]
    client.update_service(cluster="shop", service="checkout", taskDefinition=new["taskDefinitionArn"])
    aws.sandbox.advance(60)
    found = users(aws, built["image_arn"], arn_of(built, patched))
    assert [[(one.name, one.running) for one in use.services] for use in found] == [
        [("checkout", 4)],
        [("checkout", 4)],
    ]
    aws.sandbox.advance(LONG_ENOUGH)
    old, now = users(aws, built["image_arn"], arn_of(built, patched))
    assert (old.running, [one.running for one in now.services]) == (False, [4])
    assert now.services[0].task_definition == new["taskDefinitionArn"] != shop["task_definition_arn"]


@pytest.mark.parametrize("reference", ["digest", "tag"])
def test_a_service_scaled_to_nothing_starts_the_image_next(aws: AwsWorld, reference: str):
    built = an_image(aws)
    a_service(aws, built["image"] if reference == "digest" else f"{built['repository_uri']}:1.4.2")
    other = a_service(aws, "public.example/other:1", name="other")
    update(aws, desiredCount=0)
    aws.client("ecs", Role.PATCH).update_service(cluster="shop", service="other", desiredCount=0)
    aws.sandbox.advance(LONG_ENOUGH)
    (use,) = users(aws, built["image_arn"])
    assert [(one.name, one.containers, one.desired, one.running) for one in use.services] == [
        ("checkout", ("checkout",), 0, 0)
    ]
    assert (use.in_use_count, use.running) == (0, True)
    assert other["service"] == "other"


def test_a_service_scaled_to_nothing_starts_the_digest_that_its_tag_had(aws: AwsWorld):
    built = an_image(aws)
    a_service(aws, f"{built['repository_uri']}:1.4.2")
    update(aws, forceNewDeployment=True)
    moved = push(aws, built, "1.4.2")
    update(aws, desiredCount=0)
    old, new = users(aws, built["image_arn"], arn_of(built, moved))
    assert [one.name for one in old.services] == ["checkout"]
    assert not new.running


def test_tasks_of_no_service_are_told_by_their_number(aws: AwsWorld):
    built = an_image(aws)
    shop = a_service(aws, "public.example/other:1")
    container = {"name": "batch", "image": built["image"], "memory": 512}
    client = aws.client("ecs", Role.PATCH)
    definition = client.register_task_definition(family="batch", containerDefinitions=[container])["taskDefinition"]
    answer = client.run_task(cluster="shop", taskDefinition=definition["taskDefinitionArn"], count=3)
    expected = (OtherUse(kind="ecs-task", arn=min(one["taskArn"] for one in answer["tasks"]), count=3),)
    (use,) = users(aws, built["image_arn"])
    assert (use.services, use.others, use.in_use_count) == ((), expected, 0), "before the image is pulled"
    aws.sandbox.advance(60)
    (use,) = users(aws, built["image_arn"])
    assert (use.services, use.others, use.in_use_count) == ((), expected, 3)
    assert shop["service"] == "checkout"


def test_a_task_that_pulled_an_index_runs_the_image_that_it_lists(aws: AwsWorld):
    built = an_image(aws)
    other = push(aws, built, "arm64")
    index = push_index(aws, built, "multi", built["digest"], other)
    a_service(aws, f"{built['repository_uri']}:multi")
    (task,) = {
        one["containers"][0]["imageDigest"]
        for one in aws.client("ecs").describe_tasks(
            cluster="shop", tasks=aws.client("ecs").list_tasks(cluster="shop")["taskArns"]
        )["tasks"]
    }
    assert task == index
    for use in users(aws, built["image_arn"], arn_of(built, other)):
        assert [(one.name, one.running) for one in use.services] == [("checkout", 4)]
    (alone,) = users(aws, arn_of(built, push(aws, built, "s390x")))
    assert not alone.running


def test_an_index_that_may_not_be_read_leaves_it_open_who_runs_the_images(aws: AwsWorld):
    built = an_image(aws)
    push_index(aws, built, "multi", built["digest"])
    deny = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Principal": "*", "Action": ["ecr:BatchGetImage"]}],
    }
    aws.client("ecr", Role.CONTAIN).set_repository_policy(
        repositoryName=built["repository"], policyText=json.dumps(deny)
    )
    with pytest.raises(Outside):
        users(aws, built["image_arn"])


def test_a_denial_of_pulls_leaves_out_who_reads_the_indexes(aws: AwsWorld):
    built = an_image(aws)
    push_index(aws, built, "multi", built["digest"])
    reader = aws.sessions.role_in(ACCOUNT, Role.READ)
    for denied, read in ((with_pulls_denied(None), False), (with_pulls_denied(None, reader=reader), True)):
        aws.client("ecr", Role.CONTAIN).set_repository_policy(repositoryName=built["repository"], policyText=denied)
        if read:
            assert "multi" in users(aws, built["image_arn"])[0].tags
        else:
            with pytest.raises(AccessDenied):
                users(aws, built["image_arn"])


def test_clusters_of_kubernetes_are_what_inspector_says(aws: AwsWorld):
    built = an_image(aws)
    cluster = f"arn:aws:eks:{REGION}:{ELSEWHERE}:cluster/platform"
    a_cluster_elsewhere(aws, built["digest"], cluster, running=7)
    a_cluster_elsewhere(aws, built["digest"], f"{cluster}-idle", running=0)
    (use,) = users(aws, built["image_arn"])
    assert use.others == (OtherUse(kind="eks-cluster", arn=cluster, count=7),)
    assert use.in_use_count == 7


def test_what_ecs_says_counts_where_inspector_is_late(aws: AwsWorld):
    built = an_image(aws)
    shop = a_service(aws, "public.example/other:1")
    a_cluster_elsewhere(aws, built["digest"], shop["cluster_arn"], running=3)
    (use,) = users(aws, built["image_arn"])
    assert (use.in_use_count, use.running) == (3, False)


def test_services_of_another_account_that_pulls_the_image_are_read_there(aws: AwsWorld):
    built = an_image(aws)
    let_pull(aws, built, f"arn:aws:iam::{ELSEWHERE}:root")
    a_service(aws, built["image"], account=ELSEWHERE, region="eu-west-2")
    (use,) = users(aws, built["image_arn"])
    assert [(one.account, one.region, one.name, one.running) for one in use.services] == [
        (ELSEWHERE, "eu-west-2", "checkout", 4)
    ]
    assert (use.others, use.may_be_used_in) == ((), ())


def test_who_may_pull_is_looked_at_where_inspector_has_seen_nothing_run(aws: AwsWorld):
    """Inspector counts no service without a task, no function, no schedule and no job."""
    built = an_image(aws)
    job = a_job(aws, built["image"], account=ELSEWHERE)
    (use,) = users(aws, built["image_arn"])
    assert not use.running, "nobody there may pull it"
    let_pull(aws, built, f"arn:aws:iam::{ELSEWHERE}:root")
    (use,) = users(aws, built["image_arn"])
    assert [(one.kind, one.arn) for one in use.others] == [("job-definition", job)]
    assert (use.in_use_count, use.may_be_used_in) == (0, ())


def test_a_whole_organization_that_may_pull_may_use_it(aws: AwsWorld):
    built = an_image(aws)
    let_pull(aws, built, "*", Condition={"StringEquals": {"aws:PrincipalOrgID": "o-1a2b3c4d5e"}})
    (use,) = users(aws, built["image_arn"])
    assert (use.running, use.may_be_used_in) == (False, ("organization o-1a2b3c4d5e",))


def test_whom_the_registry_lets_pull_is_looked_at_too(aws: AwsWorld):
    built = an_image(aws)
    job = a_job(aws, built["image"], account=ELSEWHERE)
    allows = {
        "Sid": "Pull",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ELSEWHERE}:root"},
        "Action": ["ecr:*"],
        "Resource": [f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/*"],
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allows]})
    aws.client("ecr", Role.CONTAIN).put_registry_policy(policyText=policy)
    (use,) = users(aws, built["image_arn"])
    assert [(one.kind, one.arn) for one in use.others] == [("job-definition", job)]


def test_an_image_has_its_own_tags_and_those_of_the_indexes_that_list_it(aws: AwsWorld):
    built = an_image(aws)
    other = push(aws, built, "arm64")
    push_index(aws, built, "multi", built["digest"], other)
    old, new = users(aws, built["image_arn"], arn_of(built, other))
    assert ("multi" in old.tags, new.tags) == (True, ("arm64", "multi"))
