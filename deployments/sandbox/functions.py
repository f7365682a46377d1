"""What the sandbox keeps of a Lambda function beyond moto: its updates in progress, and what packages it holds.

The packages are those of $LATEST: of its code or image, of its layers and of its runtime. A published version keeps
what it was published with, but nothing scans it.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

from moto.awslambda.models import LambdaBackend, LambdaFunction, lambda_backends

from deployments.sandbox import inspector
from deployments.sandbox.function_packages import packages_in
from deployments.sandbox.platforms import Platform
from deployments.sandbox.pulling import ecr_reference
from deployments.sandbox.wire import AwsError
from deployments.sandbox.world import Package, PackageKey, World

_NO_SYSTEM = Platform("UNKNOWN")


@dataclass
class Function:
    """One function, as its owner and Inspector see its $LATEST.

    Attributes:
        latest: what moto keeps of $LATEST.
        revision_id: changes with every update.
        busy_until: when the creation or update under way is done.
        is_new: no update was ever begun.
        is_gone: it was deleted.
        ready_at: version -> when it can be invoked.
        failed: version -> why it never can be.
        provisioned: version or alias -> the environments of it that are kept ready.
    """

    resource_type: ClassVar[str] = "AWS_LAMBDA_FUNCTION"

    latest: LambdaFunction
    busy_until: datetime
    inventory: dict[PackageKey, Package] = field(default_factory=dict)
    revision_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    is_new: bool = True
    is_gone: bool = False
    ready_at: dict[str, datetime] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    provisioned: dict[str, int] = field(default_factory=dict)
    platform: Platform = _NO_SYSTEM
    first_scanned_at: datetime | None = None
    scanned_at: datetime | None = None

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.latest.function_name)

    @property
    def resource_id(self) -> str:
        """What Inspector calls it: always $LATEST."""
        return f"{self.latest.function_arn}:$LATEST"


def backend(world: World) -> LambdaBackend:
    """What moto keeps of Lambda."""
    return lambda_backends[world.account][world.region]


def find(world: World, name_or_arn: str) -> Function:
    """A function by name or ARN, with or without a qualifier.

    Raises:
        AwsError: there is none.
    """
    name = name_or_arn.partition(":function:")[2] or name_or_arn
    function = world.functions.get(name.partition(":")[0])
    if function is None or function.is_gone:
        arn = f"arn:aws:lambda:{world.region}:{world.account}:function:{name}"
        raise AwsError("ResourceNotFoundException", f"Function not found: {arn}", status=404)
    return function


def add(world: World, latest: LambdaFunction) -> Function:
    """Take up a function that moto has just made; it is pending for a moment, and scanned after it."""
    function = Function(latest, world.now)
    world.functions[function.name] = function
    changed(world, function)
    function.is_new = True
    return function


def changed(world: World, function: Function) -> None:
    """A function's code or configuration was changed: that takes a while, and Inspector scans it again after it."""
    function.is_new = False
    function.revision_id = str(uuid.uuid4())
    function.latest.last_modified = world.now.strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    function.busy_until = world.now + timedelta(seconds=world.settings.function_update)
    function.inventory = {package.key: package for package in _packages(world, function.latest)}

    def scan() -> None:
        inspector.evaluate(world, function)

    world.clock.after(world.settings.function_update + world.settings.function_scan, scan)


def is_busy(world: World, function: Function) -> bool:
    """Whether it cannot be changed at the moment."""
    return world.now < function.busy_until


def published(world: World, function: Function, version: str) -> None:
    """A version was published: it takes a while before it can be invoked (the waiter PublishedVersionActive)."""
    begins = max(world.now, function.busy_until)
    function.ready_at[version] = begins + timedelta(seconds=world.settings.function_publish)


def state_of(world: World, function: Function, version: str) -> str:
    """The state of a published version."""
    if version in function.failed:
        return "Failed"
    ready_at = function.ready_at.get(version)
    return "Pending" if ready_at is not None and world.now < ready_at else "Active"


def show_state(world: World, function: Function, configuration: dict[str, Any]) -> dict[str, Any]:
    """A function's configuration, of $LATEST or of a version, with where it stands."""
    version = str(configuration.get("Version") or "$LATEST")
    if version != "$LATEST":
        return configuration | _state_of_published(world, function, version, configuration["FunctionArn"])
    busy = is_busy(world, function)
    shown = {
        "RevisionId": function.revision_id,
        "State": "Pending" if busy and function.is_new else "Active",
        "LastUpdateStatus": "InProgress" if busy and not function.is_new else "Successful",
    }
    if busy:
        what = "State" if function.is_new else "LastUpdateStatus"
        shown |= {f"{what}Reason": "The function is being changed.", f"{what}ReasonCode": "Creating"}
    return configuration | shown


def image_digest(function: LambdaFunction) -> str:
    """The digest of the image a function runs."""
    return f"sha256:{function.code_sha_256}"


def _state_of_published(world: World, function: Function, version: str, arn: str) -> dict[str, Any]:
    shown = {"RevisionId": str(uuid.uuid5(uuid.NAMESPACE_URL, arn)), "State": state_of(world, function, version)}
    match shown["State"]:
        case "Pending":
            shown |= {"StateReason": "The function is being created.", "StateReasonCode": "Creating"}
        case "Failed":
            shown |= {"StateReason": function.failed[version], "StateReasonCode": "FunctionError"}
        case _:
            pass
    return shown


def _packages(world: World, function: LambdaFunction) -> list[Package]:
    """What it holds, what counts most last: the runtime's packages, its layers' in their order, its own."""
    found = list(world.runtimes.get(function.run_time or "", ()))
    for layer in function.layers:
        version = backend(world).layers_versions_by_arn(layer["Arn"])
        found += packages_in(version.code_bytes, layer["Arn"]) if version else ()
    if function.package_type != "Image":
        return [*found, *packages_in(function.code_bytes)]
    reference = ecr_reference(function.code["ImageUri"])
    if reference is None:
        return found
    images = world.elsewhere(reference.account, reference.region).container_images.values()
    here = (one for one in images if one.repository == reference.repository and one.digest == image_digest(function))
    return [*found, *(package for image in here for package in image.inventory.values())]
