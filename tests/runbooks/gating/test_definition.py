"""The gate's runbook is read as strictly as any other, and is not taken for one that covers findings."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbooks.catalog import LIBRARY, Catalog, files_of, gate_file, read_gate
from runbooks.errors import InvalidRunbook, NotFound

STRICT = """\
name: strict
title: A strict one
refuse:
  severities: [CRITICAL, HIGH]
  epss: 0.2
grace_days:
  HIGH: 7
accepted:
  - vulnerability: CVE-2026-10001
    package: "libxml2*"
    owner: jane@example.com
    reason: Nothing is parsed.
    compensating_controls: [Nothing listens.]
    expires: 2026-12-31
cannot_tell: refuse
wait_minutes: 15
"""


def write(folder: Path, text: str, name: str = "strict") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_gate_is_read_with_its_defaults_and_its_accepted_risks(tmp_path: Path) -> None:
    gate = read_gate(write(tmp_path, STRICT))

    assert (gate.name, gate.refuse.severities, gate.refuse.epss, gate.grace_days) == (
        "strict",
        ("CRITICAL", "HIGH"),
        0.2,
        {"HIGH": 7},
    )
    assert gate.refuse.known_exploited
    assert gate.only_when_fix_available
    assert str(gate.accepted[0].expires) == "2026-12-31"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("refuse:", "refuses:", ["strict.yaml:3: refuses: no such key"]),
        ("  epss: 0.2", "  epss: 20", ["strict.yaml:5: refuse.epss: Input should be less than"]),
        ("CRITICAL, HIGH]", "SEVERE]", ["strict.yaml:4: refuse.severities.0: Input should be"]),
        ("  HIGH: 7", "  HIGH: -1", ["strict.yaml:7: grace_days.HIGH: Input should be greater"]),
        ("  HIGH: 7", "  SEVERE: 7", ["strict.yaml:7: grace_days.SEVERE.[key]: Input should be"]),
        ("    expires: 2026-12-31\n", "", ["strict.yaml:9: accepted.0.expires: Field required"]),
        ("2026-12-31", "never", ["strict.yaml:14: accepted.0.expires: Input should be a valid date"]),
        ("    owner: jane@example.com\n", "", ["strict.yaml:9: accepted.0.owner: Field required"]),
        ("Nothing is parsed.", '" "', ["strict.yaml:12: accepted.0.reason: String should match"]),
        ("[Nothing listens.]", "[]", ["strict.yaml:13: accepted.0.compensating_controls: Tuple should have"]),
        ("cannot_tell: refuse", "cannot_tell: warn", ["strict.yaml:15: cannot_tell: Input should be"]),
        (
            "cannot_tell: refuse",
            "unscanned_components: all",
            ["strict.yaml:15: unscanned_components: Input should be a valid"],
        ),
        (
            "cannot_tell: refuse",
            "statement_hours: 0",
            ["strict.yaml:15: statement_hours: Input should be greater"],
        ),
        ("wait_minutes: 15", "wait_minutes: 121", ["strict.yaml:16: wait_minutes: Input should be less"]),
        (
            "wait_minutes: 15",
            "wait_minutes: 15\nwait_minutes: 1",
            ["strict.yaml:17: wait_minutes: the key is there tw"],
        ),
        ("name: strict", "name: lax", ["strict.yaml:1: name: 'lax' must be the file's name"]),
    ],
)
def test_a_mistake_is_named_by_file_line_and_key(tmp_path: Path, old: str, new: str, said: list[str]) -> None:
    assert old in STRICT
    file = write(tmp_path, STRICT.replace(old, new, 1))

    with pytest.raises(InvalidRunbook) as refused:
        read_gate(file)

    told = refused.value.detail.replace(f"{tmp_path}/", "").splitlines()
    assert len(told) == len(said), told
    assert all(line.startswith(start) for line, start in zip(told, said, strict=True)), told


def test_every_value_counts_in_the_digest(tmp_path: Path) -> None:
    digests = {
        read_gate(write(tmp_path, text)).digest for text in (STRICT, STRICT.replace("0.2", "0.3"), STRICT + "\n")
    }
    assert len(digests) == 2


def test_the_shipped_gate_is_valid_and_refuses_what_cannot_be_told() -> None:
    gate = read_gate(gate_file("default"))

    assert gate.refuse.known_exploited
    assert (gate.cannot_tell, gate.accepted, gate.grace_days) == ("refuse", (), {})
    assert (gate.unscanned_components, gate.statement_hours) == ((), 24)
    assert {"CRITICAL", "HIGH", "UNTRIAGED"} == set(gate.refuse.severities)


def test_a_gate_of_ones_own_takes_the_place_of_the_shipped_one(tmp_path: Path) -> None:
    own, another = tmp_path / "own", tmp_path / "another"
    mine = write(own / "gates", STRICT, "default")
    another.mkdir()

    assert gate_file("default", own, another) == mine
    assert gate_file("default", another) == LIBRARY / "gates" / "default.yaml"
    with pytest.raises(NotFound) as refused:
        gate_file("none", own)
    assert refused.value.code == "no-such-gate"


def test_the_catalogue_of_runbooks_does_not_take_a_gate_for_one() -> None:
    assert (LIBRARY / "gates" / "default.yaml").is_file()
    assert not any(file.parent.name == "gates" for file in files_of(LIBRARY))
    assert "default" not in {runbook.name for runbook in Catalog.read()}
