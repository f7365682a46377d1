"""Values for tests about container images.

The default is one story: shop/checkout:1.4.2, built on debian:12, whose libssl3 has a known exploit; there is a newer
debian:12. Two ECS services run it, each watched by an alarm. It can be blocked, rebuilt, tested, deployed and retired.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from runbooks.candidate import Candidate
from runbooks.case import CaseKey
from runbooks.catalog import Catalog
from runbooks.container_image import (
    BaseImage,
    ContainerImage,
    DeploymentGroup,
    EcsService,
    ImageFacts,
    Repository,
    StageTransition,
)
from runbooks.definition import Runbook
from runbooks.evidence import CandidateEvidence, Coverage
from runbooks.facts import CaseFacts
from runbooks.finding import Finding, Resource
from runbooks.instance import Exploitation
from runbooks.triage import Assessment, assess
from tests.runbooks.builders import ACCOUNT, FIRST_SEEN, REGION, a_case_key, a_finding, a_package, after
from tests.runbooks.image_steps import DIGEST, NEW_DIGEST, URI

NAME = "shop/checkout"
RUNBOOK = "ecr-critical-cve"
BASE, NEW_BASE = "sha256:" + "b" * 64, "sha256:" + "c" * 64
BALANCED = {"LoadBalancerInfo": {"ContainerName": "app", "ContainerPort": 8080}}
CODEDEPLOY_HOOKS = ({"AfterAllowTestTraffic": "check"},)
CODEDEPLOY_CANARY = "CodeDeployDefault.ECSCanary10Percent5Minutes"
BASE_LAYER, OWN_LAYER = "sha256:" + "1" * 64, "sha256:" + "2" * 64


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def image_arn(of: str = DIGEST, repository: str = NAME) -> str:
    return f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{repository}/{of}"


def an_image_key(of: str = DIGEST) -> CaseKey:
    return a_case_key(image_arn(of), runbook=RUNBOOK, resource_type="AWS_ECR_CONTAINER_IMAGE")


IMAGE_CASE = an_image_key().id


def an_image_runbook(**changes: Any) -> Runbook:
    """The shipped runbook with a stage to close; `changes` are merged into its sections."""
    values = _shipped().model_dump()
    values["contain"]["block"]["stages"] = ("checkout/Production",)
    for name, change in changes.items():
        both = isinstance(change, dict) and isinstance(values[name], dict)
        values[name] = values[name] | change if both else change
    return Runbook.model_validate(values)


@cache
def _shipped() -> Runbook:
    return Catalog.read().named(RUNBOOK)


def an_image_finding(number: int = 1, of: str = DIGEST, **changes: Any) -> Finding:
    details = {
        "awsEcrContainerImage": {
            "imageHash": of,
            "imageTags": ["1.4.2", "latest"],
            "inUseCount": 3,
            "platform": "DEBIAN_12",
            "repositoryName": NAME,
        }
    }
    values: dict[str, Any] = {
        "resource": Resource(
            type="AWS_ECR_CONTAINER_IMAGE", id=image_arn(of), account=ACCOUNT, region=REGION, details=details
        ),
        "packages": (an_os_package(),),
    }
    return a_finding(number, **(values | changes))


def an_os_package(**changes: Any) -> Any:
    values: dict[str, Any] = {
        "version": "3.0.11",
        "release": "1~deb12u2",
        "fixed_in": "3.0.15-1~deb12u1",
        "extra": {"sourceLayerHash": BASE_LAYER},
    }
    return a_package(**(values | changes))


def a_base(**changes: Any) -> BaseImage:
    values: dict[str, Any] = {
        "name": "docker.io/library/debian:12",
        "digest": BASE,
        "newest": NEW_BASE,
        "layers": (BASE_LAYER,),
    }
    return BaseImage(**(values | changes))


def an_image(of: str = DIGEST, **changes: Any) -> ContainerImage:
    values: dict[str, Any] = {
        "account": ACCOUNT,
        "region": REGION,
        "repository": NAME,
        "digest": of,
        "tags": ("1.4.2", "latest"),
        "pushed_at": FIRST_SEEN,
        "base": a_base(),
    }
    return ContainerImage(**(values | changes))


def a_repository(**changes: Any) -> Repository:
    values: dict[str, Any] = {"name": NAME, "uri": URI, "tags": {"environment": "production"}}
    return Repository(**(values | changes))


def a_service(name: str = "checkout", **changes: Any) -> EcsService:
    values: dict[str, Any] = {
        "account": ACCOUNT,
        "region": REGION,
        "cluster": f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/shop",
        "name": name,
        "arn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/shop/{name}",
        "task_definition": f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{name}:7",
        "revisions": (f"arn:aws:ecs:{REGION}:{ACCOUNT}:service-revision/shop/{name}/1",),
        "containers": ("app",),
        "desired": 4,
        "running": 4,
        "alarms": (f"{name}-errors",),
        "configuration": {"strategy": "ROLLING", "maximumPercent": 200, "minimumHealthyPercent": 100},
        "execution_role": f"arn:aws:iam::{ACCOUNT}:role/{name}-execution",
    }
    return EcsService(**(values | changes))


def a_service_of_codedeploy(name: str, **changes: Any) -> EcsService:
    """A service that CodeDeploy owns."""
    group = {"application": "shop", "name": f"{name}-group", "configuration": CODEDEPLOY_CANARY, "minutes": 10}
    ours = {
        each: changes.pop(each) for each in tuple(changes) if each in DeploymentGroup.model_fields and each != "alarms"
    }
    values = group | {"alarms": (f"{name}-errors",), "properties": BALANCED, "hooks": CODEDEPLOY_HOOKS} | ours
    given: dict[str, Any] = {"controller": "CODE_DEPLOY", "configuration": {}, "group": DeploymentGroup(**values)}
    return a_service(name, **(given | {"revisions": ("ecs-svc/7",)} | changes))


def a_stage(**changes: Any) -> StageTransition:
    return StageTransition(**({"pipeline": "checkout", "stage": "Production", "enabled": True} | changes))


def image_facts(**changes: Any) -> ImageFacts:
    values: dict[str, Any] = {
        "image": an_image(),
        "repository": a_repository(),
        "services": (a_service("checkout"), a_service("basket", desired=2, running=2)),
        "stages": (a_stage(),),
        "project": "shop-checkout-build",
    }
    return ImageFacts(**(values | changes))


def an_image_case(*findings: Finding, of: str = DIGEST, **changes: Any) -> CaseFacts:
    """The facts of a case; `resource` is among the changes, or its members are."""
    ours = {name: changes.pop(name) for name in tuple(changes) if name in ImageFacts.model_fields}
    values: dict[str, Any] = {
        "case": an_image_key(of).id,
        "findings": findings or (an_image_finding(of=of),),
        "exploitation": Exploitation(exploit_available=True, epss=0.42),
        "resource": image_facts(**({"image": an_image(of)} | ours)),
    }
    return CaseFacts(**(values | changes))


def an_image_assessment(facts: CaseFacts | None = None, runbook: Runbook | None = None, **changes: Any) -> Assessment:
    return assess(facts or an_image_case(**changes), runbook or an_image_runbook())


def a_candidate(**changes: Any) -> Candidate:
    values = {"repository_uri": URI, "digest": NEW_DIGEST, "tag": "1.4.2-remediated-0", "build": "build:1"}
    return Candidate(**(values | changes))


def scanned(reason: str = "SUCCESSFUL", status: str = "ACTIVE") -> Coverage:
    return Coverage(status=status, reason=reason, last_scanned_at=after(30))


def candidate_evidence(*findings: Finding, **changes: Any) -> CandidateEvidence:
    """Scanned, with these findings on it."""
    values: dict[str, Any] = {"digest": NEW_DIGEST, "coverage": scanned(), "findings": findings}
    return CandidateEvidence(**(values | changes))
