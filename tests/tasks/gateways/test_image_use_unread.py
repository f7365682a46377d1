"""What cannot be read of who runs an image is never nobody."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from runbooks.container_image import OtherUse
from runbooks.errors import AccessDenied, BadInput, Outside
from runbooks.steps.base import Role
from tasks.gateways.aws_session import AwsSessions
from tests.tasks.gateways.aws_world import ACCOUNT, REGION, ROLE_ARN, AwsWorld
from tests.tasks.gateways.running_images import (
    ELSEWHERE,
    a_cluster_elsewhere,
    a_function,
    a_rule,
    a_schedule,
    a_service,
    an_image,
    let_pull,
    push_index,
    users,
)

NOBODY = "sha256:" + "0" * 64


class Refused(AwsSessions):
    """AWS refuses some calls: of one account, or of one operation."""

    account = ""
    operation = ""
    code = ""

    def client(self, service: str, account: str, region: str, role: Role) -> Any:
        client = super().client(service, account, region, role)

        def refuse(model: Any, **_: Any) -> None:
            if account == self.account or f"{service}:{model.name}" == self.operation:
                raise ClientError({"Error": {"Code": self.code, "Message": "no"}}, model.name)

        client.meta.events.register("before-call", refuse, unique_id=f"{service} {account}")
        return client


def refusing(*, account: str = "", operation: str = "", code: str = "AccessDenied") -> Refused:
    sessions = Refused(ROLE_ARN, session_name="response-0042")
    sessions.account, sessions.operation, sessions.code = account, operation, code
    return sessions


def test_accounts_that_may_pull_and_cannot_be_read_may_use_it(aws: AwsWorld):
    built = an_image(aws)
    let_pull(aws, built, f"arn:aws:iam::{ELSEWHERE}:role/checkout-execution")
    aws.sessions = refusing(account=ELSEWHERE)
    (use,) = users(aws, built["image_arn"])
    assert (use.running, use.may_be_used_in) == (False, (f"account {ELSEWHERE}",))


def test_an_account_that_may_not_be_read_is_what_inspector_says_of_it(aws: AwsWorld):
    built = an_image(aws)
    cluster = f"arn:aws:ecs:{REGION}:{ELSEWHERE}:cluster/platform"
    a_cluster_elsewhere(aws, built["digest"], cluster, running=2)
    (use,) = users(aws, built["image_arn"])
    assert not use.running, "it can be read, and has no such task"
    aws.sessions = refusing(account=ELSEWHERE)
    (use,) = users(aws, built["image_arn"])
    assert use.others == (OtherUse(kind="other", arn=cluster, count=2),)
    assert use.may_be_used_in == (f"account {ELSEWHERE}",)


@pytest.mark.parametrize("denied", [{"account": ACCOUNT}, {"operation": "ecs:ListClusters"}])
def test_the_account_of_the_image_has_to_be_read(aws: AwsWorld, denied: dict[str, str]):
    built = an_image(aws)
    aws.sessions = refusing(**denied)
    with pytest.raises(AccessDenied):
        users(aws, built["image_arn"])


def test_more_than_inspector_names_is_somebody_all_the_same(aws: AwsWorld):
    built = an_image(aws)

    def count(parsed: dict[str, Any], **_: Any) -> None:
        for row in parsed["coveredResources"]:
            row["resourceMetadata"]["ecrImage"]["inUseCount"] += 2

    a_cluster_elsewhere(aws, built["digest"], f"arn:aws:eks:{REGION}:{ELSEWHERE}:cluster/platform", running=1)
    aws.client("inspector2").meta.events.register("after-call.inspector2.ListCoverage", count)
    (use,) = users(aws, built["image_arn"])
    assert use.others[1:] == (OtherUse(kind="other", arn=built["image_arn"], count=2),)
    assert use.in_use_count == 3


def test_an_index_that_ecr_does_not_hand_out_is_not_nothing(aws: AwsWorld):
    built = an_image(aws)
    index = push_index(aws, built, "multi", built["digest"])

    def fail(parsed: dict[str, Any], **_: Any) -> None:
        parsed["images"] = []
        parsed["failures"] = [{"imageId": {"imageDigest": index}, "failureCode": "KmsError"}]

    aws.client("ecr").meta.events.register("after-call.ecr.BatchGetImage", fail)
    with pytest.raises(Outside, match="KmsError"):
        users(aws, built["image_arn"])


READS = [
    "batch:DescribeJobDefinitions",
    "ecr:BatchGetImage",
    "ecr:DescribeImages",
    "ecr:GetRegistryPolicy",
    "ecr:GetRepositoryPolicy",
    "ecs:DescribeServices",
    "ecs:DescribeTaskDefinition",
    "ecs:DescribeTasks",
    "ecs:ListClusters",
    "ecs:ListServices",
    "ecs:ListTasks",
    "events:ListEventBuses",
    "events:ListRuleNamesByTarget",
    "events:ListTargetsByRule",
    "inspector2:GetClustersForImage",
    "inspector2:ListCoverage",
    "lambda:GetFunction",
    "lambda:GetPolicy",
    "lambda:ListAliases",
    "lambda:ListEventSourceMappings",
    "lambda:ListFunctions",
    "lambda:ListProvisionedConcurrencyConfigs",
    "scheduler:GetSchedule",
    "scheduler:ListSchedules",
]


@pytest.mark.parametrize("read", READS)
def test_what_cannot_be_read_is_never_nobody(aws: AwsWorld, read: str):
    built = an_image(aws)
    push_index(aws, built, "multi", built["digest"])
    shop = a_service(aws, built["image"])
    a_function(aws, built["image"])
    a_rule(aws, "nightly", shop["cluster_arn"], shop["task_definition_arn"])
    a_schedule(aws, "weekly", shop["cluster_arn"], shop["task_definition_arn"])
    aws.sessions = refusing(operation=read, code="InternalFailure")
    with pytest.raises(Outside) as unknown:
        users(aws, built["image_arn"])
    assert unknown.value.code == "InternalFailure"


def test_a_name_that_inspector_does_not_give_is_bad_input(aws: AwsWorld):
    for name in (NOBODY, "shop/checkout@sha256:1", f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/shop/checkout"):
        with pytest.raises(BadInput, match="does not name an image"):
            users(aws, name)
