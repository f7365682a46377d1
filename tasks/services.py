"""The gateways of this process, made from the settings once, and replaceable for a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from runbooks.catalog import LIBRARY, Catalog
from runbooks.signing import Signer
from tasks.gateways.copacetic import Copacetic
from tasks.gateways.ledger import Ledger
from tasks.gateways.pacing import Pacing
from tasks.keys import read_signer
from tasks.settings import Settings, settings

if TYPE_CHECKING:
    from tasks.gateways.actions import Elsewhere
    from tasks.gateways.github import GitHubGateway
    from tasks.gateways.jira import JiraGateway
    from tasks.gateways.slack import SlackGateway

SLACK_TIMEOUT_SECONDS = 15
JIRA_TIMEOUT_SECONDS = 20
GITHUB_TIMEOUT_SECONDS = 20
"""No longer than a call of AWS: a take-over of a lease settles for longer than that."""


@dataclass(frozen=True)
class Services:
    """What the tasks of this process work with."""

    settings: Settings

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger.open(self.settings.ledger, sign=self.sign)

    @cached_property
    def signer(self) -> Signer:
        """Signs decisions and approvers, and tells whether they were signed.

        Raises:
            Unsafe: there is no signing key.
        """
        return read_signer(self.settings)

    @cached_property
    def catalog(self) -> Catalog:
        return Catalog.read(LIBRARY, *self.settings.library_folders)

    @cached_property
    def pacing(self) -> Pacing | None:
        """What makes the requests of this process wait for AWS's token buckets; None where nothing is paced."""
        factor = self.settings.request_rate_factor
        return Pacing(factor) if factor else None

    @cached_property
    def slack(self) -> SlackGateway | None:
        """None where no Slack is configured."""
        from tasks.gateways.slack import SlackGateway

        if self.settings.slack_token is None:
            return None
        return SlackGateway(
            self.settings.slack_token.get_secret_value(),
            self.settings.slack_url,
            self.settings.slack_channel,
            SLACK_TIMEOUT_SECONDS,
        )

    @cached_property
    def jira(self) -> JiraGateway | None:
        """None where no Jira is configured."""
        from tasks.gateways.jira import JiraGateway

        if self.settings.jira_server is None or self.settings.jira_token is None:
            return None
        return JiraGateway(
            self.settings.jira_server,
            self.settings.jira_user or "",
            self.settings.jira_token.get_secret_value(),
            self.settings.jira_project,
            self.settings.jira_issue_type,
            JIRA_TIMEOUT_SECONDS,
        )

    @cached_property
    def github(self) -> GitHubGateway | None:
        """None where no token for GitHub is set."""
        from tasks.gateways.github import GitHubGateway

        chosen = self.settings
        if chosen.github_token is None:
            return None
        return GitHubGateway(chosen.github_token.get_secret_value(), chosen.github_api, GITHUB_TIMEOUT_SECONDS)

    @cached_property
    def copacetic(self) -> Copacetic:
        return Copacetic(self.settings.buildkit_address)

    @property
    def elsewhere(self) -> Elsewhere:
        """Whom some kinds of steps need besides AWS."""
        from tasks.gateways.actions import Elsewhere

        return Elsewhere(self.github, self.copacetic)

    def sign(self, stream: str, record: Any) -> Any:
        """The record with this system's signature for this stream.

        Raises:
            Unsafe: there is no signing key.
        """
        return self.signer.signed(stream, record)

    def now(self) -> datetime:
        return datetime.now(UTC)


_chosen: ContextVar[Services | None] = ContextVar("services", default=None)


@lru_cache(maxsize=1)
def _default() -> Services:
    return Services(settings())


def services() -> Services:
    """The services in force here."""
    return _chosen.get() or _default()


@contextmanager
def use(replacement: Services) -> Iterator[Services]:
    """Work with these services instead, in this context and in the tasks started from it."""
    token = _chosen.set(replacement)
    try:
        yield replacement
    finally:
        _chosen.reset(token)
