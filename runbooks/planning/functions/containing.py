"""The contain plan of a function: its open URLs ask for credentials, or it is not called at all; with the price."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runbooks.definition import Runbook, Signal
from runbooks.function_users import users_in_words
from runbooks.plan import Phase, Plan
from runbooks.planning.extents import extents
from runbooks.planning.functions.chosen import Chosen, chosen_of
from runbooks.planning.pre_authorisation import pre_authorised
from runbooks.steps import AnyStep, SetFunctionUrlAuth, SetReservedConcurrency
from runbooks.telling.words import listed
from runbooks.triage import Assessment

_RUNNING = "calls that have begun go on to their end, for up to 15 minutes"
_CREDENTIALS = "credentials of its role that it has already been issued stay valid until they expire"
_REFUSED = "whoever calls it without IAM credentials is refused (403)"
_STOPPED = "every call is refused (429)"
_QUEUED = "what queues and streams hold is tried again until it expires, or goes where they send what failed"


def plan_function_containment(
    response: str, runbook: Runbook, assessments: Sequence[Assessment], *, revision: int = 1
) -> Plan:
    """One plan that contains every function that calls for it, each step with its price.

    Raises:
        LimitExceeded: there are more cases than the runbook allows.
    """
    chosen, deferred = chosen_of(runbook, [each for each in assessments if each.triage.contain])
    cases = [each.assessment for each in chosen]
    touched = extents(runbook, cases)
    suspected = any(Signal.COMPROMISE_SUSPECTED in each.triage.signals for each in cases)
    unasked = pre_authorised(runbook, cases)
    rule = runbook.contain.approval.rule([each.environment for each in touched])
    return Plan(
        response=response,
        runbook=runbook.name,
        runbook_digest=runbook.digest,
        phase=Phase.CONTAIN,
        revision=revision,
        cases=tuple(each.case for each in chosen),
        steps=(*_asking(runbook, chosen), *_stopping(runbook, chosen)),
        reasons=tuple(dict.fromkeys(reason for each in cases for reason in each.triage.reasons)),
        not_covered=tuple(dict.fromkeys(_not_covered(runbook, chosen))),
        # What nobody was asked about does not approve an opening as well.
        releases_when_fixed=runbook.release.when_fixed == "by-itself" and not suspected and unasked is None,
        approval=rule.model_copy(update={"pre_authorised": unasked}),
        deferred=deferred,
        extents=touched,
    )


def _asking(runbook: Runbook, chosen: Sequence[Chosen]) -> Iterator[AnyStep]:
    for each in chosen if runbook.function.require_iam else ():
        for url in each.function.urls:
            if url.auth_type == "NONE":
                name = each.function.name
                yield SetFunctionUrlAuth(
                    target=each.target("function-url", f"{name}:{url.qualifier}" if url.qualifier else name),
                    cases=(each.case,),
                    function=name,
                    qualifier=url.qualifier,
                    expects="NONE",
                    leaves="AWS_IAM",
                    consequence=_REFUSED,
                )


def _stopping(runbook: Runbook, chosen: Sequence[Chosen]) -> Iterator[AnyStep]:
    for each in chosen if runbook.function.stop else ():
        function = each.function
        if function.reserved_concurrency != 0:
            yield SetReservedConcurrency(
                target=each.target(),
                cases=(each.case,),
                function=function.name,
                expects=function.reserved_concurrency,
                leaves=0,
                consequence=_price(each),
            )


def _price(each: Chosen) -> str:
    users = listed(dict.fromkeys(users_in_words(each.function)), most=10)
    queued = f"; {_QUEUED}" if each.function.event_sources else ""
    return f"{_STOPPED}, {f'that of {users}' if users else 'and nobody was seen who calls it'}{queued}"


def _not_covered(runbook: Runbook, chosen: Sequence[Chosen]) -> Iterator[str]:
    if chosen:
        yield _RUNNING
        yield _CREDENTIALS
    for each in chosen:
        name = each.function.name
        if runbook.function.stop and each.function.reserved_concurrency == 0:
            yield f"{name} has a concurrency reservation of 0 already: it is left so, and is not lifted afterwards"
        if not runbook.function.stop:
            others = [words for words in users_in_words(each.function) if not words.startswith("whoever has its URL")]
            if others:
                yield f"{name} goes on being invoked by {listed(dict.fromkeys(others), most=10)}"
