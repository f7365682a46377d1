"""What `runbooks gate` leaves as evidence: its judgement in the ledger, and a statement that can be verified."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runbooks.records import GateJudged
from tasks.gateways.ledger import Ledger
from tests.deployments.cli.conftest import Ran, Run
from tests.deployments.cli.gated import LAX, OWN_ACCOUNT, digest_of
from tests.tasks.scanned import BAD_SBOM, GOOD_SBOM, REGION, Registry

SEED = b"a checkpoint key of thirty-two b"
PUBLIC_KEY = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw().hex()
NO_LEDGER = "No evidence in a ledger: there is none here, so open cases were not looked at either."


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("RUNBOOKS_CHECKPOINT_KEY", base64.b64encode(SEED).decode())
    return PUBLIC_KEY


def judgements(ledger: Ledger) -> dict[str, list[tuple[str, str]]]:
    """Ruling and who asked, by stream."""
    found: dict[str, list[tuple[str, str]]] = {}
    for stream in ledger.streams():
        for entry in ledger.entries(stream) if stream.startswith("gate/") else ():
            record = entry.record()
            assert isinstance(record, GateJudged)
            found.setdefault(stream, []).append((record.ruling, record.by.partition(":")[0]))
    return found


@pytest.mark.usefixtures("safe")
def test_every_judgement_is_in_the_ledger_under_its_digest(run: Run, registry: Registry, ledger: Ledger) -> None:
    refused, unscanned = run("gate", registry.bad), run("gate", registry.good, "--wait", 0)
    registry.scan()
    run("gate", registry.good)

    place = f"gate/{OWN_ACCOUNT}/{REGION}"
    good = f"{place}/base/ubuntu@{digest_of(run, registry.good)}"
    bad = f"{place}/shop/checkout@{registry.built['digest']}"
    assert refused.err == f"Recorded in the ledger: {bad}\n"
    assert unscanned.err == f"Recorded in the ledger: {good}\n"
    assert judgements(ledger) == {
        bad: [("refused", "command")],
        good: [("cannot-tell", "command"), ("passed", "command"), ("passed", "command")],
    }


def test_a_ledger_without_a_signing_key_is_no_evidence_and_that_is_said(
    run: Run, registry: Registry, ledger: Ledger
) -> None:
    ran = run("gate", registry.bad)
    assert ran.code == 1
    assert ran.err.startswith("No evidence in the ledger: there is no key at ")
    assert judgements(ledger) == {}


def test_what_has_passed_is_stated_and_the_statement_verified(
    run: Run, registry: Registry, tmp_path: Path, key: str
) -> None:
    registry.scan()
    file = tmp_path / "passed.json"

    passed = run("gate", registry.good, "--statement", file)
    digest = digest_of(run, registry.good)
    verified = run("gate", digest, "--verify", file)

    assert (passed.code, verified.code) == (0, 0)
    assert f"Signed statement: {file}" in passed.err.splitlines()
    assert verified.out.splitlines()[0] == f"verified: {registry.good.rpartition(':')[0]}@{digest}"
    for what in (digest, f"{registry.good.rpartition(':')[0]}@{digest}"):
        assert run("gate", what, "--verify", file, "--public-key", key).code == 0


def test_a_statement_is_about_one_digest_one_key_and_one_set_of_rules(
    run: Run, registry: Registry, tmp_path: Path, key: str, lax: Path
) -> None:
    registry.scan()
    file = tmp_path / "passed.json"
    run("gate", registry.good, "--statement", file)
    good = digest_of(run, registry.good)

    def verify(*arguments: str | Path) -> tuple[int, str]:
        """How it ends, with the code of the error."""
        ran: Ran = run("gate", *arguments, "--verify", file)
        return ran.code, "" if ran.code == 0 else ran.err.split(": ")[1]

    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    assert verify(good) == (0, "")
    assert verify() == (2, "usage")
    assert verify(registry.bad) == (1, "statement-of-another-digest")
    assert verify(registry.good) == (2, "usage")
    assert verify(good, "--public-key", other) == (1, "statement-not-trusted")
    assert verify(good, "--public-key", other, "--public-key", key) == (0, "")
    assert verify(good, "--runbook", lax) == (1, "statement-of-another-gate")
    stricter = tmp_path / "default.yaml"
    stricter.write_text(LAX.replace("name: lax", "name: default"), encoding="utf-8")
    assert verify(good, "--runbook", stricter) == (1, "statement-of-other-rules")
    assert verify(good, "--max-age", "0.0000001") == (1, "statement-too-old")
    assert verify(good, "--max-age", "0") == (2, "usage")
    file.write_text("{}")
    assert verify(good) == (2, "malformed-statement")


def test_a_statement_by_other_rules_than_the_default_is_verified_by_these(
    run: Run, registry: Registry, tmp_path: Path, key: str, lax: Path
) -> None:
    file = tmp_path / "passed.json"
    assert run("gate", registry.bad, "--runbook", lax, "--statement", file).code == 0
    assert run("gate", registry.bad, "--runbook", lax, "--verify", file, "--public-key", key).code == 0
    assert run("gate", registry.bad, "--verify", file, "--public-key", key).code == 1


def test_the_statement_of_an_sbom_is_verified_with_its_file(
    run: Run, registry: Registry, tmp_path: Path, key: str
) -> None:
    sbom, file = tmp_path / "sbom.json", tmp_path / "passed.json"
    sbom.write_text(json.dumps(GOOD_SBOM))
    assert run("gate", sbom, "--statement", file).code == 0
    assert run("gate", sbom, "--verify", file, "--public-key", key).code == 0
    sbom.write_text(json.dumps(BAD_SBOM))
    assert run("gate", sbom, "--verify", file, "--public-key", key).code == 1


def test_what_inspector_did_not_look_at_is_named_and_nothing_is_stated_about_the_sbom(
    run: Run, registry: Registry, tmp_path: Path, key: str
) -> None:
    file, statement = tmp_path / "sbom.json", tmp_path / "passed.json"
    unnamed = {"type": "library", "name": "checkout-core", "version": "1.4.2"}
    file.write_text(json.dumps(GOOD_SBOM | {"components": [*GOOD_SBOM["components"], unnamed]}), encoding="utf-8")

    ran = run("gate", file, "--statement", statement)

    assert (ran.code, statement.exists()) == (3, False)
    assert ran.out.splitlines()[1:] == [
        "CANNOT TELL: Inspector did not look at 1 component: checkout-core 1.4.2 (gate default, version 1)",
        "",
        "Not looked at",
        "  1 (no purl provided): checkout-core 1.4.2",
        "  Give each its package URL, and version, or let it go in the gate's rules: unscanned_components",
    ]


@pytest.mark.usefixtures("key")
def test_nothing_is_stated_of_what_is_refused(run: Run, registry: Registry, tmp_path: Path) -> None:
    file = tmp_path / "passed.json"
    ran = run("gate", registry.bad, "--statement", file)
    assert (ran.code, file.exists()) == (1, False)
    assert ran.err.splitlines()[-1] == "No statement was signed: there is one only of what has passed."


def test_a_statement_that_nobody_could_sign_is_said_before_anything_is_waited_for(
    run: Run, registry: Registry, tmp_path: Path
) -> None:
    ran = run("gate", registry.good, "--statement", tmp_path / "passed.json")
    assert (ran.code, ran.err.split(": ")[1]) == (2, "no-checkpoint-key")
    assert registry.calls() == []
