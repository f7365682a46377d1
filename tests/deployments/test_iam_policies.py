"""The IAM policies name what the steps and gateways really call, and no more."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name
from botocore.session import get_session

from deployments.iam_policies import READ_BY_GATEWAYS, actions, audit_policy, inbox_policy, kinds, main, policy
from runbooks.steps import STEP_KINDS, Role

ANCHORS = ("anchors.py",)
"""What acts under the audit role, in another account."""
GATEWAYS = Path(__file__).parents[2] / "tasks" / "gateways"
SERVICES = {
    "autoscaling": "autoscaling",
    "batch": "batch",
    "cloudwatch": "cloudwatch",
    "codebuild": "codebuild",
    "codedeploy": "codedeploy",
    "codepipeline": "codepipeline",
    "ec2": "ec2",
    "ecr": "ecr",
    "ecs": "ecs",
    "elbv2": "elasticloadbalancing",
    "events": "events",
    "inspector2": "inspector2",
    "lambda": "lambda",
    "s3": "s3",
    "scheduler": "scheduler",
    "ssm": "ssm",
}
READING = re.compile(r"(describe|list|get|batch_get)_\w+")


def _names(source: str) -> Iterator[str]:
    """Every method that is called, and every operation that is named to a paginator."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and READING.fullmatch(node.attr):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and READING.fullmatch(node.value):
            yield node.value


def test_the_read_role_may_call_what_the_gateways_call_and_nothing_else() -> None:
    session = get_session()
    operations: dict[str, set[str]] = {}
    for service, prefix in SERVICES.items():
        for operation in session.get_service_model(service).operation_names:
            # Several services describe images, and have tags: which of them a call goes to its name does not say.
            operations.setdefault(xform_name(operation), set()).add(f"{prefix}:{operation}")
    called = {
        name
        for file in GATEWAYS.rglob("*.py")
        if file.name not in ANCHORS
        for name in _names(file.read_text(encoding="utf-8"))
    }

    known = [operations[name] for name in called if name in operations]
    by_who_acts = {each for kind in STEP_KINDS for each in kind.acting_reads}
    assert set(READ_BY_GATEWAYS) <= set[str]().union(*known)
    assert [sorted(each) for each in known if not each & {*READ_BY_GATEWAYS, *by_who_acts}] == []


def test_the_audit_role_keeps_checkpoints_and_can_neither_delete_them_nor_shorten_their_time() -> None:
    allowed = {action for statement in audit_policy()["Statement"] for action in statement["Action"]}

    assert allowed == {
        "kms:GetPublicKey",
        "kms:Sign",
        "s3:GetObjectVersion",
        "s3:ListBucketVersions",
        "s3:PutObject",
        "s3:PutObjectRetention",
    }


def test_the_inbox_role_empties_one_queue_and_can_neither_send_to_it_nor_purge_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    statement = {
        "Sid": "EmptyQueue",
        "Effect": "Allow",
        "Action": ["sqs:DeleteMessage", "sqs:ReceiveMessage"],
        "Resource": "arn:aws:sqs:*:*:findings",
    }
    assert inbox_policy("findings") == {"Version": "2012-10-17", "Statement": [statement]}
    assert main(["inbox", "--queue", "findings"]) == 0
    assert json.loads(capsys.readouterr().out) == inbox_policy("findings")


def test_reading_beyond_the_gateways_calls_is_only_what_s3_needs_to_say_not_found() -> None:
    assert set(actions(Role.READ)) - set(READ_BY_GATEWAYS) == {"s3:ListBucket"}


def test_every_mutating_call_of_a_step_is_in_the_role_it_acts_under() -> None:
    for kind in STEP_KINDS:
        of_aws = {call for call in kind.calls if not call.startswith("github:")}
        assert of_aws <= set(actions(kind.role)), kind


def test_the_read_role_changes_nothing_and_the_others_read_only_what_their_calls_ask_of_them() -> None:
    mutating = {call for kind in STEP_KINDS for call in kind.calls}
    assert mutating.isdisjoint(actions(Role.READ))
    for role in (Role.CONTAIN, Role.PATCH, Role.RESTORE):
        asked = {each for kind in kinds(role) for each in kind.acting_reads}
        assert (set(actions(role)) - asked).isdisjoint(actions(Role.READ))
        assert asked <= set(actions(role))
    assert {each for kind in STEP_KINDS for each in kind.acting_reads} == {
        "codedeploy:GetDeploymentConfig",
        "ecr:BatchGetImage",
        "ecr:GetAuthorizationToken",
        "ecr:GetDownloadUrlForLayer",
        "kms:Decrypt",
        "lambda:GetLayerVersion",
        "s3:GetObject",
        "s3:GetObjectVersion",
    }


def test_restore_puts_back_containment_and_can_neither_isolate_anew_nor_patch() -> None:
    assert {kind.__name__ for kind in kinds(Role.RESTORE)} == {
        "AttachToAutoScaling",
        "RegisterTarget",
        "ReplaceGroupRules",
        "SetDeleteOnTermination",
        "SetFunctionUrlAuth",
        "SetInstanceAttribute",
        "SetRepositoryPolicy",
        "SetReservedConcurrency",
        "SetStageTransition",
        "StartInstance",
        "SwapSecurityGroups",
    }
    assert actions(Role.RESTORE) == (
        "autoscaling:AttachInstances",
        "autoscaling:SetInstanceProtection",
        "codepipeline:DisableStageTransition",
        "codepipeline:EnableStageTransition",
        "ec2:AuthorizeSecurityGroupIngress",
        "ec2:CreateTags",
        "ec2:ModifyInstanceAttribute",
        "ec2:ModifyNetworkInterfaceAttribute",
        "ec2:RevokeSecurityGroupIngress",
        "ec2:StartInstances",
        "ecr:DeleteRepositoryPolicy",
        "ecr:SetRepositoryPolicy",
        "elasticloadbalancing:RegisterTargets",
        "lambda:DeleteFunctionConcurrency",
        "lambda:PutFunctionConcurrency",
        "lambda:UpdateFunctionUrlConfig",
    )


def _allowed(document: dict[str, Any]) -> list[str]:
    return sorted(action for statement in document["Statement"] for action in statement["Action"])


@pytest.mark.parametrize("role", Role)
def test_a_policy_allows_each_action_once(role: Role) -> None:
    document = policy(role)
    assert _allowed(document) == sorted(actions(role))
    assert {statement["Effect"] for statement in document["Statement"]} == {"Allow"}


def test_a_role_is_passed_to_instances_and_tasks_only_and_lists_are_written_to_their_folder_only() -> None:
    by_sid = {statement["Sid"]: statement for statement in policy(Role.PATCH, "lists")["Statement"]}
    passed_to = ["ec2.amazonaws.com", "ecs-tasks.amazonaws.com"]
    assert by_sid["PassRole"]["Condition"] == {"StringEquals": {"iam:PassedToService": passed_to}}
    assert by_sid["PackageLists"] == {
        "Sid": "PackageLists",
        "Effect": "Allow",
        "Action": ["s3:PutObject"],
        "Resource": "arn:aws:s3:::lists/override-lists/*",
    }


def test_the_zips_of_functions_are_read_where_their_builds_leave_them_and_decrypted_for_s3_alone() -> None:
    read, patch = (
        {statement["Sid"]: statement for statement in policy(role, "lists", "builds")["Statement"]}
        for role in (Role.READ, Role.PATCH)
    )
    assert (read["ReadObjects"]["Action"], read["ReadObjects"]["Resource"]) == (
        ["s3:GetObject"],
        ["arn:aws:s3:::lists/override-lists/*", "arn:aws:s3:::builds/*"],
    )
    assert read["FindObjects"]["Resource"] == ["arn:aws:s3:::lists", "arn:aws:s3:::builds"]
    assert (patch["ReadObjects"]["Action"], patch["ReadObjects"]["Resource"]) == (
        ["s3:GetObject", "s3:GetObjectVersion"],
        ["arn:aws:s3:::builds/*"],
    )
    assert patch["DecryptZips"]["Condition"] == {"StringLike": {"kms:ViaService": "s3.*.amazonaws.com"}}
    assert not {"DecryptZips", "ReadObjects"} & {each["Sid"] for each in policy(Role.CONTAIN)["Statement"]}


def test_the_module_prints_json_for_all_roles_or_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert json.loads(capsys.readouterr().out) == {role.value: policy(role) for role in Role} | {
        "audit": audit_policy(),
        "inbox": inbox_policy(),
    }
    assert main(["read", "--bucket", "lists", "--artifact-bucket", "builds"]) == 0
    assert json.loads(capsys.readouterr().out) == policy(Role.READ, "lists", "builds")
