"""A PostgreSQL server for the tests marked `postgres`: of their own, in a temporary folder, on a Unix socket only."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

_numbers = itertools.count(1)


def postgres_bin() -> Path | None:
    """The folder of the server's programs; Debian keeps them off PATH, one folder for each release."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    on_path = shutil.which("initdb")
    folders = [*reversed(debian), *([Path(on_path).resolve().parent] if on_path else [])]
    return next((folder for folder in folders if (folder / "postgres").exists() and (folder / "initdb").exists()), None)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Callable[[str], str]]:
    """A server; the value makes the SQLAlchemy URL of one of its databases."""
    programs = postgres_bin()
    assert programs, "PostgreSQL was not found"
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as name:  # short: a socket's path has 107 characters
        folder = Path(name)
        user = _unprivileged()
        if user:
            shutil.chown(folder, user)
        data = folder / "data"
        initdb = (programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        subprocess.run(initdb, check=True, capture_output=True, cwd=folder, user=user)
        options = ("-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}", "-c", "fsync=off")
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                (programs / "postgres", "-D", data, *options), cwd=folder, user=user, stdout=log, stderr=log
            )
        try:
            _wait_until_it_answers(server, folder)
            yield lambda database: f"postgresql+psycopg://postgres@/{database}?host={folder}"
        finally:
            server.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
            server.wait(timeout=30)


@pytest.fixture
def postgres_url(postgres_server: Callable[[str], str]) -> str:
    """The URL of an empty database, this test's own."""
    database = f"test_{next(_numbers)}"
    with psycopg.connect(_libpq(postgres_server("postgres")), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {database}".encode())
    return postgres_server(database)


def _unprivileged() -> str | None:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    users = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in users else "nobody"


def _wait_until_it_answers(server: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(f"host={folder} user=postgres dbname=postgres").close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _libpq(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://")
