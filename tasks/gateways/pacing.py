"""Pacing: a request waits until AWS has a token for it, instead of being refused.

Every process keeps a copy of AWS's token buckets (`runbooks.request_rates`), one for each account, region and API.
Others use the same account: other processes of ours, other programs, people. So the copy is a hope, and AWS's answer
the truth: a refusal empties the copy and slows it down, and it recovers in time. A request that AWS refused for its
rate alone had no effect, and is sent again a few times.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from runbooks.errors import Throttled
from runbooks.request_rates import REFUSED_FOR_ITS_RATE, RequestRate, request_rate

LONGEST_WAIT_SECONDS = 60.0
"""No request waits longer for its turn: whoever wants it hears that, and looks again later."""
MOST_SENDINGS = 4
"""How often a request that AWS refuses for its rate is sent; a second, two and four lie in between."""
SPARED = 0.05
"""The part of a full bucket that is not counted on: requests that left in time may arrive closer together."""
LEAST_SHARE = 1 / 8
"""A bucket that was slowed down again and again still refills with this share of its rate."""
RECOVERY_SECONDS = 60.0
"""From no share at all to the whole rate."""
ONE_BURST_SECONDS = 1.0
"""Refusals that come so soon after one another say one thing, not many."""
_NARROWING = ("Filter", "MaxResults", "NextToken")


class Pacing:
    """The token buckets as this process knows them; shared by threads and by all clients.

    Args:
        factor: how many times the documented rate the buckets refill, for accounts whose quotas were raised.
        clock: seconds that only grow.
        wait: waits for so many seconds.
    """

    def __init__(
        self,
        factor: float = 1.0,
        *,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._factor = factor
        self._clock = clock
        self._wait = wait
        self._lock = threading.Lock()
        self._buckets: dict[tuple[str, str, str, str], _Bucket] = {}

    def take_turn(self, account: str, region: str, service: str, operation: str, *, narrowed: bool = True) -> None:
        """Wait until this request may leave; at once where there is a token, or where AWS documents no rate.

        Raises:
            Throttled: its turn would come in more than LONGEST_WAIT_SECONDS; it has not waited, and was not sent.
        """
        rate = request_rate(service, operation, narrowed=narrowed)
        if rate is None:
            return
        with self._lock:
            seconds = self._bucket(account, region, service, rate).take(self._clock())
        if seconds > LONGEST_WAIT_SECONDS:
            raise Throttled(
                f"{operation} in {account}/{region} would wait {seconds:.0f} s for its turn, and "
                f"{LONGEST_WAIT_SECONDS:.0f} s is the most: too much is asked of this API at once"
            )
        if seconds > 0:
            self._wait(seconds)

    def refused(
        self, account: str, region: str, service: str, operation: str, attempts: int, *, narrowed: bool = True
    ) -> float:
        """Take note that AWS refused this request for its rate; gives the seconds to wait before it is sent again."""
        rate = request_rate(service, operation, narrowed=narrowed)
        if rate is not None:
            with self._lock:
                self._bucket(account, region, service, rate).slow_down(self._clock())
        return 2.0 ** (attempts - 1) / self._factor

    def _bucket(self, account: str, region: str, service: str, rate: RequestRate) -> _Bucket:
        key = (account, region, service, rate.bucket)
        if key not in self._buckets:
            self._buckets[key] = _Bucket(rate, self._factor, self._clock())
        return self._buckets[key]


def keep_pace(client: Any, pacing: Pacing, service: str, account: str, region: str, *, acting: bool) -> None:
    """Have every request of a botocore client wait for its turn before it is signed and, if refused, be sent again.

    It waits before it is signed, and so before whatever is checked when it is sent. A reading client sends again by
    botocore's own retries, each of which takes its turn; an acting client sends again here, and only what AWS refused
    for its rate.
    """
    place = (account, region, service)
    name = client.meta.service_model.service_id.hyphenize()
    client.meta.events.register_first(f"request-created.{name}", partial(_take_turn, pacing, place))
    client.meta.events.register(f"needs-retry.{name}", partial(_heed, pacing, place, acting))


class _Bucket:
    """One bucket. A token may be taken before it is there: whoever took it waits until it would be."""

    def __init__(self, rate: RequestRate, factor: float, now: float) -> None:
        self._capacity = max(1.0, rate.capacity * (1 - SPARED))
        self._per_second = rate.per_second * factor
        self._share = 1.0
        self._tokens = self._capacity
        self._at = self._slowed_at = now

    def take(self, now: float) -> float:
        """Seconds until the token is there; more than LONGEST_WAIT_SECONDS, and none was taken."""
        self._refill(now)
        seconds = max(0.0, (1 - self._tokens) / (self._per_second * self._share))
        if seconds <= LONGEST_WAIT_SECONDS:
            self._tokens -= 1
        return seconds

    def slow_down(self, now: float) -> None:
        """AWS had no token where we saw one: none is there now, and they come more slowly for a while."""
        self._refill(now)
        self._tokens = min(self._tokens, 0.0)
        if self._share == 1 or now - self._slowed_at >= ONE_BURST_SECONDS:
            self._share = max(self._share / 2, LEAST_SHARE)
            self._slowed_at = now

    def _refill(self, now: float) -> None:
        passed, self._at = now - self._at, now
        self._tokens = min(self._capacity, self._tokens + passed * self._per_second * self._share)
        self._share = min(1.0, self._share + passed / RECOVERY_SECONDS)


def _take_turn(pacing: Pacing, place: tuple[str, str, str], request: Any, operation_name: str, **_: Any) -> None:
    pacing.take_turn(*place, operation_name, narrowed=_narrowed(request.data))


def _heed(
    pacing: Pacing,
    place: tuple[str, str, str],
    acting: bool,
    response: Any,
    operation: Any,
    attempts: int,
    request_dict: Any,
    **_: Any,
) -> float | None:
    """Botocore's question whether to send again: in how many seconds, or None to leave it to its other handlers."""
    if response is None or response[1].get("Error", {}).get("Code") not in REFUSED_FOR_ITS_RATE:
        return None
    narrowed = _narrowed(request_dict.get("body"))
    seconds = pacing.refused(*place, operation.name, attempts, narrowed=narrowed)
    return seconds if acting and attempts < MOST_SENDINGS else None


def _narrowed(body: Any) -> bool:
    """Whether the request, as EC2's query protocol writes it, has a filter or a page size."""
    return not isinstance(body, dict) or any(str(key).startswith(_NARROWING) for key in body)
