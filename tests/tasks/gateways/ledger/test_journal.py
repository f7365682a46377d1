"""What is written stays as it was written, in order, on either database."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from runbooks.case import SYSTEM_STREAM, case_stream, response_stream
from runbooks.chain import GENESIS, Fault, Problem
from runbooks.errors import BadInput, InvalidSetting, LedgerError
from runbooks.records import Intent, ResponseEnded, Restarted, Waiting
from tasks.gateways.ledger import Ledger
from tests.tasks.gateways.ledger.samples import (
    MORNING,
    Clock,
    a_finding,
    a_key,
    answer,
    contents,
    kinds,
    open_case,
    question,
    start,
    tamper,
    triaged,
)


def restarted(number: int = 1) -> Restarted:
    return Restarted(response=f"resp-{number}", attempt=number, reason="crashed")


def test_entries_come_back_in_order_each_sealed_behind_the_one_before(ledger: Ledger, clock: Clock) -> None:
    first, second = ledger.append(SYSTEM_STREAM, restarted(1), restarted(2))
    later = clock.pass_by(seconds=1)
    (third,) = ledger.append(SYSTEM_STREAM, restarted(3))
    assert [entry.record() for entry in ledger.entries(SYSTEM_STREAM)] == [restarted(1), restarted(2), restarted(3)]
    assert ledger.entries(SYSTEM_STREAM) == (first, second, third)
    assert [entry.previous for entry in (first, second, third)] == [GENESIS, first.hash, second.hash]
    assert [(entry.sequence, entry.at) for entry in (first, second, third)] == [(1, MORNING), (2, MORNING), (3, later)]


def test_streams_are_chains_of_their_own(ledger: Ledger) -> None:
    for stream in ("case/b", "case/a", "case_x", "response/a", SYSTEM_STREAM):
        ledger.append(stream, restarted())
    assert ledger.streams("case/") == ("case/a", "case/b")
    assert ledger.streams("case_") == ("case_x",)
    assert ledger.streams() == ("case/a", "case/b", "case_x", "response/a", "system")
    assert {entry.previous for stream in ledger.streams() for entry in ledger.entries(stream)} == {GENESIS}
    assert ledger.entries("case/none") == ()


def test_what_cannot_be_sealed_leaves_nothing_behind(ledger: Ledger) -> None:
    odd = Intent(operation="o", action="a", subject="s", epoch=1, original={"size": 2**60})
    with pytest.raises(BadInput):
        ledger.append(SYSTEM_STREAM, restarted(), odd)
    assert contents(ledger) == {table: [] for table in contents(ledger)}


def test_writers_of_many_threads_make_one_unbroken_chain(ledger: Ledger) -> None:
    def write() -> None:
        for number in range(10):
            ledger.append(SYSTEM_STREAM, restarted(number))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    verified = ledger.verify()
    assert (verified.entries, verified.streams, verified.problems) == (40, 1, ())


def a_history(ledger: Ledger) -> None:
    ledger.append("case/a", restarted(1), restarted(2), restarted(3))
    ledger.append("case/b", restarted(1), restarted(2), restarted(3), restarted(4))
    ledger.append(SYSTEM_STREAM, restarted(1))


def test_an_untouched_ledger_verifies(ledger: Ledger) -> None:
    a_history(ledger)
    verified = ledger.verify()
    assert (verified.entries, verified.streams, verified.problems, verified.ok) == (8, 3, (), True)


@pytest.mark.parametrize(
    ("statement", "sequence", "fault"),
    [
        ("UPDATE entries SET body = replace(body, 'crashed', 'planned') WHERE {second}", 2, Fault.EDITED),
        ("UPDATE entries SET body = 'not JSON' WHERE {second}", 2, Fault.EDITED),
        ("DELETE FROM entries WHERE {second}", 2, Fault.DELETED),
        ("DELETE FROM entries WHERE stream = 'case/b' AND sequence > 2", 3, Fault.TRUNCATED),
        ("DELETE FROM entries WHERE stream = 'case/b'", 1, Fault.TRUNCATED),
        ("DELETE FROM streams WHERE stream = 'case/b'", 1, Fault.INSERTED),
    ],
)
def test_tampering_is_named_by_its_first_entry(ledger: Ledger, statement: str, sequence: int, fault: Fault) -> None:
    a_history(ledger)
    tamper(ledger, statement.format(second="stream = 'case/b' AND sequence = 2"))
    first = ledger.verify().problems[0]
    assert (first.stream, first.sequence, first.fault) == ("case/b", sequence, fault)


def test_every_bad_stream_is_named_and_every_entry_counted(ledger: Ledger) -> None:
    a_history(ledger)
    tamper(ledger, "UPDATE entries SET kind = 'x' WHERE stream <> 'case/a' AND sequence = 1")
    verified = ledger.verify()
    assert [(problem.stream, problem.sequence) for problem in verified.problems] == [("case/b", 1), ("system", 1)]
    assert (verified.entries, verified.streams) == (8, 3)


def test_a_swap_of_two_entries_is_named(ledger: Ledger) -> None:
    a_history(ledger)
    swap = "UPDATE entries SET sequence = {to} WHERE stream = 'case/b' AND sequence = {sequence}"
    steps = ((2, 9), (3, 2), (9, 3))
    tamper(ledger, *(swap.format(sequence=sequence, to=to) for sequence, to in steps))
    detail = "another entry was written in its place"
    assert ledger.verify().problems == (Problem(stream="case/b", sequence=2, fault=Fault.REORDERED, detail=detail),)


@pytest.mark.parametrize("statement", ["UPDATE entries SET kind = 'x'", "DELETE FROM entries"])
def test_the_database_itself_refuses_to_change_entries(ledger: Ledger, statement: str) -> None:
    a_history(ledger)
    before = contents(ledger)
    with pytest.raises(LedgerError, match="only ever added"), ledger._database.writing() as connection:
        connection.execute(text(statement))
    assert contents(ledger) == before


def a_long_story(ledger: Ledger, clock: Clock) -> None:
    """Everything that changes a table: cases closed and opened again, questions, attempts, an end."""
    response = start(ledger, "i-0a", "i-0b")
    ledger.take_finding(a_key("i-0a"), a_finding(2, severity="CRITICAL"), "webhook", None)
    attempt = ledger.next_attempt(response)
    lease = ledger.take_over(response, attempt, "run-1", ["i-0a"], 60)
    clock.pass_by(seconds=5)
    ledger.ask(response, question(), lease=lease)
    ledger.decide(response, answer("invalid"))
    ledger.ask(response, question(2))
    ledger.ask(response, question(1, digest="e" * 64))
    ledger.decide(response, answer(digest="e" * 64))
    ledger.take_over(response, attempt, "run-1", ["i-0a"], 60)
    ledger.wait(response, "verify", "waiting for a scan", clock.pass_by(minutes=3))
    closed = {open_case(ledger, "i-0a", updated_at=clock.now): "fixed"}
    triaged(ledger, response)
    ledger.end_response(response, ResponseEnded(result="fixed", reason="all agree"), closed)
    clock.pass_by(days=1)
    open_case(ledger, "i-0a", updated_at=clock.now, severity="LOW")
    waiting = start(ledger, "i-0c")
    ledger.next_attempt(waiting, "crashed")
    ledger.append(response_stream(waiting), Waiting(phase="verify", reason="a scan", look_again_at=clock.now))


def test_the_tables_made_anew_from_the_entries_are_the_same(ledger: Ledger, clock: Clock) -> None:
    ledger.receive("event/1", "webhook", b"{}")
    a_long_story(ledger, clock)
    before = contents(ledger)
    assert all(before[name] for name in ("cases", "findings", "responses", "approvals", "inbox", "leases"))
    with ledger._database.writing() as connection:
        connection.execute(text("UPDATE cases SET status = 'x', severity = 'x'"))
        connection.execute(text("UPDATE responses SET status = 'x', attempt = 77"))
        connection.execute(text("DELETE FROM findings"))
        connection.execute(text("UPDATE approvals SET answer = 'approved'"))
    assert contents(ledger) != before
    assert ledger.rebuild() == len(before["entries"])
    assert contents(ledger) == before


def test_a_record_of_a_newer_version_stands_in_nobodys_way(ledger: Ledger) -> None:
    case = open_case(ledger)
    before = contents(ledger)
    tamper(ledger, """UPDATE entries SET kind = 'case-dreamt', body = '{"kind":"case-dreamt"}' WHERE sequence = 2""")
    assert kinds(ledger, case_stream(case)) == ["case-opened", "case-dreamt"]
    assert ledger.rebuild() == 2
    assert contents(ledger)["cases"] != before["cases"], "the finding's severity is not known any more"
    assert ledger.find_cases("i-0a")[0].status == "open"


def test_times_keep_their_microseconds_whatever_the_zone(url: str) -> None:
    ledger = Ledger.open(url, clock=lambda: datetime.fromisoformat("2026-07-01T12:00:00.000001+02:00"))
    (written,) = ledger.append(SYSTEM_STREAM, restarted())
    assert written.at == datetime(2026, 7, 1, 10, 0, 0, 1, tzinfo=UTC)
    assert ledger.entries(SYSTEM_STREAM) == (written,)
    ledger.close()


def test_a_ledger_held_by_another_writer_says_what_to_do(url: str, opened: Callable[[str], Ledger]) -> None:
    ledger, other = Ledger.open(url, wait_seconds=0.3), opened(url)
    with other._database.writing(), pytest.raises(LedgerError) as fault:
        ledger.append(SYSTEM_STREAM, restarted())
    assert "\n" not in fault.value.detail
    assert fault.value.detail.endswith("; another process is writing: stop it, or try again")
    ledger.append(SYSTEM_STREAM, restarted())
    ledger.close()


def test_readers_are_not_kept_out_by_a_writer(url: str, opened: Callable[[str], Ledger]) -> None:
    ledger, other = opened(url), opened(url)
    ledger.append(SYSTEM_STREAM, restarted())
    with other._database.writing() as connection:
        connection.execute(text("DELETE FROM streams"))
        assert len(ledger.entries(SYSTEM_STREAM)) == len(ledger.streams()) == 1


def test_a_file_that_is_no_database_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    file.write_text("this is no database, but long enough to be looked at as one" * 20)
    with pytest.raises(LedgerError, match="not a database; point the ledger's address at another file"):
        Ledger.open(f"sqlite:///{file}")


def test_a_directory_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match="make it writable"):
        Ledger.open(f"sqlite:///{tmp_path}/file/below/ledger.db")


def test_a_server_that_is_not_there_says_what_to_do_and_not_the_password(tmp_path: Path) -> None:
    with pytest.raises(LedgerError) as fault:
        Ledger.open(f"postgresql://ana:geheim@/ledger?host={tmp_path}", wait_seconds=2)
    assert fault.value.detail.endswith("; see that the server is up and the address right")
    assert "geheim" not in fault.value.detail


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ana:ge@heim@127.0.0.1:9/ledger",
        "postgresql://ana:ge@heim/x@127.0.0.1:9/ledger",
        "postgresql://ana:ge@heim?x@127.0.0.1:9/ledger",
        "postgresql://ana/x:geheim@127.0.0.1:9/ledger",
        "postgresql://ana:geheim/ledger",
        "postgresql://127.0.0.1:9/ledger?user=ana&password=geheim",
        "postgresql://127.0.0.1:9/ledger?sslpassword=geheim",
    ],
)
def test_an_address_whose_password_would_be_taken_for_something_else_is_refused_unseen(url: str) -> None:
    with pytest.raises(InvalidSetting) as refused:
        Ledger.open(url, wait_seconds=2)
    assert refused.value.__cause__ is None
    assert [part for part in ("ge@", "heim", "ana", "127.0.0.1") if part in refused.value.detail] == []


def test_a_quoted_password_is_read_and_not_told() -> None:
    with pytest.raises(LedgerError) as fault:
        Ledger.open("postgresql://ana:ge%40heim@127.0.0.1:9/ledger", wait_seconds=2)
    assert fault.value.detail.startswith("ledger postgresql+psycopg://ana:***@127.0.0.1:9/ledger: ")
    assert "heim" not in fault.value.detail


def test_the_path_of_a_file_may_have_at_signs(tmp_path: Path) -> None:
    Ledger.open(f"sqlite:///{tmp_path}/a@b@c/ledger.db").close()
    assert (tmp_path / "a@b@c" / "ledger.db").exists()


@pytest.mark.parametrize("url", ["", "var/ledger.db", "sqlite://", "sqlite:///:memory:", "mysql://host/ledger"])
def test_an_address_that_can_hold_no_record_is_refused(url: str) -> None:
    with pytest.raises(InvalidSetting):
        Ledger.open(url)


def test_a_sqlite_ledger_is_on_the_disk_when_a_commit_returns(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path}/below/ledger.db")
    with ledger._database.reading() as connection:
        read = {name: connection.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous")}
    ledger.close()
    assert read == {"journal_mode": "wal", "synchronous": 2}
