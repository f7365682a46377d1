"""The gate without being called: an image is judged once a delivery says that its initial scan is complete.

Where deliveries are taken in, that is only written down: to judge takes many calls, and findings wait in the inbox. The
sweep judges, at its end, so many images in a pass.

Such word may come before Inspector shows the scan. Then nothing is recorded as judged yet: the image is judged again,
after pauses that grow, until it can be told or the gate's runbook has waited long enough. Each scan is judged once,
however often it is said to be complete, and whoever else sweeps.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cache, partial

from runbooks.catalog import gate_file, read_gate
from runbooks.chain import Entry
from runbooks.errors import NotFound, Overtaken
from runbooks.gating import Gate, ImageName, Judgement, Seen, Subject, gate_stream, judge
from runbooks.gating.subject import GATE, image_of
from runbooks.records import GateWaiting, SetAsideRecord
from tasks.gate_evidence import DELIVERY, append_judged, is_recorded, waiting_in
from tasks.gateways.aws_session import AwsSessions
from tasks.gating import Patience, judge_image
from tasks.services import Services
from tasks.sweeping.swept import Swept

Sessions = Callable[[str], AwsSessions]
"""Of a partition, made once in a pass."""
DEFAULT_GATE = "default"
FIRST_PAUSE = timedelta(seconds=15)
"""Each further pause is as long as has been waited by then."""
MOST = 50
"""Images that one pass looks at: what runs act upon does not wait for long."""


def request_judgement(have: Services, arn: str, delivery: str) -> None:
    """Has the sweep judge an image by the default gate, because a delivery says that its initial scan is complete.

    What the delivery says is a hint: everything is read then. An image that waits to be judged already does so once.

    Raises:
        Unsafe: there is no signing key.
        LedgerError: it cannot be written.
        BadInput: the ledger cannot hold it.
    """
    stream, now = gate_stream(Subject.of_image(ImageName.parse(arn))), have.now()
    _ = have.signer  # What comes of it is signed: without a key nobody waits.
    asked = GateWaiting(delivery=delivery, since=now, reason="the gate has not looked yet", look_again_at=now)
    while not waiting_in(last := have.ledger.last(stream)):
        with suppress(Overtaken):
            have.ledger.append_after({stream: last.sequence if last else 0}, {stream: [asked]})


async def judge_waiting(have: Services, now: datetime, swept: Swept) -> None:
    """Judge the images that wait for it, where the time to look has come.

    Raises:
        BadInput: the gate's runbook is not valid.
    """
    waiting = [
        (entry, record)
        for entry in have.ledger.newest(GATE, "gate-waiting")
        for record in waiting_in(entry)
        if record.look_again_at <= now
    ]
    if waiting:
        gate, sessions = _gate(have), _sessions(have)
        for entry, record in waiting[:MOST]:
            await swept.guarded(entry.stream, _look(have, entry, record, gate, sessions, swept))


async def _look(
    have: Services, entry: Entry, waiting: GateWaiting, gate: Gate, sessions: Sessions, swept: Swept
) -> None:
    name, began = image_of(entry.stream), have.now()
    # Until the first look nothing was waited for but this sweep.
    since = waiting.since if waiting.since < waiting.look_again_at else began
    try:
        judgement = _judged(have, sessions(name.partition), name, gate, since)
    except NotFound as error:
        # It is not there, or not any more: nobody will ever tell.
        judgement = judge(gate, Subject.of_image(name), Seen(unknown=(f"{error.code}: {error.detail}",)), have.now())
    with suppress(Overtaken):  # By another sweep, or by who asked by command: the next pass sees what that has left.
        _conclude(have, entry, judgement, gate, waiting.delivery, since)
        swept.judged.append(str(name))


def _conclude(have: Services, entry: Entry, judgement: Judgement, gate: Gate, delivery: str, since: datetime) -> None:
    """Write down the judgement; that there is one already; or, where there is time left, that it is waited for."""
    stream, now, over = entry.stream, judgement.at, since + timedelta(minutes=gate.wait_minutes)
    if is_recorded(have, judgement):
        reason = "these rules have judged this scan already"
        known = SetAsideRecord(delivery=delivery, code="judged-already", what="a complete scan", reason=reason)
        have.ledger.append_after({stream: entry.sequence}, {stream: [known]})
    elif judgement.not_yet and now < over:
        again_at = min(now + max(FIRST_PAUSE, now - since), over)
        reason = "; ".join(judgement.reasons)
        waiting = GateWaiting(delivery=delivery, since=since, reason=reason, look_again_at=again_at)
        have.ledger.append_after({stream: entry.sequence}, {stream: [waiting]})
    else:
        append_judged(have, stream, entry, judgement, f"{DELIVERY}{delivery}")


def _sessions(have: Services) -> Sessions:
    chosen = have.settings
    named = partial(AwsSessions, session_name="runbooks-gate", external_id=chosen.external_id)
    return cache(partial(named, chosen.role_arn))


def _judged(have: Services, sessions: AwsSessions, name: ImageName, gate: Gate, since: datetime) -> Judgement:
    """At once, whatever has been waited since."""
    at_once = Patience(timedelta(0), pause=lambda _: None, tell=lambda _: None, now=have.now, since=since)
    return judge_image(have, sessions, name, gate, at_once)


def _gate(have: Services) -> Gate:
    return read_gate(gate_file(DEFAULT_GATE, *have.settings.library_folders))
