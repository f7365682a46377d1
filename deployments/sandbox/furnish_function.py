"""Builds a Lambda function that has served an alias for a while, with a vulnerable package in one of its layers or in
its own code, and the project that builds that.
"""

from __future__ import annotations

from base64 import b64encode
from datetime import timedelta
from typing import Any

from moto.awslambda.models import LayerVersion
from moto.iam.models import iam_backends
from moto.s3.models import s3_backends
from moto.sqs.models import sqs_backends

from deployments.sandbox import functions, inspector
from deployments.sandbox.builds import Recipe
from deployments.sandbox.cloud import Cloud
from deployments.sandbox.events import finding_event
from deployments.sandbox.function_packages import LANGUAGE_ARCH, python_layer
from deployments.sandbox.functions import Function
from deployments.sandbox.furnish_advisory import ensure_advisory
from deployments.sandbox.furnish_function_options import FunctionOptions, as_stated, stated_finding
from deployments.sandbox.furnish_pipeline import ensure_project
from deployments.sandbox.furnish_service import add_alarm
from deployments.sandbox.lambda_functions import publish
from deployments.sandbox.package_builds import code_with
from deployments.sandbox.payload import StatedFinding
from deployments.sandbox.world import Finding, Package, World

_SINCE = timedelta(days=2)
_TRUST = '{"Version":"2012-10-17","Statement":[]}'


def furnish_function(
    cloud: Cloud, options: FunctionOptions | None = None, payload: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Build the function with its layer, version 1 behind the alias `live`, who invokes it, its alarm and its finding.

    Args:
        payload: an event or a finding of Inspector; what it says of function and package goes before the options.

    Returns:
        What was built, by ARN and name, and the event Inspector sent.

    Raises:
        NotAFunctionFinding: the payload is not about a function's package.
    """
    chosen = options or FunctionOptions()
    stated = stated_finding(chosen, payload)
    if payload:
        chosen = as_stated(chosen, stated)
    with cloud.lock:
        cloud.clock.catch_up()
        world = cloud.world(stated.account, stated.region)
        layers = _layers(world, chosen) if chosen.in_layer else []
        function = _function(world, chosen, layers)
        finding = _finding(world, function, chosen, stated)
        return {
            "account": world.account,
            "region": world.region,
            "function": function.name,
            "function_arn": function.latest.function_arn,
            "version": "1",
            "alias": "live",
            "alias_arn": f"{function.latest.function_arn}:live",
            "role_arn": function.latest.role,
            "layer_version_arn": layers[0].arn if layers else None,
            "patched_layer_version_arn": layers[1].arn if len(layers) > 1 else None,
            "url": function.latest.url_config.url if function.latest.url_config else None,
            "event_sources": _queue(world, function, chosen),
            "project": chosen.project,
            "artifacts": _project(world, chosen),
            "alarm": chosen.alarm,
            "alarm_arn": add_alarm(world, chosen.alarm, "AWS/Lambda", "Errors"),
            "vulnerability_id": stated.vulnerability_id,
            "finding_arn": finding.arn,
            "event": finding_event(world, finding),
        }


def _layers(world: World, options: FunctionOptions) -> list[LayerVersion]:
    """The layer's versions: the vulnerable one, and the patched one where there is one."""
    backend = functions.backend(world)
    versions = [options.version, *([options.patched_version] if options.patched_layer else [])]
    for version in versions[len(backend._layers.get_layer_versions(options.layer)) :]:
        spec = {
            "LayerName": options.layer,
            "Content": {"ZipFile": _encoded(python_layer({options.package: version, "certifi": "2026.1.4"}))},
            "CompatibleRuntimes": [options.runtime],
            "Description": f"{options.package} {version}",
        }
        backend.publish_layer_version(spec)
    return backend._layers.get_layer_versions(options.layer)


def _function(world: World, options: FunctionOptions, layers: list[LayerVersion]) -> Function:
    known = world.functions.get(options.name)
    if known and not known.is_gone:
        return known
    requirements = {} if options.in_layer else {options.package: options.version}
    latest = functions.backend(world).create_function(
        {
            "FunctionName": options.name,
            "Runtime": options.runtime,
            "Role": _role(world, options.name),
            "Handler": "app.handler",
            "Code": {"ZipFile": _encoded(code_with(requirements))},
            "Layers": [one.arn for one in layers[:1]],
            "Timeout": 30,
            "Tags": dict(options.tags),
        }
    )
    function = functions.add(world, latest)
    function.busy_until = world.now - _SINCE
    function.is_new = False
    latest.last_modified = (world.now - _SINCE).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    publish(world, function)
    function.ready_at.clear()
    functions.backend(world).create_alias("live", function.name, "1", "what customers call", "")
    if options.public is not None:
        _url(world, function, public=options.public)
    return function


def _project(world: World, options: FunctionOptions) -> str | None:
    """The bucket where the function's build project leaves its artifacts, with both of them made."""
    if options.project is None:
        return None
    requirements = () if options.in_layer else (Package(options.package, LANGUAGE_ARCH, options.version, "PIP"),)
    recipe = Recipe("package", packages=requirements, outcome=options.build)
    if options.bucket is None:
        ensure_project(world, options.project, recipe)
        return None
    bucket, s3 = options.bucket or f"lambda-builds-{world.account}-{world.region}", s3_backends[world.account]["aws"]
    if bucket not in s3.buckets:
        s3.create_bucket(bucket, world.region)
        if options.versioned:
            s3.put_bucket_versioning(bucket, "Enabled")
    place = {"type": "S3", "location": bucket, "path": "packages", "name": options.project, "packaging": "ZIP"}
    ensure_project(world, options.project, recipe, place)
    return bucket


def _role(world: World, name: str) -> str:
    iam = iam_backends[world.account]["aws"]
    known = next((role for role in iam.roles.values() if role.name == f"{name}-role"), None)
    role = known or iam.create_role(f"{name}-role", _TRUST, "/service-role/", None, "", [], None)
    return str(role.arn)


def _url(world: World, function: Function, *, public: bool) -> None:
    function.latest.create_url_config({"AuthType": "NONE" if public else "AWS_IAM"})
    if public:
        function.latest.policy.statements.append(
            {
                "Sid": "FunctionURLAllowPublicAccess",
                "Effect": "Allow",
                "Principal": "*",
                "Action": "lambda:InvokeFunctionUrl",
                "Resource": function.latest.function_arn,
                "Condition": {"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}},
            }
        )


def _queue(world: World, function: Function, options: FunctionOptions) -> list[str]:
    """The ARNs of the event sources, with the queue made and mapped."""
    if options.queue is None:
        return []
    sqs = sqs_backends[world.account][world.region]
    if options.queue not in sqs.queues:
        sqs.create_queue(options.queue, {})
    arn = sqs.queues[options.queue].queue_arn
    backend = functions.backend(world)
    if not backend.list_event_source_mappings(arn, ""):
        backend.create_event_source_mapping(
            {"FunctionName": function.latest.function_arn, "EventSourceArn": arn, "BatchSize": 10}
        )
    return [arn]


def _finding(world: World, function: Function, options: FunctionOptions, stated: StatedFinding) -> Finding:
    arn = stated.arn or inspector.finding_arn(world, function.resource_id, stated.vulnerability_id)
    if arn in world.findings:
        return world.findings[arn]
    advisory = ensure_advisory(
        world, stated, known_exploited=options.known_exploited, exploit_observed=options.exploit_observed
    )
    packages = inspector.vulnerable(function.platform, advisory, function.inventory)
    finding = inspector.open_finding(world, function, advisory, packages, arn)
    finding.first_observed_at = function.first_scanned_at = world.now - _SINCE
    finding.last_observed_at = finding.updated_at = function.scanned_at = world.now
    return finding


def _encoded(content: bytes) -> str:
    return b64encode(content).decode()
