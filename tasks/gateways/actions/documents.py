"""Documents that AWS keeps as JSON text: policies of a repository, rules of its lifecycle."""

from __future__ import annotations

from runbooks.lifecycle_policy import same_policy
from tasks.gateways.actions.base import Look


def compare_documents(live: str | None, expects: str | None, leaves: str | None, name: str) -> Look:
    """The look at a document, or at there being none: by what it says, and not by how it is written.

    Its found state is the very text, so that the ledger keeps what was there.
    """
    found = {name: live}
    if same_policy(live, leaves):
        return Look(status="as-left", found=found, result={name: live})
    if same_policy(live, expects):
        return Look(status="as-expected", found=found)
    now = "gone" if live is None else "another one"
    return Look(status="drifted", found=found, detail=f"the {name} is {now} since the plan was made")
