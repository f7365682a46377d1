"""The start-up guard: each unsafe thing is refused by name, with what to do about it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_RESULTS_DEFAULT_SERIALIZER,
    PREFECT_SERVER_API_AUTH_STRING,
    PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED,
    PREFECT_SERVER_API_HOST,
    temporary_settings,
)

from runbooks.approvers import Approver
from runbooks.case import APPROVERS_STREAM
from runbooks.errors import Unsafe
from runbooks.records import ApproverAdded
from runbooks.registry import Registry
from tasks.keys import make_key_file, signing_key_file
from tasks.safety import Check, examine, require_safe
from tasks.services import Services
from tasks.settings import Settings

SAFE: dict[Any, Any] = {
    PREFECT_RESULTS_DEFAULT_SERIALIZER: "json",
    PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED: True,
    PREFECT_API_URL: "http://127.0.0.1:4200/api",
}


@pytest.fixture
def have(tmp_path: Path) -> Iterator[Services]:
    """A product that is safe to start, but for what a test changes."""
    services = Services(Settings(home=tmp_path))
    make_key_file(signing_key_file(services.settings))
    register(services)
    with temporary_settings(SAFE):
        yield services
    services.ledger.close()


def register(have: Services) -> None:
    registry = Registry.read(have.ledger.entries(APPROVERS_STREAM), have.signer)
    approver = Approver(name="jane", grants=("contain@*",), secret=have.signer.conceal("JBSWY3DPEHPK3PXP"))
    have.ledger.append(
        APPROVERS_STREAM, *registry.signed_next(have.signer, ApproverAdded(approver=approver, by="root"))
    )


def named(checks: list[Check], name: str) -> Check:
    (found,) = [check for check in checks if check.name == name]
    return found


def test_what_is_safe_may_start(have: Services):
    require_safe(have)


def test_nothing_starts_while_nobody_can_say_yes(tmp_path: Path):
    services = Services(Settings(home=tmp_path))
    make_key_file(signing_key_file(services.settings))
    with temporary_settings(SAFE), pytest.raises(Unsafe) as refused:
        require_safe(services)

    (line,) = refused.value.detail.splitlines()[1:]
    assert line.startswith("  approvers: nobody can say yes; runbooks approvers add NAME --grant")


def test_an_approver_written_into_the_database_by_hand_is_none(have: Services):
    forged = ApproverAdded(approver=Approver(name="eve", grants=("*@*",), secret="x"), by="eve", signature="0" * 64)
    have.ledger.append(APPROVERS_STREAM, forged)

    approvers = named(examine(have, around=False), "approvers")

    assert (approvers.ok, approvers.found) == (False, "nobody can say yes")
    assert "audit verify" in approvers.mend


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({PREFECT_RESULTS_DEFAULT_SERIALIZER: "pickle"}, "results"),
        ({PREFECT_RESULTS_DEFAULT_SERIALIZER: "compressed/pickle"}, "results"),
        ({PREFECT_API_URL: "http://prefect.internal:4200/api"}, "prefect's API"),
        ({PREFECT_SERVER_API_HOST: "0.0.0.0"}, "prefect's server"),
        (
            {
                PREFECT_SERVER_API_HOST: "10.0.0.1",
                PREFECT_SERVER_API_AUTH_STRING: "a:b",
                PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED: False,
            },
            "prefect's CSRF protection",
        ),
    ],
)
def test_an_unsafe_prefect_is_refused_in_one_line_with_its_mend(have: Services, changes: dict[Any, Any], name: str):
    with temporary_settings({**SAFE, **changes}), pytest.raises(Unsafe) as refused:
        require_safe(have)

    (line,) = refused.value.detail.splitlines()[1:]
    assert line.startswith(f"  {name}: ")
    assert "; set PREFECT_" in line


def test_a_login_makes_a_prefect_elsewhere_safe(have: Services):
    with temporary_settings({**SAFE, PREFECT_API_URL: "https://prefect.internal/api", PREFECT_API_AUTH_STRING: "a:b"}):
        require_safe(have)


def test_a_login_is_never_shown(have: Services):
    with temporary_settings({**SAFE, PREFECT_API_URL: "https://a/api", PREFECT_API_AUTH_STRING: "admin:hunter22"}):
        assert not [check for check in examine(have, around=False) if "hunter22" in str(check)]


def test_a_key_that_others_can_read_is_refused(have: Services):
    signing_key_file(have.settings).chmod(0o644)
    fresh = Services(have.settings)

    with pytest.raises(Unsafe, match=r"others may read the key at .*; chmod 600 it"):
        require_safe(fresh)
    fresh.ledger.close()


def test_a_ledger_that_cannot_be_opened_is_refused(tmp_path: Path):
    in_the_way = tmp_path / "a-file"
    in_the_way.touch()
    services = Services(Settings(home=tmp_path, ledger_url=f"sqlite:///{in_the_way}/ledger.db"))

    with temporary_settings(SAFE):
        ledger = named(examine(services, around=False), "ledger")

    assert (ledger.ok, ledger.refuses) == (False, True)
    assert "make it writable" in ledger.found


@pytest.mark.parametrize(("minutes", "safe"), [(0, True), (5, False), (-5, False)])
def test_a_clock_that_is_wrong_is_refused(have: Services, monkeypatch: pytest.MonkeyPatch, minutes: int, *, safe: bool):
    with (
        a_server_at(datetime.now(UTC) + timedelta(minutes=minutes)) as address,
        temporary_settings({**SAFE, PREFECT_API_URL: f"{address}/api"}),
    ):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        checks = examine(have)

    clocks = [named(checks, name) for name in ("clock, by Prefect's server", "clock, by AWS")]
    assert [(clock.ok, clock.refuses) for clock in clocks] == [(safe, True)] * 2


@contextmanager
def a_server_at(moment: datetime) -> Iterator[str]:
    """An HTTP server whose clock says so."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string(moment.timestamp())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
