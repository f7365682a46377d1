"""The remediate plan of a function: $LATEST gets what is fixed, a version is published, and the aliases follow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from runbooks.definition import Runbook
from runbooks.errors import Refused
from runbooks.function import LATEST, FunctionAlias, FunctionContent, short_layer
from runbooks.function_package import LARGEST_UPLOAD_BYTES
from runbooks.function_users import of_a_version, of_latest
from runbooks.plan import Phase, Plan
from runbooks.planning.change_windows import why_at_once
from runbooks.planning.extents import extents
from runbooks.planning.functions.becoming import Built, Update
from runbooks.planning.functions.chosen import Chosen, chosen_of
from runbooks.steps import (
    AnyStep,
    PublishVersion,
    ShiftAlias,
    UpdateFunctionCode,
    UpdateFunctionConfiguration,
    UpdateFunctionImage,
)
from runbooks.steps.function_alias import NEW_VERSION
from runbooks.telling.words import listed
from runbooks.triage import Assessment

_TEMPLATE = (
    "whoever deploys it from a template (CloudFormation, SAM, Terraform) brings back what that names: the template has "
    "to be changed as well"
)
_UNSCANNED = "whether it really lacks the vulnerability then is known when Inspector has scanned the function with it"
_UNVERSIONED = (
    "its bucket keeps no versions: what the build left there is looked at right before Lambda takes it, and could be "
    "exchanged in between"
)
_LOOKS = "an alarm that is raised and gone again between two looks is not seen"


def plan_function_update(
    response: str,
    runbook: Runbook,
    assessments: Sequence[Assessment],
    built: Mapping[str, Built],
    *,
    revision: int = 1,
) -> Plan:
    """One plan for all functions: first every $LATEST, then every version, then the aliases, by weighted canary.

    Args:
        built: case -> the image, or the code, that was built for it.

    Raises:
        LimitExceeded: there are more cases than the runbook allows.
        Refused: there is nothing that this system can update; the message says why not.
    """
    fitting = [each for each in assessments if each.triage.remediation == "update"]
    chosen, deferred = chosen_of(runbook, fitting)
    if not chosen:
        why = dict.fromkeys(each.triage.reasons[-1] for each in assessments if each.triage.reasons)
        raise Refused("; ".join(why) or "there is no function to update", code="person")
    cases = [each.assessment for each in chosen]
    updates = [Update(runbook, each, built.get(each.case)) for each in chosen]
    touched = extents(runbook, cases)
    at_once = why_at_once(runbook, cases)
    return Plan(
        response=response,
        runbook=runbook.name,
        runbook_digest=runbook.digest,
        phase=Phase.REMEDIATE,
        revision=revision,
        cases=tuple(each.case for each in chosen),
        steps=tuple(_steps(runbook, updates)),
        reasons=(*dict.fromkeys(each.assessment.triage.reasons[-1] for each in chosen), *at_once),
        not_covered=tuple(dict.fromkeys(_not_covered(runbook, updates))),
        cannot_be_put_back=tuple(_cannot_be_put_back(updates)),
        approval=runbook.remediate.approval.rule([each.environment for each in touched]),
        deferred=deferred,
        extents=touched,
        windows=() if at_once else runbook.remediate.windows,
    )


def _steps(runbook: Runbook, updates: Sequence[Update]) -> Iterator[AnyStep]:
    """Stage by stage for all functions: a stage is looked at and done together."""
    for stage in (_kept, _code, _configuration, _image, _version, _shifts):
        for each in updates:
            yield from stage(runbook, each)


def _kept(runbook: Runbook, update: Update) -> Iterator[AnyStep]:
    if update.gets_code and not update.is_kept:
        yield _publication(update, update.before)


def _code(runbook: Runbook, update: Update) -> Iterator[AnyStep]:
    if update.package is not None and update.gets_code:
        each = update.chosen
        yield UpdateFunctionCode(
            target=each.target(),
            cases=(each.case,),
            function=each.function.name,
            package=update.package,
            expects=update.before,
            leaves=update.with_code,
            last_modified=each.function.last_modified,
        )


def _configuration(runbook: Runbook, update: Update) -> Iterator[AnyStep]:
    if update.after != update.with_code:
        each = update.chosen
        yield UpdateFunctionConfiguration(
            target=each.target(),
            cases=(each.case,),
            function=each.function.name,
            expects=update.with_code,
            leaves=update.after,
            last_modified=None if update.gets_code else each.function.last_modified,
        )


def _image(runbook: Runbook, update: Update) -> Iterator[AnyStep]:
    if update.image is not None:
        each = update.chosen
        yield UpdateFunctionImage(
            target=each.target(),
            cases=(each.case,),
            function=each.function.name,
            expects=each.function.image or "",
            leaves=update.image.image,
            last_modified=each.function.last_modified,
        )


def _version(runbook: Runbook, update: Update) -> Iterator[AnyStep]:
    if any(_follows(alias) for alias in update.chosen.function.aliases):
        yield _publication(update, update.after)


def _shifts(runbook: Runbook, update: Update) -> Iterator[AnyStep]:
    each = update.chosen
    yield from (_shift(runbook, each, alias) for alias in each.function.aliases if _follows(alias))


def _publication(update: Update, content: FunctionContent) -> PublishVersion:
    each = update.chosen
    return PublishVersion(target=each.target(), cases=(each.case,), function=each.function.name, content=content)


def _follows(alias: FunctionAlias) -> bool:
    """An alias of $LATEST has the change with it."""
    return alias.version != LATEST


def _shift(runbook: Runbook, each: Chosen, alias: FunctionAlias) -> ShiftAlias:
    choice, name = runbook.deploy, each.function.name
    return ShiftAlias(
        target=each.target("function-alias", f"{name}:{alias.name}"),
        cases=(each.case,),
        function=name,
        alias=alias.name,
        expects=alias.version,
        leaves=NEW_VERSION,
        description=alias.description,
        percent=choice.canary_percent,
        bake_minutes=choice.bake_minutes,
        alarms=each.facts.alarms,
    )


def _cannot_be_put_back(updates: Sequence[Update]) -> Iterator[str]:
    for each in updates:
        function = each.chosen.function
        if each.gets_code and function.code_size > LARGEST_UPLOAD_BYTES:
            yield (
                f"the code of {function.name}, which a published version keeps: Lambda takes a zip of its size from S3 "
                f"alone"
            )


def _not_covered(runbook: Runbook, updates: Sequence[Update]) -> Iterator[str]:
    for each in updates:
        yield from _of_one(runbook, each.chosen)
        if each.gets_code and not each.is_kept:
            yield f"{each.chosen.function.name} has no version with its code: one is published first, to lead back"
        if each.package is not None and each.package.version is None:
            yield f"{each.package.address}: {_UNVERSIONED}"
    if not all(each.image for each in updates):
        yield _UNSCANNED
    if any(each.chosen.facts.alarms for each in updates):
        yield _LOOKS
    yield _TEMPLATE


def _of_one(runbook: Runbook, each: Chosen) -> Iterator[str]:
    function = each.function
    direct, there = of_latest(function), any(_follows(alias) for alias in function.aliases)
    if direct:
        yield (
            f"{LATEST} of {function.name} is invoked by {listed(dict.fromkeys(direct), most=10)}: there the change is "
            "made at once, before any canary, and no alarm leads back from it"
        )
    if not there:
        yield f"{function.name} has no alias that serves a version: there is no canary, and nothing leads back"
    for words in of_a_version(function):
        yield f"{words}, which stays vulnerable: a person brings it to another"
    if there and not each.facts.alarms:
        yield f"no alarm watches {function.name}: nothing leads back"
    contained = each.assessment.triage.contain
    if there and (function.reserved_concurrency == 0 or (contained and runbook.function.stop)):
        yield f"{function.name} is stopped: its canary sees no call, and its alarms say nothing of the new version"
    kept = [short_layer(layer) for layer in function.content.layers if layer in each.facts.unread_layers]
    if kept:
        yield f"whether {', '.join(kept)} has a newer version may not be read: it is left as it is"
