"""Reading all that triage takes of cases about container images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from runbooks.build_terms import project_name
from runbooks.case import CaseKey
from runbooks.container_image import ContainerImage, ImageFacts, Repository, StageTransition
from runbooks.definition import Runbook
from runbooks.facts import CaseFacts
from runbooks.finding import Finding
from runbooks.gating.subject import ImageName
from tasks.facts import Resource, read_facts
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.codebuild import CodeBuildGateway
from tasks.gateways.codepipeline import CodePipelineGateway
from tasks.gateways.ecr import EcrGateway
from tasks.gateways.image_use import ImageUse, who_runs


def read_image_facts(
    aws: AwsSessions,
    keys: Mapping[str, CaseKey],
    seen: Mapping[str, Sequence[Finding]],
    runbook: Runbook,
    cannot_build: Callable[[str], str | None] = lambda repository: None,
) -> dict[str, CaseFacts]:
    """The facts of each case, read in bulk for each account and region.

    Who runs an image is read in every account where Inspector has seen it; stages and build project are looked for
    where the image is.

    Args:
        keys: case id -> where the case is; its resource is the image, as Inspector names it.
        seen: case id -> its findings as they arrived; a hint of what to read, never an authority.
        cannot_build: why images of a repository cannot be made by whoever is no part of AWS; None where they can.

    Raises:
        Outside: AWS did not say, so that neither can it be said who runs the images.
    """

    def images(
        account: str, region: str, cases: Sequence[str], findings: Mapping[str, Sequence[Finding]]
    ) -> dict[str, Resource]:
        names = {case: ImageName.parse(keys[case].resource_id) for case in cases}
        repositories = sorted({name.repository for name in names.values()})
        read = EcrGateway(aws)
        found = _images(read, account, region, names)
        known = read.repositories(account, region, repositories)
        present = [keys[case].resource_id for case in cases if found[case] is not None]
        uses = who_runs(aws, account, region, present)
        stages = CodePipelineGateway(aws).transitions(account, region, runbook.contain.block.stages)
        template = runbook.rebuild.project
        named = {name: project_name(template, name) for name in repositories} if template is not None else {}
        existing = CodeBuildGateway(aws).existing(account, region, [*named.values()])
        projects = {name: project for name, project in named.items() if project in existing}
        obstacles = {name: cannot_build(name) for name in repositories}
        return {
            case: _resource(
                found[case],
                known[name.repository],
                uses.get(keys[case].resource_id, ImageUse()),
                stages,
                projects.get(name.repository),
                obstacles[name.repository],
            )
            for case, name in names.items()
        }

    return read_facts(aws, keys, seen, images)


def _images(
    ecr: EcrGateway, account: str, region: str, names: Mapping[str, ImageName]
) -> dict[str, ContainerImage | None]:
    """Case -> its image; a call for a hundred of one repository."""
    digests: dict[str, dict[str, str]] = {}
    for case, name in names.items():
        digests.setdefault(name.repository, {})[case] = str(name.digest)
    found: dict[str, ContainerImage | None] = {}
    for repository, wanted in digests.items():
        images = ecr.images(account, region, repository, [*wanted.values()])
        found |= {case: images[digest] for case, digest in wanted.items()}
    return found


def _resource(
    image: ContainerImage | None,
    repository: Repository | None,
    use: ImageUse,
    stages: tuple[StageTransition, ...],
    project: str | None,
    cannot_build: str | None,
) -> Resource:
    if image is not None:
        image = image.model_copy(update={"index_tags": tuple(sorted({*use.tags} - {*image.tags}))})
    facts = ImageFacts(
        image=image,
        repository=repository,
        services=use.services,
        functions=use.functions,
        dormant=use.dormant,
        others=use.others,
        may_be_used_in=use.may_be_used_in,
        stages=stages,
        in_use_count=use.in_use_count,
        last_in_use_at=use.last_in_use_at,
        project=project,
        cannot_build=cannot_build,
    )
    return Resource(facts, repository.tags if repository else {})
