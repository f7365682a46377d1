"""The executor's sandbox and houses, for the flows that are carried out in them."""

from __future__ import annotations

from tests.tasks.conftest import executor_aws, ledgers, open_house, shaky_sessions

__all__ = ["executor_aws", "ledgers", "open_house", "shaky_sessions"]
