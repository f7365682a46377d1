"""The services of one command: made from the settings as they are now, closed when it is over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from runbooks.errors import NotFound

if TYPE_CHECKING:
    from tasks.services import Services
    from tasks.settings import Settings


def read_settings() -> Settings:
    """The settings as the environment has them now: `--home` has just changed it."""
    from tasks.settings import settings

    settings.cache_clear()
    return settings()


@contextmanager
def opened(*, ledger_exists: bool = False) -> Iterator[Services]:
    """Services for the length of a command.

    Args:
        ledger_exists: refuse where there is no ledger yet: who reads a record must not be told that a new one is fine.

    Raises:
        NotFound: there is no ledger.
    """
    from tasks.services import Services, use

    have = Services(read_settings())
    if ledger_exists:
        _require_ledger(have.settings.ledger)
    with use(have):
        try:
            yield have
        finally:
            if "ledger" in vars(have):
                have.ledger.close()


def _require_ledger(url: str) -> None:
    kind, _, place = url.partition(":///")
    file = Path(place.partition("?")[0])
    if kind.startswith("sqlite") and not file.exists():
        raise NotFound(
            f"there is no ledger at {file}; name its folder with --home, or its address in RUNBOOKS_LEDGER_URL",
            code="no-ledger",
        )
