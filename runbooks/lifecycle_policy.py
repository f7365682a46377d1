"""A lifecycle policy of ECR as a runbook gives it: checked when the runbook is read, not when it is put."""

from __future__ import annotations

import json
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from runbooks.model import Model

SHORTEST, LONGEST = 100, 30_720
"""Characters (ECR API reference, PutLifecyclePolicy)."""


class _Member(Model):
    """A part of a policy, by ECR's own names."""

    model_config = ConfigDict(alias_generator=to_camel)


class _Selection(_Member):
    tag_status: Literal["tagged", "untagged", "any"]
    tag_pattern_list: tuple[str, ...] | None = None
    tag_prefix_list: tuple[str, ...] | None = None
    storage_class: Literal["standard", "archive"] | None = None
    count_type: Literal["imageCountMoreThan", "sinceImagePushed", "sinceImagePulled", "sinceImageTransitioned"]
    count_unit: Literal["days"] | None = None
    count_number: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        named = bool(self.tag_pattern_list or self.tag_prefix_list)
        if named is not (self.tag_status == "tagged"):
            raise ValueError("tagPatternList or tagPrefixList goes with tagStatus tagged, and with no other")
        if (self.count_unit is None) is not (self.count_type == "imageCountMoreThan"):
            raise ValueError("countUnit days goes with every countType but imageCountMoreThan")
        return self


class _Action(_Member):
    type: Literal["expire", "transition"]
    target_storage_class: Literal["archive"] | None = None

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if (self.target_storage_class is None) is (self.type == "transition"):
            raise ValueError("targetStorageClass goes with type transition, and with no other")
        return self


class _Rule(_Member):
    rule_priority: Annotated[int, Field(ge=1)]
    description: str = ""
    selection: _Selection
    action: _Action


class _Policy(_Member):
    """ECR user guide, "Lifecycle policy properties"."""

    rules: Annotated[tuple[_Rule, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        priorities = [rule.rule_priority for rule in self.rules]
        if len(set(priorities)) < len(priorities):
            raise ValueError("every rule has a rulePriority of its own")
        last = max(self.rules, key=lambda rule: rule.rule_priority)
        if any(rule.selection.tag_status == "any" for rule in self.rules if rule is not last):
            raise ValueError("a rule with tagStatus any comes last")
        return self


def checked_lifecycle_policy(text: str) -> str:
    """The text, unchanged.

    Raises:
        ValueError: ECR would not take it; the message says where and why.
    """
    if not SHORTEST <= len(text) <= LONGEST:
        raise ValueError(f"a lifecycle policy has {SHORTEST} to {LONGEST} characters, and this one {len(text)}")
    try:
        _Policy.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the policy"
        raise ValueError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from error
    return text


def expires_images(text: str | None) -> bool:
    """Whether ECR deletes images by this policy; of a text that cannot be read that is not ruled out."""
    if text is None:
        return False
    try:
        return any(rule["action"]["type"] == "expire" for rule in json.loads(text)["rules"])
    except (ValueError, TypeError, LookupError):
        return True


def with_mark(text: str, mark: str) -> str:
    """The same rules, with a mark in the description of the first: ECR gives the text of a preview back as it was sent.

    Args:
        mark: one word.
    """
    document = json.loads(text)
    first = document["rules"][0]
    first["description"] = f"{first.get('description', '')} ({mark})".lstrip()
    return json.dumps(document, separators=(",", ":"))


def mark_of(marked: str, text: str) -> str | None:
    """The mark that a text has, where it says the same as another but for that; None where it does not."""
    try:
        description = str(json.loads(marked)["rules"][0].get("description", ""))
    except (ValueError, TypeError, LookupError, AttributeError):
        return None
    mark = description.rpartition("(")[2].removesuffix(")")
    return mark if same_policy(marked, with_mark(text, mark)) else None


def same_policy(one: str | None, other: str | None) -> bool:
    """Whether two texts say the same, however they are spaced."""
    if one is None or other is None:
        return one is other
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return one == other
