"""A bundle: what is recorded of one case, with the proof that it is all in a signed checkpoint, for someone elsewhere.

It holds the case's stream and those of its responses, every entry as the text that its hash is over. Each entry comes
with its proof in the checkpoint's tree of entries, each stream with the proof of its head in the tree of heads: up to
the checkpoint nothing of these streams was changed, and nothing is missing at their ends.
`deployments/verify_bundle.py` checks it without this project.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runbooks.case import case_stream
from runbooks.chain import Entry, Head, hash_of
from runbooks.checkpoint import Anchored, Place, entry_leaf, heads_tree
from runbooks.errors import LedgerError
from runbooks.merkle import Tree

FORMAT = "remediation-runbooks/bundle/1"


def make_bundle(
    case: str, anchored: Anchored, places: Sequence[Place], streams: Mapping[str, Sequence[Entry]], public_key: bytes
) -> dict[str, Any]:
    """The bundle of a case, as JSON values.

    Args:
        case: the case's id.
        anchored: a checkpoint that names the heads of all streams.
        places: where every entry up to the checkpoint stands.
        streams: the streams of the case and of its responses; what was written since the checkpoint is left out.
        public_key: the key that the checkpoint is signed with.

    Raises:
        LedgerError: the ledger is not the one that the checkpoint was made of.
    """
    checkpoint = anchored.checkpoint
    tree = Tree(entry_leaf(place.hash) for place in places)
    heads: dict[str, Head] = {place.stream: (place.sequence, place.hash) for place in places}
    over = heads_tree(heads)
    if tree.root().hex() != checkpoint.root or over.root().hex() != checkpoint.heads:
        raise LedgerError(f"the ledger is not what checkpoint {checkpoint.size} says; see runbooks audit verify")
    head_at = {stream: index for index, stream in enumerate(sorted(heads))}
    index_of = {place.hash: index for index, place in enumerate(places) if place.stream in streams}
    first = case_stream(case)
    return {
        "format": FORMAT,
        "case": case,
        "public_key": public_key.hex(),
        "checkpoint": checkpoint.model_dump(mode="json"),
        "streams": [
            {
                "stream": stream,
                "head": _proved(over, head_at[stream]),
                "entries": [
                    {"text": _text(entry), **_proved(tree, index_of[entry.hash])}
                    for entry in streams[stream]
                    if entry.sequence <= heads[stream][0]
                ],
            }
            for stream in sorted(streams, key=lambda name: (name != first, name))
            if stream in heads
        ],
    }


def _proved(tree: Tree, index: int) -> dict[str, Any]:
    return {"index": index, "proof": [node.hex() for node in tree.proof(index)]}


def _text(entry: Entry) -> str:
    text = entry.text()
    if hash_of(text) != entry.hash:
        raise LedgerError(f"{entry.stream} entry {entry.sequence} was edited; see runbooks audit verify")
    return text
