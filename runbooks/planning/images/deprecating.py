"""The deprecate plan: the old images lose their tags and are archived, so that nobody pulls them again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runbooks.candidate import Candidate
from runbooks.container_image import short_digest
from runbooks.definition import Runbook
from runbooks.image_users import out_of_sight
from runbooks.lifecycle_policy import same_policy
from runbooks.plan import Phase, Plan
from runbooks.planning.extents import extents
from runbooks.planning.images.chosen import Chosen, chosen_of, that_may_begin
from runbooks.steps import AnyStep, DeleteImage, PutLifecyclePolicy, SetImageArchived, SetImageTag, SetTagMutability
from runbooks.telling.words import listed
from runbooks.triage import Assessment

_WITH_EXCEPTIONS = ("MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION")


def plan_deprecation(
    response: str,
    runbook: Runbook,
    assessments: Sequence[Assessment],
    candidate: Candidate,
    *,
    revision: int = 1,
) -> Plan:
    """What retires the old images, the reversible first; each step looks once more that nobody runs the image.

    Raises:
        LimitExceeded: the plan would touch more than the runbook's limits allow.
    """
    every = [each for each in chosen_of(runbook, assessments) if each.image.digest != candidate.digest]
    chosen, deferred = that_may_begin(runbook, every)
    touched = extents(runbook, [each.assessment for each in chosen])
    steps = tuple(_steps(runbook, chosen))
    return Plan(
        response=response,
        runbook=runbook.name,
        runbook_digest=runbook.digest,
        phase=Phase.DEPRECATE,
        revision=revision,
        cases=tuple(each.case for each in chosen),
        steps=steps,
        reasons=(f"nobody is to run the old image any more: {candidate.tag} has taken its place",),
        not_covered=tuple(_not_covered(runbook, chosen)),
        cannot_be_put_back=tuple(_for_good(steps)),
        approval=runbook.deprecate.approval.rule([each.environment for each in touched]),
        deferred=deferred,
        extents=touched,
    )


def _steps(runbook: Runbook, chosen: Sequence[Chosen]) -> Iterator[AnyStep]:
    if not chosen:
        return
    choice, there = runbook.deprecate, [each for each in _that_nobody_else_uses(chosen) if not each.image.archived]
    if choice.remove_tags and not _deletes(runbook):
        yield from (step for each in there for step in _removed_tags(each))
    if choice.archive:
        yield from (_archived(each) for each in there)
    yield from _of_the_repository(runbook, chosen)
    yield from (_deleted(each) for each in _to_delete(runbook, chosen))


def _that_nobody_else_uses(chosen: Sequence[Chosen]) -> tuple[Chosen, ...]:
    """Without those that may be used where this system cannot look: each step that retires one would stop there."""
    return tuple(each for each in chosen if not each.assessment.facts.image_facts.may_be_used_in)


def _deletes(runbook: Runbook) -> bool:
    """What is archived is not deleted as well."""
    return runbook.deprecate.delete and not runbook.deprecate.archive


def _to_delete(runbook: Runbook, chosen: Sequence[Chosen]) -> tuple[Chosen, ...]:
    """Not what a version of a function is made from, even one that nobody is seen to call: it would be lost with it.

    Nor what an index lists: ECR does not delete that (ECR API reference, ImageFailure, ImageReferencedByManifestList).
    """
    if not _deletes(runbook):
        return ()
    return tuple(
        each
        for each in _that_nobody_else_uses(chosen)
        if not (each.assessment.facts.image_facts.versions or each.image.index_tags)
    )


def _removed_tags(each: Chosen) -> Iterator[SetImageTag]:
    """All but one: with the last one ECR would delete the image (ECR API reference, BatchDeleteImage)."""
    for tag in each.image.tags:
        if tag != _kept_tag(each):
            yield SetImageTag(
                target=each.target("image", f"{each.repository.name}:{tag}"),
                cases=(each.case,),
                repository=each.repository.name,
                digest=each.image.digest,
                tag=tag,
            )


def _kept_tag(each: Chosen) -> str | None:
    """The one that says most: not `latest`, which is to mean another image."""
    tags = each.image.tags
    return min((tag for tag in tags if tag != "latest"), default=tags[0] if tags else None)


def _archived(each: Chosen) -> SetImageArchived:
    return SetImageArchived(
        target=each.target("image", f"{each.repository.name}@{each.image.digest}"),
        cases=(each.case,),
        repository=each.repository.name,
        digest=each.image.digest,
    )


def _deleted(each: Chosen) -> DeleteImage:
    return DeleteImage(
        target=each.target("image", f"{each.repository.name}@{each.image.digest}"),
        cases=(each.case,),
        repository=each.repository.name,
        digest=each.image.digest,
    )


def _of_the_repository(runbook: Runbook, chosen: Sequence[Chosen]) -> Iterator[AnyStep]:
    choice, first = runbook.deprecate, chosen[0]
    repository, cases = first.repository, tuple(each.case for each in chosen)
    target = first.target("repository", repository.name)
    policy = choice.lifecycle_policy
    if policy is not None and not same_policy(policy, repository.lifecycle_policy):
        yield PutLifecyclePolicy(
            target=target,
            cases=cases,
            repository=repository.name,
            expects=repository.lifecycle_policy,
            leaves=policy,
        )
    if choice.immutable_tags and repository.tag_mutability == "MUTABLE":
        yield SetTagMutability(
            target=target,
            cases=cases,
            repository=repository.name,
            expects=repository.tag_mutability,
            leaves="IMMUTABLE",
        )


def _not_covered(runbook: Runbook, chosen: Sequence[Chosen]) -> Iterator[str]:
    choice = runbook.deprecate
    retired = _that_nobody_else_uses(chosen)
    yield from _may_be_used(chosen)
    for each in retired:
        kept = _kept_tag(each)
        if kept and choice.remove_tags and not choice.archive and not _deletes(runbook):
            yield (
                f"{each.image.name} keeps its tag {kept}, and can be pulled by it: without its last tag ECR deletes it"
            )
    if choice.immutable_tags and chosen and chosen[0].repository.tag_mutability in _WITH_EXCEPTIONS:
        yield f"the rule for the tags of {chosen[0].repository.name} has exceptions, and is left as it is"
    if choice.archive and choice.delete:
        yield "an image that is archived is not deleted as well"
    yield from _indexed(runbook, retired)
    yield from _missed(runbook, retired)
    yield "copies elsewhere (replicas in other regions, pull-through caches, mirrors) are not touched"


def _may_be_used(chosen: Sequence[Chosen]) -> Iterator[str]:
    held: dict[str, list[str]] = {}
    for each in chosen:
        for words in out_of_sight(each.assessment.facts.image_facts.may_be_used_in):
            held.setdefault(words, []).append(each.image.name)
    yield from (f"not retired, {listed(names, most=10)}: {words}" for words, names in held.items())


def _indexed(runbook: Runbook, chosen: Sequence[Chosen]) -> Iterator[str]:
    """An index is no case of its own: its tags, and the images of other platforms, are left."""
    for each in chosen:
        if not each.image.index_tags:
            continue
        tags = listed(each.image.index_tags, most=10)
        stays = f"{tags} stays with the index that lists {each.image.name}"
        if runbook.deprecate.archive:
            yield f"{stays}: pulled by it on that image's platform, nothing comes until the image is active again"
        else:
            deleted = ", which ECR therefore does not delete" if _deletes(runbook) else ""
            yield f"{stays}{deleted}: it can be pulled by it"


def _missed(runbook: Runbook, chosen: Sequence[Chosen]) -> Iterator[str]:
    """Lambda fetches the image of every version now and then; without it the version fails (Lambda developer guide).

    What comes back from the archive can be fetched again; what is deleted cannot.
    """
    for each in chosen:
        versions = each.assessment.facts.image_facts.versions
        held = listed((f"version {one.version} of function {one.name}" for one in versions), most=10)
        if held and _deletes(runbook):
            yield f"{each.image.name} is not deleted as long as there is {held}, even if nobody calls it"
        elif held and runbook.deprecate.archive:
            yield f"archived, {each.image.name} is missed by {held}: called, it fails until the image is active again"


def _for_good(steps: Sequence[AnyStep]) -> Iterator[str]:
    for step in steps:
        match step:
            case DeleteImage():
                yield f"{step.repository}@{short_digest(step.digest)} is deleted for good"
            case PutLifecyclePolicy() if step.deletes:
                # ECR user guide, "Creating a lifecycle policy": within 24 hours.
                yield (
                    f"what the lifecycle policy of {step.repository} expires is deleted for good, within 24 hours of "
                    "its change and as long as it is there: the former policy brings none of it back, and whether "
                    "somebody runs what is expired later is not looked at"
                )
            case _:
                pass
