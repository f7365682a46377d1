"""All that was read for one case, as triage and planning take it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Tag

from runbooks.container_image import ImageFacts
from runbooks.errors import Refused
from runbooks.finding import Finding
from runbooks.function import FunctionFacts
from runbooks.instance import Exploitation, InstanceFacts
from runbooks.model import Model
from runbooks.network import NetworkFacts
from runbooks.other_resource import OtherFacts

SUSPICION_TAG = "remediation:compromise-suspected"
"""A person or a detection puts this tag on a resource that may be compromised; its value says who, or why."""


def _kind(value: Any) -> str:
    """Facts written down before there were other kinds are an instance's, and do not say so."""
    return str(value.get("kind", "instance") if isinstance(value, dict) else value.kind)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]


ResourceFacts = Annotated[
    Annotated[InstanceFacts, Tag("instance")]
    | Annotated[ImageFacts, Tag("image")]
    | Annotated[FunctionFacts, Tag("function")]
    | Annotated[NetworkFacts, Tag("network")]
    | Annotated[OtherFacts, Tag("other")],
    Discriminator(_kind),
]
"""What was read of the case's resource, by its kind."""


class CaseFacts(Model):
    """The case's findings as Inspector has them now, what is known of exploits, and the resource."""

    case: str
    findings: tuple[Finding, ...]
    exploitation: Exploitation = Exploitation()
    resource: ResourceFacts
    contained: bool = False
    """Whether a containment of this resource is in force: what it shows now is our own doing."""
    suspected: str | None = None
    """Who or what says that this very host is compromised (the value of SUSPICION_TAG), None when nobody does."""

    @property
    def host(self) -> InstanceFacts:
        """What was read of the instance.

        Raises:
            Refused: the case is about another kind of resource.
        """
        if isinstance(self.resource, NetworkFacts):
            return self.resource.host
        if not isinstance(self.resource, InstanceFacts):
            raise Refused(f"{self.case} is not about an instance", code="other-resource")
        return self.resource

    @property
    def image_facts(self) -> ImageFacts:
        """What was read of the container image.

        Raises:
            Refused: the case is about another kind of resource.
        """
        if not isinstance(self.resource, ImageFacts):
            raise Refused(f"{self.case} is not about a container image", code="other-resource")
        return self.resource

    @property
    def function_facts(self) -> FunctionFacts:
        """What was read of the Lambda function.

        Raises:
            Refused: the case is about another kind of resource.
        """
        if not isinstance(self.resource, FunctionFacts):
            raise Refused(f"{self.case} is not about a function", code="other-resource")
        return self.resource

    @property
    def network_facts(self) -> NetworkFacts:
        """What was read of the ways into the instance.

        Raises:
            Refused: the case is not about these.
        """
        if not isinstance(self.resource, NetworkFacts):
            raise Refused(f"{self.case} is not about a way in", code="other-resource")
        return self.resource

    @property
    def tags(self) -> dict[str, str]:
        """The resource's own: the instance's, or the repository's of an image. None are there once it is gone."""
        if isinstance(self.resource, ImageFacts):
            repository = self.resource.repository
            return repository.tags if repository else {}
        if isinstance(self.resource, FunctionFacts):
            return self.resource.function.tags if self.resource.function else {}
        if isinstance(self.resource, OtherFacts):
            return self.resource.tags
        return self.resource.instance.tags if self.resource.instance else {}
