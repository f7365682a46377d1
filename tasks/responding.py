"""From open cases to the responses that will act on them: those that are alike join one.

What waits for a response is in the ledger: active findings that none has answered. So a pass that is killed anywhere
loses nothing, and how long a burst is given to settle does not depend on who looks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

from runbooks.catalog import Catalog
from runbooks.grouping import Candidate, Pause, group_key, is_command, settled
from tasks.gateways.ledger import Ledger, Unanswered

CASES_READ = 100
"""Cases whose findings are in memory at the same time."""


def respond(ledger: Ledger, catalog: Catalog, grouping_seconds: float) -> Iterator[str]:
    """Give the cases that wait no longer to responses; the ids of those that were started or joined.

    Args:
        grouping_seconds: how long a case may wait for others like it; 0 for not at all.
    """
    waiting = {each.case.id: each for each in _uncollected(ledger, catalog, grouping_seconds)}
    pause = Pause(grouping_seconds, more_to_come=bool(ledger.pending(1)))
    if not any(_waits_no_longer(each, pause) for each in waiting.values()):
        return  # A group waits at least as long as one of its cases: no need to read what they are about.
    for group in settled(_candidates(ledger, catalog, waiting.values()), pause):
        key, source = group[0].key, waiting[group[0].case].source
        most = catalog.named(key.runbook).limits.maximum_cases
        yield from ledger.group_cases(key.runbook, key.digest, [each.case for each in group], source, most)


def _uncollected(ledger: Ledger, catalog: Catalog, grouping_seconds: float) -> list[Unanswered]:
    """Those that may have a response now: what comes after a ticket is collected for the next, unless it is urgent."""
    waiting = list(ledger.unanswered())
    named = {each.case.key.runbook for each in waiting}
    collecting = {
        (runbook.name, *place)
        for runbook in catalog
        if grouping_seconds and runbook.playbook == "ticket" and runbook.name in named
        for place in ledger.begun_within(runbook.name, timedelta(minutes=runbook.handover.collect_minutes))
    }
    urgent = {_whose(each) for each in waiting if _is_urgent(each)}
    return [each for each in waiting if _whose(each) not in collecting - urgent]


def _whose(each: Unanswered) -> tuple[str, str, str]:
    key = each.case.key
    return key.runbook, key.account, key.region


def _waits_no_longer(each: Unanswered, pause: Pause) -> bool:
    return _is_urgent(each) or pause.is_over(each.waited, each.quiet)


def _is_urgent(each: Unanswered) -> bool:
    return each.is_hasty or is_command(each.source)


def _candidates(ledger: Ledger, catalog: Catalog, waiting: Iterable[Unanswered]) -> Iterator[Candidate]:
    known = {runbook.name: runbook for runbook in catalog}
    able = [each for each in waiting if each.case.key.runbook in known]
    for start in range(0, len(able), CASES_READ):
        some = able[start : start + CASES_READ]
        findings = ledger.findings_of(each.case.id for each in some)
        for each in some:
            case, runbook = each.case, known[each.case.key.runbook]
            yield Candidate(
                case=case.id,
                key=group_key(case.key, findings[case.id], runbook, each.source),
                waited=each.waited,
                quiet=each.quiet,
                is_hasty=each.is_hasty,
            )
