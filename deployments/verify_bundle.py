"""Checks a bundle that `runbooks audit export` made. One file, for someone who trusts nobody here.

It needs Python 3.11, the package `cryptography`, and the public key, which must not come with the bundle.

    python verify_bundle.py bundle.json --public-key checkpoint.pem

What it shows: every entry was in the ledger when the checkpoint was signed, in this order and in these words, and up to
then no entry of these streams is missing: none before, between or after those that are here.
What it cannot show: what was written since; a response that no entry of the case names; that what is written is what
happened; that the same key did not sign another history: for that, compare the checkpoint with the one in the anchor.

The exit code is 0 when all of it holds, 1 when something does not, 2 when it cannot be checked.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

FORMAT = "remediation-runbooks/bundle/1"
ORIGIN = "remediation-runbooks/"
GENESIS = "0" * 64


class Wrong(Exception):
    """What does not hold."""


def require(holds: object, otherwise: str) -> None:
    if not holds:
        raise Wrong(otherwise)


def canonical(value: Any) -> str:
    """RFC 8785 for what is here: ASCII names, text, whole numbers, lists, null."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def fields(value: Any, *names: str) -> list[Any]:
    require(isinstance(value, dict) and sorted(value) == sorted(names), f"there is not just {', '.join(names)}")
    return [value[name] for name in names]


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def digest(text: Any) -> bytes:
    require(isinstance(text, str) and re.fullmatch(r"[0-9a-f]{64}", text), "there is a hash that is none")
    return bytes.fromhex(text)


def root_of(leaf: bytes, proved: Iterable[Any], size: int) -> bytes:
    """The root that a leaf and its proof come to (RFC 6962, 2.1.1)."""
    index, proof = proved
    require(type(index) is int and 0 <= index < size, "a proof is for a place outside the tree")
    node, rest, last = sha256(b"\x00" + leaf), [digest(each) for each in proof], size - 1
    while last:
        if index & 1 or index < last:
            require(rest, "a proof is too short")
            sibling = rest.pop(0)
            node = sha256(b"\x01" + (sibling + node if index & 1 else node + sibling))
        index, last = index >> 1, last >> 1
    require(not rest, "a proof is too long")
    return node


def check_checkpoint(checkpoint: Any, key: bytes) -> None:
    names = ("origin", "size", "root", "peaks", "places", "streams", "heads", "at", "key_id", "signature")
    origin, size, _, _, _, streams, _, _, key_id, signature = fields(checkpoint, *names)
    require(key_id == sha256(key).hex()[:16], f"the checkpoint is signed with key {key_id}, which is not the one given")
    require(re.fullmatch(r"[0-9a-f]{128}", signature), "the checkpoint's signature is none")
    said = {name: value for name, value in checkpoint.items() if name != "signature"}
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(bytes.fromhex(signature), canonical(said).encode())
    except InvalidSignature:
        raise Wrong("the checkpoint is not signed with the key given") from None
    require(origin.startswith(ORIGIN), "what is signed is no checkpoint of a ledger")
    require(type(size) is int and type(streams) is int, "the checkpoint does not say where the streams end")


def check_stream(stream: Any, checkpoint: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """The stream's name and its entries."""
    name, head, found = fields(stream, "stream", "head", "entries")
    require(isinstance(found, list) and found, f"{name} has no entries")
    previous, last_index, entries = GENESIS, -1, list[dict[str, Any]]()
    for sequence, each in enumerate(found, 1):
        where = f"{name} entry {sequence}"
        text, *proved = fields(each, "text", "index", "proof")
        entry = json.loads(text)
        require(is_linked(entry, name, sequence, previous), f"{where} does not follow the entry before it")
        previous = hashlib.sha256(text.encode()).hexdigest()
        root = root_of(previous.encode(), proved, checkpoint["size"])
        require(root.hex() == checkpoint["root"], f"{where} is not in the checkpoint as it is here")
        require(proved[0] > last_index, f"{where} stands before the entry before it")
        last_index = proved[0]
        entries.append(entry)
    leaf = canonical({"hash": previous, "sequence": len(entries), "stream": name}).encode()
    root = root_of(leaf, fields(head, "index", "proof"), checkpoint["streams"])
    require(root.hex() == checkpoint["heads"], f"{name} did not end with entry {len(entries)} when it was signed")
    return name, entries


def is_linked(entry: Any, stream: str, sequence: int, previous: str) -> bool:
    _, _, _, *link = fields(entry, "at", "body", "kind", "previous", "sequence", "stream")
    return link == [previous, sequence, stream]


def check(text: str, key: bytes) -> str:
    """What the bundle shows, in words.

    Raises:
        Wrong: something does not hold.
    """
    bundle = json.loads(text)
    require(canonical(bundle) + "\n" == text, "the bundle is not written as bundles are: it was changed, or cut")
    version, case, public_key, checkpoint, streams = fields(
        bundle, "format", "case", "public_key", "checkpoint", "streams"
    )
    require(version == FORMAT, f"this reads bundles of format {FORMAT}")
    require(public_key == key.hex(), "the bundle names another public key than the one given")
    check_checkpoint(checkpoint, key)
    checked = [check_stream(stream, checkpoint) for stream in streams]
    names = [name for name, _ in checked]
    require(names[:1] == [f"case/{case}"], "the bundle does not begin with the stream of its case")
    require(names[1:] == sorted(set(names[1:])), "a stream is there twice, or out of order")
    for name, entries in checked[1:]:
        require(name.startswith("response/"), f"{name} is no stream of a response")
        require(case in entries[0]["body"].get("cases", ()), f"{name} does not concern {case}")
    named = {f"response/{entry['body']['response']}" for entry in checked[0][1] if "response" in entry["body"]}
    require(named <= set(names), f"entries of the case name {', '.join(sorted(named - set(names)))}, not in the bundle")
    count = sum(len(entries) for _, entries in checked)
    return (
        f"holds: {count} entries of {case} in {len(checked)} streams, complete up to the checkpoint\n"
        f"checkpoint: {checkpoint['size']} entries, signed {checkpoint['at']} with key {checkpoint['key_id']}\n"
        f"root: {checkpoint['root']}\n"
        "not shown: what was written since; compare the root with the anchor's own checkpoint of that size\n"
    )


def read_key(given: str) -> bytes:
    """A public key: 64 hexadecimal digits, or a PEM file."""
    if re.fullmatch(r"[0-9a-f]{64}", given):
        return bytes.fromhex(given)
    key = load_pem_public_key(Path(given).read_bytes())
    if not isinstance(key, Ed25519PublicKey):
        raise TypeError("it is no Ed25519 key")
    return key.public_bytes_raw()


def main() -> int:
    parser = argparse.ArgumentParser(description="Check a bundle of runbooks audit export.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--public-key", required=True, help="a PEM file, or 64 hexadecimal digits")
    arguments = parser.parse_args()
    try:
        key, content = read_key(arguments.public_key), arguments.bundle.read_bytes()
    except (OSError, TypeError, UnsupportedAlgorithm, ValueError) as error:
        sys.stderr.write(f"cannot be checked: {error}\n")
        return 2
    try:
        sys.stdout.write(check(content.decode(), key))
    except (Wrong, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        sys.stdout.write(f"DOES NOT HOLD: {error if isinstance(error, Wrong) else f'malformed, {error!r}'}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
