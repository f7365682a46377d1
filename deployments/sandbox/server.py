"""Starts the sandbox: AWS, Slack, Jira and GitHub on loopback, each on its own port, and writes down where they are.

python -m deployments.sandbox.server --addresses FILE
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Self

import uvicorn
from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import BaseWSGIServer, make_server

from deployments.sandbox.application import SandboxApplication
from deployments.sandbox.cloud import Cloud
from deployments.sandbox.furnish import furnish
from deployments.sandbox.furnish_options import FurnishOptions
from deployments.sandbox.settings import SandboxSettings

PORT_TAKEN = 3
_LOOPBACK = "127.0.0.1"
_BACKLOG = 128
_STARTUP_LIMIT = 30.0


class PortTaken(Exception):
    """Something else listens on a port the sandbox was told to use."""


class QuietRequestHandler(MotoRequestHandler):
    """Answers without a log line per request, and without waiting to fill a packet."""

    disable_nagle_algorithm = True

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The sandbox's time, as an answer's Date says it."""
        application = getattr(self.server, "app", None)
        if timestamp is not None or not isinstance(application, SandboxApplication):
            return super().date_time_string(timestamp)
        return format_datetime(application.now, usegmt=True)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing: the calls are recorded, and shown on /sandbox/calls."""


class AwsServer:
    """AWS over HTTP in a thread of this process."""

    def __init__(self, cloud: Cloud, listening: socket.socket) -> None:
        host, port = listening.getsockname()[:2]
        self.url = f"http://{host}:{port}"
        self._listening = listening
        self._server: BaseWSGIServer = make_server(
            host,
            port,
            SandboxApplication(cloud),
            threaded=True,
            request_handler=QuietRequestHandler,
            fd=listening.fileno(),
        )
        self._server.daemon_threads = True  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, name="aws", daemon=True)

    def start(self) -> None:
        """Accept calls; returns once it does."""
        self._thread.start()

    def stop(self) -> None:
        """Accept no more calls."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._listening.close()


class Sandbox:
    """The AWS part of the sandbox for tests: one for a whole session, reset between tests.

    with Sandbox() as sandbox:
        sandbox.furnish(event)
        boto3.client("ec2", endpoint_url=sandbox.url, ...)
    """

    def __init__(self, settings: SandboxSettings | None = None, pace: float = 1.0) -> None:
        self.cloud = Cloud(settings, pace)
        self._server: AwsServer | None = None

    def __enter__(self) -> Self:
        self._server = AwsServer(self.cloud, listen(_LOOPBACK, 0))
        self._server.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._server:
            self._server.stop()
        self.cloud.reset()

    @property
    def url(self) -> str:
        """Where AWS is, for AWS_ENDPOINT_URL."""
        assert self._server is not None, "the sandbox is not running"
        return self._server.url

    def furnish(self, payload: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Build the world around a finding; see `FurnishOptions`."""
        return furnish(self.cloud, payload, FurnishOptions.model_validate(options))

    def advance(self, seconds: float) -> None:
        """Let sandbox time pass."""
        with self.cloud.lock:
            self.cloud.clock.advance(seconds)

    def reset(self) -> None:
        """An empty cloud again."""
        self.cloud.reset()


@dataclass(frozen=True)
class AsgiServer:
    """An ASGI application over HTTP in a thread of this process."""

    server: uvicorn.Server
    listening: socket.socket

    @property
    def url(self) -> str:
        """Where it is."""
        host, port = self.listening.getsockname()[:2]
        return f"http://{host}:{port}"

    def start(self) -> None:
        """Accept calls; returns once it does.

        Raises:
            TimeoutError: it does not come up.
        """
        run = threading.Thread(target=self.server.run, args=([self.listening],), name="asgi", daemon=True)
        run.start()
        limit = time.monotonic() + _STARTUP_LIMIT
        while not self.server.started:
            if time.monotonic() > limit or not run.is_alive():
                raise TimeoutError(f"{self.url} does not come up")
            time.sleep(0.01)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        PortTaken: something else listens there.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise PortTaken(f"{host}:{port} cannot be used: {error.strerror}") from error
    listening.listen(_BACKLOG)
    return listening


def serve_asgi(application: Any, listening: socket.socket) -> AsgiServer:
    """A server for an ASGI application on this socket, not started yet."""
    config = uvicorn.Config(application, log_level="error", access_log=False, lifespan="off")
    return AsgiServer(uvicorn.Server(config), listening)


def main(arguments: list[str] | None = None) -> int:
    """Run until told to stop. Returns 0 then, and 3 when a port is taken."""
    options = _parse(arguments)
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    try:
        with _running(options) as addresses:
            write_atomically(options.addresses, json.dumps(addresses))
            sys.stdout.write(f"sandbox: ready, {addresses}\n")
            sys.stdout.flush()
            stop.wait()
    except PortTaken as error:
        sys.stderr.write(f"sandbox: {error}\n")
        return PORT_TAKEN
    return 0


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader sees all of it or none."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


@contextlib.contextmanager
def _running(options: argparse.Namespace) -> Iterator[dict[str, str]]:
    from deployments.sandbox.github import Hub, github_app
    from deployments.sandbox.jira import jira_app
    from deployments.sandbox.slack import slack_app

    ports = (options.port, options.slack_port, options.jira_port, options.github_port)
    with contextlib.ExitStack() as opened:
        sockets = [_opened(opened, options.host, port) for port in ports]
        cloud = Cloud(SandboxSettings(**dict(options.duration)), pace=options.pace)
        aws = AwsServer(cloud, sockets[0])
        slack, jira = serve_asgi(slack_app(), sockets[1]), serve_asgi(jira_app(), sockets[2])
        github = serve_asgi(github_app(Hub(cloud)), sockets[3])
        for server in (aws, slack, jira, github):
            server.start()
        yield {"aws": aws.url, "slack": f"{slack.url}/api/", "jira": jira.url, "github": github.url}


def _opened(stack: contextlib.ExitStack, host: str, port: int) -> socket.socket:
    listening = listen(host, port)
    stack.callback(listening.close)
    return listening


def _duration(text: str) -> tuple[str, float]:
    name, _, seconds = text.partition("=")
    if name not in {each.name for each in fields(SandboxSettings)}:
        raise argparse.ArgumentTypeError(f"{name!r} is no duration of the sandbox")
    return name, float(seconds)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sandbox", description="A small AWS, Slack, Jira and GitHub on loopback.")
    parser.add_argument("--host", default=_LOOPBACK)
    parser.add_argument("--port", type=int, default=0, help="for AWS; 0 takes a free one")
    parser.add_argument("--slack-port", type=int, default=0)
    parser.add_argument("--jira-port", type=int, default=0)
    parser.add_argument("--github-port", type=int, default=0)
    parser.add_argument("--addresses", type=Path, required=True, help="file the addresses are written to")
    parser.add_argument("--pace", type=float, default=1.0, help="sandbox seconds in one real second")
    parser.add_argument(
        "--duration",
        type=_duration,
        action="append",
        default=[],
        metavar="NAME=SECONDS",
        help="how long something takes, in sandbox seconds; the names are those of SandboxSettings",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
