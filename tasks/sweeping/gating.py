"""The gate without being called: an image is judged when a delivery says that its initial scan is complete.

Such word may come before Inspector shows the scan. Then nothing is recorded as judged yet: the image is judged again,
after pauses that grow, until it can be told or the gate's runbook has waited long enough. Each scan is judged once,
however often it is said to be complete, and whoever else sweeps.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

from runbooks.catalog import gate_file, read_gate
from runbooks.chain import Entry
from runbooks.errors import NotFound, Overtaken
from runbooks.gating import Gate, ImageName, Judgement, Seen, Subject, gate_stream, judge
from runbooks.gating.subject import GATE, image_of
from runbooks.records import GateWaiting
from tasks.gate_evidence import DELIVERY, append_judged, is_recorded, waiting_in
from tasks.gateways.aws_session import AwsSessions
from tasks.gating import Patience, judge_image
from tasks.services import Services
from tasks.sweeping.swept import Swept

DEFAULT_GATE = "default"
FIRST_PAUSE = timedelta(seconds=15)
"""Each further pause is as long as has been waited by then."""
MOST = 50
"""Images that one pass looks at again: what runs act upon does not wait for long."""


def judge_scanned(have: Services, arn: str, delivery: str) -> None:
    """Judges an image by the default gate, because a delivery says that its initial scan is complete.

    What the delivery says is a hint: everything is read anew. Asked again about the same scan it writes nothing more.

    Raises:
        BadInput: ECR has no such image, or the gate's runbook is not valid.
        Unsafe: there is no signing key.
        LedgerError: it cannot be written.
    """
    name, gate = ImageName.parse(arn), _gate(have)
    stream = gate_stream(Subject.of_image(name))
    while not waiting_in(last := have.ledger.last(stream)):
        began = have.now()
        judgement = _judged(have, name, gate, began)
        if is_recorded(have, judgement):
            return
        with suppress(Overtaken):
            _conclude(have, stream, last, judgement, gate, delivery, began)
            return


async def judge_again(have: Services, now: datetime, swept: Swept) -> None:
    """Judge what Inspector did not show before, where the time to look has come.

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
        gate = _gate(have)
        for entry, record in waiting[:MOST]:
            await swept.guarded(entry.stream, _look(have, entry, record, gate, swept))


async def _look(have: Services, entry: Entry, waiting: GateWaiting, gate: Gate, swept: Swept) -> None:
    name = image_of(entry.stream)
    try:
        judgement = _judged(have, name, gate, waiting.since)
    except NotFound as error:
        # It was deleted meanwhile: nobody will ever tell.
        judgement = judge(gate, Subject.of_image(name), Seen(unknown=(f"{error.code}: {error.detail}",)), have.now())
    with suppress(Overtaken):  # By another sweep, or by who asked by command: the next pass sees what that has left.
        _conclude(have, entry.stream, entry, judgement, gate, waiting.delivery, waiting.since)
        swept.looked_again.append(str(name))


def _conclude(
    have: Services,
    stream: str,
    last: Entry | None,
    judgement: Judgement,
    gate: Gate,
    delivery: str,
    since: datetime,
) -> None:
    """Write down the judgement; or, where it may be told later and there is time left, that it is waited for."""
    now, over = judgement.at, since + timedelta(minutes=gate.wait_minutes)
    if judgement.not_yet and now < over:
        again_at = min(now + max(FIRST_PAUSE, now - since), over)
        reason = "; ".join(judgement.reasons)
        waiting = GateWaiting(delivery=delivery, since=since, reason=reason, look_again_at=again_at)
        have.ledger.append_after({stream: last.sequence if last else 0}, {stream: [waiting]})
    else:
        append_judged(have, stream, last, judgement, f"{DELIVERY}{delivery}")


def _judged(have: Services, name: ImageName, gate: Gate, since: datetime) -> Judgement:
    """At once, whatever has been waited since."""
    chosen = have.settings
    sessions = AwsSessions(
        chosen.role_arn, name.partition, session_name="runbooks-gate", external_id=chosen.external_id
    )
    at_once = Patience(timedelta(0), pause=lambda _: None, tell=lambda _: None, now=have.now, since=since)
    return judge_image(have, sessions, name, gate, at_once)


def _gate(have: Services) -> Gate:
    return read_gate(gate_file(DEFAULT_GATE, *have.settings.library_folders))
