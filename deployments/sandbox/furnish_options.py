"""What can be said about a world that is to be furnished."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class GroupSize(BaseModel):
    """Capacity of an Auto Scaling group, the furnished instance counted in, and the instance's place in it.

    Attributes:
        protected: the instance is protected from scale-in.
        protects_new: and so is what the group launches, or has attached to it.
        standby: the instance is on standby, and not counted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    minimum: int = 1
    desired: int = 2
    maximum: int = 4
    protected: bool = False
    protects_new: bool = False
    standby: bool = False


class FurnishOptions(BaseModel):
    """What the world is like, beyond what the finding says.

    Attributes:
        exposed: a public address, an internet route and a port open to everyone.
        port: that port.
        interfaces: network interfaces of the instance.
        groups: names of the ordered security groups of each interface; left out, two groups in turns.
        elsewhere: how many of the interfaces, the last ones, lie in a second VPC.
        volumes: EBS volumes of the instance, the root volume included.
        deleted_volumes: whether each goes when the instance is terminated; left out, only the root volume does.
        ssm_endpoints: VPC endpoints for Systems Manager and S3.
        package_mirror: a package mirror inside the VPC, which a quarantine can leave open.
        auto_scaling: size of the instance's Auto Scaling group; left out, a group is made only for an instance that is
            tagged as being in one.
        target_group: registered with a load balancer's target group; left out, only in an Auto Scaling group.
        more_targets: ports with which it is registered in further target groups, by their names.
        known_exploited: in CISA's catalogue of known exploited vulnerabilities.
        exploit_observed: seen exploited by Inspector's sources.
        patch_available: the repositories hold the fixed version.
        patched_image: the platform's public parameter names an AMI with the fixed packages.
        bucket: the S3 bucket for install override lists; left out, one is named after account and region.
        tags: more tags of the instance.
        elastic_address: the public address is an Elastic IP.
        termination_protection: DisableApiTermination is set.
        shutdown_behavior: what becomes of the instance when it shuts itself down.
        stopped: the instance does not run.
        patch_fails: patching ends in failure.
        no_control_path: Systems Manager cannot be reached.
        no_package_source: no repository can be reached.
        slow: commands take long.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    exposed: bool = True
    port: int = 443
    interfaces: int = Field(default=2, ge=1, le=15)
    groups: tuple[tuple[str, ...], ...] = ()
    elsewhere: int = Field(default=0, ge=0, le=14)
    volumes: int = Field(default=2, ge=1, le=11)
    deleted_volumes: tuple[bool, ...] = ()
    ssm_endpoints: bool = True
    package_mirror: bool = True
    auto_scaling: GroupSize | None = None
    target_group: bool | None = None
    more_targets: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    known_exploited: bool = False
    exploit_observed: bool = False
    patch_available: bool = True
    patched_image: bool = True
    bucket: str | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    elastic_address: bool = False
    termination_protection: bool = False
    shutdown_behavior: Literal["stop", "terminate"] = "stop"
    stopped: bool = False
    patch_fails: bool = False
    no_control_path: bool = False
    no_package_source: bool = False
    slow: bool = False
