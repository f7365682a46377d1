"""One sandbox for the whole session, emptied between tests, and boto3 clients that know nothing but its address.

Its clock stands still: time passes only where a test advances it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from deployments.sandbox.furnish_function import furnish_function
from deployments.sandbox.furnish_function_options import FunctionOptions
from deployments.sandbox.server import Sandbox

ACCOUNT = "210987654321"
REGION = "eu-central-1"
PATIENCE_SECONDS = 120
"""How long an answer may take before a test counts as stuck: no test is about how fast the machine is."""
NO_RETRIES = Config(retries={"total_max_attempts": 1}, read_timeout=PATIENCE_SECONDS, connect_timeout=PATIENCE_SECONDS)


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[Sandbox]:
    with Sandbox(pace=0.0) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    running_sandbox.reset()
    return running_sandbox


@pytest.fixture(scope="session")
def aws(running_sandbox: Sandbox) -> Callable[..., Any]:
    """Clients in the finding's account, by way of an assumed role as on AWS."""
    known: dict[tuple[str, str, str], Any] = {}

    def client(service: str, account: str = ACCOUNT, region: str = REGION) -> Any:
        if (service, account, region) not in known:
            known[service, account, region] = _client(
                running_sandbox, _session(running_sandbox, account), service, region
            )
        return known[service, account, region]

    return client


def _client(sandbox: Sandbox, session: Any, service: str, region: str) -> Any:
    return session.client(service, region_name=region, endpoint_url=sandbox.url, config=NO_RETRIES)


def _session(sandbox: Sandbox, account: str) -> boto3.Session:
    sts = _client(sandbox, boto3.Session("testing", "testing"), "sts", REGION)
    role = sts.assume_role(RoleArn=f"arn:aws:iam::{account}:role/Remediation", RoleSessionName="test")["Credentials"]
    return boto3.Session(role["AccessKeyId"], role["SecretAccessKey"], role["SessionToken"])


@pytest.fixture
def finding() -> Callable[..., dict[str, Any]]:
    return a_finding


def a_finding(
    instance_id: str = "i-0aaaaaaaaaaaaaaa1",
    *,
    platform: str = "UBUNTU_22_04",
    package: str = "openssl",
    version: str = "3.0.2-0ubuntu1.10",
    fixed_in: str = "0:3.0.2-0ubuntu1.15",
    manager: str = "OS",
    cve: str = "CVE-2024-0727",
    tags: dict[str, str] | None = None,
    address: str = "10.20.1.10",
) -> dict[str, Any]:
    """An EventBridge event of a package finding."""
    detail = {
        "awsAccountId": ACCOUNT,
        "description": "A vulnerability.",
        "findingArn": f"arn:aws:inspector2:{REGION}:{ACCOUNT}:finding/FINDING_ID",
        "fixAvailable": "YES",
        "inspectorScore": 7.5,
        "epss": {"score": 0.4},
        "severity": "HIGH",
        "status": "ACTIVE",
        "title": f"{cve} - {package}",
        "type": "PACKAGE_VULNERABILITY",
        "updatedAt": "Wed Sep 04 17:00:36.951 UTC 2024",
        "packageVulnerabilityDetails": {
            "source": "UBUNTU_CVE",
            "vulnerabilityId": cve,
            "vendorCreatedAt": "Thu Jul 25 20:15:00.000 UTC 2024",
            "vulnerablePackages": [
                {
                    "arch": "X86_64",
                    "epoch": 0,
                    "name": package,
                    "version": version,
                    "fixedInVersion": fixed_in,
                    "packageManager": manager,
                }
            ],
        },
        "resources": [
            {
                "id": instance_id,
                "type": "AWS_EC2_INSTANCE",
                "region": REGION,
                "tags": tags or {},
                "details": {
                    "awsEc2Instance": {
                        "iamInstanceProfileArn": f"arn:aws:iam::{ACCOUNT}:instance-profile/ManagedNode",
                        "imageId": "ami-0aaaaaaaaaaaaaaa1",
                        "ipV4Addresses": [address, "203.0.113.20"],
                        "platform": platform,
                        "subnetId": "subnet-0aaaaaaaaaaaaaaa1",
                        "type": "t3.small",
                        "vpcId": "vpc-0aaaaaaaaaaaaaaa1",
                    }
                },
            }
        ],
    }
    return {
        "version": "0",
        "source": "aws.inspector2",
        "detail-type": "Inspector2 Finding",
        "account": ACCOUNT,
        "region": REGION,
        "detail": detail,
    }


@pytest.fixture
def orders(sandbox: Any) -> Any:
    def build(payload: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        stated = {"account": ACCOUNT, "region": REGION} | options
        return furnish_function(sandbox.cloud, FunctionOptions.model_validate(stated), payload)

    return build
