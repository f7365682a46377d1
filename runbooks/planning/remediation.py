"""The remediate plan: patch the packages of the findings in place, or replace the instances from a patched AMI."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runbooks.definition import Runbook
from runbooks.errors import LimitExceeded, Refused
from runbooks.plan import Phase, Plan
from runbooks.planning.change_windows import why_at_once
from runbooks.planning.extents import extent_of, extents
from runbooks.planning.patching import packages_to_patch, patching
from runbooks.planning.replacing import replacing, together
from runbooks.planning.waves import Unit, in_waves
from runbooks.steps import AnyStep
from runbooks.triage import Assessment

SNAPSHOTS_LEAD_BACK = "a package update is not downgraded; the snapshots are the way back"
NOTHING_LEADS_BACK = "a package update is not downgraded: a backup of your own is the only way back"


def plan_remediation(
    response: str,
    runbook: Runbook,
    assessments: Sequence[Assessment],
    *,
    bucket: str,
    contained: bool,
    snapshots: bool = False,
    revision: int = 1,
) -> Plan:
    """One plan that remediates every assessed case that can be.

    Args:
        bucket: the S3 bucket for lists of packages, with `{account}` and `{region}` filled in for each.
        contained: whether the instances are under quarantine while this runs.
        snapshots: whether there are snapshots of all these instances from before.

    Raises:
        LimitExceeded: the plan would touch more than the runbook's limits allow.
        Refused: nothing in it can be remediated by this system.
    """
    patched = [each for each in assessments if _is_patched(each) and packages_to_patch(each)]
    replaced = [each for each in assessments if each.triage.remediation == "replace"]
    number = len(patched) + len(replaced)
    if number > runbook.limits.maximum_cases:
        raise LimitExceeded(f"{number} cases to remediate, and {runbook.name} allows {runbook.limits.maximum_cases}")
    if not number:
        raise Refused("nothing can be remediated without a person", code="person")
    units = [(each,) for each in patched] + list(together(replaced))
    waves = _waves(runbook, units)
    cases = tuple(each for wave in waves for each in wave)
    touched = tuple(extent for wave in waves for extent in extents(runbook, wave))
    at_once = why_at_once(runbook, cases)
    return Plan(
        response=response,
        runbook=runbook.name,
        runbook_digest=runbook.digest,
        phase=Phase.REMEDIATE,
        revision=revision,
        cases=tuple(each.case for each in cases),
        steps=_steps(response, runbook, waves, bucket, revision),
        waves=tuple(tuple(each.case for each in wave) for wave in waves) if len(waves) > 1 else (),
        reasons=(*dict.fromkeys(each.triage.reasons[-1] for each in cases), *at_once),
        not_covered=tuple(_not_covered(runbook, patched, replaced, contained)),
        cannot_be_put_back=(SNAPSHOTS_LEAD_BACK if snapshots else NOTHING_LEADS_BACK,) if patched else (),
        approval=runbook.remediate.approval.rule([each.environment for each in touched]),
        extents=touched,
        windows=() if at_once else runbook.remediate.windows,
    )


def _waves(runbook: Runbook, units: Sequence[tuple[Assessment, ...]]) -> list[list[Assessment]]:
    alone = [Unit(members, tuple(extent_of(runbook, each) for each in members)) for members in units]
    return [[each for unit in wave for each in unit.members] for wave in in_waves(runbook, alone)]


def _steps(
    response: str, runbook: Runbook, waves: Sequence[Sequence[Assessment]], bucket: str, revision: int
) -> tuple[AnyStep, ...]:
    """Wave by wave: what is patched, and then what is replaced."""
    patched = patching(
        response, runbook, [[each for each in wave if _is_patched(each)] for wave in waves], bucket, revision
    )
    replaced = ([each for each in wave if not _is_patched(each)] for wave in waves)
    return tuple(
        step for steps, others in zip(patched, replaced, strict=True) for step in (*steps, *replacing(runbook, others))
    )


def _is_patched(each: Assessment) -> bool:
    return each.triage.remediation == "patch"


def _not_covered(
    runbook: Runbook, patched: Sequence[Assessment], replaced: Sequence[Assessment], contained: bool
) -> Iterator[str]:
    if patched and runbook.remediate.reboot == "NoReboot":
        yield "a running process keeps the old code until it is restarted: this plan does not reboot"
    if patched and runbook.remediate.reboot == "RebootIfNeeded":
        yield "the instance reboots when anything was installed, whether that package needs it or not"
    if replaced:
        yield "data on the old instance's own volumes does not move to its successor"
    if replaced and contained:
        yield "the contained instance stays as it is, as evidence; a person ends it"
