"""Who this process is for AWS, by its own credentials, and where."""

from __future__ import annotations

from tasks.gateways.aws_errors import reads


def own_region() -> str | None:
    """The region of AWS_DEFAULT_REGION or of the profile; boto3 does not read AWS_REGION."""
    import boto3

    return boto3.Session().region_name


@reads()
def own_account(region: str) -> str:
    """The account that the process's credentials belong to."""
    import boto3

    return boto3.Session(region_name=region).client("sts").get_caller_identity()["Account"]
