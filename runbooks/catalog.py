"""The catalogue: the runbooks in the library, read and checked whole. The one module here that reads files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar, cast

import yaml
from pydantic import ValidationError
from yaml.nodes import MappingNode, Node, SequenceNode

from runbooks.definition import Runbook
from runbooks.errors import InvalidRunbook, InvalidSetting, NotFound
from runbooks.finding import Finding
from runbooks.gating.definition import Gate

LIBRARY = Path(__file__).parent / "library"
GATES = "gates"
"""The folder in a library's folder that holds the gates' runbooks."""

DefinitionT = TypeVar("DefinitionT", Runbook, Gate)


class Catalog:
    """The runbooks of one or more folders. A later folder's runbook takes the place of an earlier one's of its name."""

    def __init__(self, runbooks: Iterable[Runbook]) -> None:
        self._runbooks = {runbook.name: runbook for runbook in runbooks}

    @classmethod
    def read(cls, *folders: Path) -> Catalog:
        """Every `*.yaml` of the folders, the shipped library when none is named.

        Raises:
            InvalidRunbook: a file is not a runbook; the message names file, line and key.
            InvalidSetting: a folder is not there, or has no runbook.
        """
        return cls(read_runbook(file) for file in files_of(*folders))

    def __iter__(self) -> Iterator[Runbook]:
        return iter(self._runbooks.values())

    def named(self, name: str) -> Runbook:
        """Raises NotFound with the names there are."""
        if name not in self._runbooks:
            known = ", ".join(self._runbooks) or "none"
            raise NotFound(f"no runbook is named {name!r}; the library has: {known}", code="no-such-runbook")
        return self._runbooks[name]

    def covering(self, finding: Finding) -> Runbook | None:
        """Of the runbooks that cover the finding the preciser; of those that are alike the first, by file name."""
        covering = (runbook for runbook in self if runbook.matches.covers(finding))
        return max(covering, key=lambda runbook: runbook.matches.precision, default=None)


def files_of(*folders: Path) -> tuple[Path, ...]:
    """The files that `Catalog.read` reads, in its order.

    Raises:
        InvalidSetting: a folder is not there, or has no runbook: its findings would go to other runbooks, unnoticed.
    """
    return tuple(file for folder in folders or (LIBRARY,) for file in _files_of(folder))


def read_runbook(file: Path) -> Runbook:
    """One runbook from its file, strictly: unknown keys, wrong types and values out of bounds are errors."""
    return _read(file, Runbook)


def read_gate(file: Path) -> Gate:
    """The gate's runbook from its file, as strictly."""
    return _read(file, Gate)


def gate_file(name: str, *folders: Path) -> Path:
    """The gate's runbook of this name: `gates/NAME.yaml` of the last of the library's folders that has one.

    Raises:
        NotFound: none has.
    """
    files = [folder / GATES / f"{name}.yaml" for folder in (LIBRARY, *folders)]
    found = next((file for file in reversed(files) if file.is_file()), None)
    if found is None:
        raise NotFound(
            f"no gate is named {name!r} in {', '.join(str(file.parent) for file in files)}", code="no-such-gate"
        )
    return found


def _read(file: Path, kind: type[DefinitionT]) -> DefinitionT:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRunbook(f"{file}: cannot be read: {error}") from error
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        value: object = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InvalidRunbook(f"{file}:{line}: not YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError) as error:
        # A character that YAML does not allow, or a date that does not exist: neither knows its line.
        raise InvalidRunbook(f"{file}:1: not YAML: {' '.join(str(error).split())}") from error
    if tree is None or not isinstance(value, dict):
        raise InvalidRunbook(f"{file}:1: a runbook is a mapping of keys to values")
    if duplicate := _duplicate_key(tree):
        raise InvalidRunbook(f"{file}:{duplicate.start_mark.line + 1}: {duplicate.value}: the key is there twice")
    try:
        # As JSON, where strict still takes a list for a tuple, and no text or truth value for a number.
        runbook = kind.model_validate_json(json.dumps(value, default=str), strict=True)
    except ValidationError as error:
        raise InvalidRunbook("\n".join(_explained(file, tree, error))) from error
    if runbook.name != file.stem:
        raise InvalidRunbook(f"{file}:1: name: {runbook.name!r} must be the file's name, {file.stem!r}")
    return runbook


def _files_of(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InvalidSetting(f"RUNBOOKS_LIBRARY: there is no folder {folder}")
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise InvalidSetting(f"RUNBOOKS_LIBRARY: the folder {folder} holds no *.yaml")
    return files


def _explained(file: Path, tree: Node, error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_url=False):
        path = problem["loc"]
        key = ".".join(str(part) for part in path) or "the runbook"
        message = (
            "no such key" if problem["type"] == "extra_forbidden" else problem["msg"].removeprefix("Value error, ")
        )
        yield f"{file}:{_line_of(tree, path)}: {key}: {message}"


def _line_of(tree: Node, path: tuple[int | str, ...]) -> int:
    """The line of the deepest node on the path that the file has."""
    node, line = tree, tree.start_mark.line + 1
    for part in path:
        if isinstance(node, MappingNode):
            pairs = cast("list[tuple[Node, Node]]", node.value)
            found = next(((key, value) for key, value in pairs if key.value == part), None)
            if found is None:
                return line
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, SequenceNode) and isinstance(part, int):
            items = cast("list[Node]", node.value)
            if part >= len(items):
                return line
            node = items[part]
            line = node.start_mark.line + 1
        else:
            return line
    return line


def _duplicate_key(node: Node) -> Node | None:
    """YAML takes the last of two equal keys without a word; a runbook must not."""
    if isinstance(node, MappingNode):
        seen: set[str] = set()
        for key, value in cast("list[tuple[Node, Node]]", node.value):
            if str(key.value) in seen:
                return key
            seen.add(str(key.value))
            if (inner := _duplicate_key(value)) is not None:
                return inner
    if isinstance(node, SequenceNode):
        for item in cast("list[Node]", node.value):
            if (inner := _duplicate_key(item)) is not None:
                return inner
    return None
