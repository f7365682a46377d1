"""What was set aside is decided about once more when somebody asks: by its id, its code or its kind, and once."""

from __future__ import annotations

import json
from pathlib import Path

from runbooks.case import SYSTEM_STREAM
from runbooks.catalog import Catalog
from tasks.gateways.ledger import Ledger
from tasks.intake import drain
from tests.deployments.cli.conftest import Run

EVENTS = Path(__file__).parents[2] / "events"


def fill(ledger: Ledger) -> dict[str, str]:
    """What was delivered, by name; everything is settled."""
    names = ("scan_event", "coverage_event", "guardduty_event", "ec2_package_event")
    ids = {name: ledger.receive(name, "webhook", (EVENTS / f"{name}.json").read_bytes()).id for name in names}
    new = json.loads((EVENTS / "scan_event.json").read_text()) | {"detail-type": "Inspector3 Prophecy"}
    ids["prophecy"] = ledger.receive("prophecy", "webhook", json.dumps(new).encode()).id
    drain(ledger, Catalog.read())
    return ids


def pending(ledger: Ledger) -> list[str]:
    return [each.id for each in ledger.pending()]


def test_one_delivery_waits_again_and_the_ledger_says_who_asked(run: Run, ledger: Ledger) -> None:
    ids = fill(ledger)
    ran = run("inbox", "replay", ids["prophecy"].removeprefix("delivery-"), "--as", "jo")
    assert (ran.code, ran.out.split()) == (0, [ids["prophecy"]])
    assert ran.err == "Waiting again: 1\nNext: runbooks inbox list; the sweep decides about them once more\n"
    assert pending(ledger) == [ids["prophecy"]]
    entry = ledger.last(SYSTEM_STREAM)
    assert entry is not None
    assert (entry.kind, entry.body["delivery"], entry.body["code"], entry.body["by"]) == (
        "replayed",
        ids["prophecy"],
        "unknown-kind",
        "command:jo",
    )
    again = run("inbox", "replay", ids["prophecy"])
    assert (again.code, again.out, again.err) == (0, "", "Waiting again: 0; waiting before: 1\n")


def test_all_of_a_code_or_a_kind_wait_again_and_nothing_else(run: Run, ledger: Ledger) -> None:
    ids = fill(ledger)
    assert run("inbox", "replay", "--code", "unknown-kind", "--json").json == {"replayed": [ids["prophecy"]]}
    assert run("inbox", "replay", "--kind", "inspector-scan", "--json").json == {"replayed": [ids["scan_event"]]}
    both = run("inbox", "replay", "--code", "not-a-finding", "--kind", "inspector-coverage", "--json")
    # Known by then: with a case on the instance somebody would ask about it.
    assert both.json == {"replayed": []}
    assert run("inbox", "replay", "--kind", "event", "--json").json == {"replayed": [ids["guardduty_event"]]}
    assert pending(ledger) == [ids["scan_event"], ids["guardduty_event"], ids["prophecy"]]
    drain(ledger, Catalog.read())
    assert pending(ledger) == []
    assert ledger.delivery(ids["prophecy"]).code == "unknown-kind"  # type: ignore[union-attr]


def test_what_was_handled_is_replayed_by_its_id_and_is_no_news(run: Run, ledger: Ledger) -> None:
    ids = fill(ledger)
    cases, responses = ledger.cases(), ledger.responses()
    assert run("inbox", "replay", ids["ec2_package_event"]).code == 0
    drain(ledger, Catalog.read())
    assert (ledger.cases(), ledger.responses()) == (cases, responses)


def test_where_nothing_is_set_aside_like_that_it_says_so(run: Run, ledger: Ledger) -> None:
    fill(ledger)
    ran = run("inbox", "replay", "--code", "unknown-knid")
    said = "Nothing is set aside under that; see runbooks inbox list --state set-aside\n"
    assert (ran.code, ran.out, ran.err) == (0, "", said)


def test_the_list_and_one_delivery_say_what_became_of_it(run: Run, ledger: Ledger) -> None:
    ids = fill(ledger)
    (case,) = ledger.cases()
    told = {line.split("\t")[0]: line.split("\t")[5] for line in run("inbox", "list").out.splitlines()}
    assert told[ids["ec2_package_event"]] == f"taken into {case.id}"
    assert run("inbox", "show", ids["ec2_package_event"]).err.endswith(f", handled: taken into {case.id}\n")
    assert ", set-aside: not-a-finding: inspector-scan: " in run("inbox", "show", ids["scan_event"]).err


def test_it_says_what_it_needs(run: Run, ledger: Ledger) -> None:
    fill(ledger)
    for arguments in ((), ("delivery-0", "--code", "unknown-kind")):
        ran = run("inbox", "replay", *arguments)
        assert (ran.code, ran.err.split(": ")[1]) == (2, "usage")
    assert run("inbox", "replay", "delivery-0").err.split(": ")[1] == "no-such-delivery"
    assert pending(ledger) == []
