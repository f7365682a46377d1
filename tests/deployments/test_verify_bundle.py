"""A bundle is checked by one file that knows nothing of this project, and no changed bundle passes."""

from __future__ import annotations

import ast
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployments import verify_bundle
from deployments.verify_bundle import Wrong, canonical, check
from runbooks.errors import LedgerError, NotFound
from runbooks.records import CaseClosed, ResponseEnded
from tasks.anchors import own_public_key
from tasks.auditing import Bundle, export
from tasks.gateways.ledger import Ledger
from tests.tasks.audited import Audited, owned
from tests.tasks.gateways.ledger.samples import Clock, open_case, start

SCRIPT = Path(verify_bundle.__file__)


@pytest.fixture(scope="module")
def have(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two cases with a response each, among other entries, anchored twice."""
    clock, folder = Clock(), tmp_path_factory.mktemp("bundled")
    have = Audited(folder / "home", Ledger.open(f"sqlite:///{folder}/ledger.db", clock=clock), clock)
    have.grow(5)
    response = start(have.ledger, "i-0a")
    have.grow(9, random.Random(1))
    have.anchor()
    start(have.ledger, "i-0b")
    case = the_case(have)
    have.ledger.append(f"case/{case}", CaseClosed(response=response, reason='done "with" \u20ac\n'))
    have.ledger.append(f"response/{response}", ResponseEnded(result="fixed", reason="a", contained=False))
    have.grow(12, random.Random(2))
    have.anchor()
    yield have
    have.ledger.close()


def the_case(have: Audited, instance: str = "i-0a") -> str:
    (case,) = have.ledger.find_cases(instance)
    return case.id


@pytest.fixture(scope="module")
def bundle(have: Audited) -> Bundle:
    return export(have, the_case(have))


@pytest.fixture(scope="module")
def key(have: Audited) -> bytes:
    return own_public_key(have.settings)


def test_it_is_one_file_of_at_most_two_hundred_lines_that_imports_nothing_of_ours() -> None:
    assert len(SCRIPT.read_text().splitlines()) <= 200
    imported = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(ast.parse(SCRIPT.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert {name.partition(".")[0] for name in imported} - set(sys.stdlib_module_names) == {"cryptography"}


def run_alone(tmp_path: Path, content: bytes, *options: str) -> subprocess.CompletedProcess[str]:
    """As a third party has it: the file and the bundle, in a folder of their own."""
    shutil.copy(SCRIPT, tmp_path / "verify_bundle.py")
    (tmp_path / "bundle.json").write_bytes(content)
    command = (sys.executable, "-I", "verify_bundle.py", "bundle.json", *options)
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)


def test_a_third_party_checks_it_with_the_key_from_elsewhere(
    tmp_path: Path, have: Audited, bundle: Bundle, key: bytes
) -> None:
    ran = run_alone(tmp_path, bundle.content, "--public-key", key.hex())
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines() == [
        f"holds: 5 entries of {the_case(have)} in 2 streams, complete up to the checkpoint",
        f"checkpoint: 34 entries, signed 2026-03-02T08:02:28.123456Z with key {bundle.checkpoint.key_id}",
        f"root: {bundle.checkpoint.root}",
        "not shown: what was written since; compare the root with the anchor's own checkpoint of that size",
    ]


def test_it_says_what_does_not_hold(tmp_path: Path, bundle: Bundle, key: bytes) -> None:
    ran = run_alone(tmp_path, bundle.content.replace(b"fixed", b"mixed"), "--public-key", key.hex())
    assert ran.returncode == 1
    assert ran.stdout.startswith("DOES NOT HOLD: response/")
    assert ran.stdout.endswith("entry 2 is not in the checkpoint as it is here\n")


def test_it_cannot_be_checked_without_a_key(tmp_path: Path, bundle: Bundle) -> None:
    assert run_alone(tmp_path, bundle.content).returncode == 2
    ran = run_alone(tmp_path, bundle.content, "--public-key", "no-such-file.pem")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("cannot be checked: ")


@given(at=st.integers(0, 10**6), to=st.integers(0, 255))
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_changed_byte_passes(bundle: Bundle, key: bytes, at: int, to: int) -> None:
    changed = bytearray(bundle.content)
    at %= len(changed)
    if changed[at] != to:
        changed[at] = to
        assert_refused(bytes(changed), key)


@given(start=st.integers(0, 10**6), length=st.integers(1, 300))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_can_be_cut_out(bundle: Bundle, key: bytes, start: int, length: int) -> None:
    start %= len(bundle.content)
    assert_refused(bundle.content[:start] + bundle.content[start + length :], key)


def assert_refused(content: bytes, key: bytes) -> None:
    """As `main` has it: these are the errors that mean "does not hold"."""
    try:
        said = check(content.decode(), key)
    except (Wrong, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return
    pytest.fail(f"it passed: {said}")


Change = Callable[[dict[str, Any]], None]


def _without_the_last_entry(bundle: dict[str, Any]) -> None:
    bundle["streams"][1]["entries"].pop()


def _without_the_first_entry(bundle: dict[str, Any]) -> None:
    bundle["streams"][1]["entries"].pop(0)


def _without_the_response(bundle: dict[str, Any]) -> None:
    bundle["streams"].pop()


def _without_the_case(bundle: dict[str, Any]) -> None:
    bundle["streams"].pop(0)


def _of_another_case(bundle: dict[str, Any]) -> None:
    bundle["case"] = "case-000000000000"


def _twice(bundle: dict[str, Any]) -> None:
    bundle["streams"].append(bundle["streams"][1])


def _swapped(bundle: dict[str, Any]) -> None:
    bundle["streams"][0]["entries"].reverse()


def _without_heads(bundle: dict[str, Any]) -> None:
    bundle["checkpoint"] |= {"heads": None, "streams": None}


def _another_key(bundle: dict[str, Any]) -> None:
    bundle["public_key"] = "0" * 64


def _an_empty_stream(bundle: dict[str, Any]) -> None:
    bundle["streams"][1]["entries"] = []


def _more_than_belongs(bundle: dict[str, Any]) -> None:
    bundle["checkpoint"]["note"] = "trust me"


def _a_later_version(bundle: dict[str, Any]) -> None:
    bundle["format"] = "remediation-runbooks/bundle/2"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_without_the_last_entry, "did not end with entry 1"),
        (_without_the_first_entry, "does not follow the entry before it"),
        (_without_the_response, "not in the bundle"),
        (_without_the_case, "does not begin with the stream of its case"),
        (_of_another_case, "does not begin with the stream of its case"),
        (_twice, "is there twice"),
        (_swapped, "does not follow the entry before it"),
        (_without_heads, "not signed with the key given"),
        (_another_key, "names another public key"),
        (_an_empty_stream, "has no entries"),
        (_more_than_belongs, "there is not just"),
        (_a_later_version, "this reads bundles of format"),
    ],
)
def test_a_bundle_made_to_fit_does_not_hold(bundle: Bundle, key: bytes, change: Change, says: str) -> None:
    content = json.loads(bundle.content)
    change(content)
    with pytest.raises(Wrong, match=says):
        check(canonical(content) + "\n", key)


def test_a_response_of_another_case_does_not_pass_as_one_of_this(have: Audited, bundle: Bundle, key: bytes) -> None:
    content, other = json.loads(bundle.content), json.loads(export(have, the_case(have, "i-0b")).content)
    content["streams"] = [content["streams"][0], *sorted((content["streams"][1], other["streams"][1]), key=_name)]
    with pytest.raises(Wrong, match="does not concern"):
        check(canonical(content) + "\n", key)


def _name(stream: dict[str, Any]) -> str:
    return stream["stream"]


def test_the_same_bundle_written_otherwise_is_refused(bundle: Bundle, key: bytes) -> None:
    with pytest.raises(Wrong, match="not written as bundles are"):
        check(json.dumps(json.loads(bundle.content), indent=2) + "\n", key)


def test_what_was_written_since_the_checkpoint_is_left_out_and_counted(tmp_path: Path) -> None:
    clock = Clock()
    have = Audited(tmp_path / "home", Ledger.open(f"sqlite:///{tmp_path}/ledger.db", clock=clock), clock)
    case = open_case(have.ledger)
    with pytest.raises(NotFound) as refused:
        export(have, case)
    assert refused.value.code == "no-checkpoint"
    have.anchor()
    response = have.ledger.start_response("ec2-critical", [case], "intake").id
    have.ledger.append(f"case/{case}", CaseClosed(response=response, reason="done"))
    made = export(have, case)
    assert (made.entries, made.left_out, made.checkpoint.size) == (2, 2, 2)
    assert "2 entries of" in check(made.content.decode(), own_public_key(have.settings))
    other = open_case(have.ledger, "i-0b")
    with pytest.raises(NotFound, match="nothing is anchored yet of"):
        export(have, other)
    have.ledger.close()


def test_a_ledger_that_was_changed_gives_no_bundle(tmp_path: Path) -> None:
    clock = Clock()
    have = Audited(tmp_path / "home", Ledger.open(f"sqlite:///{tmp_path}/ledger.db", clock=clock), clock)
    case = open_case(have.ledger)
    have.anchor()
    with owned(have.ledger) as owner:
        rows, heads = owner.read(), owner.heads()
        owner.write([rows[0], rows[1]._replace(body=rows[1].body.replace("HIGH", "LOW"))], heads)
        with pytest.raises(LedgerError, match="entry 2 was edited"):
            export(have, case)
        owner.write(rows[:1], heads)
        with pytest.raises(LedgerError, match="the ledger is not what checkpoint 2 says"):
            export(have, case)
        owner.write(rows, heads)
    have.ledger.close()
