"""The one place where AWS clients are made: whose role they have, how long they wait, how often they ask.

A client that acts sends each request once. A second sending by botocore would be a second act that nobody wrote down,
for many calls have no idempotency token; whether to send again is decided above, after looking. Only what AWS refused
for its rate, which had no effect, is sent again here, where requests are paced.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from runbooks.steps.base import Role
from tasks.gateways.pacing import Pacing, keep_pace

if TYPE_CHECKING:
    import boto3
    from botocore.config import Config

Guard = Callable[[str], None]

_SESSION_SECONDS = 900
_REFRESH_BEFORE_SECONDS = 300
"""botocore's own 15 minutes would refresh a session of 15 minutes at every call."""
_MUST_REFRESH_BEFORE_SECONDS = 60
_CONNECT_SECONDS = 5
_READ_ATTEMPTS = 5
_NOT_IN_A_SESSION_NAME = re.compile(r"[^\w+=,.@-]", re.ASCII)
_EXPIRED = datetime(1970, 1, 1, tzinfo=UTC)


_closing: ContextVar[bool] = ContextVar("closing", default=False)


@contextmanager
def closing() -> Iterator[None]:
    """Surrounds the call that ends an unsafe middle: whatever stops what opens does not stop this one."""
    token = _closing.set(True)
    try:
        yield
    finally:
        _closing.reset(token)


def is_closing() -> bool:
    """Whether the call that is about to leave closes what would otherwise rest open."""
    return _closing.get()


class AwsSessions:
    """Clients for any account, region and role, made once and shared by threads.

    The endpoint is AWS's, or what botocore reads from AWS_ENDPOINT_URL; nothing here knows which.

    Args:
        role_arn: template of the role to assume in the account of the finding, with `{partition}`, `{account}` and
            `{role}` (read, contain, patch, restore). None: the process's own credentials, whatever they are for.
        session_name: names whoever acts in CloudTrail, such as the response id; cut to 64 characters.
        external_id: what the role's trust policy asks for, if it does.
        guard: called with the operation's name immediately before each request of an acting client leaves, after
            any wait. It raises to stop the call: here the lease and the kill switch are checked.
        read_timeout_seconds: how long an answer is waited for; a take-over of a lease must settle longer than this.
        pacing: what makes requests wait for AWS's token buckets; None lets each leave at once.
    """

    def __init__(
        self,
        role_arn: str | None,
        partition: str = "aws",
        *,
        session_name: str,
        external_id: str | None = None,
        guard: Guard | None = None,
        read_timeout_seconds: float = 20,
        pacing: Pacing | None = None,
    ) -> None:
        self._role_arn = role_arn
        self._partition = partition
        self._session_name = _NOT_IN_A_SESSION_NAME.sub("-", session_name)[:64]
        self._external_id = external_id
        self._guard = guard
        self._read_timeout_seconds = read_timeout_seconds
        self._pacing = pacing
        self._lock = threading.Lock()
        self._sessions: dict[tuple[str, str, Role], boto3.Session] = {}
        self._credentials: dict[tuple[str, Role], Any] = {}
        """Of each account and role, for every region: those of a regional STS endpoint hold in all of them."""
        self._clients: dict[tuple[str, str, str, Role], Any] = {}

    def client(self, service: str, account: str, region: str, role: Role) -> Any:
        """A boto3 client of `service` under `role` in `account`. The role is assumed when the client is first used."""
        key = (service, account, region, role)
        # Making a client is the one thing of boto3 that threads must not do at the same time.
        with self._lock:
            if key not in self._clients:
                self._clients[key] = self._new_client(service, account, region, role)
            return self._clients[key]

    def role_in(self, account: str, role: Role) -> str | None:
        """ARN of what is assumed for this role in the account; None where these are the process's own credentials."""
        if self._role_arn is None:
            return None
        return self._role_arn.format(partition=self._partition, account=account, role=role.value)

    def may_leave(self, operation: str) -> None:
        """Ask the guard about a change that leaves by another way than these clients; it raises to stop it."""
        if self._guard is not None:
            self._guard(operation)

    def _new_client(self, service: str, account: str, region: str, role: Role) -> Any:
        acting = role is not Role.READ
        place = (account, region, role)
        if place not in self._sessions:
            self._sessions[place] = self._new_session(account, region, role)
        make: Callable[..., Any] = self._sessions[place].client
        client = make(service, config=self._config(1 if acting else _READ_ATTEMPTS))
        if self._pacing is not None:
            keep_pace(client, self._pacing, service, account, region, acting=acting)
        if acting and self._guard is not None:
            client.meta.events.register("before-send", partial(_check, self._guard))
        return client

    def _new_session(self, account: str, region: str, role: Role) -> boto3.Session:
        import boto3
        from botocore.credentials import CredentialProvider, CredentialResolver
        from botocore.session import get_session

        role_arn = self.role_in(account, role)
        if role_arn is None:
            return boto3.Session(region_name=region)
        if (account, role) not in self._credentials:
            self._credentials[account, role] = self._new_credentials(role_arn, region)
        credentials = self._credentials[account, role]

        class Assumed(CredentialProvider):
            METHOD = "assume-role"

            def load(self) -> Any:
                return credentials

        underlying = get_session()
        underlying.register_component("data_loader", _shared_loader())
        underlying.register_component("credential_provider", CredentialResolver([Assumed()]))
        return boto3.Session(botocore_session=underlying, region_name=region)

    def _new_credentials(self, role_arn: str, region: str) -> Any:
        from botocore.credentials import RefreshableCredentials
        from botocore.session import get_session

        own = get_session()
        own.register_component("data_loader", _shared_loader())
        sts = own.create_client("sts", region_name=region, config=self._config(_READ_ATTEMPTS))
        request = {
            "RoleArn": role_arn,
            "RoleSessionName": self._session_name,
            "DurationSeconds": _SESSION_SECONDS,
        }
        if self._external_id is not None:
            request["ExternalId"] = self._external_id

        # Born expired, so that the role is assumed when the first request is signed.
        return RefreshableCredentials(
            "",
            "",
            "",
            expiry_time=_EXPIRED,
            refresh_using=partial(_assume, sts, request),
            method="assume-role",
            advisory_timeout=_REFRESH_BEFORE_SECONDS,
            mandatory_timeout=_MUST_REFRESH_BEFORE_SECONDS,
        )

    def _config(self, attempts: int) -> Config:
        from botocore.config import Config

        return Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=self._read_timeout_seconds,
            retries={"mode": "standard", "total_max_attempts": attempts},
            user_agent_extra="remediation-runbooks",
        )


@cache
def _shared_loader() -> Any:
    """Botocore's service descriptions, read once in a process: EC2's alone take a second."""
    from botocore.session import get_session

    return get_session().get_component("data_loader")


def _assume(sts: Any, request: dict[str, Any]) -> dict[str, Any]:
    credentials = sts.assume_role(**request)["Credentials"]
    return {
        "access_key": credentials["AccessKeyId"],
        "secret_key": credentials["SecretAccessKey"],
        "token": credentials["SessionToken"],
        "expiry_time": credentials["Expiration"].isoformat(),
    }


def _check(guard: Guard, event_name: str, **_: Any) -> None:
    guard(event_name.rpartition(".")[2])
