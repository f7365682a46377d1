"""The lifecycle policy of a repository: put in place only when its preview takes no image that somebody runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from runbooks.lifecycle_policy import same_policy
from runbooks.steps.image_deprecation import PutLifecyclePolicy
from tasks.gateways.actions.base import AwsAction, Look, Place, gone
from tasks.gateways.actions.documents import compare_documents
from tasks.gateways.actions.users import in_use
from tasks.gateways.aws_errors import code_of
from tasks.gateways.bulk import pages
from tasks.gateways.ecr import read_lifecycle_policies

Members = Mapping[str, Any]


class PutLifecyclePolicyAction(AwsAction[PutLifecyclePolicy]):
    """The first act asks ECR for a preview, the second puts the policy when that is there: nobody waits in between.

    What puts the former policy back, or takes one away, needs no preview. A preview that somebody asked for before is
    as good, until ECR lets it expire; who runs the images that it names is read in any case.
    """

    def _look(
        self, place: Place, steps: Sequence[PutLifecyclePolicy], operations: Mapping[str, str]
    ) -> dict[str, Look]:
        live = read_lifecycle_policies(place.reading("ecr"), place.account, [step.repository for step in steps])
        return {
            step.key: self._look_at(place, step, live[step.repository])
            if step.repository in live
            else gone(f"repository {step.repository}")
            for step in steps
        }

    def _act(self, place: Place, step: PutLifecyclePolicy, operation: str, look: Look) -> dict[str, Any]:
        client, where = place.acting("ecr", step), {"registryId": place.account, "repositoryName": step.repository}
        if step.leaves is None:
            client.delete_lifecycle_policy(**where)
        elif _needs_preview(step) and not look.result.get("previewed"):
            client.start_lifecycle_policy_preview(**where, lifecyclePolicyText=step.leaves)
            return {"previewed": False}
        else:
            client.put_lifecycle_policy(**where, lifecyclePolicyText=step.leaves)
        return {"policy": step.leaves}

    def _look_at(self, place: Place, step: PutLifecyclePolicy, live: str | None) -> Look:
        look = compare_documents(live, step.expects, step.leaves, "policy")
        if look.status != "as-expected" or not _needs_preview(step):
            return look
        status, results = _preview(place, step)
        match status:
            case "IN_PROGRESS":
                return look.model_copy(update={"status": "in-progress", "detail": "ECR previews the policy"})
            case "FAILED":
                return look.model_copy(update={"status": "failed", "detail": "ECR could not preview the policy"})
            case "COMPLETE":
                return self._previewed(place, step, look, results)
            case _:
                return look

    def _previewed(self, place: Place, step: PutLifecyclePolicy, look: Look, results: Sequence[Members]) -> Look:
        taken = sorted(raw["imageDigest"] for raw in results)
        users = in_use(place, {(step.repository, digest) for digest in taken})
        found = look.found | {"takes": taken}
        if not users:
            return Look(status="as-expected", found=found, result={"previewed": True})
        said = "; ".join(f"{digest} ({who})" for (_, digest), who in sorted(users.items()))
        return Look(status="drifted", found=found, detail=f"it would take images that are in use: {said}")


def _needs_preview(step: PutLifecyclePolicy) -> bool:
    return not step.undoes and step.leaves is not None


def _preview(place: Place, step: PutLifecyclePolicy) -> tuple[str, list[Members]]:
    """The status of the preview of this very policy, and the images that it expires or archives; "" without one."""
    client, where = place.reading("ecr"), {"registryId": place.account, "repositoryName": step.repository}
    try:
        first = client.get_lifecycle_policy_preview(**where, maxResults=1)
    except ClientError as error:
        if code_of(error) != "LifecyclePolicyPreviewNotFoundException":
            raise
        return "", []
    if not same_policy(first["lifecyclePolicyText"], step.leaves):
        # One preview at a time: another's is waited for.
        return ("IN_PROGRESS" if first["status"] == "IN_PROGRESS" else ""), []
    if first["status"] != "COMPLETE":
        return first["status"], []
    results = pages(client, "get_lifecycle_policy_preview", "previewResults", **where)
    return "COMPLETE", [*results]
