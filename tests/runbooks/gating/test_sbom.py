"""What ScanSbom says: ratings of several sources, a probability among them, and a fix for each component."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from runbooks.errors import BadInput, Outside
from runbooks.gating.sbom import MAX_COMPONENTS, Scanned, check_sbom, read_scan
from tests.runbooks.gating.gated import CVE

OURS = "amazon:inspector:sbom_scanner:"


def a_property(name: str, value: str) -> dict[str, str]:
    return {"name": OURS + name, "value": value}


def a_component(ref: str, name: str, **members: Any) -> dict[str, Any]:
    chosen = {"bom-ref": ref, "type": "library", "name": name, "version": "1.0", "purl": f"pkg:pypi/{name}@1.0"}
    return chosen | members


def a_rating(severity: str, score: float, source: str = "NVD") -> dict[str, Any]:
    return {"severity": severity, "score": score, "method": "CVSSv31", "source": {"name": source}}


EPSS = {
    "severity": "none",
    "score": 0.42,
    "method": "other",
    "vector": "model:v2023.03.01,date:2024-05-21T00:00:00+0000",
    "source": {"name": "EPSS", "url": "https://api.first.org/"},
}


def a_scan(*vulnerabilities: dict[str, Any], components: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "components": [a_component("comp-1", "jinja2")] if components is None else components,
    }
    return document | ({"vulnerabilities": list(vulnerabilities)} if vulnerabilities else {})


def a_finding(**members: Any) -> dict[str, Any]:
    chosen: dict[str, Any] = {
        "bom-ref": "vuln-1",
        "id": CVE,
        "source": {"name": "NVD", "url": "https://nvd.example/1"},
        "ratings": [a_rating("medium", 5.5), a_rating("high", 7.1, "UBUNTU_CVE"), EPSS],
        "created": "2026-02-27T17:15:14Z",
        "affects": [{"ref": "comp-1"}],
        "properties": [a_property("exploit_available", "true"), a_property("fixed_version:comp-1", "3.1.6")],
    }
    return chosen | members


def scanned(answer: dict[str, Any], sent: dict[str, Any] | None = None) -> Scanned:
    """What the answer says about what was sent, which is the same where nothing else is named."""
    return read_scan(answer, sent or answer)


def test_a_vulnerability_is_read_with_its_component() -> None:
    read = scanned(a_scan(a_finding()))

    (found,) = read.vulnerabilities
    assert (read.packages, read.unscanned) == (1, ())
    assert found.model_dump(exclude_defaults=True) == {
        "id": CVE,
        "severity": "HIGH",
        "package": "jinja2",
        "installed": "1.0",
        "fixed_in": "3.1.6",
        "fix_available": True,
        "manager": "PIP",
        "score": 7.1,
        "epss": 0.42,
        "exploit_available": True,
        "known_since": datetime(2026, 2, 27, 17, 15, 14, tzinfo=UTC),
        "source_url": "https://nvd.example/1",
    }


def test_the_epoch_of_a_fix_is_not_named_where_there_is_none() -> None:
    for said, shown in (("0:3.1.6", "3.1.6"), ("1:3.1.6", "1:3.1.6"), ("", None)):
        (found,) = scanned(a_scan(a_finding(properties=[a_property("fixed_version:comp-1", said)]))).vulnerabilities
        assert (found.fixed_in, found.fix_available) == (shown, shown is not None)


def test_the_probability_of_exploitation_is_no_severity() -> None:
    (found,) = scanned(a_scan(a_finding(ratings=[EPSS]))).vulnerabilities
    assert (found.severity, found.score, found.epss) == ("UNTRIAGED", None, 0.42)


@pytest.mark.parametrize(
    ("words", "severity"),
    [
        (["low", "critical", "high"], "CRITICAL"),
        (["info"], "INFORMATIONAL"),
        (["unknown"], "UNTRIAGED"),
        (["unknown", "low"], "LOW"),
        ([], "UNTRIAGED"),
    ],
)
def test_the_highest_rating_that_anybody_gave_counts(words: list[str], severity: str) -> None:
    ratings = [a_rating(word, 1.0) for word in words]
    assert scanned(a_scan(a_finding(ratings=ratings))).vulnerabilities[0].severity == severity


def test_every_affected_component_is_a_line_with_its_own_fix_also_one_inside_another() -> None:
    inner = a_component("comp-2", "libssl3", version="3.0.2%2Bx", purl="pkg:deb/ubuntu/libssl3@3.0.2?arch=amd64")
    outer = a_component("comp-1", "openssl", components=[inner], properties=[a_property("path", "/usr/lib/a")])
    finding = a_finding(
        affects=[{"ref": "comp-1"}, {"ref": "comp-2"}, {"ref": "comp-1"}, {"ref": "gone"}],
        properties=[a_property("fixed_version:comp-2", "3.0.3")],
    )

    found = scanned(a_scan(finding, components=[outer])).vulnerabilities
    assert [(each.package, each.installed, each.fixed_in, each.manager, each.path) for each in found] == [
        ("openssl", "1.0", None, "PIP", "/usr/lib/a"),
        ("libssl3", "3.0.2+x", "3.0.3", "OS", None),
        ("gone", "", None, "UNKNOWN", None),
    ]


def test_cisas_catalogue_and_malice_are_read_from_the_properties() -> None:
    listed = [a_property("cisa_kev_date_added", "2026-02-01T00:00:00Z")]
    assert scanned(a_scan(a_finding(properties=listed))).vulnerabilities[0].known_exploited_since == datetime(
        2026, 2, 1, tzinfo=UTC
    )
    day = [a_property("cisa_kev_date_added", "2026-02-01")]
    assert scanned(a_scan(a_finding(properties=day))).vulnerabilities[0].known_exploited_since == datetime(
        2026, 2, 1, tzinfo=UTC
    )
    assert scanned(a_scan(a_finding(properties=[a_property("is_malicious", "true")]))).vulnerabilities[0].malicious
    assert scanned(a_scan(a_finding(id="MAL-2026-1"))).vulnerabilities[0].malicious


def test_a_package_has_the_name_that_the_sbom_gives_it_and_not_what_is_left_of_it_in_the_answer() -> None:
    xxhash = a_component("a", "github.com/cespare/xxhash/v2", purl="pkg:golang/github.com/cespare/xxhash/v2@v2.3.0")
    core = a_component("b", "core", group="@angular", purl="pkg:npm/%40angular/core@1.0")
    log4j = a_component("c", "log4j-core", group="org.apache", purl="pkg:maven/org.apache/log4j-core@1.0")
    sent = a_scan(components=[xxhash, core, log4j])
    answer = a_scan(
        a_finding(affects=[{"ref": "comp-1"}, {"ref": "comp-2"}, {"ref": "comp-3"}]),
        components=[
            xxhash | {"bom-ref": "comp-1", "name": "v2"},
            core | {"bom-ref": "comp-2"},
            log4j | {"bom-ref": "comp-3"},
        ],
    )

    assert [each.package for each in scanned(answer, sent).vulnerabilities] == [
        "github.com/cespare/xxhash/v2",
        "@angular/core",
        "org.apache:log4j-core",
    ]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {"messages": [], "vulnerability_count": {"high": 0}},
        a_scan(a_finding(id="")),
        a_scan(a_finding(properties=[a_property("cisa_kev_date_added", "yesterday")])),
        a_scan(a_finding(created="2026-02-30T00:00:00Z")),
    ],
)
def test_an_answer_that_cannot_be_read_is_no_answer_without_vulnerabilities(answer: object) -> None:
    with pytest.raises(Outside) as refused:
        read_scan(answer, {})
    assert refused.value.code == "unreadable-scan"


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ([], "not-an-sbom"),
        ({"spdxVersion": "SPDX-2.3"}, "not-an-sbom"),
        ({"bomFormat": "CycloneDX", "specVersion": "1.4"}, "sbom-version"),
        ({"bomFormat": "CycloneDX"}, "sbom-version"),
        (a_scan(components=[a_component(str(n), "x") for n in range(MAX_COMPONENTS + 1)]), "sbom-too-large"),
    ],
)
def test_an_sbom_that_inspector_would_refuse_is_refused_before(document: object, code: str) -> None:
    with pytest.raises(BadInput) as refused:
        check_sbom(document)
    assert refused.value.code == code


def test_an_sbom_of_the_size_that_inspector_takes_is_let_through() -> None:
    inside = [a_component(str(n), "x") for n in range(MAX_COMPONENTS - 1)]
    document = a_scan(components=[a_component("outer", "y", components=inside)])
    assert check_sbom(document) is document
