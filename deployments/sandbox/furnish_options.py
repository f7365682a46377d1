"""What can be said about a world that is to be furnished."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class GroupSize(BaseModel):
    """Capacity of an Auto Scaling group, the furnished instance counted in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    minimum: int = 1
    desired: int = 2
    maximum: int = 4


class FurnishOptions(BaseModel):
    """What the world is like, beyond what the finding says.

    Attributes:
        exposed: a public address, an internet route and a port open to everyone.
        port: that port.
        interfaces: network interfaces of the instance.
        volumes: EBS volumes of the instance, the root volume included.
        ssm_endpoints: VPC endpoints for Systems Manager and S3.
        package_mirror: a package mirror inside the VPC, which a quarantine can leave open.
        auto_scaling: size of the instance's Auto Scaling group; left out, a group is made only for an instance that is
            tagged as being in one.
        target_group: registered with a load balancer's target group; left out, only in an Auto Scaling group.
        known_exploited: in CISA's catalogue of known exploited vulnerabilities.
        exploit_observed: seen exploited by Inspector's sources.
        patch_available: the repositories hold the fixed version.
        patched_image: the platform's public parameter names an AMI with the fixed packages.
        bucket: the S3 bucket for install override lists; left out, one is named after account and region.
        tags: more tags of the instance.
        elastic_address: the public address is an Elastic IP.
        termination_protection: DisableApiTermination is set.
        patch_fails: patching ends in failure.
        no_control_path: Systems Manager cannot be reached.
        no_package_source: no repository can be reached.
        slow: commands take long.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    exposed: bool = True
    port: int = 443
    interfaces: int = Field(default=2, ge=1, le=8)
    volumes: int = Field(default=2, ge=1, le=11)
    ssm_endpoints: bool = True
    package_mirror: bool = True
    auto_scaling: GroupSize | None = None
    target_group: bool | None = None
    known_exploited: bool = False
    exploit_observed: bool = False
    patch_available: bool = True
    patched_image: bool = True
    bucket: str | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    elastic_address: bool = False
    termination_protection: bool = False
    patch_fails: bool = False
    no_control_path: bool = False
    no_package_source: bool = False
    slow: bool = False
