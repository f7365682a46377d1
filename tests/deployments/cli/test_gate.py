"""`runbooks gate`, as a pipeline calls it: what it answers, and what it writes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pytest

from tests.deployments.cli.conftest import Run
from tests.deployments.cli.gated import LAX
from tests.tasks.scanned import BAD_SBOM, GOOD_SBOM, Registry, attestation, platform

GATE_PAGE = Path(__file__).parents[3] / "docs" / "gate.md"
NO_LEDGER = "No evidence in a ledger: there is none here, so open cases were not looked at either."


# --- the answer ------------------------------------------------------------------------------------------------------


def test_a_good_a_bad_an_unscanned_and_an_unknown_image_each_have_their_exit_code(run: Run, registry: Registry) -> None:
    bad, unscanned = run("gate", registry.bad), run("gate", registry.good, "--wait", 0)
    registry.scan()
    good, unknown = run("gate", registry.good), run("gate", f"{registry.uri}:nope")

    assert [each.code for each in (good, bad, unknown, unscanned)] == [0, 1, 2, 3]
    assert good.out.splitlines()[1] == "PASSED: nothing in it is refused (gate default, version 1)"
    assert bad.out.splitlines()[1] == "REFUSED: 1 vulnerability in 1 package (gate default, version 1)"
    assert unscanned.out.splitlines()[1] == (
        "CANNOT TELL: its initial scan is still to come (PENDING_INITIAL_SCAN) (gate default, version 1)"
    )
    assert unknown.out == ""
    assert unknown.err.startswith("error: no-such-image: ECR has no image ")
    assert bad.err == f"{NO_LEDGER}\n"


def test_the_table_tells_a_developer_what_to_do(run: Run, registry: Registry) -> None:
    lines = run("gate", registry.bad).out.splitlines()

    assert lines[3].split("  ")[0] == "PACKAGE"
    assert lines[4].split()[:5] == ["openssl", "3.0.2-0ubuntu1.10", "3.0.2-0ubuntu1.17", "CRITICAL", "CVE-2024-5535"]
    assert lines[-1] == "  openssl: build on a newer base image, or install openssl 3.0.2-0ubuntu1.17 in the build"


@pytest.mark.parametrize("name", ["image", "image_arn", "digest"])
def test_an_image_is_named_by_digest_by_arn_or_by_its_digest_alone(run: Run, registry: Registry, name: str) -> None:
    ran = run("gate", registry.built[name], "--format", "json")
    assert (ran.code, ran.json["subject"]["digest"]) == (1, registry.built["digest"])


def test_own_credentials_need_no_role(run: Run, registry: Registry) -> None:
    registry.forget_calls()
    assert run("gate", registry.bad, "--own-credentials").code == 1
    assert "sts:AssumeRole" not in registry.calls()


def test_other_rules_accept_a_risk_and_let_pass_what_cannot_be_judged(run: Run, registry: Registry, lax: Path) -> None:
    accepted = run("gate", registry.bad, "--runbook", lax)
    assert accepted.code == 0
    assert "  1 (accepted by jane@example.com until 2999-12-31): CVE-2024-5535" in accepted.out.splitlines()

    unscanned = run("gate", registry.good, "--runbook", lax)
    assert unscanned.code == 0
    assert unscanned.out.splitlines()[-1].startswith("The gate lets pass what it cannot judge")


def test_rules_of_ones_own_library_take_the_place_of_the_shipped_ones(
    run: Run, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gates = tmp_path / "mine" / "gates"
    gates.mkdir(parents=True)
    (gates / "default.yaml").write_text(LAX.replace("name: lax", "name: default"), encoding="utf-8")
    monkeypatch.setenv("RUNBOOKS_LIBRARY", str(tmp_path / "mine"))

    assert run("gate", registry.bad).code == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], "usage"),
        (["nginx:latest"], "not-an-image"),
        (["missing.json"], "unreadable"),
        (["sha256:5e"], "not-an-image"),
        (["x", "--runbook", "missing.yaml"], "invalid-runbook"),
        (["x", "--wait", "121"], "usage"),
        (["x", "--wait", "-1"], "usage"),
        (["x", "--format", "xml"], "usage"),
    ],
)
def test_wrong_input_is_said_before_anything_is_asked(
    run: Run, registry: Registry, arguments: list[str], code: str
) -> None:
    ran = run("gate", *arguments)
    assert (ran.code, ran.out, ran.err.split(": ")[:2]) == (2, "", ["error", code])
    assert registry.calls() == []


def test_a_mistake_in_the_rules_is_named_by_line(run: Run, registry: Registry, lax: Path) -> None:
    lax.write_text(LAX.replace("    owner: jane@example.com\n", ""), encoding="utf-8")
    ran = run("gate", registry.bad, "--runbook", lax)
    assert (ran.code, ran.err) == (2, f"error: invalid-runbook: {lax}:6: accepted.0.owner: Field required\n")


def test_a_digest_alone_needs_a_region(run: Run, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    ran = run("gate", registry.built["digest"])
    assert (ran.code, ran.err.split(": ")[:3]) == (2, ["error", "invalid-setting", "AWS_DEFAULT_REGION"])


def test_an_index_is_judged_by_its_platforms_and_the_table_says_which(run: Run, registry: Registry) -> None:
    good = registry.push_good()
    registry.scan()
    registry.push_index("both", platform(good), platform(registry.built["digest"], "linux/arm64"), attestation(good))
    registry.push_index("good", platform(good), attestation(good))

    both, passed = run("gate", f"{registry.uri}:both"), run("gate", f"{registry.uri}:good")

    assert (both.code, passed.code) == (1, 0)
    assert both.out.splitlines()[1] == "Platforms: linux/amd64, linux/arm64"
    assert both.out.splitlines()[5].split()[4:6] == ["CVE-2024-5535", "linux/arm64"]
    assert passed.out.splitlines()[1] == "Platforms: linux/amd64"


def test_ones_own_credentials_need_what_the_documentation_says(run: Run, registry: Registry, tmp_path: Path) -> None:
    (policy,) = re.findall(r'```json\n(\{\n  "Version".*?)```', GATE_PAGE.read_text(encoding="utf-8"), re.DOTALL)
    registry.push_index("both", platform(registry.built["digest"]))
    file = tmp_path / "sbom.json"
    file.write_text(json.dumps(GOOD_SBOM), encoding="utf-8")
    registry.forget_calls()

    for what in (registry.bad, f"{registry.uri}:both", file):
        run("gate", what, "--own-credentials")

    assert set(registry.calls()) == set(json.loads(policy)["Statement"][0]["Action"])


# --- SBOMs -----------------------------------------------------------------------------------------------------------


def test_an_sbom_is_judged_from_a_file_or_from_standard_input(run: Run, registry: Registry, tmp_path: Path) -> None:
    file = tmp_path / "sbom.cdx.json"
    file.write_text(json.dumps(BAD_SBOM), encoding="utf-8")

    bad, good = run("gate", file), run("gate", "-", stdin=json.dumps(GOOD_SBOM).encode())

    assert (bad.code, good.code) == (1, 0)
    assert bad.err == "No evidence in a ledger: there is none here.\n"
    assert bad.out.startswith("sbom.cdx.json@sha256:")
    assert good.out.startswith("standard input@sha256:")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"{", "not-json"),
        (b"\xff", "not-json"),
        (b"[" * 100_000, "not-json"),
        (b"[]", "not-an-sbom"),
        (b'{"bomFormat": "CycloneDX", "specVersion": "1.6"}', "sbom-version"),
        (b" " * (10 * 1024 * 1024 + 1), "sbom-too-large"),
    ],
    ids=["half", "no-utf8", "deep", "list", "version", "large"],
)
def test_what_is_no_sbom_is_bad_input(run: Run, registry: Registry, content: bytes, code: str) -> None:
    ran = run("gate", "-", stdin=content)
    assert (ran.code, ran.err.split(": ")[1]) == (2, code)


# --- forms -----------------------------------------------------------------------------------------------------------


def test_json_holds_the_judgement_and_its_evidence(run: Run, registry: Registry) -> None:
    said = run("gate", registry.bad, "--format", "json").json

    assert (said["ruling"], said["lets_pass"], said["gate"]) == ("refused", False, "default")
    assert said["weighed"][0]["vulnerability"]["id"] == "CVE-2024-5535"
    assert said["evidence"] == {"recorded": None, "statement": None, "missing": [NO_LEDGER]}


def test_a_report_goes_to_its_file_and_the_table_to_the_log(run: Run, registry: Registry, tmp_path: Path) -> None:
    sarif, junit = tmp_path / "gate.sarif", tmp_path / "gate.xml"

    shown = run("gate", registry.bad, "--format", "sarif", "--output", sarif)
    run("gate", registry.bad, "--format", "junit", "--output", junit)

    assert shown.out == run("gate", registry.bad).out
    assert json.loads(sarif.read_text())["runs"][0]["results"][0]["ruleId"] == "CVE-2024-5535"
    assert ET.fromstring(junit.read_text()).attrib["failures"] == "1"


def test_a_report_is_written_of_what_cannot_be_told_too(run: Run, registry: Registry, tmp_path: Path) -> None:
    junit = tmp_path / "gate.xml"
    ran = run("gate", registry.good, "--wait", 0, "--format", "junit", "--output", junit)
    assert (ran.code, ET.fromstring(junit.read_text()).attrib["errors"]) == (3, "1")


def test_a_file_that_cannot_be_written_is_bad_input(run: Run, registry: Registry, tmp_path: Path) -> None:
    ran = run("gate", registry.bad, "--format", "sarif", "--output", tmp_path / "none" / "gate.sarif")
    assert (ran.code, ran.err.split(": ")[1]) == (2, "cannot-write")


def test_progress_is_told_on_standard_error(run: Run, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    paused: list[float] = []

    def inspector_scans(seconds: float) -> None:
        paused.append(seconds)
        registry.scan()

    monkeypatch.setattr("deployments.cli.gate.time", SimpleNamespace(sleep=inspector_scans))

    ran = run("gate", registry.good)

    assert (ran.code, paused) == (0, [10.0])
    told = r"waiting, \d+ s of 15 min: its initial scan is still to come \(PENDING_INITIAL_SCAN\)"
    assert re.fullmatch(told, ran.err.splitlines()[0])
