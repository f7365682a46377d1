"""IAM policies of the roles, from what the steps say they need: `python -m deployments.iam_policies`.

Looking is always done under the read role; only the call that changes something leaves under the role of its step. So
a step's reading permissions go to `read`, and the others to the role it acts under, with the few reads that AWS asks of
whoever makes the call. What release puts back goes to `restore`. A test holds `READ_BY_GATEWAYS` to the calls that the
gateways make. The `audit` role, in the account of the anchor, keeps checkpoints and signs them, and the `inbox` role,
in the account of the queue, empties it; no step acts under these.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from runbooks.steps import STEP_KINDS, Role, Step, Target

READ_BY_GATEWAYS = (
    "autoscaling:DescribeAutoScalingGroups",
    "autoscaling:DescribeAutoScalingInstances",
    "autoscaling:DescribeInstanceRefreshes",
    "autoscaling:DescribeLaunchConfigurations",
    "batch:DescribeJobDefinitions",
    "cloudwatch:DescribeAlarms",
    "codebuild:BatchGetBuilds",
    "codebuild:BatchGetProjects",
    "codebuild:ListBuildsForProject",
    "codedeploy:BatchGetApplications",
    "codedeploy:BatchGetDeploymentGroups",
    "codedeploy:BatchGetDeployments",
    "codedeploy:GetApplicationRevision",
    "codedeploy:GetDeployment",
    "codedeploy:GetDeploymentConfig",
    "codedeploy:GetDeploymentGroup",
    "codedeploy:GetDeploymentTarget",
    "codedeploy:ListApplications",
    "codedeploy:ListDeploymentGroups",
    "codedeploy:ListDeployments",
    "codepipeline:GetPipelineState",
    "ec2:DescribeAddresses",
    "ec2:DescribeImages",
    "ec2:DescribeInstanceAttribute",
    "ec2:DescribeInstances",
    "ec2:DescribeLaunchTemplateVersions",
    "ec2:DescribeNetworkAcls",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribePrefixLists",
    "ec2:DescribeRouteTables",
    "ec2:DescribeSecurityGroupRules",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSnapshots",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcEndpoints",
    "ec2:DescribeVpcs",
    "ecr:BatchGetImage",
    "ecr:DescribeImages",
    "ecr:DescribeRepositories",
    "ecr:GetLifecyclePolicy",
    "ecr:GetLifecyclePolicyPreview",
    "ecr:GetRegistryPolicy",
    "ecr:GetRepositoryPolicy",
    "ecr:ListTagsForResource",
    "ecs:DescribeServiceDeployments",
    "ecs:DescribeServiceRevisions",
    "ecs:DescribeServices",
    "ecs:DescribeTaskDefinition",
    "ecs:DescribeTasks",
    "ecs:ListClusters",
    "ecs:ListServiceDeployments",
    "ecs:ListServices",
    "ecs:ListTaskDefinitions",
    "ecs:ListTasks",
    "elasticloadbalancing:DescribeLoadBalancers",
    "elasticloadbalancing:DescribeTargetGroups",
    "elasticloadbalancing:DescribeTargetHealth",
    "events:ListEventBuses",
    "events:ListRuleNamesByTarget",
    "events:ListTargetsByRule",
    "inspector2:BatchGetFindingDetails",
    "inspector2:GetClustersForImage",
    "inspector2:ListCoverage",
    "inspector2:ListFindings",
    "lambda:GetAlias",
    "lambda:GetFunction",
    "lambda:GetFunctionConcurrency",
    "lambda:GetFunctionConfiguration",
    "lambda:GetPolicy",
    "lambda:ListAliases",
    "lambda:ListEventSourceMappings",
    "lambda:ListFunctionUrlConfigs",
    "lambda:ListFunctions",
    "lambda:ListLayerVersions",
    "lambda:ListProvisionedConcurrencyConfigs",
    "lambda:ListTags",
    "lambda:ListVersionsByFunction",
    "s3:GetObject",
    "scheduler:GetSchedule",
    "scheduler:ListSchedules",
    "ssm:DescribeAssociationExecutions",
    "ssm:DescribeInstanceInformation",
    "ssm:DescribeInstancePatchStates",
    "ssm:GetParameters",
    "ssm:ListAssociations",
    "ssm:ListCommandInvocations",
    "ssm:ListCommands",
    "ssm:ListInventoryEntries",
)
"""What the gateways read, for triage, for looking and for the verdict."""
PASSED_TO = ("ec2.amazonaws.com", "ecs-tasks.amazonaws.com")
"""Whom a role is passed to: the instances and the tasks that take the place of vulnerable ones."""
AUDIT = "audit"
"""The role that `RUNBOOKS_ANCHOR_ACCOUNT` is entered with."""
ANCHORING = ("s3:GetObjectVersion", "s3:PutObject", "s3:PutObjectRetention")
"""What keeping checkpoints in a bucket with Object Lock needs. Nothing that deletes or shortens is among it."""
SIGNING = ("kms:GetPublicKey", "kms:Sign")
ANCHOR_BUCKET = "remediation-runbooks-anchor"
INBOX = "inbox"
"""The role that the queue of `RUNBOOKS_QUEUE_URL` is emptied with."""
CONSUMING = ("sqs:DeleteMessage", "sqs:ReceiveMessage")
QUEUE = "remediation-runbooks"
BUCKET = "remediation-runbooks-*"
"""The names that the default of RUNBOOKS_PACKAGE_BUCKET gives."""
ARTIFACT_BUCKET = "lambda-builds-*"
"""The buckets where the build projects of Lambda functions leave their zips: what is there may become code."""
DECRYPTED_BY = "s3.*.amazonaws.com"
"""The service on whose behalf alone a key may be used: what Lambda asks of whoever has it take a zip from S3."""

_READING = ("BatchGet", "Describe", "Get", "List")


def actions(role: Role) -> tuple[str, ...]:
    """The IAM actions that the role needs, sorted."""
    if role is Role.READ:
        read = (each for kind in STEP_KINDS for each in {*kind.permissions} - {*kind.acting_reads} if _reads(each))
        return tuple(sorted({*READ_BY_GATEWAYS, *read}))
    called = {
        each for kind in kinds(role) for each in kind.permissions if not _reads(each) or each in kind.acting_reads
    }
    return tuple(sorted(called))


def kinds(role: Role) -> tuple[type[Step], ...]:
    """The kinds of step that act under the role, as forward steps or as what release puts back."""
    restoring = {undo for kind in STEP_KINDS if kind.role is Role.CONTAIN and (undo := _undo_of(kind))}
    return tuple(kind for kind in STEP_KINDS if kind.role is role or (role is Role.RESTORE and kind in restoring))


def policy(role: Role, bucket: str = BUCKET, artifacts: str = ARTIFACT_BUCKET) -> dict[str, Any]:
    """The role's permissions policy.

    Args:
        bucket: name of the bucket for lists of packages; may hold wildcards.
        artifacts: name of the buckets for the zips of functions; may hold wildcards.
    """
    wanted = actions(role)
    writing = [each for each in wanted if each == "s3:PutObject"]
    reading = [each for each in wanted if each in ("s3:GetObject", "s3:GetObjectVersion")]
    buckets = [each for each in wanted if each == "s3:ListBucket"]
    decrypting = [each for each in wanted if each == "kms:Decrypt"]
    passing = [each for each in wanted if each == "iam:PassRole"]
    others = [each for each in wanted if each not in (*writing, *reading, *buckets, *decrypting, *passing)]
    lists, zips = f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{artifacts}"
    statements: list[dict[str, Any]] = [{"Sid": "Call", "Action": others, "Resource": "*"}]
    if writing:
        statements.append({"Sid": "PackageLists", "Action": writing, "Resource": f"{lists}/override-lists/*"})
    if reading:
        read = [*([f"{lists}/override-lists/*"] if role is Role.READ else []), f"{zips}/*"]
        statements.append({"Sid": "ReadObjects", "Action": reading, "Resource": read})
    if buckets:
        # Without it S3 answers "access denied" where it should say that there is no such object.
        statements.append({"Sid": "FindObjects", "Action": buckets, "Resource": [lists, zips]})
    if decrypting:
        condition = {"StringLike": {"kms:ViaService": DECRYPTED_BY}}
        statements.append({"Sid": "DecryptZips", "Action": decrypting, "Resource": "*", "Condition": condition})
    if passing:
        condition = {"StringEquals": {"iam:PassedToService": [*PASSED_TO]}}
        statements.append({"Sid": "PassRole", "Action": passing, "Resource": "*", "Condition": condition})
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **each} for each in statements]}


def audit_policy(bucket: str = ANCHOR_BUCKET) -> dict[str, Any]:
    """The permissions policy of the audit role, for an anchor in this bucket."""
    arn = f"arn:aws:s3:::{bucket}"
    statements = (
        {"Sid": "Checkpoints", "Action": [*ANCHORING], "Resource": f"{arn}/*"},
        {"Sid": "FindCheckpoints", "Action": ["s3:ListBucketVersions"], "Resource": arn},
        {"Sid": "SignCheckpoints", "Action": [*SIGNING], "Resource": "arn:aws:kms:*:*:key/*"},
    )
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **each} for each in statements]}


def inbox_policy(queue: str = QUEUE) -> dict[str, Any]:
    """The permissions policy of the inbox role, for a queue of this name."""
    statement = {
        "Sid": "EmptyQueue",
        "Effect": "Allow",
        "Action": [*CONSUMING],
        "Resource": f"arn:aws:sqs:*:*:{queue}",
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def markdown() -> str:
    """The tables of docs/iam.md."""
    return "\n".join(_lines())


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the policies as JSON, all or one role's."""
    parser = argparse.ArgumentParser(prog="python -m deployments.iam_policies", description=main.__doc__)
    parser.add_argument("role", nargs="?", choices=[*map(str, Role), AUDIT, INBOX], help="only this role's")
    parser.add_argument("--bucket", default=BUCKET, help="the bucket for lists of packages (default: %(default)s)")
    parser.add_argument(
        "--artifact-bucket", default=ARTIFACT_BUCKET, help="the buckets for zips of functions (default: %(default)s)"
    )
    parser.add_argument("--anchor-bucket", default=ANCHOR_BUCKET, help="the anchor's bucket (default: %(default)s)")
    parser.add_argument("--queue", default=QUEUE, help="the name of the queue (default: %(default)s)")
    parser.add_argument("--markdown", action="store_true", help="the tables of docs/iam.md instead")
    chosen = parser.parse_args(arguments)
    if chosen.markdown:
        sys.stdout.write(markdown() + "\n")
        return 0
    policies = {role.value: policy(role, chosen.bucket, chosen.artifact_bucket) for role in Role}
    policies |= {AUDIT: audit_policy(chosen.anchor_bucket), INBOX: inbox_policy(chosen.queue)}
    sys.stdout.write(json.dumps(policies[chosen.role] if chosen.role else policies, indent=2) + "\n")
    return 0


def _reads(action: str) -> bool:
    return action.partition(":")[2].startswith(_READING)


def _undo_of(kind: type[Step]) -> type[Step] | None:
    """The kind of step that puts this kind back. It does not depend on a step's values, so any will do."""
    values: dict[str, Any] = dict.fromkeys(kind.model_fields, "1")
    values |= {"target": Target(account="", region="", type="", id=""), "cases": (), "undoes": False}
    undo = kind.model_construct(None, **values).undo
    return None if undo is None else type(undo)


def _lines() -> Iterator[str]:
    for role in Role:
        yield from (f"## {role.value}", "", "| action | needed for |", "|---|---|")
        yield from (f"| `{action}` | {_needed_for(action, role)} |" for action in actions(role))
        yield ""
    yield from (f"## {AUDIT}", "", "| action | needed for |", "|---|---|")
    yield from (f"| `{action}` | keeping checkpoints |" for action in (*ANCHORING, "s3:ListBucketVersions"))
    yield from (f"| `{action}` | signing checkpoints with a KMS key |" for action in SIGNING)
    yield from ("", f"## {INBOX}", "", "| action | needed for |", "|---|---|")
    yield from (f"| `{action}` | taking messages from the queue |" for action in CONSUMING)
    yield ""


def _needed_for(action: str, role: Role) -> str:
    among = STEP_KINDS if role is Role.READ else kinds(role)
    users = sorted(kind.model_fields["kind"].default for kind in among if action in kind.permissions)
    return ", ".join(users) or "triage and verdict"


if __name__ == "__main__":
    sys.exit(main())
