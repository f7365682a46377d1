"""Inspector Scan: a bill of materials in, its vulnerabilities out."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.deployments.sandbox.container_images import furnished

OPENSSL = "pkg:deb/ubuntu/openssl@{}?arch=amd64&distro=ubuntu-{}"


def sbom(*purls: str | None) -> dict[str, Any]:
    components = [{"type": "library", "name": "one"} | ({"purl": purl} if purl else {}) for purl in purls]
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "components": components}


def properties(subject: dict[str, Any]) -> dict[str, str]:
    return {one["name"].rpartition("sbom_scanner:")[2]: one["value"] for one in subject.get("properties", [])}


def test_vulnerable_components_are_told_with_their_fix_and_with_what_is_known_of_exploitation(sandbox, aws):
    furnished(sandbox, known_exploited=True)
    given = sbom(OPENSSL.format("3.0.2-0ubuntu1.10", "22.04"), OPENSSL.format("3.0.2-0ubuntu1.17", "22.04"), None)
    answer = aws("inspector-scan").scan_sbom(sbom=given)["sbom"]
    (found,) = answer["vulnerabilities"]
    assert (found["id"], found["affects"]) == ("CVE-2024-5535", [{"ref": "comp-1"}])
    assert {one["source"]["name"]: one["score"] for one in found["ratings"]} == {"UBUNTU_CVE": 9.1, "EPSS": 0.62}
    assert found["ratings"][0]["severity"] == "critical"
    said = properties(found)
    assert (said["fixed_version:comp-1"], said["exploit_available"]) == ("0:3.0.2-0ubuntu1.17", "true")
    assert "cisa_kev_date_due" in said
    assert properties(answer["components"][1]) == {"info": "Component scanned: no vulnerabilities found."}
    assert properties(answer["components"][2]) == {"warning": "Component skipped: no purl provided."}
    assert properties(answer["metadata"])["critical_vulnerabilities"] == "1"


def test_a_package_of_another_release_is_another_package_and_one_of_a_language_is_not(sandbox, aws):
    furnished(sandbox)
    furnished(sandbox, language=True, repository="shop/other", project="other", pipeline="other", test_project="t2")
    given = sbom(OPENSSL.format("3.0.2-0ubuntu1.10", "24.04"), "pkg:pypi/PyYAML@5.3.1", "pkg:pypi/PyYAML@6.0")
    answer = aws("inspector-scan").scan_sbom(sbom=given, outputFormat="INSPECTOR")["sbom"]
    assert answer["status"] == "SBOM parsed successfully, 1 vulnerability found"
    assert answer["inspector"]["vulnerability_count"] == {"critical": 1, "high": 0, "medium": 0, "low": 0}
    (found,) = answer["inspector"]["vulnerabilities"]
    assert found["affects"] == [{"installed_version": "pkg:pypi/PyYAML@5.3.1", "fixed_version": "5.4"}]


@pytest.mark.parametrize("given", [{}, {"bomFormat": "CycloneDX", "specVersion": "1.4"}, sbom(*["pkg:a/b@1"] * 5001)])
def test_what_is_no_bill_of_materials_is_refused(sandbox, aws, given):
    with pytest.raises(ClientError, match="ValidationException"):
        aws("inspector-scan").scan_sbom(sbom=given)


def test_what_inspector_does_not_look_at_is_skipped_and_what_lies_inside_another_is_not(sandbox, aws):
    furnished(sandbox)
    inner = {"type": "library", "name": "openssl", "purl": OPENSSL.format("3.0.2-0ubuntu1.10", "22.04")}
    outer = {"type": "library", "name": "bash", "purl": "pkg:deb/ubuntu/bash@5.1?distro=22.04", "components": [inner]}
    given = sbom("pkg:cocoapods/Alamofire@5.4.3", "pkg:golang/github.com/acme/pay/v2?unresolved=true")
    given["components"].append(outer)
    answer = aws("inspector-scan").scan_sbom(sbom=given)["sbom"]
    assert [properties(one) for one in answer["components"]] == [
        {"info": "Component skipped: no rules found."},
        {"warning": "Component skipped: unresolved version provided."},
        {"info": "Component scanned: no vulnerabilities found."},
    ]
    assert answer["components"][1]["name"] == "v2"
    assert answer["vulnerabilities"][0]["affects"] == [{"ref": answer["components"][2]["components"][0]["bom-ref"]}]
