"""What a story is about, as the sandbox has it: what makes the story possible, and what is counted and compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from deployments.sandbox.cloud import Cloud
from runbooks.steps.containment import OPERATION_TAG


class Subject(Protocol):
    """One resource with everything around it."""

    @property
    def sets_values(self) -> frozenset[str]:
        """Changes, as `service:Operation`, that take effect where a value was another: those of `values`."""
        ...

    @property
    def may_be_repeated(self) -> frozenset[str]:
        """Changes that do nothing once more; what they make is counted all the same."""
        ...

    def furnish(self, cloud: Cloud) -> dict[str, Any]:
        """Builds it; gives its finding's `event`, and what else the product is to be told of, such as the `bucket`."""
        ...

    def values(self, cloud: Cloud) -> Any:
        """What the calls of `sets_values` set, everywhere."""
        ...

    def described(self, cloud: Cloud) -> dict[str, Any]:
        """Everything that the playbook changes, by its name: at the end it is as it is when nothing was broken."""
        ...

    def made(self, cloud: Cloud) -> Iterator[str]:
        """Everything of which there may be one, by what made it; its kind is the first word."""
        ...

    def left_open(self, cloud: Cloud) -> Iterator[str]:
        """What rests in a state that is only ever to be passed through."""
        ...


def operation_of(tags: Iterable[dict[str, str]], key: str = "key", value: str = "value") -> str | None:
    """The operation that made something, as its tags tell."""
    return next((tag[value] for tag in tags if tag[key] == OPERATION_TAG), None)
