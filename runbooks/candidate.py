"""A candidate: the image that a rebuild has made, before anybody runs it."""

from __future__ import annotations

from runbooks.model import Model


class Candidate(Model):
    """What the build has pushed, by its digest: from here on it is looked at, tested and deployed by nothing else."""

    repository_uri: str
    digest: str
    tag: str
    """Under which the build pushed it."""
    build: str
    """Id of the build."""

    @property
    def image(self) -> str:
        """As whoever pulls it names it: repository URI, an at sign, and the digest."""
        return f"{self.repository_uri}@{self.digest}"
