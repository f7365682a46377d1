"""Who may say yes to what, and where."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from runbooks.model import Model

ANY = "*"
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]{1,119}$")]
Grant = Annotated[str, Field(pattern=r"^(\*|contain|rebuild|remediate|release|deprecate)@(\*|[A-Za-z0-9._-]{1,64})$")]
"""A phase and an environment, such as `contain@production`; either may be `*`."""


class Approver(Model):
    """A person who may approve, as registered."""

    name: Name
    grants: Annotated[tuple[Grant, ...], Field(min_length=1)]
    secret: str
    """The secret of their one-time codes (RFC 6238), concealed with the signing key."""
    slack_user: Annotated[str, Field(pattern=r"^[UW][A-Z0-9]{2,20}$")] | None = None
    slack_team: Annotated[str, Field(pattern=r"^[TE][A-Z0-9]{2,20}$")] | None = None
    logins: tuple[str, ...] = ()
    """Names under which they may start a response from a terminal, which they then do not approve."""

    def may_approve(self, phase: str, environment: str) -> bool:
        """Whether one of the grants covers the phase in this environment."""
        wanted = (phase, environment)
        return any(
            all(part in (ANY, want) for part, want in zip(grant.split("@", 1), wanted, strict=True))
            for grant in self.grants
        )
