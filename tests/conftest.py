"""What every test may rely on: nothing of this machine's owner is read, and nothing beyond loopback is reached."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

from tests.postgres import postgres_bin, postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]

_FOREIGN = ("AWS_", "PREFECT_", "RUNBOOKS_", "SLACK_", "JIRA_")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
_LOOPBACK = ("127.", "::1", "localhost")
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")

_home = tempfile.mkdtemp(prefix="runbooks-tests-")


class BeyondLoopbackError(Exception):
    """A test tried to leave this machine."""


def _refuse_beyond_loopback(event: str, args: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto", "socket.bind"):
        address = args[1]
    elif event == "socket.getaddrinfo":
        address = args[:1]
    else:
        return
    host = address[0] if isinstance(address, tuple) else None
    if isinstance(host, bytes):
        host = host.decode()
    if isinstance(host, str) and not host.startswith(_LOOPBACK):
        raise BeyondLoopbackError(f"{event} {host!r}: tests reach loopback only")


def _forget_the_developer() -> None:
    for name in tuple(os.environ):
        if name.startswith(_FOREIGN) or name.lower() in _PROXIES:
            del os.environ[name]
    os.environ |= {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "PREFECT_HOME": _home,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
        "DO_NOT_TRACK": "1",
    }


# Before any test module is imported: Prefect reads its settings when it is imported.
_forget_the_developer()
sys.addaudithook(_refuse_beyond_loopback)


def chromium() -> Path | None:
    """The browser of this machine, if it has one."""
    found = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    return Path(found) if found else None


@pytest.fixture(scope="session")
def chromium_path() -> Path:
    """For tests marked `browser`."""
    found = chromium()
    assert found, _MISSING["browser"]
    return found


_MISSING = {
    "browser": "Chromium was not found; install it with: apt-get install chromium",
    "postgres": "PostgreSQL was not found; install it with: apt-get install postgresql",
}
_IS_HERE = {"browser": chromium, "postgres": postgres_bin}
_left_out: Counter[str] = Counter()


def _what_is_missing(item: pytest.Item) -> Sequence[str]:
    return [marker for marker in _MISSING if item.get_closest_marker(marker) and not _IS_HERE[marker]()]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what this machine cannot run, and keep count. In CI it stays, and fails: CI must run everything."""
    # What takes longest begins first.
    items.sort(key=lambda item: not any(room in item.nodeid for room in ("end_to_end", "crash_matrix")))
    if _in_ci():
        return
    left_out = [item for item in items if _what_is_missing(item)]
    _left_out.update(marker for item in left_out for marker in _what_is_missing(item))
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)
    if (to_controller := getattr(config, "workeroutput", None)) is not None:
        to_controller["left_out"] = dict(_left_out)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if missing := _what_is_missing(item):
        pytest.fail(" ".join(_MISSING[marker] for marker in missing), pytrace=False)


class ByRoom(LoadScopeScheduling):
    """Tests of one file stay together, and so do those that share a running stack or a sandbox."""

    ROOMS: ClassVar = {
        "tests/end_to_end/test_demo_command.py": "stacks of their own",
        "tests/end_to_end/test_postgresql.py": "stacks of their own",
        "tests/end_to_end": "one stack",
    }

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return next((room for start, room in self.ROOMS.items() if file.startswith(start)), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors, since a running stack waits as much as it works; each takes half a GB."""
    return min(4, (os.cpu_count() or 1) + 1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByRoom:
    """Pytest 9.2 no longer lets xdist mark a test's group in its id, so `--dist loadgroup` does not group."""
    return ByRoom(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Every worker of pytest-xdist collects everything, so each counted the same."""
    _left_out.update(Counter(getattr(node, "workeroutput", {}).get("left_out", {})) - _left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for marker, count in _left_out.items():
        terminalreporter.write_line(f"LEFT OUT: {count} tests marked {marker}. {_MISSING[marker]}", yellow=True)


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(_home, ignore_errors=True)
    # Prefect's temporary server is stopped later, and says so where nobody listens any more.
    logging.raiseExceptions = False


def _in_ci() -> bool:
    return os.environ.get("CI", "").lower() in ("1", "true")
