"""The parts of a plan in words, unescaped: its steps, how much it touches, when it may begin and who says yes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from runbooks.plan import Extent, Phase, Plan
from runbooks.steps import AnyStep, LaunchReplacement, PatchPackages, PutLifecyclePolicy, RegisterTaskDefinition
from runbooks.steps.containment import short_arn
from runbooks.telling.words import counted, listed
from runbooks.timestamps import moment
from runbooks.windows import next_opening


def step_in_words(step: AnyStep) -> str:
    """The step with everything of it that its own description leaves out."""
    return f"{step.describe()}{_details(step)}"


def undo_in_words(step: AnyStep) -> str:
    """How a step is put back, or why not."""
    if step.undoes:
        return "This step itself puts back what an earlier one changed"
    undo = step.undo
    return undo.describe() if undo is not None else f"Not put back: {step.undo_reason}"


def put_back_whole(plan: Plan) -> int:
    """How many of its steps leave nothing behind when they are put back."""
    return sum(
        1
        for step in plan.steps
        if step.undo is not None and not (isinstance(step, PutLifecyclePolicy) and step.deletes and not step.undoes)
    )


def blast_radius(plan: Plan) -> Iterator[str]:
    """How much of what there is it touches: `1 of 4 instances of Auto Scaling group web`."""
    yield from _of_images(plan)
    counts, sizes = Counter[tuple[str, str, str]](), dict[tuple[str, str, str], int | None]()
    for extent in plan.extents:
        for what, name, size in shares(extent):
            counts[extent.place, what, name] += 1
            sizes[extent.place, what, name] = size
    places = {extent.place for extent in plan.extents}
    for (place, what, name), number in counts.items():
        where = f" ({place})" if len(places) > 1 else ""
        size = sizes[place, what, name]
        how_much = (
            f"{number} of {counted(size, what)}" if size else f"{counted(number, what)} (of how many is not known)"
        )
        yield f"{how_much} of {name}{where}"


def shares(extent: Extent) -> Iterator[tuple[str, str, int | None]]:
    """What one case is a share of: what is counted, of what, and how many there are, where that is known."""
    if extent.services is not None:
        return
    yield "running instance", f"environment {extent.environment}", extent.environment_size
    if extent.auto_scaling_group is not None:
        yield "instance", f"Auto Scaling group {extent.auto_scaling_group}", extent.auto_scaling_group_size
    for arn, size in extent.target_groups.items():
        yield "target", f"target group {short_arn(arn)}", size


def services_in_words(extent: Extent) -> Iterator[str]:
    """The services of an image, each of which is deployed as a whole."""
    for name, tasks in (extent.services or {}).items():
        yield f"service {name}, with {'its 1 task' if tasks == 1 else f'all of its {tasks} tasks'}"


def window_words(plan: Plan, now: datetime | None = None) -> Iterator[str]:
    """When its first change may be made; with a time, also when that is next."""
    if plan.windows:
        yield f"The first change is made only within: {'; '.join(map(str, plan.windows))}"
    opening = next_opening(plan.windows, now) if now is not None else None
    if opening is not None and now is not None:
        when = "It is open now" if opening.opens <= now else f"It opens next at {moment(opening.opens)}"
        yield f"{when}, until {moment(opening.closes)}"


def approval_words(plan: Plan) -> Iterator[str]:
    """Who says yes to it, how they prove who they are, and how long that holds."""
    rule = plan.approval
    if rule.covered_by:
        yield f"Covered by the approved plan {rule.covered_by}"
        return
    if not rule.required:
        yield "None is asked for"
        return
    if rule.pre_authorised:
        yield (
            f"Nobody is asked as long as the runbook's number for an hour is not used up: {rule.pre_authorised}. "
            "Otherwise:"
        )
    people = "1 person" if rule.quorum == 1 else f"{rule.quorum} different people"
    who = f"; only {listed(rule.approvers, most=10)} may" if rule.approvers else ""
    yield f"Asked for: a yes of {people} with the grant {listed(grants_needed(plan), most=10)}{who}"
    yield "Proof: a one-time code" + ("; in Slack the button is enough" if rule.slack_suffices else ", also in Slack")
    end = ", or by the end of the window that comes then" if plan.windows else ""
    yield f"It lapses unless the first change is made within {rule.expires_minutes} min of the question{end}"


def grants_needed(plan: Plan) -> tuple[str, ...]:
    """What whoever approves it must have been granted, all of it: `contain@production`."""
    return tuple(f"{plan.phase.value}@{environment}" for environment in plan.environments or ("unknown",))


def _of_images(plan: Plan) -> Iterator[str]:
    images = Counter(extent.environment for extent in plan.extents if extent.services is not None)
    for environment, number in images.items():
        yield f"{counted(number, 'container image')} of environment {environment}"
    if plan.phase in (Phase.CONTAIN, Phase.REMEDIATE):
        yield from dict.fromkeys(words for extent in plan.extents for words in services_in_words(extent))


def _details(step: AnyStep) -> str:
    match step:
        case PatchPackages() if len(step.instances) > 1:
            return f": {', '.join(step.instances)}"
        case LaunchReplacement():
            tags = ", ".join(f"{name}={value}" for name, value in step.tags.items()) or "none"
            profile = step.profile or "none"
            return f"; security groups {', '.join(step.groups) or 'none'}; instance profile {profile}; tags {tags}"
        case RegisterTaskDefinition():
            return f", for {listed(step.containers, most=10)}"
        case _:
            return ""
