"""Everything that is read of EC2 instances before something is decided about them, for many at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runbooks.instance import Instance, InstanceFacts
from runbooks.machine_images import image_parameter as public_image_parameter
from runbooks.steps.base import Role
from tasks.gateways.autoscaling import AutoScalingGateway
from tasks.gateways.aws_errors import reads
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.bulk import described, tags_of
from tasks.gateways.ec2_instances import (
    ENDED,
    Neighbours,
    read_elastic_addresses,
    read_environment_sizes,
    read_protection,
    read_raw_instances,
    read_raw_interfaces,
    to_instance,
)
from tasks.gateways.ec2_network import read_network
from tasks.gateways.load_balancing import LoadBalancingGateway
from tasks.gateways.ssm import SsmGateway

GROUP_TAG = "aws:autoscaling:groupName"
"""The tag that an Auto Scaling group puts on its instances (Auto Scaling user guide, "Tag lifecycle")."""


class Ec2Gateway:
    """Reads instances and what surrounds them. Asks by the hundred where AWS answers by the hundred."""

    def __init__(self, sessions: AwsSessions) -> None:
        self._sessions = sessions
        self._autoscaling = AutoScalingGateway(sessions)
        self._load_balancing = LoadBalancingGateway(sessions)
        self._ssm = SsmGateway(sessions)

    @reads()
    def existing(self, account: str, region: str, ids: Sequence[str]) -> frozenset[str]:
        """Those of the instances that are not terminated or on the way there."""
        raws = read_raw_instances(self._client(account, region), ids)
        return frozenset(one for one, raw in raws.items() if raw["State"]["Name"] not in ENDED)

    @reads()
    def tags(self, account: str, region: str, ids: Sequence[str]) -> dict[str, dict[str, str]]:
        """The tags of those of the instances that EC2 still knows."""
        return {one: tags_of(raw) for one, raw in read_raw_instances(self._client(account, region), ids).items()}

    @reads()
    def tags_of_group(self, account: str, region: str, group: str) -> dict[str, dict[str, str]]:
        """The tags of every instance of an Auto Scaling group, which marks its own with a tag."""
        client = self._client(account, region)
        reservations = described(client, "describe_instances", "Reservations", f"tag:{GROUP_TAG}", [group])
        return {raw["InstanceId"]: tags_of(raw) for each in reservations for raw in each["Instances"]}

    @reads()
    def read_instances(
        self, account: str, region: str, ids: Sequence[str], *, protection: bool = True
    ) -> dict[str, Instance | None]:
        """Each instance with its interfaces, volumes, group and targets; None for one that is terminated or unknown.

        Args:
            protection: see `read_facts`.
        """
        client = self._client(account, region)
        known = read_raw_instances(client, ids)
        raws = {one: raw for one, raw in known.items() if raw["State"]["Name"] != "terminated"}
        alive = sorted(raws)
        interfaces = read_raw_interfaces(client, alive)
        elastic = read_elastic_addresses(client, (raw for attached in interfaces.values() for raw in attached))
        protected = read_protection(client, alive) if protection else dict.fromkeys(alive, (False, "stop"))
        memberships = self._autoscaling.memberships(account, region, alive)
        vpcs = {interface["VpcId"] for attached in interfaces.values() for interface in attached}
        targets = self._load_balancing.registrations(account, region, vpcs, alive)
        found = {
            one: to_instance(
                account,
                region,
                raw,
                Neighbours(interfaces[one], elastic, protected[one], memberships.get(one), targets[one]),
            )
            for one, raw in raws.items()
        }
        return {one: found.get(one) for one in ids}

    @reads()
    def read_facts(
        self,
        account: str,
        region: str,
        ids: Sequence[str],
        platforms: Mapping[str, str],
        image_parameter: str | None = None,
        environment_tag: str = "environment",
        *,
        protection: bool = True,
    ) -> dict[str, InstanceFacts]:
        """All that triage and planning take of each instance.

        Args:
            platforms: Inspector's platform of each instance, as far as it is known.
            image_parameter: the SSM parameter that names the patched AMI; None takes the public one of the platform.
            environment_tag: the instance tag that names its environment, whose instances are counted.
            protection: whether termination protection and shutdown behaviour are read, of which EC2 tells one instance
                and one attribute in a call; without, they are as EC2 sets them for a new instance.
        """
        instances = self.read_instances(account, region, ids, protection=protection)
        present = {one: instance for one, instance in instances.items() if instance is not None}
        network = read_network(self._client(account, region), region, present.values())
        nodes = self._ssm.nodes(account, region, sorted(present))
        inventories = self._ssm.inventories(account, region, sorted(nodes))
        images = self._replacement_images(account, region, present, platforms, image_parameter)
        environments = {one: instance.tags.get(environment_tag, "") for one, instance in present.items()}
        sizes = read_environment_sizes(self._client(account, region), environment_tag, environments.values())
        facts = {one: InstanceFacts(instance=None, platform=platforms.get(one, "")) for one in ids}
        for one, instance in present.items():
            facts[one] = InstanceFacts(
                instance=instance,
                groups=network.groups(instance),
                subnets=network.subnets(instance),
                endpoints=network.endpoints(instance),
                node=nodes.get(one),
                inventory=inventories.get(one),
                platform=platforms.get(one, ""),
                replacement_image=images.get(one),
                environment_size=sizes.get(environments[one]),
            )
        return facts

    def _replacement_images(
        self,
        account: str,
        region: str,
        instances: Mapping[str, Instance],
        platforms: Mapping[str, str],
        chosen: str | None,
    ) -> dict[str, str]:
        """The newest patched AMI for each instance, where there is one that its processor can run."""
        names = {
            one: chosen or public_image_parameter(platforms.get(one, ""), instance.architecture)
            for one, instance in instances.items()
        }
        values = self._ssm.parameters(account, region, {name for name in names.values() if name})
        images = described(
            self._client(account, region), "describe_images", "Images", "image-id", list(values.values())
        )
        usable = {raw["ImageId"]: raw["Architecture"] for raw in images if raw.get("State") == "available"}
        wanted = {one: values[name] for one, name in names.items() if name in values}
        return {one: image for one, image in wanted.items() if usable.get(image) == instances[one].architecture}

    def _client(self, account: str, region: str) -> Any:
        return self._sessions.client("ec2", account, region, Role.READ)
