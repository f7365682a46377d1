"""What Amazon Inspector calls the things that Security Hub's forms name otherwise.

A case is known by its resource, and a finding by its ARN: a finding that came by way of Security Hub must name both as
the same finding does that came from Inspector itself, so that the two are one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from runbooks.finding import ResourceType
from runbooks.strict_json import entries_of, members_of

Members = dict[str, Any]

_INSPECTOR = re.compile(r"arn:aws[a-z-]*:securityhub:[^:]*::product(v2)?/aws/inspector", re.ASCII)
_CLASSIC = re.compile(r"arn:aws[a-z-]*:inspector:", re.ASCII)
_TYPES = {
    "AwsEc2Instance": ResourceType.EC2_INSTANCE,
    "AwsEcrContainerImage": ResourceType.ECR_IMAGE,
    "AwsEcrRepository": ResourceType.ECR_REPOSITORY,
    "AwsLambdaFunction": ResourceType.LAMBDA_FUNCTION,
    "AWS::EC2::Instance": ResourceType.EC2_INSTANCE,
    "AWS::ECR::Repository": ResourceType.ECR_REPOSITORY,
    "AWS::Lambda::Function": ResourceType.LAMBDA_FUNCTION,
}
"""Resource types of ASFF ("Resources", Security Hub user guide), and of OCSF, which are CloudFormation's."""
_INSTANCE = re.compile(r"(?:arn:aws[a-z-]*:ec2:[^:]*:[^:]*:(?:instance/)?)?(i-\w+)", re.ASCII)
_IMAGE = re.compile(r"(arn:aws[a-z-]*:ecr:[^:]*:[^:]*:repository/[^:@]+)[/@](sha256:[0-9a-f]+)", re.ASCII)
_FUNCTION = re.compile(r"(arn:aws[a-z-]*:lambda:[^:]*:[^:]*:function:[^:]+)(:[^:]+)?", re.ASCII)


def other_product(product: object, name: object, finding: object) -> str | None:
    """The product whose finding it is; None for Amazon Inspector's.

    Args:
        product: The product's ARN, which Security Hub gives and nobody else can: a name alone is anybody's.
        name: What the product is called.
        finding: The finding's id. Inspector Classic, which is not read here, has the same product ARN as Inspector.
    """
    if not isinstance(product, str) or not _INSPECTOR.fullmatch(product):
        return str(name or product or "unknown")[:80]
    return "Inspector Classic" if isinstance(finding, str) and _CLASSIC.match(finding) else None


def resource_name(kind: object, *ids: object) -> Members:
    """The `type` and `id` by which Inspector knows a resource.

    That is an instance's id alone, an image's ARN with the digest after a slash, and a function's ARN with a version,
    which is `$LATEST`: Inspector scans no other. A type or an id that is not known is kept as it is.

    Args:
        kind: The type in the other form's words.
        ids: By what names the other form knows the resource, the first being its own id.
    """
    elsewhere = isinstance(kind, str) and set("/.") & set(kind)  # a type of another cloud, whatever the id looks like
    for text in (each for each in ids if isinstance(each, str) and not elsewhere):
        if found := _INSTANCE.fullmatch(text):
            return {"type": ResourceType.EC2_INSTANCE, "id": found[1]}
        if found := _IMAGE.fullmatch(text):
            return {"type": ResourceType.ECR_IMAGE, "id": f"{found[1]}/{found[2]}"}
        if found := _FUNCTION.fullmatch(text):
            return {"type": ResourceType.LAMBDA_FUNCTION, "id": found[1] + (found[2] or ":$LATEST")}
    return {"type": _TYPES.get(kind, kind) if isinstance(kind, str) else kind, "id": ids[0]}


def provider_name(provider: object, partition: object) -> object:
    """Whose cloud a resource is in, in Inspector's word for it: the partition's own where that is none of AWS."""
    if isinstance(partition, str) and not partition.startswith("aws"):
        return partition
    return provider.upper() if isinstance(provider, str) else provider


def renamed(value: object, rename: Callable[[str], str], names: Mapping[str, str] | None = None) -> Any:
    """A copy of a JSON value with every member renamed, by `rename` and then by what `names` has for the result."""
    if isinstance(value, list):
        return [renamed(entry, rename, names) for entry in entries_of(cast(object, value))]
    if not isinstance(value, dict):
        return value
    known = names or {}
    return {
        known.get(rename(name), rename(name)): renamed(member, rename, names)
        for name, member in members_of(cast(object, value)).items()
    }
