"""One step of each kind that is about a container image."""

from __future__ import annotations

from collections.abc import Callable

from runbooks.steps import (
    AnyStep,
    DeleteImage,
    DeployByCodeDeploy,
    DeployService,
    PatchImage,
    PutLifecyclePolicy,
    RebuildByWorkflow,
    RebuildImage,
    RegisterTaskDefinition,
    SetImageArchived,
    SetImageTag,
    SetRepositoryPolicy,
    SetStageTransition,
    SetTagMutability,
    Target,
    TestByWorkflow,
    TestImage,
)

DIGEST = "sha256:" + "0123456789abcdef" * 4
NEW_DIGEST = "sha256:" + "fedcba9876543210" * 4
TASK_DEFINITION = "arn:aws:ecs:eu-west-1:210987654321:task-definition/checkout:7"
WORKFLOWS = "shop/checkout/.github/workflows"
URI = "210987654321.dkr.ecr.eu-west-1.amazonaws.com/shop/checkout"


def every_image_step(target: Callable[[str, str], Target], cases: tuple[str, ...]) -> tuple[AnyStep, ...]:
    """In the order of the registry."""
    repository, name = target("repository", "shop/checkout"), "shop/checkout"
    archived = target("image", f"{name}@{DIGEST}")
    watched = {"alarmNames": ["checkout-errors"], "enable": True, "rollback": True}
    return (
        SetStageTransition(
            target=target("pipeline-stage", "checkout/Production"),
            cases=cases,
            pipeline="checkout",
            stage="Production",
            enabled=False,
            reason="a critical vulnerability",
        ),
        SetRepositoryPolicy(
            target=repository,
            cases=cases,
            repository=name,
            expects=None,
            leaves='{"Statement": []}',
            consequence="none",
        ),
        RebuildImage(
            target=target("image", f"{name}:1.4.2-remediated-0"),
            cases=cases,
            project="shop-checkout-build",
            repository=name,
            tag="1.4.2-remediated-0",
            variables={"IMAGE_TAG": "1.4.2-remediated-0"},
        ),
        TestImage(
            target=target("image", f"shop-checkout-test/{URI}@{NEW_DIGEST}"),
            cases=cases,
            project="shop-checkout-test",
            image=f"{URI}@{NEW_DIGEST}",
            variables={"IMAGE_URI": f"{URI}@{NEW_DIGEST}"},
        ),
        RebuildByWorkflow(
            target=target("image", f"{name}:1.4.2-remediated-0"),
            cases=cases,
            workflow=f"{WORKFLOWS}/rebuild.yml@main",
            repository=name,
            tag="1.4.2-remediated-0",
            variables={"IMAGE_TAG": "1.4.2-remediated-0"},
        ),
        TestByWorkflow(
            target=target("image", f"{WORKFLOWS}/test.yml@main/{URI}@{NEW_DIGEST}"),
            cases=cases,
            workflow=f"{WORKFLOWS}/test.yml@main",
            image=f"{URI}@{NEW_DIGEST}",
            variables={"IMAGE_URI": f"{URI}@{NEW_DIGEST}"},
        ),
        PatchImage(
            target=target("image", f"{name}:1.4.2-remediated-0"),
            cases=cases,
            image=f"{URI}@{DIGEST}",
            repository=name,
            tag="1.4.2-remediated-0",
            timeout_minutes=90,
        ),
        RegisterTaskDefinition(
            target=target("task-definition", TASK_DEFINITION),
            cases=cases,
            family="checkout",
            source=TASK_DEFINITION,
            containers=("app",),
            image=f"{URI}@{NEW_DIGEST}",
        ),
        DeployService(
            target=target("service", "shop/checkout"),
            cases=cases,
            cluster="shop",
            service="checkout",
            family="checkout",
            expects=TASK_DEFINITION,
            leaves="@operation",
            strategy="CANARY",
            configuration={"strategy": "CANARY", "bakeTimeInMinutes": 10, "alarms": watched},
            replaces={"strategy": "ROLLING", "maximumPercent": 200},
        ),
        DeployByCodeDeploy(
            target=target("service", "shop/checkout"),
            cases=cases,
            cluster="shop",
            service="checkout",
            family="checkout",
            expects=TASK_DEFINITION,
            leaves="@operation",
            application="shop",
            group="checkout",
            configuration="CodeDeployDefault.ECSCanary10Percent5Minutes",
            alarms=("checkout-errors",),
            properties={"LoadBalancerInfo": {"ContainerName": "app", "ContainerPort": 8080}},
            hooks=({"AfterAllowTestTraffic": "check-the-checkout"},),
        ),
        SetImageTag(
            target=target("image", f"{name}:latest"), cases=cases, repository=name, digest=DIGEST, tag="latest"
        ),
        SetImageArchived(target=archived, cases=cases, repository=name, digest=DIGEST),
        DeleteImage(target=archived, cases=cases, repository=name, digest=DIGEST),
        PutLifecyclePolicy(target=repository, cases=cases, repository=name, expects=None, leaves='{"rules": []}'),
        SetTagMutability(target=repository, cases=cases, repository=name, expects="MUTABLE", leaves="IMMUTABLE"),
    )
