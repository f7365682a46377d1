"""What the description of a Lambda alias says while this system moves it: which operation it is, and since when.

Lambda keeps no time of its own for an alias, and knows no tags for one. The owner's words come after the mark, and are
put back without it.
"""

from __future__ import annotations

import re
from datetime import datetime

from runbooks.model import Model

LONGEST = 256
"""Characters of a description (Lambda API reference, UpdateAlias)."""

_TIME = "%Y-%m-%dT%H:%M:%SZ"
_MARK = re.compile(
    r"\[(?P<operation>rb-[0-9a-f]{24}) "
    r"(since (?P<since>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)|went back: (?P<why>[^\]]*))\] ?",
    re.ASCII,
)


class AliasMark(Model):
    """The mark of one operation: it moves the alias since then, or it has put it back."""

    operation: str
    since: datetime | None = None
    went_back: str | None = None
    """Why."""

    @classmethod
    def of(cls, description: str) -> AliasMark | None:
        """None where the description has no mark."""
        found = _MARK.match(description)
        if found is None:
            return None
        since = datetime.fromisoformat(found["since"]) if found["since"] else None
        return cls(operation=found["operation"], since=since, went_back=found["why"])

    def on(self, description: str) -> str:
        """The description with this mark, cut to what Lambda takes."""
        if self.since is not None:
            said = f"since {self.since.strftime(_TIME)}"
        else:
            said = f"went back: {(self.went_back or '').replace(']', ')')[: LONGEST // 2]}"
        return f"[{self.operation} {said}] {description}"[:LONGEST].rstrip()


def without_mark(description: str) -> str:
    """The description as its owner wrote it, as far as it was not cut."""
    return _MARK.sub("", description, count=1) if _MARK.match(description) else description
