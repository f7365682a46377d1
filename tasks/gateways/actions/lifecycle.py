"""The lifecycle policy of a repository: put in place only when its preview takes no image that somebody runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from runbooks.errors import Outside
from runbooks.lifecycle_policy import mark_of, with_mark
from runbooks.steps.image_deprecation import PutLifecyclePolicy
from tasks.gateways.actions.base import AwsAction, Look, Place, gone
from tasks.gateways.actions.documents import compare_documents
from tasks.gateways.actions.users import in_use
from tasks.gateways.aws_errors import code_of
from tasks.gateways.bulk import pages
from tasks.gateways.ecr import read_lifecycle_policies
from tasks.gateways.image_indexes import read_runnable

Members = Mapping[str, Any]
NEW_ENOUGH = timedelta(minutes=30)
"""How old a preview may be. It says of no image what was pushed after it: of a count, each one pushes another out."""


class PutLifecyclePolicyAction(AwsAction[PutLifecyclePolicy]):
    """The first act asks ECR for a preview, the second puts the policy when that is there: nobody waits in between.

    ECR keeps the newest preview of a repository, and does not say when it was made, or for whom. So ours has the
    operation and the time, by AWS's clock, in the description of its first rule: another one, of whatever text, says
    nothing of the images that there are now. What puts the former policy back, or takes one away, needs no preview.
    """

    def _look(
        self, place: Place, steps: Sequence[PutLifecyclePolicy], operations: Mapping[str, str]
    ) -> dict[str, Look]:
        live = read_lifecycle_policies(place.reading("ecr"), place.account, [step.repository for step in steps])
        return {
            step.key: self._look_at(place, step, operations[step.key], live[step.repository])
            if step.repository in live
            else gone(f"repository {step.repository}")
            for step in steps
        }

    def _act(self, place: Place, step: PutLifecyclePolicy, operation: str, look: Look) -> dict[str, Any]:
        client, where = place.acting("ecr", step), {"registryId": place.account, "repositoryName": step.repository}
        if step.leaves is None:
            client.delete_lifecycle_policy(**where)
        elif _needs_preview(step) and not look.result.get("previewed"):
            marked = with_mark(step.leaves, _mark(operation, datetime.fromisoformat(look.result["now"])))
            client.start_lifecycle_policy_preview(**where, lifecyclePolicyText=marked)
            return {"previewed": False}
        else:
            client.put_lifecycle_policy(**where, lifecyclePolicyText=step.leaves)
        return {"policy": step.leaves}

    def _look_at(self, place: Place, step: PutLifecyclePolicy, operation: str, live: str | None) -> Look:
        look = compare_documents(live, step.expects, step.leaves, "policy")
        if look.status != "as-expected" or not _needs_preview(step):
            return look
        preview = _preview(place, step)
        ours = _is_ours(preview, step, operation)
        match preview.status:
            case "IN_PROGRESS":
                # One at a time: another's is waited for.
                return look.model_copy(update={"status": "in-progress", "detail": "ECR previews the policy"})
            case "FAILED" if ours:
                return look.model_copy(update={"status": "failed", "detail": "ECR could not preview the policy"})
            case "COMPLETE" if ours:
                return self._previewed(place, step, look)
            case _:
                return look.model_copy(update={"result": {"now": preview.now.isoformat()}})

    def _previewed(self, place: Place, step: PutLifecyclePolicy, look: Look) -> Look:
        where = {"registryId": place.account, "repositoryName": step.repository}
        results = [*pages(place.reading("ecr"), "get_lifecycle_policy_preview", "previewResults", **where)]
        users = _hurt(place, step, results)
        found = look.found | {"takes": sorted(raw["imageDigest"] for raw in results)}
        if not users:
            return Look(status="as-expected", found=found, result={"previewed": True})
        said = "; ".join(f"{digest}, {who}" for digest, who in sorted(users.items()))
        return Look(status="drifted", found=found, detail=f"it would take {said}")


class _Preview(NamedTuple):
    """The newest preview of a repository, as far as ECR tells of it."""

    now: datetime
    """When it was read, by AWS's clock."""
    status: str = ""
    """Empty where there is none."""
    text: str = ""


def _needs_preview(step: PutLifecyclePolicy) -> bool:
    return not step.undoes and step.leaves is not None


def _preview(place: Place, step: PutLifecyclePolicy) -> _Preview:
    client, where = place.reading("ecr"), {"registryId": place.account, "repositoryName": step.repository}
    try:
        found = client.get_lifecycle_policy_preview(**where, maxResults=1)
    except ClientError as error:
        if code_of(error) != "LifecyclePolicyPreviewNotFoundException":
            raise
        return _Preview(_told_at(error.response))
    return _Preview(_told_at(found), found["status"], found["lifecyclePolicyText"])


def _told_at(answer: Members) -> datetime:
    told = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    if told is None:
        raise Outside("AWS did not say what time it is, so that it is not known how old a preview is")
    return parsedate_to_datetime(told).astimezone(UTC)


def _mark(operation: str, now: datetime) -> str:
    return f"{operation}/{int(now.timestamp())}"


def _is_ours(preview: _Preview, step: PutLifecyclePolicy, operation: str) -> bool:
    """Whether this very operation asked for it, a short while ago."""
    mark = mark_of(preview.text, step.leaves or "") if preview.text else None
    whose, _, at = (mark or "").partition("/")
    return whose == operation and at.isdigit() and preview.now - datetime.fromtimestamp(int(at), UTC) < NEW_ENOUGH


def _hurt(place: Place, step: PutLifecyclePolicy, results: Sequence[Members]) -> dict[str, str]:
    """Digest -> who has the image, of those that it expires or archives; what nobody calls can spare the latter.

    Inspector scans no index, and no attestation: of an index it is asked who has the images that this lists.
    """
    every = {raw["imageDigest"] for raw in results}
    expired = {raw["imageDigest"] for raw in results if (raw.get("action") or {}).get("type") != "TRANSITION"}
    runnable = read_runnable(place.reading("ecr"), place.account, step.repository, every) if every else {}
    found: dict[str, str] = {}
    for taken, for_good in ((expired, True), (every - expired, False)):
        images = {(step.repository, image) for digest in taken for image in runnable[digest]}
        users = in_use(place, images, for_good=for_good)
        for digest in taken:
            who = dict.fromkeys(users.get((step.repository, image), "") for image in sorted(runnable[digest]))
            if said := "; ".join(filter(None, who)):
                found[digest] = said
    return found
