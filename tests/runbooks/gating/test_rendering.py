"""The judgement as people and pipelines read it: a table, SARIF and JUnit XML."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from runbooks.gating import Judgement, Seen, Vulnerability, judge
from runbooks.gating.judgement import Unscanned
from runbooks.gating.junit import as_junit
from runbooks.gating.sarif import as_sarif
from runbooks.gating.subject import Platform
from runbooks.gating.table import as_table
from tests.runbooks.gating.gated import (
    CVE,
    DIGEST,
    NOW,
    URI,
    a_gate,
    a_subject,
    a_vulnerability,
    an_accepted_risk,
    judged,
    without_a_fix,
)

LEVELS = ("none", "note", "warning", "error")
BLOCKED = "case-0123456789ab is open for it, and holds it back until it is closed"


def everything() -> Judgement:
    """One of each outcome, a block, something unknown and a warning."""
    return judged(
        a_vulnerability(score=7.5, source_url="https://vendor.example/1"),
        a_vulnerability(
            id="CVE-2026-2", package="jinja2", installed="3.1.5", manager="PIP", path="/app/jinja2/METADATA"
        ),
        without_a_fix(id="CVE-2026-3", severity="CRITICAL"),
        a_vulnerability(id="CVE-2026-4", severity="LOW"),
        gate=a_gate(
            accepted=(
                an_accepted_risk(vulnerability="CVE-2026-2"),
                an_accepted_risk(expires="2026-01-01", owner="joe@example.com"),
            )
        ),
        blocked_by="case-0123456789ab",
        unknown=("something is not known",),
    )


def test_the_table_says_what_is_refused_why_and_how_to_fix_it() -> None:
    assert as_table(everything()).splitlines() == [
        f"{URI}@{DIGEST} (1.4.0)",
        f"REFUSED: 1 vulnerability in 1 package; {BLOCKED}; something is not known (gate test, version 1)",
        "",
        "PACKAGE  INSTALLED        FIXED IN         SEVERITY  VULNERABILITY   WHY REFUSED",
        "zlib1g   1:1.2.13.dfsg-1  1:1.2.13.dfsg-2  HIGH      CVE-2026-10002  severity HIGH, and a fix is available",
        "",
        "How to fix",
        "  zlib1g: build on a newer base image, or install zlib1g 1:1.2.13.dfsg-2 in the build",
        "",
        "Not refused",
        "  1 (accepted by jane@example.com until 2026-03-31): CVE-2026-2",
        "  1 (no version fixes it yet): CVE-2026-3",
        "  1 (LOW is not refused): CVE-2026-4",
        "",
        "Warnings",
        f"  the accepted risk {CVE} of joe@example.com expired on 2026-01-01: it does not count",
    ]


def test_the_table_of_what_passes_is_short() -> None:
    assert as_table(judged()).splitlines() == [
        f"{URI}@{DIGEST} (1.4.0)",
        "PASSED: nothing in it is refused (gate test, version 1)",
    ]


def test_the_table_says_when_something_passes_unjudged() -> None:
    told = as_table(judged(gate=a_gate(cannot_tell="pass"), unknown=("it was not scanned",))).splitlines()
    assert told[1:] == [
        "CANNOT TELL: it was not scanned (gate test, version 1)",
        "",
        "The gate lets pass what it cannot judge: this is no evidence that it is good.",
    ]


def test_the_table_shows_two_fixes_of_one_package_and_one_remedy_once() -> None:
    told = as_table(
        judged(a_vulnerability(id="CVE-1"), a_vulnerability(id="CVE-2"), a_vulnerability(id="CVE-3", fixed_in="2"))
    )
    assert told.splitlines()[1].startswith("REFUSED: 3 vulnerabilities in 1 package ")
    assert told.partition("How to fix\n")[2].splitlines() == [
        "  zlib1g: build on a newer base image, or install zlib1g 1:1.2.13.dfsg-2 in the build",
        "  zlib1g: build on a newer base image, or install zlib1g 2 in the build",
    ]


ARM, AMD = "linux/arm64/v8", "linux/amd64"


def of_an_index(*vulnerabilities: Vulnerability) -> Judgement:
    platforms = tuple(Platform(name=name, digest=f"sha256:{name}") for name in (AMD, ARM))
    return judge(a_gate(), a_subject(platforms=platforms), Seen(vulnerabilities=vulnerabilities), NOW)


def test_the_table_says_on_which_platform_and_what_is_alike_on_all_is_one_row() -> None:
    everywhere = [a_vulnerability(platform=name) for name in (AMD, ARM)]
    lines = as_table(of_an_index(*everywhere, a_vulnerability(id="CVE-2026-9", platform=ARM))).splitlines()

    assert lines[1:3] == [
        f"Platforms: {AMD}, {ARM}",
        "REFUSED: 2 vulnerabilities in 1 package (gate test, version 1)",
    ]
    assert lines[4].split()[5:7] == ["VULNERABILITY", "PLATFORM"]
    assert [line.split()[4:6] for line in lines[5:7]] == [
        ["CVE-2026-10002", "all"],
        ["CVE-2026-9", ARM],
    ]
    assert lines[7:9] == ["", "How to fix"]
    assert as_table(of_an_index()).splitlines()[1:] == [
        f"Platforms: {AMD}, {ARM}",
        "PASSED: nothing in it is refused (gate test, version 1)",
    ]


def test_the_table_names_what_nobody_looked_at_by_the_reason() -> None:
    lost = (
        Unscanned(name="core", version="1.4.2", why="no purl provided"),
        Unscanned(name="pay", why="unresolved version provided"),
        *(Unscanned(name=f"part-{number}", why="no purl provided") for number in range(40)),
    )
    told = as_table(judged(gate=a_gate(unscanned_components=("*",)), unscanned=lost)).partition("Not looked at\n")[2]

    first, second = told.splitlines()
    assert first.startswith("  41 (no purl provided): core 1.4.2, part-0, part-1, ")
    assert first.endswith(" and 22 more")
    assert second == "  1 (unresolved version provided): pay"


def test_nothing_from_outside_reaches_the_terminal_unseen() -> None:
    told = as_table(judged(a_vulnerability(package="\x1b[2Jzlib\r\n\u202e")))
    assert all(each.isprintable() for each in told.replace("\n", ""))


def test_a_cell_is_cut_and_the_reason_is_not() -> None:
    told = as_table(judged(a_vulnerability(installed="v" * 200)))
    row = next(line for line in told.splitlines() if line.startswith("zlib1g"))
    assert f"{'v' * 57}... " in row
    assert row.endswith("severity HIGH, and a fix is available")


# --- SARIF -----------------------------------------------------------------------------------------------------------


def run_of(judgement: Judgement) -> dict[str, Any]:
    written = as_sarif(judgement)
    assert written["version"] == "2.1.0"
    assert written["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = written["runs"]
    return run


def test_sarif_has_a_rule_for_each_vulnerability_and_a_result_for_each_package() -> None:
    run = run_of(everything())

    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == [CVE, "CVE-2026-2", "CVE-2026-3", "CVE-2026-4", "runbooks-gate"]
    assert [(each["ruleId"], each["level"], rules[each["ruleIndex"]]["id"]) for each in run["results"]] == [
        (CVE, "error", CVE),
        ("CVE-2026-2", "warning", "CVE-2026-2"),
        ("CVE-2026-3", "note", "CVE-2026-3"),
        ("CVE-2026-4", "note", "CVE-2026-4"),
        ("runbooks-gate", "error", "runbooks-gate"),
        ("runbooks-gate", "error", "runbooks-gate"),
    ]
    assert [rule["properties"]["security-severity"] for rule in rules[:-1]] == ["7.5", "7.0", "9.0", "0.1"]
    assert rules[0]["helpUri"] == "https://vendor.example/1"


def test_sarif_places_a_result_where_github_shows_it() -> None:
    results = run_of(everything())["results"]

    places = [each["locations"][0]["physicalLocation"] for each in results]
    assert [place["artifactLocation"]["uri"] for place in places[:2]] == ["team/checkout", "app/jinja2/METADATA"]
    assert all(place["region"] == {"startLine": 1} for place in places)


def test_an_accepted_risk_is_a_suppression_with_its_owner_and_an_expired_one_is_none() -> None:
    results = run_of(everything())["results"]

    assert [each.get("suppressions") for each in results[:2]] == [
        None,
        [
            {
                "kind": "external",
                "status": "accepted",
                "justification": "The parser is never given input from outside. (jane@example.com, until 2026-03-31)",
            }
        ],
    ]


def test_a_fingerprint_stays_from_build_to_build() -> None:
    before, after, other = (
        run_of(judged(a_vulnerability(**values)))["results"][0]["partialFingerprints"]
        for values in ({}, {"installed": "1:1.2.13.dfsg-0", "severity": "CRITICAL"}, {"package": "minizip"})
    )
    assert before == after
    assert before != other


@pytest.mark.parametrize("kind", ["everything", "index", "nothing", "unscanned", "let-pass"])
def test_sarif_has_the_members_and_the_words_that_its_schema_requires(kind: str) -> None:
    judgement = {
        "everything": everything(),
        "index": of_an_index(*(a_vulnerability(platform=name) for name in (AMD, ARM))),
        "nothing": judged(),
        "unscanned": judged(unscanned=(Unscanned(name="a b", why="no purl provided"),)),
        "let-pass": judged(gate=a_gate(cannot_tell="pass"), unknown=("it was not scanned",)),
    }[kind]
    run = run_of(judgement)

    rules = run["tool"]["driver"]["rules"]
    assert run["tool"]["driver"]["name"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert (result["level"], bool(result["message"]["text"])) in {(level, True) for level in LEVELS}
        (place,) = (each["physicalLocation"] for each in result["locations"])
        assert re.fullmatch(r"[\w/@.~+%-]+", place["artifactLocation"]["uri"])
        assert all(
            (each["kind"], each["status"]) == ("external", "accepted") for each in result.get("suppressions", ())
        )
    for invocation in run["invocations"]:
        assert isinstance(invocation["executionSuccessful"], bool)
        assert datetime.fromisoformat(invocation["endTimeUtc"]) == judgement.at
        for notice in invocation.get("toolExecutionNotifications", ()):
            assert (notice["level"], bool(notice["message"]["text"])) in {(level, True) for level in LEVELS}


def test_sarif_tells_github_what_a_rule_is_about_and_how_to_be_rid_of_it() -> None:
    for rule in run_of(everything())["tool"]["driver"]["rules"]:
        assert all(rule[member]["text"] for member in ("shortDescription", "fullDescription", "help"))
    both = judged(a_vulnerability(), a_vulnerability(package="minizip", fixed_in=None))
    (rule,) = run_of(both)["tool"]["driver"]["rules"]
    assert rule["help"]["text"].splitlines() == [
        "minizip: build on a newer base image, or install a fixed minizip in the build",
        "zlib1g: build on a newer base image, or install zlib1g 1:1.2.13.dfsg-2 in the build",
    ]


def test_sarif_keeps_the_platforms_of_an_index_apart() -> None:
    results = run_of(of_an_index(*(a_vulnerability(platform=name) for name in (AMD, ARM))))["results"]

    assert len({each["partialFingerprints"]["packageVulnerability/v1"] for each in results}) == 2
    assert [each["message"]["text"].partition(" (")[0] for each in results] == [
        f"{CVE} in zlib1g 1:1.2.13.dfsg-1 on {name}" for name in (AMD, ARM)
    ]


def test_sarif_and_junit_name_everything_that_nobody_looked_at() -> None:
    lost = tuple(Unscanned(name=f"part-{number}", why="no purl provided") for number in range(40))
    judgement = judged(unscanned=lost)

    (invocation,) = run_of(judgement)["invocations"]
    notes = [each["message"]["text"] for each in invocation["toolExecutionNotifications"] if each["level"] == "note"]
    assert notes == [f"not looked at: part-{number} (no purl provided)" for number in range(40)]
    assert (suite_of(judgement)[0].findtext("system-out") or "").splitlines() == notes


def test_sarif_says_that_the_run_did_not_succeed_where_it_cannot_be_told() -> None:
    (invocation,) = run_of(judged(unknown=("it was not scanned",)))["invocations"]
    assert invocation == {
        "executionSuccessful": False,
        "endTimeUtc": "2026-03-02T12:00:00Z",
        "exitCodeDescription": "CANNOT TELL: it was not scanned",
        "toolExecutionNotifications": [{"level": "error", "message": {"text": "it was not scanned"}}],
    }
    assert run_of(judged())["invocations"][0]["executionSuccessful"]


# --- JUnit -----------------------------------------------------------------------------------------------------------


def suite_of(judgement: Judgement) -> ET.Element:
    root = ET.fromstring(as_junit(judgement))
    assert root.tag == "testsuites"
    (suite,) = root
    return suite


def told(judgement: Judgement) -> list[tuple[str, str]]:
    return [(case.attrib["name"], "/".join(each.tag for each in case)) for case in suite_of(judgement)]


def test_junit_has_a_failure_for_what_is_refused_and_skips_what_is_accepted() -> None:
    judgement = everything()

    assert told(judgement) == [
        ("gate test", "failure/system-out"),
        (f"{CVE} in zlib1g 1:1.2.13.dfsg-1", "failure"),
        ("CVE-2026-2 in jinja2 3.1.5", "skipped"),
        ("CVE-2026-3 in zlib1g 1:1.2.13.dfsg-1", "system-out"),
        ("CVE-2026-4 in zlib1g 1:1.2.13.dfsg-1", "system-out"),
    ]
    counts = {name: suite_of(judgement).attrib[name] for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "5", "failures": "2", "errors": "0", "skipped": "1"}
    failure = suite_of(judgement)[1][0]
    assert failure.attrib == {"type": "HIGH", "message": "severity HIGH, and a fix is available"}
    assert failure.text
    assert "build on a newer base image" in failure.text


def test_junit_has_a_test_that_passes_and_an_error_where_it_cannot_be_told() -> None:
    assert told(judged()) == [("gate test", "")]
    unknown = judged(unknown=("it was not scanned",))
    assert told(unknown) == [("gate test", "error")]
    assert suite_of(unknown).attrib["errors"] == "1"
    assert told(judged(gate=a_gate(cannot_tell="pass"), unknown=("it was not scanned",))) == [
        ("gate test", "system-out")
    ]


def test_junit_has_a_test_for_each_platform() -> None:
    assert [name for name, _ in told(of_an_index(*(a_vulnerability(platform=name) for name in (AMD, ARM))))][1:] == [
        f"{CVE} in zlib1g 1:1.2.13.dfsg-1 on {name}" for name in (AMD, ARM)
    ]


def test_junit_is_xml_whatever_the_package_is_called() -> None:
    name = "\x00<zlib>&\x1b\ufffe\"'"
    assert told(judged(a_vulnerability(package=name)))[1][0].startswith(f"{CVE} in \ufffd<zlib>&\ufffd\ufffd\"'")


def test_exploited_in_the_wild_comes_first_in_every_form() -> None:
    judgement = judged(
        a_vulnerability(), a_vulnerability(id="CVE-9", known_exploited_since=datetime(2026, 2, 1, tzinfo=UTC))
    )
    assert as_table(judgement).splitlines()[4].split()[4] == "CVE-9"
    assert run_of(judgement)["results"][0]["ruleId"] == "CVE-9"
    assert told(judgement)[1][0].startswith("CVE-9")
