"""The runbooks, listed, shown and checked."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from runbooks.catalog import LIBRARY, Catalog
from tests.deployments.cli.conftest import Run

SHIPPED = LIBRARY / "ec2-package-cve.yaml"


def test_the_list_names_each_runbook_with_what_it_covers(run: Run) -> None:
    digests = {runbook.name: runbook.digest for runbook in Catalog.read()}

    ran = run("library", "list")

    header, *listed = [line.split("\t") for line in ran.out.splitlines()]
    assert header == ["NAME", "VERSION", "TITLE", "RESOURCE", "SEVERITIES", "DIGEST"]
    assert [row[0] for row in listed] == list(digests)
    assert [
        "ec2-package-cve",
        "1",
        "Package CVE on an EC2 instance",
        "AWS_EC2_INSTANCE",
        "LOW, MEDIUM",
        digests["ec2-package-cve"][:12],
    ] in listed
    assert {each["name"]: each["digest"] for each in run("library", "list", "--json").json} == digests


def test_a_runbook_is_shown_with_the_values_its_file_leaves_to_the_default(run: Run) -> None:
    runbook = Catalog.read().named("ec2-package-cve")

    ran = run("library", "show", "ec2-package-cve")

    assert ran.out.startswith(f"# digest {runbook.digest}\nname: ec2-package-cve\n")
    assert yaml.safe_load(ran.out) == runbook.model_dump(mode="json")
    assert "delivery_timeout_seconds" not in SHIPPED.read_text(encoding="utf-8")
    assert yaml.safe_load(ran.out)["remediate"]["delivery_timeout_seconds"] == 600


def test_an_unknown_name_is_answered_with_the_known_ones(run: Run) -> None:
    ran = run("library", "show", "nope")

    assert ran.code == 2
    assert ran.err.startswith("error: no-such-runbook: no runbook is named 'nope'; the library has: any-high-")


def test_the_shipped_library_is_valid(run: Run) -> None:
    ran = run("library", "validate")

    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [f"{file}: ok" for file in sorted(LIBRARY.glob("*.yaml"))]


def test_every_problem_of_every_file_is_named_with_its_line_and_key(run: Run, tmp_path: Path) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    bad = tmp_path / "ec2-package-cve.yaml"
    bad.write_text(
        text.replace("reboot: RebootIfNeeded", "rebot: Maybe").replace("required: true", "required: perhaps")
    )
    twice = tmp_path / "twice.yaml"
    twice.write_text("name: twice\nname: twice\n")
    required, rebot = (
        next(number for number, line in enumerate(bad.read_text().splitlines(), 1) if word in line)
        for word in ("required:", "rebot:")
    )

    ran = run("library", "validate", SHIPPED, bad, twice)

    assert (ran.code, ran.out) == (2, f"{SHIPPED}: ok\n")
    first, second, third = ran.err.splitlines()
    assert first.startswith(f"error: invalid-runbook: {bad}:{required}: remediate.approval.required: ")
    assert second == f"{bad}:{rebot}: remediate.rebot: no such key"
    assert third == f"{twice}:2: name: the key is there twice"


def test_json_gives_each_file_with_its_problems(run: Run, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere.yaml"

    ran = run("library", "validate", nowhere, SHIPPED, "--json")

    assert ran.code == 2
    assert [(each["file"], len(each["problems"])) for each in ran.json] == [(str(nowhere), 1), (str(SHIPPED), 0)]


def test_a_broken_runbook_of_ones_own_is_found_without_naming_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.yaml").write_text("- not a mapping\n")
    monkeypatch.setenv("RUNBOOKS_LIBRARY", str(tmp_path))

    assert run("library", "validate").err.endswith("mine.yaml:1: a runbook is a mapping of keys to values\n")


@pytest.mark.parametrize("command", ["list", "validate"])
def test_a_folder_of_ones_own_that_is_not_there_is_bad_input(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("RUNBOOKS_LIBRARY", f"{tmp_path}/runboks")

    ran = run("library", command)

    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f"error: invalid-setting: RUNBOOKS_LIBRARY: there is no folder {tmp_path}/runboks\n"
