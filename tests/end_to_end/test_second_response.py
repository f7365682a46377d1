"""A contained case that was not remediated the first time: the next response knows that it is contained."""

from __future__ import annotations

import json
from pathlib import Path

from tests.end_to_end.product import Product


def test_what_an_earlier_response_contained_is_patched_and_released_by_the_next(
    product: Product, tmp_path: Path
) -> None:
    incident = product.deliver(8)
    before = incident.interfaces(incident.before)
    incident.approve("contain")
    incident.reject("remediate")
    ended = incident.ended()
    assert (ended.result, ended.contained, incident.case().status) == ("rejected", True, "open")
    quarantined = incident.interfaces()
    assert quarantined != before
    first = incident.response().id

    file = tmp_path / "finding.json"
    file.write_text(json.dumps(incident.event))
    done = product.run("respond", str(file))
    assert done.returncode == 0, done.stderr
    product.until(lambda: incident.response().id != first, "a second response")
    incident.approve("remediate")
    question = incident.question("release")
    plan = incident.history().plans[question.digest]
    assert plan.reasons == ("the containment is to end; the newest verdict is fixed",)
    assert incident.interfaces() == quarantined, "an older containment is not released without a yes"
    incident.approve("release")
    ended = incident.ended()
    assert (ended.result, ended.contained, incident.case().status) == ("fixed", False, "closed")
    assert incident.interfaces() == before
    assert incident.changes().count("ec2:CreateSnapshots") == 1
