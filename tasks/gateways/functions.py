"""AWS Lambda: a function, what its aliases serve, who invokes it, and the versions of its layers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, cast

from botocore.exceptions import ClientError

from runbooks.alias_mark import without_mark
from runbooks.errors import AccessDenied
from runbooks.function import (
    LATEST,
    EventSource,
    FunctionAlias,
    FunctionContent,
    FunctionId,
    FunctionUrl,
    Invoker,
    LambdaFunction,
    ServedVersion,
)
from runbooks.steps.base import Role
from tasks.gateways.aws_errors import code_of, reads
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.bulk import each, pages

Members = Mapping[str, Any]

NOT_THERE = "ResourceNotFoundException"
_IDENTITY = frozenset(
    {
        *("FunctionArn", "Version", "Description", "LastModified", "RevisionId", "MasterArn", "CodeSize"),
        *("State", "StateReason", "StateReasonCode"),
        *("LastUpdateStatus", "LastUpdateStatusReason", "LastUpdateStatusReasonCode"),
        *("ConfigSha256", "RuntimeVersionConfig", "SnapStart", "ResponseMetadata"),
    }
)
"""Members in which a version differs from $LATEST although nothing else was put into it; SnapStart says there whether
it is on for published versions."""


class FunctionGateway:
    """Reads Lambda's functions. Most of it Lambda answers for one function at a time only."""

    def __init__(self, sessions: AwsSessions) -> None:
        self._sessions = sessions

    @reads()
    def functions(self, account: str, region: str, names: Sequence[str]) -> dict[str, LambdaFunction | None]:
        """Each function with its aliases and with who invokes it; None for one that is not there."""
        client = self._client(account, region)
        wanted = sorted(set(names))
        sources = _sources(client) if wanted else {}
        return each(lambda name: _function(client, account, region, name, sources.get(name, ())), wanted)

    @reads()
    def newer_layers(
        self, account: str, region: str, function: LambdaFunction, layers: Iterable[str]
    ) -> tuple[dict[str, str], tuple[str, ...]]:
        """Layer version -> the newest one for the function's runtime and architecture, where that is a newer one.

        The second are those of other accounts whose versions this one may not list.
        """
        newer: dict[str, str] = {}
        unread: list[str] = []
        for layer in layers:
            try:
                newest = self._newest(account, region, function, layer)
            except AccessDenied:
                unread.append(layer)
                continue
            if newest is not None:
                newer[layer] = newest
        return newer, tuple(unread)

    @reads()
    def tags(self, account: str, region: str, arn: str) -> dict[str, str]:
        """The function's tags; none where it is not there any more."""
        try:
            return dict(self._client(account, region).list_tags(Resource=arn).get("Tags") or {})
        except ClientError as error:
            if code_of(error) != NOT_THERE:
                raise
            return {}

    @reads()
    def alarms(self, account: str, region: str, names: Sequence[str]) -> frozenset[str]:
        """Those of the alarms that are there."""
        return frozenset(alarm_states(self._sessions.client("cloudwatch", account, region, Role.READ), names))

    @reads()
    def _newest(self, account: str, region: str, function: LambdaFunction, layer: str) -> str | None:
        name, _, number = layer.rpartition(":")
        listed = pages(self._client(account, region), "list_layer_versions", "LayerVersions", LayerName=name)
        fitting = (raw for raw in listed if _fits(raw, function))
        newest = max(fitting, key=lambda raw: int(raw["Version"]), default=None)
        return newest["LayerVersionArn"] if newest is not None and newest["Version"] > int(number) else None

    def _client(self, account: str, region: str) -> Any:
        return self._sessions.client("lambda", account, region, Role.READ)


def read_configuration(client: Any, name: str, version: str | None = None) -> Members | None:
    """The configuration of $LATEST, or of a version, and its state, which no list tells; None where there is none."""
    try:
        found: Members = client.get_function_configuration(FunctionName=name, **_qualified(version))
    except ClientError as error:
        if code_of(error) != NOT_THERE:
            raise
        return None
    return found


def read_versions(client: Any, name: str) -> list[Members] | None:
    """$LATEST and every version, oldest first; None where there is no such function."""
    try:
        return list(pages(client, "list_versions_by_function", "Versions", FunctionName=name))
    except ClientError as error:
        if code_of(error) != NOT_THERE:
            raise
        return None


def published_by(versions: Sequence[Members], operation: str) -> Members | None:
    """The version that an operation has published, which its description says.

    Or the newest one, where that is just what $LATEST is: Lambda publishes no other then (API reference,
    PublishVersion).
    """
    ours = next((raw for raw in versions if raw.get("Description") == operation), None)
    if ours is not None:
        return ours
    published = [raw for raw in versions if raw["Version"] != LATEST]
    latest = next((raw for raw in versions if raw["Version"] == LATEST), None)
    newest = max(published, key=lambda raw: int(raw["Version"]), default=None)
    return newest if newest is not None and latest is not None and not differing(newest, latest) else None


def content_of(raw: Members) -> FunctionContent:
    """What packages can be in, of a configuration."""
    return FunctionContent(
        code_sha256=raw["CodeSha256"],
        layers=tuple(layer["Arn"] for layer in raw.get("Layers") or ()),
        runtime=raw.get("Runtime"),
    )


def differing(version: Members, latest: Members) -> tuple[str, ...]:
    """The members of a configuration in which two versions differ, without what every version has of its own.

    Values are not given: an environment may have secrets in it.
    """
    names = sorted((version.keys() | latest.keys()) - _IDENTITY)
    return tuple(name for name in names if _plain(version.get(name)) != _plain(latest.get(name)))


def is_busy(raw: Members) -> bool:
    """Whether the function is being created or changed (developer guide, "Lambda function states")."""
    return raw.get("State") == "Pending" or raw.get("LastUpdateStatus") == "InProgress"


def alarm_states(client: Any, names: Sequence[str]) -> dict[str, str]:
    """Alarm -> OK, ALARM or INSUFFICIENT_DATA; what does not exist is absent."""
    found: dict[str, str] = {}
    for kind in ("MetricAlarms", "CompositeAlarms") if names else ():
        raws = pages(
            client,
            "describe_alarms",
            kind,
            AlarmNames=sorted(set(names)),
            # Without both DescribeAlarms gives metric alarms alone.
            AlarmTypes=["MetricAlarm", "CompositeAlarm"],
        )
        found |= {raw["AlarmName"]: raw["StateValue"] for raw in raws}
    return found


def _fits(raw: Members, function: LambdaFunction) -> bool:
    """Whether a layer version is for the function, as far as whoever published it has said."""
    runtimes, architectures = raw.get("CompatibleRuntimes"), raw.get("CompatibleArchitectures")
    runs = not runtimes or function.content.runtime in runtimes
    return runs and (not architectures or set(function.architectures) <= set(architectures))


def _function(
    client: Any, account: str, region: str, name: str, sources: Sequence[EventSource]
) -> LambdaFunction | None:
    try:
        answer = client.get_function(FunctionName=name)
    except ClientError as error:
        if code_of(error) != NOT_THERE:
            raise
        return None
    raw, code = answer["Configuration"], answer.get("Code") or {}
    versions = {one["Version"]: one for one in read_versions(client, name) or ()} or {LATEST: raw}
    published = [one for one in versions if one != LATEST]
    aliases = list(pages(client, "list_aliases", "Aliases", FunctionName=name))
    image = next((uri for uri in (code.get("ResolvedImageUri"), code.get("ImageUri")) if uri and "@" in uri), None)
    return LambdaFunction(
        account=account,
        region=region,
        name=name,
        arn=_unqualified(raw["FunctionArn"]),
        package_type=raw.get("PackageType", "Zip"),
        content=content_of(raw),
        image=image,
        code_size=0 if image else raw.get("CodeSize", 0),
        bound_by=_bound_by(raw, code),
        last_modified=raw["LastModified"],
        busy=is_busy(raw),
        architectures=tuple(raw.get("Architectures") or ()),
        reserved_concurrency=(answer.get("Concurrency") or {}).get("ReservedConcurrentExecutions"),
        # Compared as they are listed: a list leaves members out that a single function has.
        aliases=tuple(_alias(one, versions, versions[LATEST]) for one in aliases),
        urls=tuple(_urls(client, name)),
        event_sources=tuple(sources),
        alike=tuple(one for one in published if content_of(versions[one]) == content_of(versions[LATEST])),
        invokers=_invokers(client, name, [*_named(aliases), *published]),
        tags=dict(answer.get("Tags") or {}),
    )


def _bound_by(raw: Members, code: Members) -> Literal["signature", "key"] | None:
    """What another zip would not have (FunctionConfiguration and FunctionCodeLocation, Lambda API reference)."""
    if raw.get("SigningProfileVersionArn"):
        return "signature"
    return "key" if code.get("SourceKMSKeyArn") else None


def _alias(raw: Members, versions: Mapping[str, Members], latest: Members) -> FunctionAlias:
    weights = dict((raw.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {})
    served = (raw["FunctionVersion"], *weights)
    return FunctionAlias(
        name=raw["Name"],
        description=without_mark(raw.get("Description") or ""),
        serves=tuple(_served(versions[one], latest) for one in served if one in versions),
        weights=weights,
    )


def _served(raw: Members, latest: Members) -> ServedVersion:
    return ServedVersion(version=raw["Version"], content=content_of(raw), differs=differing(raw, latest))


def _named(aliases: Sequence[Members]) -> list[str]:
    return [raw["Name"] for raw in aliases]


def _urls(client: Any, name: str) -> Iterator[FunctionUrl]:
    for raw in pages(client, "list_function_url_configs", "FunctionUrlConfigs", FunctionName=name):
        yield FunctionUrl(qualifier=_qualifier(raw["FunctionArn"]), auth_type=raw["AuthType"])


def _sources(client: Any) -> dict[str, list[EventSource]]:
    """Function -> its event sources, whichever version they invoke: asked of one by name, Lambda tells one's alone."""
    found: dict[str, list[EventSource]] = {}
    for raw in pages(client, "list_event_source_mappings", "EventSourceMappings"):
        named = FunctionId.of(raw.get("FunctionArn", ""))
        if named is not None:
            source = EventSource(
                arn=raw.get("EventSourceArn") or "self-managed Kafka",
                qualifier=named.qualifier,
                enabled=raw.get("State", "Enabled") in ("Creating", "Enabling", "Enabled", "Updating"),
            )
            found.setdefault(named.name, []).append(source)
    return found


def _invokers(client: Any, name: str, qualifiers: Sequence[str]) -> tuple[Invoker, ...]:
    """Whom the resource policies let invoke it: each alias and each version has one of its own."""
    every = each(lambda qualifier: list(_invokers_of(client, name, qualifier or None)), ["", *qualifiers])
    return tuple(invoker for found in every.values() for invoker in found)


def _invokers_of(client: Any, name: str, qualifier: str | None) -> Iterator[Invoker]:
    """Whom one policy lets invoke it; what is about its URL alone is told with the URL."""
    try:
        policy = json.loads(client.get_policy(FunctionName=name, **_qualified(qualifier))["Policy"])
    except ClientError as error:
        if code_of(error) != NOT_THERE:
            raise
        return
    for statement in policy.get("Statement") or ():
        asked = statement.get("Action") or ()
        invokes = [one for one in ([asked] if isinstance(asked, str) else asked) if one != "lambda:InvokeFunctionUrl"]
        if statement.get("Effect") == "Allow" and invokes:
            for principal in _principals(statement.get("Principal")):
                yield Invoker(principal=principal, qualifier=qualifier, conditional=bool(statement.get("Condition")))


def _principals(principal: Any) -> Iterator[str]:
    if isinstance(principal, str):
        yield principal
    elif isinstance(principal, Mapping):
        for value in cast("Mapping[str, Any]", principal).values():
            yield from [value] if isinstance(value, str) else value


def _qualified(qualifier: str | None) -> dict[str, str]:
    return {"Qualifier": qualifier} if qualifier else {}


def _unqualified(arn: str) -> str:
    found = FunctionId.of(arn)
    return found.arn if found else arn


def _qualifier(arn: str) -> str | None:
    found = FunctionId.of(arn)
    return found.qualifier if found else None


def _plain(value: Any) -> str:
    """None, and what is empty, are the same: an answer leaves out what is not set."""
    return json.dumps(value or None, sort_keys=True, default=str)
