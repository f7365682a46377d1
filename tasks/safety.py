"""The start-up guard: what must hold before this system is let near credentials. Every entry point asks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from packaging.version import Version

from runbooks.errors import RunbooksError, Unsafe
from tasks.registering import registry
from tasks.services import Services

if TYPE_CHECKING:
    from prefect.settings import Settings as PrefectSettings

OLDEST_PREFECT = Version("3.6.28")
"""Before it: CVE-2026-5366, CVE-2026-7723, CVE-2026-7724, CVE-2026-3514, CVE-2026-7722."""
FIRST_BREAKING_FASTAPI = Version("0.151")
"""Prefect 3.8 does not deploy with it, and from 0.155 on does not start."""
LARGEST_SKEW_SECONDS = 30
"""One step of a one-time code; signatures of AWS and Slack allow five minutes."""
ASKING_SECONDS = 5


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    found: str
    mend: str = ""
    refuses: bool = True
    """Whether nothing starts while it is not so."""

    def __str__(self) -> str:
        return f"{self.name}: {self.found}" + (f"; {self.mend}" if self.mend and not self.ok else "")


def require_safe(have: Services, *, around: bool = False, runs: bool = True) -> None:
    """Refuse to start where something is unsafe.

    Args:
        around: ask Prefect's and AWS's clocks as well.
        runs: whether flows are run or served with the settings of this process.

    Raises:
        Unsafe: with one line for each thing, and its mend; `code` is `unsafe`.
    """
    wrong = [check for check in examine(have, around=around, runs=runs) if check.refuses and not check.ok]
    if wrong:
        raise Unsafe("it is not safe to start:\n" + "\n".join(f"  {check}" for check in wrong))


def examine(have: Services, *, around: bool = True, runs: bool = True) -> list[Check]:
    """Everything that can be told from here. Nothing is changed, but for a ledger that is made where there is none."""
    from prefect.settings import get_current_settings

    chosen = get_current_settings()
    checks = [
        *_versions(),
        _prefect_login(chosen),
        *((_results(chosen), *_server(chosen)) if runs else ()),
        _tried("signing key", lambda: have.signer and "there is one, and only its owner can read it"),
        _tried("ledger", lambda: have.ledger.probe() or "can be written"),
        _approvers(have),
        _anchor(have),
        _reconciliation(have),
    ]
    return checks + (list(_clocks(have, chosen)) if around else [])


def _versions() -> Iterator[Check]:
    prefect, fastapi = Version(version("prefect")), Version(version("fastapi"))
    mend = f"install {OLDEST_PREFECT} or newer: the ones before have holes that are known"
    yield Check("prefect", prefect >= OLDEST_PREFECT, f"release {prefect}", mend)
    mend = f"install one before {FIRST_BREAKING_FASTAPI}: Prefect's server breaks with it (uv sync --frozen)"
    yield Check("fastapi", fastapi < FIRST_BREAKING_FASTAPI, f"release {fastapi}", mend)


def _prefect_login(chosen: PrefectSettings) -> Check:
    address = chosen.api.url or ""
    local = not address or _leads_here(address)
    known = chosen.api.auth_string is not None or chosen.api.key is not None
    found = "no address is set" if not address else f"{address}, {'with' if known else 'without'} a login"
    mend = "set PREFECT_SERVER_API_AUTH_STRING on the server and PREFECT_API_AUTH_STRING here: anyone could answer"
    return Check("prefect's API", local or known, found, mend)


def _results(chosen: PrefectSettings) -> Check:
    kind = chosen.results.default_serializer
    mend = "set PREFECT_RESULTS_DEFAULT_SERIALIZER=json: whoever writes a result file runs code in the worker"
    return Check("results", "pickle" not in kind, f"are kept as {kind}", mend)


def _server(chosen: PrefectSettings) -> Iterator[Check]:
    """Of a Prefect server that has this process's settings."""
    server = chosen.server.api
    open_to_others = not _is_loopback(server.host)
    if open_to_others:
        mend = "set PREFECT_SERVER_API_AUTH_STRING, or PREFECT_SERVER_API_HOST=127.0.0.1"
        yield Check("prefect's server", server.auth_string is not None, f"listens on {server.host}", mend)
    mend = "set PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED=true: any page open in a browser could answer"
    found = "is on" if server.csrf_protection_enabled else "is off"
    yield Check("prefect's CSRF protection", server.csrf_protection_enabled, found, mend, refuses=open_to_others)


def _approvers(have: Services) -> Check:
    grants = " ".join(f"--grant '{phase}@*'" for phase in ("contain", "rebuild", "remediate", "release", "deprecate"))
    mend = f"runbooks approvers add NAME {grants}"
    try:
        known = registry(have)
    except RunbooksError as error:
        return Check("approvers", ok=False, found=error.detail, mend=mend)
    if known.forged:
        mend = "runbooks audit verify, then add again whoever is to approve"
    # One who is locked counts: otherwise wrong codes would stop what has begun, its undo included.
    names = [each.approver.name for each in known.standings.values() if each.believed]
    return Check("approvers", bool(names), ", ".join(names) or "nobody can say yes", mend)


def _anchor(have: Services) -> Check:
    place = have.settings.anchor
    away = place.startswith("s3://")
    mend = "set RUNBOOKS_ANCHOR=s3://bucket/prefix, a bucket with Object Lock: who owns this host could rewrite both"
    return Check("anchor", away, place or "in the home folder, beside the ledger", mend, refuses=False)


def _reconciliation(have: Services) -> Check:
    account = have.settings.inspector_account
    mend = "set RUNBOOKS_INSPECTOR_ACCOUNT and RUNBOOKS_INSPECTOR_REGIONS: a lost event is never noticed without"
    return Check("reconciliation", bool(account), f"asks Inspector in {account or 'no account'}", mend, refuses=False)


def _clocks(have: Services, chosen: PrefectSettings) -> Iterator[Check]:
    """This machine's clock against others': one-time codes, leases and signatures all go by it."""
    yield _skew("clock, by Prefect's server", lambda: _prefect_time(chosen), have)
    yield _skew("clock, by AWS", _aws_time, have)


def _skew(name: str, ask: Callable[[], datetime | None], have: Services) -> Check:
    before = have.now()
    theirs = ask()
    if theirs is None:
        return Check(name, ok=True, found="could not be asked")
    # The answer's time has whole seconds, and was taken at some moment between the question and the answer.
    skew = max((before - theirs).total_seconds() - 1, (theirs - have.now()).total_seconds(), 0.0)
    mend = "set the clock (timedatectl set-ntp true)"
    return Check(name, skew <= LARGEST_SKEW_SECONDS, f"differs by {skew:.0f} s", mend)


def _prefect_time(chosen: PrefectSettings) -> datetime | None:
    import httpx

    if not chosen.api.url:
        return None
    try:
        answer = httpx.get(f"{chosen.api.url}/health", timeout=ASKING_SECONDS)
    except httpx.HTTPError:
        return None
    return _read_date(answer.headers.get("date"))


def _aws_time() -> datetime | None:
    """The Date of an answer to a request that needs no permission; an error's answer has one, too."""
    import boto3
    import httpx

    region = boto3.Session().region_name or "us-east-1"
    address = boto3.client("sts", region_name=region).meta.endpoint_url
    try:
        return _read_date(httpx.get(address, timeout=ASKING_SECONDS).headers.get("date"))
    except httpx.HTTPError:
        return None


def _read_date(text: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(text).astimezone(UTC) if text else None
    except ValueError:
        return None


def _tried(name: str, attempt: Callable[[], object]) -> Check:
    """A check that holds when nothing is raised; the error says what to do."""
    try:
        return Check(name, ok=True, found=str(attempt()))
    except RunbooksError as error:
        return Check(name, ok=False, found=error.detail)


def _leads_here(address: str) -> bool:
    return _is_loopback(urlsplit(address).hostname or "")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
