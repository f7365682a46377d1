"""Bringing a version to whoever calls a Lambda function by an alias: a weighted canary that may go back.

Lambda only divides the calls (developer guide, "Implement Lambda canary deployments using a weighted alias"): it
watches nothing. So the alias's description says, from the first call to the last and in the same calls that move it,
which operation is at work and since when; whoever looks goes on from there. An alias that went back keeps saying so: it
would look untouched otherwise, and be shifted again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import ClientError

from runbooks.alias_mark import AliasMark
from runbooks.errors import Outside
from runbooks.steps.function_alias import NEW_VERSION, ShiftAlias
from runbooks.timestamps import moment
from tasks.gateways.actions.base import AwsAction, Look, Place, gone
from tasks.gateways.aws_errors import code_of
from tasks.gateways.aws_session import closing
from tasks.gateways.functions import NOT_THERE, Members, alarm_states, published_by, read_versions

_MAKES_A_VERSION = "publish-version"
_OURS = re.compile(r"rb-[0-9a-f]{24}", re.ASCII)


class ShiftAliasAction(AwsAction[ShiftAlias]):
    """Sends a share there, waits, then everything; or puts it back as soon as it finds an alarm raised."""

    def _look(self, place: Place, steps: Sequence[ShiftAlias], operations: Mapping[str, str]) -> dict[str, Look]:
        client = place.reading("lambda")
        watched = sorted({name for step in steps for name in step.alarms if not step.undoes})
        states = alarm_states(place.reading("cloudwatch"), watched)
        return {step.key: _look_at(client, step, operations, states) for step in steps}

    def _act(self, place: Place, step: ShiftAlias, operation: str, look: Look) -> dict[str, Any]:
        client, result = place.acting("lambda", step), look.result
        alias = {"FunctionName": step.function, "Name": step.alias, "RevisionId": result["revision"]}
        match result["goes"]:
            case "canary":
                share = {result["version"]: step.percent / 100}
                mark = AliasMark(operation=operation, since=datetime.fromisoformat(result["now"]))
                client.update_alias(
                    **alias,
                    FunctionVersion=step.expects,
                    Description=mark.on(step.description),
                    RoutingConfig=_routing(share),
                )
            case "back":
                mark = AliasMark(operation=operation, went_back=result["why"])
                with closing():
                    client.update_alias(
                        **alias,
                        FunctionVersion=step.expects,
                        Description=mark.on(step.description),
                        RoutingConfig=_routing({}),
                    )
            case _:
                # A routing that is not mentioned stays, so that both are set together.
                client.update_alias(
                    **alias,
                    FunctionVersion=result["version"],
                    Description=step.description,
                    RoutingConfig=_routing({}),
                )
        return {"version": result["version"], "goes": result["goes"]}


@dataclass(frozen=True)
class _Alias:
    """An alias as it was found."""

    version: str
    weights: dict[str, float]
    description: str
    revision: str
    now: datetime
    """AWS's own time of the answer: that of this host has no say in how long a canary bakes."""

    @property
    def mark(self) -> AliasMark | None:
        return AliasMark.of(self.description)

    @property
    def found(self) -> dict[str, Any]:
        return {"version": self.version, "weights": self.weights, "description": self.description}

    def look(self, goes: str, status: Any, version: str, detail: str = "", **more: str) -> Look:
        """A look that leads to a call."""
        result = {"goes": goes, "version": version, "revision": self.revision, "now": self.now.isoformat(), **more}
        return Look(status=status, found=self.found, detail=detail, result=result)


def _look_at(client: Any, step: ShiftAlias, operations: Mapping[str, str], states: Mapping[str, str]) -> Look:
    alias, versions = _read(client, step), read_versions(client, step.function)
    if alias is None or versions is None:
        return gone(f"alias {step.alias} of function {step.function}")
    if step.undoes:
        return _look_back(step, alias, versions)
    wanted = _wanted(step, versions, operations)
    if wanted is None:
        return _drifted(alias, f"{step.function} has no version that this plan has published")
    mark = alias.mark
    if mark is not None and mark.operation == operations[step.key]:
        return _under_way(step, alias, wanted, states, mark)
    if alias.version == wanted and not alias.weights:
        return Look(status="as-left", found=alias.found, result={"version": wanted})
    if alias.version == wanted and set(alias.weights) == {step.expects}:
        return _arriving(step, alias, wanted)
    if alias.version != step.expects or alias.weights:
        return _drifted(alias, f"alias {step.alias} serves {_served(alias)}, and the plan found {step.expects}")
    if bad := [_alarm(name, states) for name in step.alarms if states.get(name, "ALARM") == "ALARM"]:
        return _drifted(alias, "; ".join(bad))
    return alias.look("canary", "as-expected", wanted)


def _under_way(step: ShiftAlias, alias: _Alias, wanted: str, states: Mapping[str, str], mark: AliasMark) -> Look:
    """The look at an alias that this very operation moves, or has put back."""
    if mark.since is None:
        detail = f"alias {step.alias} was put back to version {step.expects}: {mark.went_back}"
        if (alias.version, alias.weights) != (step.expects, {}):
            detail += f"; it serves {_served(alias)} since"
        return Look(status="failed", found=alias.found, detail=detail, result={"went_back_to": step.expects})
    if alias.version != step.expects or list(alias.weights) != [wanted]:
        return _drifted(alias, f"somebody else moved alias {step.alias} during its canary: it serves {_served(alias)}")
    if bad := [_alarm(name, states) for name in step.alarms if states.get(name, "ALARM") == "ALARM"]:
        why = "; ".join(bad)
        return alias.look("back", "half-done", wanted, f"going back: {why}", why=why)
    over = mark.since + timedelta(minutes=step.bake_minutes)
    if alias.now < over:
        detail = f"{step.percent} % of the calls go to version {wanted}, baking until {moment(over)}"
        return Look(status="in-progress", found=alias.found, detail=detail, result={"version": wanted})
    return alias.look("on", "half-done", wanted, f"all calls go to version {wanted} now")


def _arriving(step: ShiftAlias, alias: _Alias, version: str) -> Look:
    """The look at an alias that was moved, and whose calls AWS itself brings there bit by bit: one with provisioned
    concurrency, as long as the version's environments are not ready (hashicorp/terraform-provider-aws, 48116).
    """
    detail = f"AWS is bringing the calls of alias {step.alias} to version {version}: it serves {_served(alias)}"
    return Look(status="in-progress", found=alias.found, detail=detail, result={"version": version})


def _look_back(step: ShiftAlias, alias: _Alias, versions: Sequence[Members]) -> Look:
    """What a plan of this system made of the alias is put back, however far it came; nothing that others made is."""
    if (alias.version, alias.weights, alias.mark) == (step.leaves, {}, None):
        return Look(status="as-left", found=alias.found, result={"version": step.leaves})
    ours = {raw["Version"] for raw in versions if _OURS.fullmatch(raw.get("Description") or "")} | {step.expects}
    if (alias.version, alias.mark) == (step.leaves, None) and set(alias.weights) <= ours:
        return _arriving(step, alias, step.leaves)
    if alias.mark is None and alias.version not in ours:
        return _drifted(alias, f"alias {step.alias} serves {_served(alias)}, which this system did not publish")
    return alias.look("to the former", "as-expected", step.leaves)


def _read(client: Any, step: ShiftAlias) -> _Alias | None:
    try:
        raw = client.get_alias(FunctionName=step.function, Name=step.alias)
    except ClientError as error:
        if code_of(error) != NOT_THERE:
            raise
        return None
    told = raw["ResponseMetadata"]["HTTPHeaders"].get("date")
    if told is None:
        raise Outside("AWS did not say what time it is, so that no canary can be timed")
    return _Alias(
        version=raw["FunctionVersion"],
        weights=dict((raw.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}),
        description=raw.get("Description") or "",
        revision=raw["RevisionId"],
        now=parsedate_to_datetime(told).astimezone(UTC),
    )


def _wanted(step: ShiftAlias, versions: Sequence[Members], operations: Mapping[str, str]) -> str | None:
    if step.leaves != NEW_VERSION:
        return step.leaves
    key = f"{_MAKES_A_VERSION}:{step.target.account}/{step.target.region}/{step.function}"
    found = published_by(versions, operations[key]) if key in operations else None
    return None if found is None else str(found["Version"])


def _routing(weights: Mapping[str, float]) -> dict[str, Any]:
    return {"AdditionalVersionWeights": dict(weights)}


def _alarm(name: str, states: Mapping[str, str]) -> str:
    return f"alarm {name} is raised" if name in states else f"alarm {name} does not exist, so that it watches nothing"


def _served(alias: _Alias) -> str:
    shares = "".join(f" and, for {share:.0%}, {version}" for version, share in alias.weights.items())
    return f"version {alias.version}{shares}"


def _drifted(alias: _Alias, detail: str) -> Look:
    return Look(status="drifted", found=alias.found, detail=detail)
