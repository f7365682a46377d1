"""The gate against Inspector Scan: what an SBOM lists is judged, and what cannot be known does not pass."""

from __future__ import annotations

import hashlib
import json

import pytest

from deployments.sandbox.faults import FaultKind
from deployments.sandbox.server import Sandbox
from runbooks.errors import BadInput
from runbooks.gating import Gate, Judgement, Outcome, Ruling
from tasks import gating
from tasks.gateways.aws_session import AwsSessions
from tests.runbooks.gating.gated import a_gate
from tests.tasks.gateways.ledger.samples import MORNING
from tests.tasks.scanned import BAD_SBOM, GOOD_SBOM, REGION, Registry, a_registry, an_sbom


def of_sbom(registry: Registry, sbom: object, gate: Gate | None = None) -> Judgement:
    content = json.dumps(sbom).encode()
    sessions = AwsSessions(None, session_name="runbooks-gate")
    return gating.judge_sbom(sessions, REGION, "sbom.json", content, sbom, gate or a_gate(), MORNING)


@pytest.fixture
def known(sandbox: Sandbox) -> Registry:
    """Inspector knows the vulnerability in the account of the tests' own credentials, too."""
    return a_registry(sandbox, account="123456789012")


def test_an_sbom_is_judged_by_what_inspector_knows_of_its_components(known: Registry) -> None:
    judgement = of_sbom(known, BAD_SBOM)

    content = json.dumps(BAD_SBOM).encode()
    assert judgement.subject.model_dump(exclude_none=True) == {
        "kind": "sbom",
        "name": "sbom.json",
        "digest": f"sha256:{hashlib.sha256(content).hexdigest()}",
        "tags": (),
    }
    assert judgement.ruling is Ruling.REFUSED
    assert [(each.vulnerability.package, each.vulnerability.fixed_in) for each in judgement.of(Outcome.REFUSED)] == [
        ("openssl", "0:3.0.2-0ubuntu1.17")
    ]
    assert of_sbom(known, GOOD_SBOM).ruling is Ruling.PASSED


def test_an_sbom_of_which_nothing_can_be_known_does_not_pass(known: Registry) -> None:
    nameless = an_sbom(("openssl", "3.0.2-0ubuntu1.10"))
    del nameless["components"][0]["purl"]
    for sbom in (an_sbom(), nameless):
        judgement = of_sbom(known, sbom)
        assert judgement.ruling is Ruling.CANNOT_TELL
        assert judgement.reasons == ("it lists nothing that Inspector has rules for",)


def test_what_is_skipped_of_an_sbom_is_said(known: Registry) -> None:
    partly = an_sbom(("bash", "5.1-6ubuntu1"), ("openssl", "3.0.2-0ubuntu1.10"))
    del partly["components"][1]["purl"]
    judgement = of_sbom(known, partly)
    assert (judgement.ruling, judgement.warnings) == (
        Ruling.PASSED,
        ("Inspector has no rules for 1 of 2 components",),
    )


def test_an_sbom_that_is_not_scanned_cannot_be_told(known: Registry) -> None:
    known.fault("inspector-scan:ScanSbom", FaultKind.THROTTLE, times=5)
    judgement = of_sbom(known, GOOD_SBOM)
    assert judgement.ruling is Ruling.CANNOT_TELL
    assert judgement.reasons[0].startswith("throttled: ")


def test_what_is_no_sbom_is_bad_input_and_is_not_sent(known: Registry) -> None:
    with pytest.raises(BadInput):
        of_sbom(known, {"bomFormat": "CycloneDX", "specVersion": "1.4"})
    assert known.calls() == []
