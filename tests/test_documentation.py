"""The documentation says what the code says: tables, commands, links and pictures cannot rot unseen."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard, get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from deployments.cli.main import COMMANDS
from deployments.iam_policies import markdown as iam_tables
from runbooks.approval import Refusal
from runbooks.catalog import read_runbook
from runbooks.chain import Fault
from runbooks.definition import Runbook
from runbooks.event import read_payload
from runbooks.records import record_adapter
from tasks.safety import examine
from tasks.services import Services
from tasks.settings import PREFIX, Settings

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
OPERATIONS = ROOT / "docs" / "operations.md"
DOCUMENTS = (README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md")))
Schema = Mapping[str, Any]


# --- tables ----------------------------------------------------------------------------------------------------------


def test_the_table_of_settings_is_that_of_the_settings() -> None:
    properties = Settings.model_json_schema()["properties"]
    expected = [
        [
            f"`{PREFIX}{name.upper()}`",
            _default(field.default),
            _bounds(properties[name]),
            field.description,
        ]
        for name, field in Settings.model_fields.items()
    ]

    assert _rows(README, "Variable") == expected


def test_the_table_of_keys_is_that_of_the_runbook() -> None:
    schema = Runbook.model_json_schema()
    expected = [
        [f"`{path}`", _type(_schema_at(schema, path), schema["$defs"]), default] for path, default in _keys(Runbook)
    ]
    written = _rows(ROOT / "docs" / "runbooks.md", "Key")

    assert [row[:3] for row in written] == expected
    assert all(row[3] for row in written)


def test_the_runbooks_shown_as_examples_are_valid(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "runbooks.md").read_text(encoding="utf-8")
    examples = re.findall(r"```yaml\n(name: (\S+)\n.*?)```", text, re.DOTALL)
    assert len(examples) == 2
    for content, name in examples:
        file = tmp_path / f"{name}.yaml"
        file.write_text(content, encoding="utf-8")
        assert read_runbook(file).name == name


def test_the_tables_of_iam_actions_are_those_of_the_generator() -> None:
    assert iam_tables() in (ROOT / "docs" / "iam.md").read_text(encoding="utf-8")


def test_the_table_of_commands_has_every_command_once() -> None:
    named = {name for row in _rows(README, "Command") for name in re.findall(r"`runbooks ([a-z]+)", row[0])}
    assert named == {*COMMANDS, "demo"}


def test_every_kind_of_record_is_explained() -> None:
    kinds = record_adapter.json_schema()["discriminator"]["mapping"]
    explained = {kind for row in _rows(ROOT / "docs" / "architecture.md", "Record") for kind in [row[0].strip("`")]}
    assert explained == set(kinds)


def test_every_reason_to_refuse_an_answer_is_explained_in_order() -> None:
    assert [row[0].strip("`") for row in _rows(OPERATIONS, "Refusal")] == [each.value for each in Refusal]


def test_every_kind_of_tampering_is_explained() -> None:
    assert {row[0] for row in _rows(OPERATIONS, "Tampering")} == {each.value for each in Fault}


def test_every_check_of_the_doctor_is_explained_with_what_it_refuses(tmp_path: Path) -> None:
    have = Services(Settings(home=tmp_path))
    try:
        made = {check.name: check.refuses for check in examine(have, around=False)}
    finally:
        have.ledger.close()
    explained = {row[0]: row[2] for row in _rows(OPERATIONS, "Check")}
    assert set(made) <= set(explained)
    assert {name for name, refuses in made.items() if refuses} == {name for name in made if explained[name] == "yes"}


def test_every_make_target_that_is_named_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {name for each in DOCUMENTS for name in re.findall(r"\bmake ([a-z-]+)\b", _code(each))}
    assert named
    assert named <= targets


def _code(document: Path) -> str:
    """What is set as code: blocks, and within a line."""
    text = document.read_text(encoding="utf-8")
    return "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))


# --- the event rule --------------------------------------------------------------------------------------------------


def test_the_event_pattern_matches_what_inspector_sends() -> None:
    event = json.loads((ROOT / "deployments" / "demo" / "event.json").read_text(encoding="utf-8"))
    pattern = _json_block(OPERATIONS, "detail-type")

    assert read_payload(json.dumps(event)).findings
    assert _matches(pattern, event)
    assert _matches(pattern, _with_detail(event, status="CLOSED"))
    assert not _matches(pattern, _with_detail(event, status="SUPPRESSED"))
    assert not _matches(pattern, event | {"detail-type": "Inspector2 Scan"})


def _matches(pattern: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """EventBridge's exact matching: each field of the pattern names the values it may have."""
    return all(
        _matches(wanted, event.get(name, {})) if isinstance(wanted, dict) else event.get(name) in wanted
        for name, wanted in pattern.items()
    )


def _with_detail(event: Mapping[str, Any], **changes: str) -> dict[str, Any]:
    return {**event, "detail": {**event["detail"], **changes}}


def _json_block(document: Path, containing: str) -> dict[str, Any]:
    blocks = re.findall(r"```json\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)
    return json.loads(next(block for block in blocks if containing in block))


# --- links -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_and_picture_is_there(document: Path) -> None:
    broken = [link for link in _links(document) if not _leads_somewhere(document, link)]
    assert broken == []


def _links(document: Path) -> list[str]:
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = re.findall(r"!?\[[^\]]*\]\(([^)\s]+)\)", text)
    return [target for target in targets if not target.startswith(("http://", "https://", "mailto:"))]


def _leads_somewhere(document: Path, link: str) -> bool:
    place, _, anchor = link.partition("#")
    target = (document.parent / place).resolve() if place else document
    return target.exists() and (not anchor or anchor in _anchors(target))


def _anchors(document: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_decision_is_listed_and_has_its_three_parts() -> None:
    folder = ROOT / "docs" / "adr"
    records = sorted(folder.glob("[0-9]*.md"))
    listed = re.findall(r"\]\((\d{4}-[a-z0-9-]+\.md)\)", (folder / "README.md").read_text(encoding="utf-8"))
    assert listed == [record.name for record in records]
    assert [int(record.name[:4]) for record in records] == list(range(1, len(records) + 1))
    for record in records:
        headings = re.findall(r"^## (.+)$", record.read_text(encoding="utf-8"), re.MULTILINE)
        assert headings == ["Context", "Decision", "Consequences"], record.name


# --- reading tables and types ----------------------------------------------------------------------------------------


def _rows(document: Path, first_column: str) -> list[list[str]]:
    """The body of the table whose first column has this heading."""
    lines = iter(document.read_text(encoding="utf-8").splitlines())
    for line in lines:
        if line.startswith(f"| {first_column} |"):
            next(lines)
            break
    rows: list[list[str]] = []
    for line in lines:
        if not line.startswith("|"):
            break
        # A bar that belongs to a value is written with a backslash before it.
        cells = re.split(r"(?<!\\)\|", line.removeprefix("|").removesuffix("|"))
        rows.append([cell.strip().replace("\\|", "|") for cell in cells])
    return rows


def _default(value: object) -> str:
    return "not set" if value is None else f"`{value}`" if str(value) else "empty"


def _bounds(schema: Schema) -> str:
    if "minimum" in schema:
        return _span(schema)
    if "pattern" in schema:
        return f"`{schema['pattern']}`"
    return "not empty" if schema.get("minLength") else "-"


def _keys(model: type[BaseModel], above: str = "", given: BaseModel | None = None) -> Iterator[tuple[str, str]]:
    """Every key of a runbook with its default, in the order of the definition."""
    for name, field in model.model_fields.items():
        path, kind = f"{above}{name}", field.annotation
        default = getattr(given, name) if given is not None else field.get_default(call_default_factory=True)
        if _is_model(kind):
            yield from _keys(kind, f"{path}.", None if default is PydanticUndefined else default)
            continue
        yield path, "required" if default is PydanticUndefined else f"`{_as_json(default)}`"
        for inner in filter(_is_model, get_args(kind)):  # it may be left out, or there are several of it
            yield from _keys(inner, f"{path}[]." if get_origin(kind) is tuple else f"{path}.")


def _is_model(kind: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _as_json(value: object) -> str:
    return json.dumps(value, default=list)


def _schema_at(schema: Schema, path: str) -> Schema:
    here = schema
    for name in path.split("."):
        here = _resolved(here, schema["$defs"])["properties"][name.removesuffix("[]")]
        if name.endswith("[]"):
            here = here["items"]
        elif name != path.rpartition(".")[2] and "anyOf" in here:
            here = here["anyOf"][0]
    return here


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    return definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def _type(schema: Schema, definitions: Schema) -> str:
    schema = _resolved(schema, definitions)
    if "enum" in schema:
        return "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_type(each, definitions) for each in schema["anyOf"])
    if schema["type"] == "array":
        return f"list of {_type(schema['items'], definitions)}"
    if "properties" in schema:
        return "keys of its own"
    if "maximum" in schema:
        return f"{_WORDS[schema['type']]}, {_span(schema)}"
    return _WORDS[schema["type"]]


def _span(schema: Schema) -> str:
    return f"{schema['minimum']:.10g} to {schema['maximum']:.10g}"


_WORDS = {
    "boolean": "true or false",
    "integer": "whole number",
    "null": "none",
    "number": "number",
    "object": "texts by name",
    "string": "text",
}
