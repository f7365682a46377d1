"""The record, read and verified by `runbooks audit`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from deployments.verify_bundle import check
from tasks.anchors import own_public_key
from tasks.gateways.checkpoint_keys import OwnKey
from tasks.gateways.ledger import Ledger
from tests.deployments.cli.conftest import Run
from tests.deployments.cli.samples import a_contain_plan, approve, ask, carry_out, end
from tests.tasks.audited import Audited, owned
from tests.tasks.gateways.ledger.samples import RUNBOOK, Clock, a_finding, a_key, contents, open_case, tamper
from tests.tasks.tamperings import Heads, Rows, made_anew

NINE = "2026-03-02 09:00:00 UTC"


def fill(ledger: Ledger, clock: Clock) -> tuple[str, str, str]:
    """Case, response and digest of a response that was contained and ended."""
    case = open_case(ledger)
    clock.pass_by(seconds=1)
    response = ledger.start_response(RUNBOOK, (case,), "webhook").id
    plan = a_contain_plan(response, case)
    ask(ledger, plan)
    clock.pass_by(minutes=4)
    approve(ledger, plan)
    carry_out(ledger, plan, plan.steps[-1])
    ledger.close_case(case, response, "handed over")
    end(ledger, response, "person", "a person takes over\n2026-03-02 forged")
    return case, response, plan.digest


def test_the_entries_of_a_case_and_its_responses_stand_one_a_line_in_order_of_time(
    run: Run, ledger: Ledger, clock: Clock
) -> None:
    case, response, digest = fill(ledger, clock)
    open_case(ledger, "i-0b")

    ran = run("audit", "show", "i-0a")

    swap = a_contain_plan(response, case).steps[-1].describe()
    mine, its = f"case/{case}", f"response/{response}"
    assert ran.out.splitlines() == [
        f"2026-03-02 08:00:00 UTC  {mine} 1  case opened for i-0a (111122223333, eu-west-1) under ec2-critical",
        f"2026-03-02 08:00:00 UTC  {mine} 2  finding seen: CVE-2026-1, HIGH, ACTIVE (by webhook)",
        f"2026-03-02 08:00:01 UTC  {its} 1  response to respond started by webhook: 1 case under ec2-critical",
        f"2026-03-02 08:00:01 UTC  {its} 2  plan made to contain, revision 1: 3 steps, digest {digest}",
        f"2026-03-02 08:00:01 UTC  {its} 3  approval asked for plan {digest[:12]} to contain, until {NINE}",
        f"2026-03-02 08:04:01 UTC  {mine} 3  case closed: handed over",
        f"2026-03-02 08:04:01 UTC  {its} 4  plan {digest[:12]} to contain approved by ana through Slack (go)",
        f"2026-03-02 08:04:01 UTC  {its} 5  about to: {swap}",
        f"2026-03-02 08:04:01 UTC  {its} 6  done: {swap}",
        f"2026-03-02 08:04:01 UTC  {its} 7  ended, person: a person takes over 2026-03-02 forged",
    ]


def test_json_gives_the_whole_entries_with_their_hashes(run: Run, ledger: Ledger, clock: Clock) -> None:
    case, response, _ = fill(ledger, clock)
    stored = [*ledger.entries(f"case/{case}"), *ledger.entries(f"response/{response}")]

    given = run("audit", "show", case, "--json").json

    assert len(given) == len(stored)
    assert {each["hash"]: each["body"] for each in given} == {each.hash: each.body for each in stored}


def anchored(run: Run, home: Path, ledger: Ledger, clock: Clock) -> Audited:
    """The services of the sweep, which has just anchored what there is."""
    have = Audited(home, ledger, clock)
    have.anchor()
    return have


def test_a_record_as_it_was_written_verifies(run: Run, home: Path, ledger: Ledger, clock: Clock) -> None:
    fill(ledger, clock)
    anchored(run, home, ledger, clock)

    assert run("audit", "verify").out.splitlines() == [
        "10 entries in 2 streams: ok",
        "checkpoints that agree: 1, the last over 10 entries at 2026-03-02 08:05:02 UTC",
    ]
    given = run("audit", "verify", "--json").json
    assert given == {
        "ok": True,
        "unanchored": 0,
        "entries": 10,
        "streams": 2,
        "problems": [],
        "checkpoints": 1,
        "anchored": 10,
        "anchored_at": "2026-03-02T08:05:02.123456Z",
        "unanchored_since": None,
        "checkpoint_problems": [],
    }


def test_what_no_checkpoint_covers_is_counted_and_after_an_hour_it_is_a_no(
    run: Run, home: Path, ledger: Ledger, clock: Clock
) -> None:
    fill(ledger, clock)
    ran = run("audit", "verify")
    assert (ran.code, ran.out.splitlines()) == (
        1,
        [
            "10 entries in 2 streams: ok",
            "no checkpoint: whoever owns the database can rewrite all of it unseen",
            "NOT anchored for more than an hour: is the sweep running?",
        ],
    )
    anchored(run, home, ledger, clock)
    clock.now = datetime.now(UTC)
    open_case(ledger, "i-0b")
    ran = run("audit", "verify")
    assert (ran.code, ran.out.splitlines()[2]) == (
        0,
        f"2 entries since {clock.now:%Y-%m-%d %H:%M:%S} UTC not anchored yet",
    )
    assert run("audit", "verify", "--json").json["unanchored"] == 2


def test_an_owner_who_made_everything_anew_is_found_by_the_checkpoint(
    run: Run, home: Path, ledger: Ledger, clock: Clock
) -> None:
    _, response, _ = fill(ledger, clock)
    anchored(run, home, ledger, clock)
    with owned(ledger) as owner:
        rows, heads = owner.read(), owner.heads()
        owner.write(*approved_by_eve(rows, heads))
    ran = run("audit", "verify")
    assert (ran.code, ran.out.splitlines()) == (
        1,
        [
            "10 entries in 2 streams: NOT as written",
            "no checkpoint: whoever owns the database can rewrite all of it unseen",
            "NOT anchored for more than an hour: is the sweep running?",
            f"response/{response} entry 4 was rewritten: another entry was anchored; hashes and heads were made anew",
        ],
    )


def approved_by_eve(rows: Rows, heads: Heads) -> tuple[Rows, Heads]:
    """The decision names somebody else, and every hash after it fits."""
    rows = [row._replace(body=row.body.replace("ana", "eve")) for row in rows]
    for stream in heads:
        rows, heads = made_anew(rows, heads, stream)
    return rows, heads


def test_another_anchor_and_another_key_can_be_named(
    run: Run, home: Path, ledger: Ledger, clock: Clock, tmp_path: Path
) -> None:
    fill(ledger, clock)
    anchored(run, home, ledger, clock)
    own = tmp_path / "own.pem"
    own.write_text(run("audit", "public-key").out)
    other = OwnKey(b"o" * 32).public_key.hex()
    away = (home / "anchors").rename(tmp_path / "copied")

    assert run("audit", "verify").code == 1, "nothing is in the folder that the settings name"
    assert run("audit", "verify", "--anchor", away, "--public-key", own).code == 0
    assert run("audit", "verify", "--anchor", away, "--public-key", other, "--public-key", own).code == 0
    refused = run("audit", "verify", "--anchor", away, "--public-key", other)
    assert refused.code == 1
    assert "checkpoint 10: it is not signed with a key that was given" in refused.out
    (home / "keys" / "checkpoint.key").unlink()
    assert run("audit", "verify", "--anchor", away, "--public-key", own).code == 0


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--public-key", "nothing.pem"), "invalid-setting"),
        (("--anchor", "nowhere"), "invalid-setting"),
    ],
)
def test_a_key_or_an_anchor_that_is_none_is_refused_with_what_to_do(
    run: Run, ledger: Ledger, clock: Clock, options: tuple[str, ...], code: str
) -> None:
    fill(ledger, clock)
    ran = run("audit", "verify", *options)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {code}: ")


def test_a_bundle_is_written_that_somebody_else_can_check(
    run: Run, home: Path, ledger: Ledger, clock: Clock, tmp_path: Path
) -> None:
    case, _, _ = fill(ledger, clock)
    refused = run("audit", "export", "i-0a")
    assert (refused.code, refused.err) == (
        2,
        "error: no-checkpoint: nothing is anchored yet; the sweep does that, see runbooks sweep\n",
    )
    have = anchored(run, home, ledger, clock)
    open_case(ledger, "i-0b")
    ledger.take_finding(a_key("i-0a"), a_finding(2), "webhook", None)

    ran = run("audit", "export", case, "--to", tmp_path / "bundle.json")

    assert (ran.code, ran.out) == (0, "")
    assert ran.err.splitlines() == [
        "10 entries up to checkpoint 10 of 2026-03-02 08:05:02 UTC",
        "2 written since then are not in it: export again after the next checkpoint",
    ]
    bundle = (tmp_path / "bundle.json").read_text()
    assert bundle == run("audit", "export", case).out
    assert check(bundle, own_public_key(have.settings)).startswith(f"holds: 10 entries of {case} in 2 streams")
    assert run("audit", "export", case, "--to", tmp_path / "no" / "such" / "folder").err.startswith(
        "error: cannot-write:"
    )


def test_the_public_key_is_told_once_there_is_one(run: Run, home: Path, ledger: Ledger, clock: Clock) -> None:
    fill(ledger, clock)
    assert run("audit", "public-key").err.startswith("error: no-checkpoint-key: ")
    have = anchored(run, home, ledger, clock)
    key = load_pem_public_key(run("audit", "public-key").out.encode())
    assert isinstance(key, Ed25519PublicKey)
    assert key.public_bytes_raw() == own_public_key(have.settings)


def test_the_first_changed_entry_of_each_stream_is_named_and_the_answer_is_no(
    run: Run, ledger: Ledger, clock: Clock
) -> None:
    case, response, _ = fill(ledger, clock)
    tamper(
        ledger,
        f"UPDATE entries SET body = replace(body, 'ana', 'eve') WHERE stream = 'response/{response}'",
        f"DELETE FROM entries WHERE stream = 'case/{case}' AND sequence = 3",
    )

    ran = run("audit", "verify")

    assert ran.code == 1
    told = ran.out.splitlines()
    assert told[0] == "9 entries in 2 streams: NOT as written"
    assert told[3].startswith(f"response/{response} entry 4 was edited: ")
    assert told[4].startswith(f"case/{case} entry 3 was truncated: ")
    assert len(told) == 5
    found = run("audit", "verify", "--json")
    assert (found.code, found.json["ok"]) == (1, False)
    assert [(each["sequence"], each["fault"]) for each in found.json["problems"]] == [(4, "edited"), (3, "truncated")]


def test_the_tables_are_made_anew_from_the_entries(run: Run, ledger: Ledger, clock: Clock) -> None:
    fill(ledger, clock)
    before = contents(ledger)
    with ledger._database.writing() as connection:
        connection.exec_driver_sql("UPDATE cases SET status = 'open', severity = 'LOW'")

    ran = run("audit", "rebuild")

    assert (ran.code, ran.out) == (0, "made anew from 10 entries\n")
    assert contents(ledger) == before
