"""What is said on a ticket of what somebody has accepted: who said so, where it is written, and what that means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runbooks.case import CaseKey
from runbooks.telling.escaping import wiki
from runbooks.telling.layout import bullets
from runbooks.telling.words import case_name
from runbooks.triage import Assessment


def acceptance_comment(accepted: Sequence[Assessment], keys: Mapping[str, CaseKey]) -> str:
    """In wiki markup: each case with the reason for which nothing is changed."""
    each = (f"{wiki(case_name(one.case, keys))}: {wiki('; '.join(one.triage.reasons))}" for one in accepted)
    return f"*Accepted, and nothing is changed.*\n\n{bullets(each, '*')}"
