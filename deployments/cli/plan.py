"""`runbooks plan`: what would be done about a finding. The world is read, and nothing in it is changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from deployments.cli.exits import ANSWER_IS_NO, DONE
from deployments.cli.findings import (
    finding_at,
    findings_in,
    in_words,
    is_arn,
    read_bytes,
    reading_sessions,
)
from deployments.cli.opening import read_settings
from deployments.cli.output import Json, data, document, lines, say
from runbooks.case import CaseKey
from runbooks.catalog import LIBRARY, Catalog
from runbooks.definition import Runbook
from runbooks.errors import Refused
from runbooks.facts import CaseFacts
from runbooks.finding import Finding
from runbooks.plan import Plan
from runbooks.planning.containment import plan_containment
from runbooks.planning.remediation import plan_remediation
from runbooks.telling.plan_text import plan_markdown
from runbooks.telling.triage_text import triage_markdown
from runbooks.triage import Assessment, assess

if TYPE_CHECKING:
    from tasks.settings import Settings

SHOWN = ("instance", "ticket")
"""The playbooks whose plans follow from what is read of one case at once."""
RESPONSE = "dry-run"
"""Stands for the response in a plan that is not made for one."""

app = App(
    name="plan",
    help_epilogue="""\
Examples:

  runbooks plan finding.json
  runbooks plan FINDING_ARN
  runbooks plan finding.json --json

The exit code is 1 when there is nothing to do, or when only a person can do it.
""",
)


@dataclass
class DryRun:
    """What would be done about one case."""

    key: CaseKey
    runbook: Runbook
    assessment: Assessment
    plans: list[Plan] = field(default_factory=list[Plan])
    refusals: list[Refused] = field(default_factory=list[Refused])


@app.default
def plan(target: Annotated[str, Parameter(allow_leading_hyphen=True)], /, *, as_json: Json = False) -> int:
    """Read the finding and its resource as they are now, decide, and show the plans. Nothing is changed.

    Args:
        target: A file (- is standard input) with a finding, or the finding's ARN.
    """
    settings = read_settings()
    catalog = Catalog.read(LIBRARY, *settings.library_folders)
    findings = (finding_at(target, settings),) if is_arn(target) else findings_in(read_bytes(target)).findings
    uncovered = [finding for finding in findings if catalog.covering(finding) is None]
    runs = list(_dry_runs(_cases(findings, catalog), catalog, settings))
    if as_json:
        data({"cases": [_as_json(run) for run in runs], "no_runbook": [finding.arn for finding in uncovered]})
    else:
        for run in runs:
            _show(run)
    for finding in uncovered:
        say(f"no-runbook: no runbook covers {in_words(finding)}, {finding.type}")
    for run in runs:
        _say_why_not(run)
    acting = any(made.steps for run in runs for made in run.plans)
    if acting:
        say("Nothing was changed. A response makes these plans again, under its own id and so with other digests.")
    return DONE if acting else ANSWER_IS_NO


def _cases(findings: Sequence[Finding], catalog: Catalog) -> dict[CaseKey, list[Finding]]:
    cases: dict[CaseKey, list[Finding]] = {}
    for finding in findings:
        runbook = catalog.covering(finding)
        if runbook is not None:
            cases.setdefault(CaseKey.of(finding, runbook.name), []).append(finding)
    return cases


def _facts(key: CaseKey, findings: Sequence[Finding], runbook: Runbook, settings: Settings) -> CaseFacts:
    from tasks.facts import read_case_facts
    from tasks.other_facts import read_other_facts

    sessions = reading_sessions(settings, findings[0].resource.partition)
    keys, seen = {key.id: key}, {key.id: findings}
    if runbook.playbook == "ticket":
        return read_other_facts(sessions, keys, seen)[key.id]
    image, tag = runbook.remediate.image_parameter, runbook.limits.environment_tag
    return read_case_facts(sessions, keys, seen, image, environment_tag=tag)[key.id]


def _dry_runs(cases: Mapping[CaseKey, Sequence[Finding]], catalog: Catalog, settings: Settings) -> Iterator[DryRun]:
    for key, findings in cases.items():
        runbook = catalog.named(key.runbook)
        if runbook.playbook not in SHOWN:
            say(f"not-shown: {key}: the plans of {runbook.name} are made, and shown, by its response")
            continue
        run = DryRun(key, runbook, assess(_facts(key, findings, runbook, settings), runbook))
        _plan(run, settings.package_bucket)
        yield run


def _plan(run: DryRun, bucket: str) -> None:
    triage = run.assessment.triage
    if triage.decision != "respond":
        return
    try:
        if triage.contain:
            run.plans.append(plan_containment(RESPONSE, run.runbook, [run.assessment]))
        run.plans.append(
            plan_remediation(
                RESPONSE,
                run.runbook,
                [run.assessment],
                bucket=bucket,
                contained=triage.contain,
                snapshots=triage.contain and run.runbook.contain.snapshots,
            )
        )
    except Refused as refusal:
        run.refusals.append(refusal)


def _show(run: DryRun) -> None:
    keys = {run.key.id: run.key}
    document(triage_markdown([run.assessment], keys))
    for made in run.plans:
        lines("")
        document(plan_markdown(made, keys=keys))


def _say_why_not(run: DryRun) -> None:
    triage = run.assessment.triage
    if triage.decision != "respond":
        say(f"{triage.code}: {run.key}: {'; '.join(triage.reasons)}")
    for refusal in run.refusals:
        say(f"{refusal.code}: {run.key}: {refusal.detail}")


def _as_json(run: DryRun) -> dict[str, Any]:
    return {
        "case": run.key.id,
        "key": run.key,
        "triage": run.assessment.triage,
        "plans": [{"digest": made.digest, **made.model_dump(mode="json")} for made in run.plans],
        "refused": [{"code": refusal.code, "detail": refusal.detail} for refusal in run.refusals],
    }
