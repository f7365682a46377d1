"""What an ECR lifecycle policy does to the images of a repository.

Every rule is judged by itself, then rules act by priority: an image that matches a rule's tags is never touched by a
later rule (ECR user guide, "Lifecycle policy evaluation rules" and "Lifecycle policy properties").
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from deployments.sandbox import registry
from deployments.sandbox.container_images import ContainerImage
from deployments.sandbox.world import World


class InvalidPolicy(ValueError):
    """The text is not a lifecycle policy."""


class _Stated(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)


class Selection(_Stated):
    """Which images a rule is about."""

    tag_status: Literal["tagged", "untagged", "any"]
    count_type: Literal["imageCountMoreThan", "sinceImagePushed", "sinceImagePulled", "sinceImageTransitioned"]
    count_number: int = Field(ge=1)
    count_unit: Literal["days"] | None = None
    tag_prefix_list: tuple[str, ...] = ()
    tag_pattern_list: tuple[str, ...] = ()
    storage_class: Literal["standard", "archive"] = "standard"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.tag_status == "tagged") != bool(self.tag_prefix_list or self.tag_pattern_list):
            raise ValueError("tagPrefixList or tagPatternList go with tagStatus tagged, and only with it")
        if (self.count_type == "imageCountMoreThan") == bool(self.count_unit):
            raise ValueError("countUnit goes with every countType but imageCountMoreThan")
        if (self.count_type == "sinceImageTransitioned") != (self.storage_class == "archive"):
            raise ValueError("storageClass archive goes with sinceImageTransitioned, and only with it")
        return self

    def is_about(self, image: ContainerImage) -> bool:
        """Whether the image is in the rule's storage class and has the tags the rule asks for."""
        if image.status != ("ARCHIVED" if self.storage_class == "archive" else "ACTIVE"):
            return False
        patterns = (*(f"{prefix}*" for prefix in self.tag_prefix_list), *self.tag_pattern_list)
        if self.tag_status == "tagged":
            return all(any(fnmatchcase(tag, pattern) for tag in image.tags) for pattern in patterns)
        return self.tag_status == "any" or not image.tags


class Action(_Stated):
    """What a rule does."""

    type: Literal["expire", "transition"]
    target_storage_class: Literal["archive"] | None = None


class Rule(_Stated):
    """One rule; a lower priority number acts first."""

    rule_priority: int = Field(ge=1)
    description: str = ""
    selection: Selection
    action: Action


class Policy(_Stated):
    """A lifecycle policy."""

    rules: tuple[Rule, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        priorities = [rule.rule_priority for rule in self.rules]
        if len(set(priorities)) < len(priorities):
            raise ValueError("every rule needs a rulePriority of its own")
        if any(r.selection.tag_status == "any" and r.rule_priority < max(priorities) for r in self.rules):
            raise ValueError("a rule with tagStatus any must have the highest rulePriority")
        return self


@dataclass(frozen=True)
class Decision:
    """What is to become of an image, and by which rule."""

    image: ContainerImage
    rule: Rule


@dataclass
class Preview:
    """The preview of a policy: in progress until it has results."""

    text: str
    results: list[Decision] | None = None


def read_policy(text: str) -> Policy:
    """Read a lifecycle policy.

    Raises:
        InvalidPolicy: it is none, and the message says why.
    """
    try:
        return Policy.model_validate_json(text)
    except ValidationError as error:
        raise InvalidPolicy("; ".join(str(one["msg"]) for one in error.errors())) from error


def decide(world: World, repository: str, policy: Policy) -> list[Decision]:
    """What the policy would do now, oldest image first."""
    images = registry.images_of(world, repository)
    decisions: dict[str, Decision] = {}
    claimed: set[str] = set()
    for rule in sorted(policy.rules, key=lambda rule: rule.rule_priority):
        matching = [image for image in images if rule.selection.is_about(image)]
        for image in _selected(world, rule.selection, matching):
            if image.digest not in claimed:
                decisions[image.digest] = Decision(image, rule)
        claimed |= {image.digest for image in matching}
    return sorted(decisions.values(), key=lambda decision: _entered_at(decision.image))


def keep_applying(world: World, repository: str, text: str) -> None:
    """Apply the policy from time to time, as long as it is the repository's."""

    def apply() -> None:
        present = registry.backend(world).repositories.get(repository)
        if present is None or present.lifecycle_policy != text:
            return
        for decision in decide(world, repository, read_policy(text)):
            (registry.delete if decision.rule.action.type == "expire" else registry.archive)(world, decision.image)
        world.clock.after(world.settings.lifecycle, apply)

    world.clock.after(world.settings.lifecycle, apply)


def start_preview(world: World, repository: str, text: str) -> Preview:
    """Begin a preview; its results are there a moment later."""
    preview = world.previews[repository] = Preview(text)

    def complete() -> None:
        preview.results = decide(world, repository, read_policy(text))

    world.clock.after(world.settings.lifecycle_preview, complete)
    return preview


def _selected(world: World, selection: Selection, images: list[ContainerImage]) -> list[ContainerImage]:
    if selection.count_type == "imageCountMoreThan":
        return sorted(images, key=_entered_at, reverse=True)[selection.count_number :]
    limit = world.now - timedelta(days=selection.count_number)
    since = {
        "sinceImagePushed": _entered_at,
        "sinceImagePulled": lambda image: max(_entered_at(image), image.pulled_at or image.pushed_at),
        "sinceImageTransitioned": lambda image: image.archived_at or world.now,
    }[selection.count_type]
    return [image for image in images if since(image) < limit]


def _entered_at(image: ContainerImage) -> datetime:
    return image.activated_at or image.pushed_at
