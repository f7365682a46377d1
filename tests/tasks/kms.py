"""A KMS of one key, over HTTP: it signs as KMS does, and never gives the key away."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ARN = "arn:aws:kms:eu-west-1:111122223333:key/0123abcd-0123-0123-0123-0123456789ab"


class FakeKms:
    """What the key is, and what was asked of it."""

    def __init__(self) -> None:
        self.key: Any = Ed25519PrivateKey.generate()
        self.calls: list[str] = []
        self.fails_with: str | None = None
        self.signs_wrongly = False
        self.url = ""

    def becomes_rsa(self) -> None:
        self.key = generate_private_key(public_exponent=65537, key_size=2048)

    def answer(self, operation: str, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.calls.append(operation)
        if self.fails_with:
            return 400, {"__type": self.fails_with, "message": "as the test wants it"}
        if asked["KeyId"] != ARN:
            return 400, {"__type": "NotFoundException", "message": asked["KeyId"]}
        if operation == "GetPublicKey":
            der = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            return 200, {"KeyId": ARN, "PublicKey": base64.b64encode(der).decode()}
        assert operation == "Sign"
        message = base64.b64decode(asked["Message"])
        if (asked["SigningAlgorithm"], asked["MessageType"]) != ("ED25519_SHA_512", "RAW") or len(message) > 4096:
            return 400, {"__type": "ValidationException", "message": "not what an Ed25519 key signs"}
        signature = self.key.sign(b"another" if self.signs_wrongly else message)
        said = {"KeyId": ARN, "SigningAlgorithm": asked["SigningAlgorithm"]}
        return 200, {**said, "Signature": base64.b64encode(signature).decode()}


@contextmanager
def fake_kms() -> Iterator[FakeKms]:
    """It listens on a port of its own until the block is left."""
    kms = FakeKms()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, said = kms.answer(self.headers["X-Amz-Target"].partition(".")[2], asked)
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the library
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    kms.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield kms
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
