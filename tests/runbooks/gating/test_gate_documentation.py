"""docs/gate.md says what the gate does: its keys, its example and its event pattern."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

from runbooks.catalog import read_gate
from runbooks.gating import Gate, Refuse, statement
from runbooks.gating.definition import AcceptedRisk
from tests.runbooks.gating.test_scan_event import an_event

TEXT = (Path(__file__).parents[3] / "docs" / "gate.md").read_text(encoding="utf-8")


def test_every_key_of_the_rules_is_explained_in_order() -> None:
    keys = [
        path
        for name in Gate.model_fields
        for path in {
            "refuse": [f"refuse.{inner}" for inner in Refuse.model_fields],
            "accepted": ["accepted", *(f"accepted[].{inner}" for inner in AcceptedRisk.model_fields)],
        }.get(name, [name])
    ]
    table = TEXT.partition("| Key |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE) == keys


def test_the_example_of_the_rules_is_valid(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(name: strict\n.*?)```", TEXT, re.DOTALL)
    file = tmp_path / "strict.yaml"
    file.write_text(example, encoding="utf-8")
    assert read_gate(file).accepted[0].repository == "team/*"


def test_the_event_pattern_matches_what_inspector_sends() -> None:
    block = next(each for each in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL) if "detail-type" in each)
    pattern, event = json.loads(block), an_event()
    assert event["source"] in pattern["source"]
    assert event["detail-type"] in pattern["detail-type"]
    assert event["detail"]["scan-status"] in pattern["detail"]["scan-status"]


def test_the_pipelines_are_yaml_and_gate_what_was_pushed_by_its_digest() -> None:
    actions, codebuild = (
        yaml.safe_load(block)
        for heading in ("GitHub Actions", "CodeBuild")
        for block in re.findall(rf"### {heading}\n\n```yaml\n(.*?)```", TEXT, re.DOTALL)
    )

    (job,) = actions["jobs"].values()
    (gate,) = [step["run"] for step in job["steps"] if step.get("name") == "Gate"]
    assert 'runbooks gate "$REPOSITORY@${{ steps.push.outputs.digest }}" --own-credentials' in gate
    assert [step["id"] for step in job["steps"] if "id" in step] == ["push"]
    *_, inspect, gate = codebuild["phases"]["build"]["commands"]
    assert inspect.startswith("PUSHED=$(docker inspect ")
    assert gate.startswith('runbooks gate "$PUSHED" ')
    assert codebuild["reports"]["gate"] == {"files": ["gate.xml"], "file-format": "JUNITXML"}


def test_every_way_in_which_a_statement_may_not_hold_is_explained() -> None:
    source = (Path(statement.__file__)).read_text(encoding="utf-8")
    assert set(re.findall(r'"(statement-[a-z-]+)"', source)) == set(re.findall(r"`(statement-[a-z-]+)`", TEXT))
