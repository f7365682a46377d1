"""`runbooks library`: the runbooks there are."""

from __future__ import annotations

from pathlib import Path

import yaml
from cyclopts import App

from deployments.cli.opening import read_settings
from deployments.cli.output import Json, data, lines, rows
from runbooks.catalog import LIBRARY, Catalog, files_of, read_runbook
from runbooks.errors import InvalidRunbook

app = App(
    name="library",
    help_epilogue="""\
Examples:

  runbooks library list
  runbooks library show ec2-high-severity-cve
  runbooks library validate my-runbooks/ec2-critical.yaml
""",
)


@app.command(name="list")
def list_runbooks(*, as_json: Json = False) -> None:
    """The runbooks, in the order in which they are asked whether they cover a finding."""
    runbooks = list(_catalog())
    if as_json:
        data([runbook.model_dump(mode="json") | {"digest": runbook.digest} for runbook in runbooks])
        return
    header = ("NAME", "VERSION", "TITLE", "RESOURCE", "SEVERITIES", "DIGEST")
    rows(
        header,
        (
            (
                runbook.name,
                str(runbook.version),
                runbook.title,
                runbook.matches.resource_type,
                ", ".join(runbook.matches.severities),
                runbook.digest[:12],
            )
            for runbook in runbooks
        ),
    )


@app.command
def show(name: str, /, *, as_json: Json = False) -> None:
    """One runbook with every value in force, also those that its file leaves to the default.

    Args:
        name: The runbook's name.
    """
    runbook = _catalog().named(name)
    values = runbook.model_dump(mode="json")
    if as_json:
        data(values | {"digest": runbook.digest})
    else:
        lines(f"# digest {runbook.digest}", *yaml.safe_dump(values, sort_keys=False).splitlines())


@app.command
def validate(*files: Path, as_json: Json = False) -> None:
    """Check runbooks; each problem is named with its file, line and key, and the exit code is 2.

    Args:
        files: Files to check; without any, the whole library and your own folders.
    """
    chosen = files or files_of(LIBRARY, *read_settings().library_folders)
    problems = {str(file): _problems(file) for file in chosen}
    if as_json:
        data([{"file": file, "problems": found} for file, found in problems.items()])
    else:
        lines(*(f"{file}: ok" for file, found in problems.items() if not found))
    everything = [problem for found in problems.values() for problem in found]
    if everything:
        raise InvalidRunbook("\n".join(everything))


def _catalog() -> Catalog:
    return Catalog.read(LIBRARY, *read_settings().library_folders)


def _problems(file: Path) -> list[str]:
    try:
        read_runbook(file)
    except InvalidRunbook as error:
        return error.detail.splitlines()
    return []
