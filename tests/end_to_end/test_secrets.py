"""No secret that the product is given is found in what it writes, anywhere.

One exception is known: a one-time code lies in Prefect's database, as part of the form that it was typed into. By then
it is of no use to anyone.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from deployments.demo.operator import COMMENTS
from deployments.local import GITHUB_TOKEN, JIRA_TOKEN, SLACK_SIGNING_SECRET, SLACK_TOKEN, WEBHOOK_KEY
from runbooks.case import APPROVERS_STREAM
from runbooks.codes import timecode_of
from runbooks.registry import Registry
from tasks.keys import read_signer
from tasks.settings import Settings
from tests.end_to_end.conftest import CANARIES
from tests.end_to_end.product import Product

DATABASES = ("prefect/prefect.db", "ledger.db")
FORMS = "prefect.db flow_run_input"
"""Where a form's answer is kept."""


def secrets_of(product: Product) -> dict[str, str]:
    """Every secret of the running product, each unlike anything else."""
    keys = {file.name: file.read_text(encoding="ascii").strip() for file in (product.stack.folder / "keys").iterdir()}
    assert keys.keys() == {"signing.key", "checkpoint.key"}
    named = {
        "Slack token": SLACK_TOKEN,
        "GitHub token": GITHUB_TOKEN,
        "Slack signing secret": SLACK_SIGNING_SECRET,
        "Jira token": JIRA_TOKEN,
        "webhook key": WEBHOOK_KEY,
    }
    return named | CANARIES | keys | product.local.authenticators._secrets


def everything_written(product: Product) -> Iterator[tuple[str, str]]:
    """Each place, and what stands there: rows of every table, files, messages and tickets."""
    folder = product.stack.folder
    for database in DATABASES:
        yield from _rows(folder / database)
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if file.is_file() and not name.startswith(("keys/", *DATABASES)):
            yield name, file.read_bytes().decode(errors="replace")
    yield "Slack", json.dumps(product.messages())
    yield "Jira", json.dumps(product.issues())


def _rows(database: Path) -> Iterator[tuple[str, str]]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                values = (each.decode(errors="replace") if isinstance(each, bytes) else str(each) for each in row)
                yield f"{database.name} {table}", "\n".join(values)


def places_of(patterns: Mapping[str, str], written: list[tuple[str, str]]) -> set[tuple[str, str]]:
    """Where one of these was found, by name and place."""
    compiled = {name: re.compile(pattern) for name, pattern in patterns.items()}
    return {(name, place) for place, text in written for name, pattern in compiled.items() if pattern.search(text)}


def codes_given(written: list[tuple[str, str]]) -> dict[str, str]:
    """The one-time codes that were typed into forms, each with the name that it was given under."""
    answers = [
        json.loads(line)
        for place, text in written
        if place == FORMS
        for line in text.splitlines()
        if 'one_time_code":' in line
    ]
    return {
        each["one_time_code"]: each["approver"] for each in answers if str(each.get("one_time_code", "")).isdecimal()
    }


def test_no_secret_is_found_in_what_the_product_writes(product: Product) -> None:
    incident = product.deliver(13)
    product.until(lambda: incident.case().response_id, "a response to it")
    incident.approve("contain")
    incident.reject("remediate")
    incident.ended()
    product.until((product.stack.folder / "keys" / "checkpoint.key").exists, "a checkpoint")

    written = list(everything_written(product))
    comment = {"comment": re.escape(COMMENTS["approve"])}
    assert {place for _, place in places_of(comment, written)} >= {FORMS, "ledger.db entries", "Slack"}
    secrets = {name: re.escape(secret) for name, secret in secrets_of(product).items()}
    assert places_of(secrets, written) == set()

    # As a word of its own: six digits are part of many a time and many a hash.
    codes = codes_given(written)
    alone = {code: rf"(?<![\w.:+-]){code}(?![\w.:-])" for code in codes}
    assert len(codes) >= 2
    assert {place for _, place in places_of(alone, written)} == {FORMS}
    signer = read_signer(Settings(home=product.stack.folder, signing_key=None, signing_key_file=None))
    registry = Registry.read(product.ledger.entries(APPROVERS_STREAM), signer)
    for code, name in codes.items():
        standing = registry.named(name)
        assert standing is not None
        fits = timecode_of(signer.reveal(standing.approver.secret), code, datetime.now(UTC))
        assert fits is None or fits <= standing.last_timecode
