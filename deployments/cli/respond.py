"""`runbooks respond`: put a finding into the inbox, as if it had been delivered."""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from deployments.cli.exits import ANSWER_IS_NO, DONE
from deployments.cli.findings import finding_at, findings_in, in_words, is_arn, read_bytes
from deployments.cli.following import LOOK_EVERY_SECONDS, PATIENCE_SECONDS, follow
from deployments.cli.identity import As, started_by
from deployments.cli.opening import opened
from deployments.cli.output import Json, data, lines, say
from runbooks.case import CaseKey
from runbooks.finding import Finding
from runbooks.inspector import to_detail

if TYPE_CHECKING:
    from tasks.gateways.ledger import CaseRow, Delivery
    from tasks.services import Services

app = App(
    name="respond",
    help_epilogue="""\
Examples:

  runbooks respond finding.json
  runbooks respond finding.json --wait
  runbooks respond FINDING_ARN

With --wait the exit code is 0 when it is fixed or nothing had to be done, and
1 otherwise; Ctrl-C stops following, and nothing else.
""",
)


@app.default
def respond(
    target: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    wait: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    as_name: As = None,
    as_json: Json = False,
) -> int:
    """Put a finding into the inbox; the sweep opens its case and starts the response.

    Args:
        target: A file (- is standard input) with a finding, or the finding's ARN.
        wait: Follow the response on standard error until it ends.
    """
    from tasks.safety import require_safe

    with opened() as have:
        require_safe(have, runs=False)
        body = _read(have, target)
        findings = findings_in(body).findings
        delivery = have.ledger.receive(f"command/{uuid.uuid4()}", started_by(as_name), body).id
        for finding in findings:
            say(f"received: {in_words(finding)}")
        if wait:
            return _wait(have, delivery, findings, as_json=as_json)
        if as_json:
            data({"delivery": delivery, "findings": [finding.arn for finding in findings]})
        else:
            lines(delivery)
        say(f"Next: runbooks inbox show {delivery}; runbooks cases show {findings[0].resource.id}")
        return DONE


def _read(have: Services, target: str) -> bytes:
    if is_arn(target):
        return json.dumps(to_detail(finding_at(target, have.settings))).encode()
    return read_bytes(target)


def _wait(have: Services, delivery: str, findings: tuple[Finding, ...], *, as_json: bool) -> int:
    try:
        settled = _settled(have, delivery)
    except KeyboardInterrupt:
        say(f"No longer waiting. {delivery} stays in the inbox, and is taken up by the sweep.")
        raise
    if settled.reason:
        say(": ".join(filter(None, (settled.code, settled.reason))))
    cases = [case for each in _case_ids(have, findings) if (case := have.ledger.case(each)) is not None]
    responses = dict.fromkeys(filter(None, map(_response, cases)))
    ended = [follow(have, response) for response in responses]
    if as_json:
        data({"delivery": delivery, "state": settled.state, "code": settled.code, "responses": ended})
    else:
        lines(*map(str, ended))
    if not ended:
        say(f"No response was started for {delivery}.")
        return DONE if settled.code == "nothing-open" else ANSWER_IS_NO
    return max(each.exit_code for each in ended)


def _settled(have: Services, delivery: str) -> Delivery:
    """The delivery, once the sweep has decided about it."""
    since, warned = time.monotonic(), False
    while True:
        found = have.ledger.delivery(delivery)
        assert found is not None  # deliveries are never deleted
        if found.state != "pending":
            return found
        if not warned and time.monotonic() - since > PATIENCE_SECONDS:
            say("Nothing has taken it up yet: is `runbooks sweep` running?")
            warned = True
        time.sleep(LOOK_EVERY_SECONDS)


def _case_ids(have: Services, findings: tuple[Finding, ...]) -> dict[str, None]:
    covered = ((finding, have.catalog.covering(finding)) for finding in findings)
    return dict.fromkeys(CaseKey.of(finding, runbook.name).id for finding, runbook in covered if runbook is not None)


def _response(case: CaseRow) -> str | None:
    return case.response_id or case.last_response_id
