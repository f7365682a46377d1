"""The program's digest: other sources or libraries are another program, and nothing else is."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tasks.program import PACKAGES, code_digest, digest_of

VERSIONS = {"prefect": "3.8.0"}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "tasks"
    (folder / "gateways").mkdir(parents=True)
    (folder / "run.py").write_text("one = 1\n")
    (folder / "gateways" / "ec2.py").write_text("two = 2\n")
    return folder


def digest(package: Path) -> str:
    return digest_of([package], VERSIONS)


def test_it_is_the_same_wherever_the_program_lies(package: Path, tmp_path: Path) -> None:
    elsewhere = shutil.copytree(package, tmp_path / "another" / "tasks")
    assert digest(elsewhere) == digest(package)


def test_a_changed_character_a_new_file_or_another_name_is_another_program(package: Path) -> None:
    seen = [digest(package)]
    (package / "run.py").write_text("one = 2\n")
    seen.append(digest(package))
    (package / "more.py").write_text("")
    seen.append(digest(package))
    (package / "more.py").rename(package / "gateways" / "more.py")
    seen.append(digest(package))
    assert len(set(seen)) == 4


def test_what_is_no_source_does_not_count(package: Path) -> None:
    before = digest(package)
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "run.cpython-311.pyc").write_bytes(b"compiled")
    (package / "notes.yaml").write_text("a: b\n")
    assert digest(package) == before


def test_another_version_of_a_library_is_another_program(package: Path) -> None:
    assert digest_of([package], {"prefect": "3.8.1"}) != digest(package)


def test_this_program_has_one_over_all_its_packages() -> None:
    assert PACKAGES == ("runbooks", "tasks", "flows")
    assert re.fullmatch(r"[0-9a-f]{64}", code_digest())
    assert code_digest() == code_digest()
