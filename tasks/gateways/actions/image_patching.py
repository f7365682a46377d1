"""Patching an image in place by Copacetic: known again by the image that it leaves under the tag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from runbooks.errors import Outside
from runbooks.steps.image_building import PatchImage
from tasks.gateways.actions.base import AwsAction, Look, Place, gone
from tasks.gateways.actions.image_building import pushed_by
from tasks.gateways.base_images import layers_of, read_manifests

BY_COPA = "by copa"
"""What its outcome has for a build."""
_VISIBLE_WITHIN_SECONDS = 6


class PatchImageAction(AwsAction[PatchImage]):
    """Runs copa, for as long as that takes. It may be run again where nothing stands under the tag: nobody uses it."""

    def _look(self, place: Place, steps: Sequence[PatchImage], operations: Mapping[str, str]) -> dict[str, Look]:
        pushed = pushed_by(place, steps)
        return {step.key: self._look_at(place, step, pushed.get(step.key)) for step in steps}

    def _look_at(self, place: Place, step: PatchImage, pushed: str | None) -> Look:
        source = step.image.partition("@")[2]
        digests = [source, *([pushed] if pushed else [])]
        layers = {
            digest: layers_of(manifest)
            for digest, manifest in read_manifests(
                place.reading("ecr"), place.account, step.repository, digests
            ).items()
        }
        found = {"build": None, "digest": pushed}
        if source not in layers:
            return gone(f"image {step.image}")
        if pushed is None and not self._elsewhere.copacetic.is_there:
            return Look(status="drifted", found=found, detail="copa is not on the path of this worker")
        if pushed is None:
            return Look(status="as-expected", found=found)
        if not _is_made_from(layers.get(pushed, ()), layers[source]):
            detail = f"{step.repository} has an image with tag {step.tag} already, which is not made from {source}"
            return Look(status="drifted", found=found, detail=f"{detail}: {pushed}")
        result = {"build": BY_COPA, "digest": pushed}
        return Look(status="as-left", found=result, result=result)

    def _act(self, place: Place, step: PatchImage, operation: str, look: Look) -> dict[str, Any]:
        granted = place.acting("ecr", step).get_authorization_token()["authorizationData"][0]
        self._elsewhere.copacetic.patch(
            step.image,
            step.tag,
            granted["authorizationToken"],
            step.timeout_minutes * 60,
            partial(self._sessions.may_leave, "PutImage"),
        )
        # ECR may show what was pushed a moment later.
        waiting = Retrying(
            retry=retry_if_result(lambda pushed: not pushed),
            stop=stop_after_delay(_VISIBLE_WITHIN_SECONDS),
            wait=wait_fixed(1),
            retry_error_callback=lambda state: {},
        )
        pushed = waiting(pushed_by, place, [step]).get(step.key)
        if pushed is None:
            raise Outside(
                f"copa has ended well, and no image has the tag {step.tag}: there may have been nothing to update",
                code="nothing-pushed",
            )
        return {"build": BY_COPA, "digest": pushed}


def _is_made_from(layers: Sequence[str], source: Sequence[str]) -> bool:
    """Whether an image has the other's layers below one of its own. A patch that copa made earlier it replaces."""
    below = (tuple(source), tuple(source[:-1]))
    return len(layers) > 1 and tuple(layers[:-1]) in below and tuple(layers) != tuple(source)
