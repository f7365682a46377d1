"""`runbooks parse`: what a payload is taken for, without anything being done about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from cyclopts import App, Parameter

from deployments.cli.findings import in_words, read_bytes, refuse_set_aside
from deployments.cli.opening import read_settings
from deployments.cli.output import Json, data, lines
from runbooks.catalog import LIBRARY, Catalog
from runbooks.event import Delivery, read_payload
from runbooks.finding import Finding, VulnerablePackage

app = App(
    name="parse",
    help_epilogue="""\
Examples:

  runbooks parse finding.json
  aws inspector2 list-findings --max-results 50 | runbooks parse - --json
""",
)


@app.default
def parse(file: Annotated[str, Parameter(allow_leading_hyphen=True)], /, *, as_json: Json = False) -> None:
    """Say which findings a payload holds, which runbook covers each, and what of it is set aside.

    Args:
        file: An EventBridge event, a finding, or a result of ListFindings; - is standard input.
    """
    delivery = read_payload(read_bytes(file))
    catalog = Catalog.read(LIBRARY, *read_settings().library_folders)
    if as_json:
        data(_as_json(delivery, catalog))
    elif delivery.findings:
        for finding in delivery.findings:
            lines(*_in_lines(finding, catalog))
        lines(*(f"set aside: {each.code}: {each.kind}: {each.reason}" for each in delivery.set_aside))
    elif delivery.scanned:
        lines(*(f"initial scan complete: {image.arn}: the gate judges it" for image in delivery.scanned))
    elif delivery.coverage:
        lines(*(f"scanned no more: {each.resource}: {each.reason}: Inspector is asked" for each in delivery.coverage))
    if not (delivery.findings or delivery.scanned or delivery.coverage):
        refuse_set_aside(delivery)


def _as_json(delivery: Delivery, catalog: Catalog) -> dict[str, Any]:
    return {
        "event_id": delivery.event_id,
        "event_time": delivery.event_time,
        "findings": [
            {"runbook": _runbook(finding, catalog), **finding.model_dump(mode="json")} for finding in delivery.findings
        ],
        "scanned": delivery.scanned,
        "coverage": delivery.coverage,
        "set_aside": delivery.set_aside,
    }


def _in_lines(finding: Finding, catalog: Catalog) -> Iterator[str]:
    yield in_words(finding)
    yield f"  finding   {finding.arn}"
    yield f"  kind      {finding.type} on {finding.resource.type}, {finding.status}"
    for package in finding.packages:
        yield f"  package   {_package(package)}"
    yield f"  runbook   {_runbook(finding, catalog) or 'none covers it'}"


def _runbook(finding: Finding, catalog: Catalog) -> str | None:
    runbook = catalog.covering(finding)
    return runbook.name if runbook else None


def _package(package: VulnerablePackage) -> str:
    version = f"{package.version}-{package.release}" if package.release else package.version
    return f"{package.name} {version} ({package.manager}), fixed in {package.fixed_in or 'no version yet'}"
