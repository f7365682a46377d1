"""The migrations make the tables of tables.py, once, whoever starts at the same moment."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from runbooks.errors import LedgerError
from runbooks.records import ResponseEnded
from tasks.gateways.ledger import Ledger, schema, tables
from tasks.gateways.ledger.database import Database
from tests.tasks.gateways.ledger.samples import a_finding, a_key, contents, start


def test_the_migrations_make_exactly_the_tables(ledger: Ledger) -> None:
    with ledger._database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, tables.metadata) == []


def test_the_newest_migration_is_the_one_that_is_looked_for() -> None:
    config = Config()
    config.set_main_option("script_location", str(schema._SCRIPTS))
    assert ScriptDirectory.from_config(config).get_heads() == [schema.REVISION]


@pytest.mark.postgres
def test_postgresql_compresses_deliveries_the_quick_way(postgres_url: str) -> None:
    query = "SELECT attcompression FROM pg_attribute WHERE attrelid = 'inbox'::regclass AND attname = 'body'"
    ledger = Ledger.open(postgres_url)
    with ledger._database.reading() as connection:
        assert connection.scalar(text(query)) == "l"
    ledger.close()


def test_many_may_start_at_once(url: str) -> None:
    barrier = threading.Barrier(6)
    faults: list[BaseException] = []

    def start() -> None:
        database = Database(url, wait_seconds=20)
        barrier.wait()
        try:
            schema.upgrade(database)
        except LedgerError as fault:
            faults.append(fault)
        database.close()

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


def test_many_processes_may_start_at_once(url: str) -> None:
    program = f"from tasks.gateways.ledger import Ledger; print(Ledger.open({url!r}, wait_seconds=20).streams())"
    command = [sys.executable, "-c", program]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    assert [process.communicate(timeout=60) for process in started] == [("()\n", "")] * 4


def test_tables_of_a_newer_version_are_left_alone(url: str, opened: Callable[[str], Ledger]) -> None:
    ledger = opened(url)
    with ledger._database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(LedgerError, match="use the newer program"):
        opened(url)


def test_an_up_to_date_ledger_opens_without_loading_the_migrations(url: str) -> None:
    Ledger.open(url).close()
    program = (
        "import sys; from tasks.gateways.ledger import Ledger; "
        f"Ledger.open({url!r}).probe(); print([name for name in sys.modules if name.startswith('alembic')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_ledger_of_the_version_before_is_brought_up_with_what_its_entries_say(
    url: str, opened: Callable[[str], Ledger]
) -> None:
    ledger = opened(url)
    response = start(ledger, "i-0a")
    ledger.take_finding(a_key("i-0b"), a_finding(2, resource="i-0b"), "webhook", "delivery-1")
    ledger.end_response(response, ResponseEnded(result="failed", reason="no role"), {})
    before = contents(ledger)
    older = (
        "DROP TABLE findings",
        "CREATE TABLE findings (case_id TEXT NOT NULL, arn TEXT NOT NULL, PRIMARY KEY (case_id, arn))",
        "ALTER TABLE cases DROP COLUMN triaged_by",
        "ALTER TABLE cases DROP COLUMN closed_at",
        "ALTER TABLE responses DROP COLUMN grouping",
        "UPDATE alembic_version SET version_num = '0002'",
    )
    with ledger._database.writing() as connection:
        for statement in older:
            connection.execute(text(statement))
    assert contents(opened(url)) == before
