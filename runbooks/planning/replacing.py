"""The steps that replace instances from a patched AMI: an instance refresh of their group, or a new instance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from runbooks.definition import Runbook
from runbooks.errors import Refused
from runbooks.steps import AnyStep, CreateLaunchTemplateVersion, LaunchReplacement, RefreshInstances, Target
from runbooks.triage import Assessment


def together(replaced: Sequence[Assessment]) -> Iterator[tuple[Assessment, ...]]:
    """The cases that one new version of a launch template replaces, and the others one by one."""
    templates: dict[tuple[str, str, str], list[Assessment]] = {}
    for each in replaced:
        group = each.instance.auto_scaling
        template = (group.launch_template if group else None) or each.instance.id
        templates.setdefault((each.instance.account, each.instance.region, template), []).append(each)
    yield from map(tuple, templates.values())


def replacing(runbook: Runbook, replaced: Sequence[Assessment]) -> Iterator[AnyStep]:
    """The steps that replace these; whatever is refreshed or launched together has to be among them as a whole."""
    groups: dict[tuple[str, str, str], list[Assessment]] = {}
    for each in replaced:
        instance = each.instance
        if instance.auto_scaling is None or instance.auto_scaling.launch_template is None:
            yield _launch(each)
        else:
            groups.setdefault((instance.account, instance.region, instance.auto_scaling.group), []).append(each)
    refreshes = [_refresh(runbook, members) for members in groups.values()]
    followers = {each.case: _followers(each) for members in groups.values() for each in members}
    yield from _versions(refreshes, followers)
    yield from refreshes


def _launch(each: Assessment) -> LaunchReplacement:
    instance, image = each.instance, each.facts.host.replacement_image
    if image is None or not instance.interfaces:
        raise Refused(f"{instance.id} cannot be replaced: no patched AMI or no interface is known", code="person")
    first = instance.interfaces[0]
    return LaunchReplacement(
        target=Target(account=instance.account, region=instance.region, type="instance", id=instance.id),
        cases=(each.case,),
        image=image,
        instance_type=instance.type,
        subnet=first.subnet,
        groups=first.groups,
        profile=instance.profile,
        # AWS keeps the aws: prefix for itself.
        tags={key: value for key, value in instance.tags.items() if not key.startswith("aws:")},
    )


def _refresh(runbook: Runbook, members: Sequence[Assessment]) -> RefreshInstances:
    instance, image = members[0].instance, members[0].facts.host.replacement_image
    group = instance.auto_scaling
    if group is None or group.launch_template is None or group.launch_template_version is None or image is None:
        raise Refused(
            f"the group of {instance.id} cannot be refreshed: its launch template is not known", code="person"
        )
    return RefreshInstances(
        target=Target(account=instance.account, region=instance.region, type="auto-scaling-group", id=group.group),
        cases=tuple(each.case for each in members),
        launch_template=group.launch_template,
        version="@operation",
        previous_version=group.launch_template_version,
        image=image,
        minimum_healthy_percentage=runbook.remediate.minimum_healthy_percentage,
        checkpoints=runbook.remediate.checkpoints,
        checkpoint_delay_seconds=runbook.remediate.checkpoint_delay_seconds,
    )


def _followers(each: Assessment) -> frozenset[str]:
    group = each.instance.auto_scaling
    return frozenset(group.template_followers if group else ())


def _versions(
    refreshes: Sequence[RefreshInstances], followers: Mapping[str, frozenset[str]]
) -> Iterator[CreateLaunchTemplateVersion]:
    """One new version of each launch template, serving every group that uses it; none where others would follow it."""
    by_template: dict[str, list[RefreshInstances]] = {}
    for refresh in refreshes:
        by_template.setdefault(refresh.launch_template, []).append(refresh)
    for template, users in by_template.items():
        first = users[0]
        if len({(user.previous_version, user.image) for user in users}) > 1:
            groups = ", ".join(user.target.id for user in users)
            raise Refused(f"{groups} use different versions or AMIs of launch template {template}", code="person")
        served = tuple(user.target.id for user in users)
        others = {name for user in users for case in user.cases for name in followers[case]} - set(served)
        if others:
            raise Refused(
                f"launch template {template} is shared: {', '.join(sorted(others))} would launch from its new version "
                "too; give them a fixed version, or $Default",
                code="shared-template",
            )
        yield CreateLaunchTemplateVersion(
            target=first.target.model_copy(update={"type": "launch-template", "id": template}),
            cases=tuple(case for user in users for case in user.cases),
            source_version=first.previous_version,
            image=first.image or "",
            groups=served,
        )
