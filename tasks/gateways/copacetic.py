"""Copacetic (`copa`): adds a layer with the operating system's updates to an image, and pushes it under another tag.

It is a program on this host, and BuildKit does its work. So there is nobody to ask later what became of it: it runs for
as long as whoever started it, in a process group of its own, and is ended with it. What it has pushed is found in the
registry. Its credential is in a file that only it is told of, and in no argument (copa reads the Docker configuration,
as `docker` does; "copa patch" takes --image, by digest too, --tag, --timeout and --addr, and --push since 0.11).
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from runbooks.errors import Outside

PROGRAM = "copa"
ASKS_EVERY_SECONDS = 2.0
"""How often it is asked, while copa runs, whether it still may: what copa changes, it changes at its end."""

_GRACE_SECONDS = 30
"""After its own timeout, which ends it in an orderly way."""
_INHERITED = frozenset(
    {
        *("PATH", "HOME", "TMPDIR", "LANG", "XDG_RUNTIME_DIR", "SSL_CERT_FILE", "SSL_CERT_DIR"),
        *("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_CONTEXT", "BUILDKIT_HOST"),
        *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    }
)
"""What finding BuildKit and the registry takes. Nobody knows what else a worker's environment has: it may be secret."""
_SAID = 500
_ENDS_WITH_PARENT = Path(__file__).with_name("ends_with_parent.py")


class Copacetic:
    """The `copa` of this host, if it has one.

    Args:
        buildkit: where BuildKit is, as copa's --addr takes it; empty for copa's own choice.
    """

    def __init__(self, buildkit: str = "") -> None:
        self._buildkit = buildkit

    @property
    def is_there(self) -> bool:
        """Whether it is on the path."""
        return shutil.which(PROGRAM) is not None

    def patch(self, image: str, tag: str, credential: str, seconds: int, still: Callable[[], None]) -> None:
        """Patch the image and push it to its own repository under the tag; returns once that is over.

        Args:
            image: repository URI, an at sign, and the digest.
            credential: for the image's registry: user, colon and password in base64, as ECR gives it.
            seconds: how long it may take.
            still: called before it starts, and again and again while it runs; what it raises ends it.

        Raises:
            Outside: it is not there (`no-copa`), took too long (`copa-timeout`), or failed (`copa-failed`).
        """
        program = shutil.which(PROGRAM)
        if program is None:
            raise Outside("copa is not on the path of this worker", code="no-copa")
        with TemporaryDirectory(prefix="copa-") as name:
            folder = Path(name)
            _log_in(folder, image.partition("/")[0], credential)
            command = [program, "patch", f"--image={image}", f"--tag={tag}", "--push", f"--timeout={seconds}s"]
            command += [f"--addr={self._buildkit}"] if self._buildkit else []
            still()
            with _running(command, folder) as process:
                code = _ended(process, seconds + _GRACE_SECONDS, still)
            if code:
                raise Outside(f"copa ended with exit code {code}: {_said(folder, credential)}", code="copa-failed")


def _log_in(folder: Path, registry: str, credential: str) -> None:
    """As `docker login` would leave it, in a folder that only this user can read."""
    config = json.dumps({"auths": {registry: {"auth": credential}}})
    (folder / "config.json").write_text(config, encoding="utf-8")


@contextmanager
def _running(command: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    inherited = {name: value for name, value in os.environ.items() if name in _INHERITED}
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-I", str(_ENDS_WITH_PARENT), str(os.getpid()), *command],
            env={**inherited, "DOCKER_CONFIG": str(folder)},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _ended(process: subprocess.Popen[bytes], seconds: float, still: Callable[[], None]) -> int:
    """Its exit code, once it has one."""
    latest = time.monotonic() + seconds
    while True:
        try:
            return process.wait(ASKS_EVERY_SECONDS)
        except subprocess.TimeoutExpired:
            still()
        if time.monotonic() > latest:
            raise Outside(f"copa had not ended after {seconds:.0f} s", code="copa-timeout")


def _said(folder: Path, credential: str) -> str:
    """The end of what it has printed, on one line and without what it was logged in with."""
    text = (folder / "output").read_text(encoding="utf-8", errors="replace")
    password = base64.b64decode(credential).decode(errors="replace").partition(":")[2]
    for secret in filter(None, (credential, password)):
        text = text.replace(secret, "***")
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[-_SAID:]
