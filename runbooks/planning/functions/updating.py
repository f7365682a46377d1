"""The remediate plan of a function: $LATEST gets what is fixed, a version is published, and the aliases follow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from runbooks.candidate import Candidate
from runbooks.definition import Runbook
from runbooks.errors import Refused
from runbooks.function import LATEST, FunctionAlias, FunctionContent, short_layer
from runbooks.function_users import of_a_version, of_latest
from runbooks.plan import Phase, Plan
from runbooks.planning.change_windows import why_at_once
from runbooks.planning.extents import extents
from runbooks.planning.functions.chosen import Chosen, chosen_of
from runbooks.planning.functions.rebuilding import is_rebuilt
from runbooks.steps import AnyStep, PublishVersion, ShiftAlias, UpdateFunctionConfiguration, UpdateFunctionImage
from runbooks.steps.function_alias import NEW_VERSION
from runbooks.telling.words import listed
from runbooks.triage import Assessment
from runbooks.triage.function import vulnerable_layers

_TEMPLATE = (
    "whoever deploys it from a template (CloudFormation, SAM, Terraform) brings back what that names: the template has "
    "to be changed as well"
)
_UNSCANNED = "whether a layer really lacks the vulnerability is known when Inspector has scanned the function with it"
_LOOKS = "an alarm that is raised and gone again between two looks is not seen"


def plan_function_update(
    response: str,
    runbook: Runbook,
    assessments: Sequence[Assessment],
    candidates: Mapping[str, Candidate],
    *,
    revision: int = 1,
) -> Plan:
    """One plan for all functions: first every $LATEST, then every version, then the aliases, by weighted canary.

    Args:
        candidates: case -> the image that was built for it.

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
    touched = extents(runbook, cases)
    at_once = why_at_once(runbook, cases)
    return Plan(
        response=response,
        runbook=runbook.name,
        runbook_digest=runbook.digest,
        phase=Phase.REMEDIATE,
        revision=revision,
        cases=tuple(each.case for each in chosen),
        steps=tuple(_steps(runbook, chosen, candidates)),
        reasons=(*dict.fromkeys(each.assessment.triage.reasons[-1] for each in chosen), *at_once),
        not_covered=tuple(dict.fromkeys(_not_covered(runbook, chosen))),
        approval=runbook.remediate.approval.rule([each.environment for each in touched]),
        deferred=deferred,
        extents=touched,
        windows=() if at_once else runbook.remediate.windows,
    )


def content_after(runbook: Runbook, each: Chosen, candidate: Candidate | None) -> FunctionContent:
    """What its $LATEST is when it has been updated: the same with exactly what is vulnerable exchanged."""
    content, packages = each.function.content, each.assessment.triage.packages
    if is_rebuilt(each.assessment):
        if candidate is None:
            raise Refused(f"no image was built for {each.function.name}", code="person")
        return content.model_copy(update={"code_sha256": candidate.digest.removeprefix("sha256:")})
    vulnerable = vulnerable_layers(each.assessment.facts)
    runtimes = runbook.function.runtimes
    of_runtime = any(package.origin == "runtime" for package in packages)
    return content.model_copy(
        update={
            "layers": tuple(each.facts.newer_layers[one] if one in vulnerable else one for one in content.layers),
            "runtime": runtimes[str(content.runtime)] if of_runtime else content.runtime,
        }
    )


def _steps(runbook: Runbook, chosen: Sequence[Chosen], candidates: Mapping[str, Candidate]) -> Iterator[AnyStep]:
    after = {each.case: content_after(runbook, each, candidates.get(each.case)) for each in chosen}
    for each in chosen:
        if not is_rebuilt(each.assessment):
            yield _configuration(each, after[each.case])
    for each in chosen:
        if is_rebuilt(each.assessment):
            yield _image(each, candidates[each.case])
    for each in chosen:
        if any(_follows(alias) for alias in each.function.aliases):
            yield PublishVersion(
                target=each.target(), cases=(each.case,), function=each.function.name, content=after[each.case]
            )
    for each in chosen:
        yield from (_shift(runbook, each, alias) for alias in each.function.aliases if _follows(alias))


def _configuration(each: Chosen, after: FunctionContent) -> UpdateFunctionConfiguration:
    return UpdateFunctionConfiguration(
        target=each.target(),
        cases=(each.case,),
        function=each.function.name,
        expects=each.function.content,
        leaves=after,
        last_modified=each.function.last_modified,
    )


def _image(each: Chosen, candidate: Candidate) -> UpdateFunctionImage:
    return UpdateFunctionImage(
        target=each.target(),
        cases=(each.case,),
        function=each.function.name,
        expects=each.function.image or "",
        leaves=candidate.image,
        last_modified=each.function.last_modified,
    )


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


def _not_covered(runbook: Runbook, chosen: Sequence[Chosen]) -> Iterator[str]:
    for each in chosen:
        yield from _of_one(runbook, each)
    if not all(is_rebuilt(each.assessment) for each in chosen):
        yield _UNSCANNED
    if any(each.facts.alarms for each in chosen):
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
