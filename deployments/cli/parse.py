"""`runbooks parse`: what a payload is taken for, without anything being done about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from cyclopts import App, Parameter

from deployments.cli.exits import ANSWER_IS_NO, DONE
from deployments.cli.findings import in_words, read_bytes
from deployments.cli.opening import read_settings
from deployments.cli.output import Json, data, lines
from runbooks.catalog import LIBRARY, Catalog
from runbooks.event import Delivery, read_payload
from runbooks.finding import Finding, FindingStatus, VulnerablePackage

app = App(
    name="parse",
    help_epilogue="""\
Examples:

  runbooks parse finding.json
  aws inspector2 list-findings --max-results 50 | runbooks parse - --json

Exit codes: 0 where it holds a finding, a complete scan of an image or lost
coverage; 1 where it can be read and holds none of these; 2 where it cannot be
read.
""",
)


@app.default
def parse(file: Annotated[str, Parameter(allow_leading_hyphen=True)], /, *, as_json: Json = False) -> int:
    """Say which findings a payload holds, which runbook covers each, and what of it is set aside.

    Args:
        file: An EventBridge event, a finding, a result of ListFindings, in whatever message; - is standard input.
    """
    delivery = read_payload(read_bytes(file))
    catalog = Catalog.read(LIBRARY, *read_settings().library_folders)
    if as_json:
        data(_as_json(delivery, catalog))
    else:
        lines(*_told(delivery, catalog))
    return DONE if delivery.findings or delivery.scanned or delivery.coverage else ANSWER_IS_NO


def _told(delivery: Delivery, catalog: Catalog) -> Iterator[str]:
    for finding in delivery.findings:
        yield from _in_lines(finding, catalog)
    yield from (f"initial scan complete: {image.arn}: the gate judges it" for image in delivery.scanned)
    for change in delivery.coverage:
        yield f"scanned no more: {change.resource} ({change.scan_type}): {change.reason}: Inspector is asked"
    yield from (f"set aside: {each.code}: {each.kind}: {each.reason}" for each in delivery.set_aside)
    if not (delivery.findings or delivery.scanned or delivery.coverage or delivery.set_aside):
        yield "nothing: the list of findings is empty"


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
    yield f"  runbook   {_runbook(finding, catalog) or 'none covers it: it is set aside as no-runbook'}{_but(finding)}"


def _but(finding: Finding) -> str:
    return "" if finding.status == FindingStatus.ACTIVE else f"; opens no case, because it is {finding.status}"


def _runbook(finding: Finding, catalog: Catalog) -> str | None:
    runbook = catalog.covering(finding)
    return runbook.name if runbook else None


def _package(package: VulnerablePackage) -> str:
    version = f"{package.version}-{package.release}" if package.release else package.version
    return f"{package.name} {version} ({package.manager}), fixed in {package.fixed_in or 'no version yet'}"
