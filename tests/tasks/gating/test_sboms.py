"""The gate against Inspector Scan: what an SBOM lists is judged, and what cannot be known does not pass."""

from __future__ import annotations

import hashlib
import json
from typing import Any

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
        "platforms": (),
    }
    assert judgement.ruling is Ruling.REFUSED
    assert [(each.vulnerability.package, each.vulnerability.fixed_in) for each in judgement.of(Outcome.REFUSED)] == [
        ("openssl", "3.0.2-0ubuntu1.17")
    ]
    assert of_sbom(known, GOOD_SBOM).ruling is Ruling.PASSED


def test_an_sbom_that_lists_no_package_does_not_pass(known: Registry) -> None:
    for sbom in (an_sbom(), an_sbom() | {"components": [{"type": "file", "name": "/etc/hosts"}]}):
        judgement = of_sbom(known, sbom)
        assert (judgement.ruling, judgement.reasons) == (Ruling.CANNOT_TELL, ("it lists no package",))


def partly_looked_at() -> dict[str, Any]:
    """One package without a package URL, one of a type without rules, one without a version."""
    sbom = an_sbom(("bash", "5.1-6ubuntu1"), ("openssl", "3.0.2-0ubuntu1.10"))
    del sbom["components"][1]["purl"]
    sbom["components"] += [
        {"type": "library", "name": "Alamofire", "version": "5.4.3", "purl": "pkg:cocoapods/Alamofire@5.4.3"},
        {"type": "library", "name": "github.com/acme/pay", "purl": "pkg:golang/github.com/acme/pay?unresolved=true"},
        {"type": "file", "name": "/etc/hosts"},
        {"type": "operating-system", "name": "ubuntu", "version": "22.04"},
    ]
    return sbom


def test_what_nobody_looked_at_is_named_and_keeps_the_sbom_from_passing(known: Registry) -> None:
    judgement = of_sbom(known, partly_looked_at())

    assert (judgement.ruling, judgement.lets_pass, judgement.not_yet) == (Ruling.CANNOT_TELL, False, False)
    assert [(str(each), each.why) for each in judgement.unscanned] == [
        ("Alamofire 5.4.3", "Inspector has no rules for it, of type cocoapods"),
        ("github.com/acme/pay", "unresolved version provided"),
        ("openssl 3.0.2-0ubuntu1.10", "no purl provided"),
    ]
    assert judgement.reasons == (
        "Inspector did not look at 3 components: Alamofire 5.4.3, github.com/acme/pay and openssl 3.0.2-0ubuntu1.10",
    )


def test_the_runbook_may_let_go_what_nobody_looked_at_and_it_is_named_all_the_same(known: Registry) -> None:
    some = of_sbom(known, partly_looked_at(), a_gate(unscanned_components=("Alamo*", "openssl")))
    every = of_sbom(known, partly_looked_at(), a_gate(unscanned_components=("*",)))

    assert some.reasons == ("Inspector did not look at 1 component: github.com/acme/pay",)
    assert (every.ruling, every.reasons, len(every.unscanned)) == (Ruling.PASSED, (), 3)


def test_what_is_vulnerable_inside_another_component_is_found(known: Registry) -> None:
    (openssl, bash) = BAD_SBOM["components"]
    nested = BAD_SBOM | {"components": [bash | {"components": [openssl]}]}

    judgement = of_sbom(known, nested)

    assert (judgement.ruling, judgement.unscanned) == (Ruling.REFUSED, ())


def test_an_sbom_that_is_not_scanned_cannot_be_told(known: Registry) -> None:
    known.fault("inspector-scan:ScanSbom", FaultKind.THROTTLE, times=5)
    judgement = of_sbom(known, GOOD_SBOM)
    assert (judgement.ruling, judgement.not_yet) == (Ruling.CANNOT_TELL, True)
    assert judgement.reasons[0].startswith("throttled: ")


def test_what_is_no_sbom_is_bad_input_and_is_not_sent(known: Registry) -> None:
    with pytest.raises(BadInput):
        of_sbom(known, {"bomFormat": "CycloneDX", "specVersion": "1.4"})
    assert known.calls() == []
