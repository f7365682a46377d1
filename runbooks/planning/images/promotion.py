"""The contain plan of an image: the way into the pipeline's stages is closed, and pulls are denied where asked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from runbooks.container_image import StageTransition
from runbooks.definition import Runbook, Signal
from runbooks.image_users import users_in_words
from runbooks.plan import Phase, Plan
from runbooks.planning.extents import extents
from runbooks.planning.images.chosen import Chosen, chosen_of, that_may_begin
from runbooks.planning.pre_authorisation import pre_authorised
from runbooks.repository_policy import denies_pulls, with_pulls_denied
from runbooks.steps import AnyStep, SetRepositoryPolicy, SetStageTransition
from runbooks.telling.words import listed
from runbooks.triage import Assessment

LONGEST_REASON = 300
_REFUSED = re.compile(r"[^A-Za-z0-9!@().*? -]+", re.ASCII)
_ALREADY_IN = "what is in a stage already goes on to its end"
_NOT_THE_GATE = "the gate refuses the image as long as its case is open, whatever becomes of this plan"


def transition_reason(text: str) -> str:
    """The text as CodePipeline takes it: 1 to 300 of letters, digits, blanks and `!@().*?-`.

    Other characters become dashes (CodePipeline API reference, DisableStageTransition).
    """
    plain = " ".join(_REFUSED.sub("-", text).split()).strip("- ")
    return plain[:LONGEST_REASON].rstrip("- ") or "blocked"


def plan_promotion_block(
    response: str, runbook: Runbook, assessments: Sequence[Assessment], *, revision: int = 1
) -> Plan:
    """What keeps these images from going further. A plan without steps where there is nothing to close.

    Raises:
        LimitExceeded: the plan would touch more than the runbook's limits allow.
        Refused: the repository's policy cannot be changed by this system.
    """
    every = chosen_of(runbook, [each for each in assessments if each.triage.contain])
    chosen, deferred = that_may_begin(runbook, every)
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
        steps=(*_closed_stages(response, runbook, chosen), *_denied_pulls(runbook, chosen)),
        reasons=tuple(dict.fromkeys(reason for each in cases for reason in each.triage.reasons)),
        not_covered=tuple(_not_covered(runbook, chosen)),
        # What nobody was asked about does not approve an opening as well.
        releases_when_fixed=runbook.release.when_fixed == "by-itself" and not suspected and unasked is None,
        approval=rule.model_copy(update={"pre_authorised": unasked}),
        deferred=deferred,
        extents=touched,
    )


def _closed_stages(response: str, runbook: Runbook, chosen: Sequence[Chosen]) -> Iterator[SetStageTransition]:
    cases = tuple(each.case for each in chosen)
    for stage in _stages(runbook, chosen):
        if stage.enabled:
            repository = chosen[0].repository.name
            yield SetStageTransition(
                target=chosen[0].target("pipeline-stage", f"{stage.pipeline}/{stage.stage}"),
                cases=cases,
                pipeline=stage.pipeline,
                stage=stage.stage,
                enabled=False,
                reason=transition_reason(f"{repository} has a critical vulnerability (remediation {response})"),
            )


def _stages(runbook: Runbook, chosen: Sequence[Chosen]) -> tuple[StageTransition, ...]:
    """Those that the runbook names and that are there, each once, in its order."""
    every = (stage for each in chosen for stage in each.assessment.facts.image_facts.stages)
    there = {f"{stage.pipeline}/{stage.stage}": stage for stage in every}
    return tuple(there[name] for name in dict.fromkeys(runbook.contain.block.stages) if name in there)


def _denied_pulls(runbook: Runbook, chosen: Sequence[Chosen]) -> Iterator[AnyStep]:
    if not runbook.contain.block.deny_pulls or not chosen:
        return
    repository = chosen[0].repository
    if denies_pulls(repository.policy):
        return
    yield SetRepositoryPolicy(
        target=chosen[0].target("repository", repository.name),
        cases=tuple(each.case for each in chosen),
        repository=repository.name,
        expects=repository.policy,
        leaves=with_pulls_denied(repository.policy, runbook.contain.block.may_pull),
        consequence=_consequence(chosen),
    )


def _consequence(chosen: Sequence[Chosen]) -> str:
    users = [words for each in chosen for words in users_in_words(each.assessment.facts.image_facts)]
    goes_on = "what runs goes on, and what restarts or scales out fails, with every image of the repository"
    return f"{goes_on}: {listed(dict.fromkeys(users), most=10)}" if users else f"{goes_on}; nobody was seen to run it"


def _not_covered(runbook: Runbook, chosen: Sequence[Chosen]) -> Iterator[str]:
    block, there = runbook.contain.block, {f"{each.pipeline}/{each.stage}": each for each in _stages(runbook, chosen)}
    if block.stages:
        yield _ALREADY_IN
    for name in block.stages:
        stage = there.get(name)
        if stage is None:
            yield f"there is no stage {name}, which the runbook names: nothing is closed there"
        elif not stage.enabled:
            why = f" ({stage.reason})" if stage.reason else ""
            yield f"the way into {name} is closed already{why}: it is left so, and is not opened afterwards"
    if not block.deny_pulls:
        yield "nobody is kept from pulling the image: what runs may restart and scale out with it"
    elif chosen and denies_pulls(chosen[0].repository.policy):
        yield "pulls are denied already, by an earlier plan of this system: that is left so"
    elif runbook.rebuild.test_project and not block.may_pull:
        yield "the integration test pulls the patched image from here, and none of contain.block.may_pull is its role"
    yield _NOT_THE_GATE
