"""The contain plan of an image: the way into the pipeline's stages is closed, and pulls are denied where asked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from runbooks.container_image import EcsService, StageTransition
from runbooks.definition import Runbook, Signal
from runbooks.image_users import users_in_words
from runbooks.plan import Phase, Plan
from runbooks.planning.extents import extents
from runbooks.planning.images.chosen import Chosen, chosen_of, that_may_begin
from runbooks.planning.pre_authorisation import pre_authorised
from runbooks.repository_policy import denies_pulls, with_pulls_allowed, with_pulls_denied, with_pulls_for
from runbooks.steps import AnyStep, SetRepositoryPolicy, SetStageTransition
from runbooks.steps.image_promotion import is_our_reason
from runbooks.telling.words import listed
from runbooks.triage import Assessment

LONGEST_REASON = 300
_REFUSED = re.compile(r"[^A-Za-z0-9!@().*? -]+", re.ASCII)
_ALREADY_IN = "what is in a stage already goes on to its end"
_UNTIL_THE_LAST = "it stays so until the last case that counts on it is released"
_NOT_THE_GATE = "the gate refuses the image as long as its case is open, whatever becomes of this plan"


def transition_reason(text: str) -> str:
    """The text as CodePipeline takes it: 1 to 300 of letters, digits, blanks and `!@().*?-`.

    Other characters become dashes (CodePipeline API reference, DisableStageTransition).
    """
    plain = " ".join(_REFUSED.sub("-", text).split()).strip("- ")
    return plain[:LONGEST_REASON].rstrip("- ") or "blocked"


def closing_reason(repository: str, response: str) -> str:
    """Why a stage is closed, with the response that did it: however long the repository's name, that stays whole."""
    mark = f"(remediation {response})"
    what = transition_reason(f"{repository} has a critical vulnerability")
    return f"{what[: LONGEST_REASON - len(mark) - 1].rstrip('- ')} {mark}"


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
        steps=(*_closed_stages(response, runbook, chosen), *_denial(runbook, chosen)),
        reasons=tuple(dict.fromkeys(reason for each in cases for reason in each.triage.reasons)),
        not_covered=tuple(_not_covered(runbook, chosen)),
        # What nobody was asked about does not approve an opening as well.
        releases_when_fixed=runbook.release.when_fixed == "by-itself" and not suspected and unasked is None,
        approval=rule.model_copy(update={"pre_authorised": unasked}),
        deferred=deferred,
        extents=touched,
    )


def let_pull(chosen: Sequence[Chosen], services: Sequence[EcsService]) -> Iterator[SetRepositoryPolicy]:
    """Let the roles that start these services pull; to everybody else pulls stay denied, whatever becomes of the rest.

    They run the vulnerable image as it is, so that nothing more is exposed: the denial is never lifted, and nothing has
    to bring it back where the deployment fails, is rolled back (which pulls the old image), or is handed over.
    """
    denied = denied_pulls(chosen)
    roles = tuple(dict.fromkeys(each.execution_role for each in services if each.execution_role is not None))
    if denied is None or (leaves := with_pulls_for(denied, roles)) == denied:
        return
    repository = chosen[0].repository
    named = listed((role.partition(":role/")[2] or role for role in roles), most=10)
    yield SetRepositoryPolicy(
        target=chosen[0].target("repository", repository.name),
        cases=tuple(each.case for each in chosen),
        repository=repository.name,
        expects=denied,
        leaves=leaves,
        consequence=f"but not to {named}, with which the services of this plan are started; the old image is not told "
        "from the new one",
    )


def denied_pulls(chosen: Sequence[Chosen]) -> str | None:
    """The repository's policy where it denies pulls, whoever has them denied: it holds for every image; else None."""
    policy = chosen[0].repository.policy
    return policy if denies_pulls(policy) else None


def _closed_stages(response: str, runbook: Runbook, chosen: Sequence[Chosen]) -> Iterator[SetStageTransition]:
    for stage in _stages(runbook, chosen):
        # What another response has closed is closed for these too: the step says so, and finds nothing to do.
        ours = not stage.enabled and is_our_reason(stage.reason)
        cases = _not_counted_yet(chosen) if ours else tuple(each.case for each in chosen)
        if cases and (stage.enabled or ours):
            yield SetStageTransition(
                target=chosen[0].target("pipeline-stage", f"{stage.pipeline}/{stage.stage}"),
                cases=cases,
                pipeline=stage.pipeline,
                stage=stage.stage,
                enabled=False,
                reason=closing_reason(chosen[0].repository.name, response),
            )


def _not_counted_yet(chosen: Sequence[Chosen]) -> tuple[str, ...]:
    """The cases for which nothing was closed before: the ledger has it of the others that they count on it."""
    return tuple(each.case for each in chosen if not each.assessment.facts.contained)


def _stages(runbook: Runbook, chosen: Sequence[Chosen]) -> tuple[StageTransition, ...]:
    """Those that the runbook names and that are there, each once, in its order."""
    every = (stage for each in chosen for stage in each.assessment.facts.image_facts.stages)
    there = {f"{stage.pipeline}/{stage.stage}": stage for stage in every}
    return tuple(there[name] for name in dict.fromkeys(runbook.contain.block.stages) if name in there)


def _denial(runbook: Runbook, chosen: Sequence[Chosen]) -> Iterator[AnyStep]:
    if not runbook.contain.block.deny_pulls or not chosen:
        return
    repository = chosen[0].repository
    cases = _not_counted_yet(chosen) if denies_pulls(repository.policy) else tuple(each.case for each in chosen)
    if cases:
        yield SetRepositoryPolicy(
            target=chosen[0].target("repository", repository.name),
            cases=cases,
            repository=repository.name,
            # Where pulls are denied already the original is what there was before that.
            expects=with_pulls_allowed(repository.policy),
            leaves=with_pulls_denied(repository.policy, runbook.contain.block.may_pull, repository.reader),
            consequence=_consequence(chosen),
        )


def _consequence(chosen: Sequence[Chosen]) -> str:
    users = [words for each in chosen for words in users_in_words(each.assessment.facts.image_facts)]
    goes_on = "what runs goes on, and what restarts or scales out fails, with every image of the repository"
    if any(each.assessment.facts.image_facts.functions for each in chosen):
        # Lambda developer guide, "Function lifecycle" of container images: it then is in the state Failed.
        goes_on += "; a function fails as soon as Lambda fetches its image anew"
    return f"{goes_on}: {listed(dict.fromkeys(users), most=10)}" if users else f"{goes_on}; nobody was seen to run it"


def _not_covered(runbook: Runbook, chosen: Sequence[Chosen]) -> Iterator[str]:
    block, there = runbook.contain.block, {f"{each.pipeline}/{each.stage}": each for each in _stages(runbook, chosen)}
    if block.stages:
        yield _ALREADY_IN
    for name in block.stages:
        stage = there.get(name)
        if stage is None:
            yield f"there is no stage {name}, which the runbook names: nothing is closed there"
        elif is_our_reason(stage.reason):
            yield f"the way into {name} is closed already ({stage.reason}): {_UNTIL_THE_LAST}"
        elif not stage.enabled:
            why = f" ({stage.reason})" if stage.reason else ""
            yield f"the way into {name} is closed already{why}: it is left so, and is not opened afterwards"
    if not block.deny_pulls:
        yield "nobody is kept from pulling the image: what runs may restart and scale out with it"
    elif chosen and denies_pulls(chosen[0].repository.policy):
        yield f"pulls are denied already, by an earlier plan of this system: {_UNTIL_THE_LAST}"
    elif (runbook.rebuild.test_project or runbook.rebuild.test_workflow) and not block.may_pull:
        yield "the integration test pulls the patched image from here, and none of contain.block.may_pull is its role"
    yield _NOT_THE_GATE
