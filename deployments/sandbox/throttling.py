"""The request rates that AWS allows, enforced where somebody asks for it: the documented token buckets.

Each account, region and API has a bucket of its own, and a request that finds it empty is refused with nothing done.
Tokens come back in sandbox time: where the sandbox's clock runs at a pace of 4, four times as quickly as documented.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from math import inf
from typing import Any

from deployments.sandbox.wire import Message
from runbooks.request_rates import RequestRate, request_rate

MOST_ANSWER_SECONDS = 10.0
_NARROWING = ("Filters", "MaxResults", "NextToken")


class Throttling:
    """The buckets. Off until it is told to enforce them, and then every bucket is full."""

    def __init__(self) -> None:
        self._scale = 0.0
        self.answer_seconds = 0.0
        self._buckets: dict[tuple[str, str, str, str], tuple[float, datetime]] = {}
        """Of each account, region, service and bucket: the tokens in it, and when they were counted."""
        self._requests: Counter[str] = Counter()
        self._throttled: Counter[str] = Counter()

    def enforce(self, scale: float, answer_seconds: float = 0.0) -> None:
        """Enforce the documented rates from now on, beginning with full buckets and nothing counted.

        Args:
            scale: how many times as quickly as documented the buckets refill; 0 takes every request again.
            answer_seconds: how many real seconds an answer is held back, as AWS needs some for each; others are
                answered meanwhile.

        Raises:
            ValueError: one of them is negative, or no number.
        """
        if not (0 <= scale < inf and 0 <= answer_seconds <= MOST_ANSWER_SECONDS):
            raise ValueError(f"scale is a number, 0 or more; answer_seconds is at most {MOST_ANSWER_SECONDS}")
        self._scale = scale
        self.answer_seconds = answer_seconds
        self._buckets.clear()
        self._requests.clear()
        self._throttled.clear()

    def refuses(self, message: Message, now: datetime) -> bool:
        """Whether the request finds no token; otherwise it takes one. Only requests with a documented rate count."""
        narrowed = any(name in message.params for name in _NARROWING)
        rate = request_rate(message.service, message.operation, narrowed=narrowed) if self._scale else None
        if rate is None:
            return False
        name = f"{message.service}:{message.operation}"
        self._requests[name] += 1
        key = (message.account, message.region, message.service, rate.bucket)
        tokens = self._tokens(key, rate, now)
        refused = tokens < 1
        self._buckets[key] = (tokens if refused else tokens - 1, now)
        self._throttled[name] += refused
        return refused

    def view(self) -> dict[str, Any]:
        """What is enforced, and what was counted since: requests by operation, and how many of them were refused."""
        counted = {"requests": dict(self._requests), "throttled": dict(+self._throttled)}
        return {"scale": self._scale, "answer_seconds": self.answer_seconds, **counted}

    def _tokens(self, key: tuple[str, str, str, str], rate: RequestRate, now: datetime) -> float:
        tokens, counted = self._buckets.get(key, (float(rate.capacity), now))
        passed = (now - counted).total_seconds()
        return min(float(rate.capacity), tokens + passed * rate.per_second * self._scale)
