"""Faults that were asked for, the control routes, and the server itself."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError, HTTPClientError

from tests.deployments.sandbox.conftest import PATIENCE_SECONDS

REPOSITORY = Path(__file__).parents[3]


def ask(url: str, path: str, body: Any = None, method: str | None = None) -> httpx.Response:
    method = method or ("GET" if body is None else "POST")
    return httpx.request(method, f"{url}/sandbox/{path}", json=body, timeout=PATIENCE_SECONDS)


def control(url: str, path: str, body: Any = None, method: str | None = None) -> Any:
    return ask(url, path, body, method).raise_for_status().json()


def inject(sandbox: Any, operation: str, kind: str, times: int = 1) -> None:
    control(sandbox.url, "faults", {"operation": operation, "kind": kind, "times": times})


def test_a_throttled_call_is_refused_as_often_as_asked_and_has_no_effect(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    inject(sandbox, "ec2:CreateTags", "throttle", times=2)
    tag = {"Resources": [world["instance_id"]], "Tags": [{"Key": "case", "Value": "1"}]}
    for _ in range(2):
        with pytest.raises(ClientError, match="RequestLimitExceeded"):
            aws("ec2").create_tags(**tag)
    of_instance = [{"Name": "resource-id", "Values": [world["instance_id"]]}]
    assert aws("ec2").describe_tags(Filters=of_instance)["Tags"] == []
    aws("ec2").create_tags(**tag)
    assert [one["Key"] for one in aws("ec2").describe_tags(Filters=of_instance)["Tags"]] == ["case"]


def test_a_call_that_times_out_may_or_may_not_have_had_its_effect(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    for kind, effects in (("timeout-before", 0), ("timeout-after-effect", 1)):
        inject(sandbox, "ssm:SendCommand", kind)
        with pytest.raises(HTTPClientError):
            aws("ssm").send_command(InstanceIds=[world["instance_id"]], DocumentName="AWS-RunShellScript")
        assert len(aws("ssm").list_commands()["Commands"]) == effects


def test_a_server_error_is_not_an_answer_about_the_world(sandbox, aws, finding):
    inject(sandbox, "inspector2:ListFindings", "server-error")
    with pytest.raises(ClientError) as error:
        aws("inspector2").list_findings()
    assert error.value.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 500


def test_a_stale_read_shows_the_world_as_it_was(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    asked = {"InstanceIds": [world["instance_id"]]}

    def state() -> str:
        return aws("ec2").describe_instances(**asked)["Reservations"][0]["Instances"][0]["State"]["Name"]

    assert state() == "running"
    aws("ec2").stop_instances(**asked)
    inject(sandbox, "ec2:DescribeInstances", "stale-read")
    assert [state(), state()] == ["running", "stopped"]


def test_a_command_succeeds_only_in_part(sandbox, aws, finding):
    nodes = [
        sandbox.furnish(finding(f"i-0aaaaaaaaaaaaaaa{number}", address=f"10.20.1.{10 + number}"))["instance_id"]
        for number in range(4)
    ]
    inject(sandbox, "ssm:SendCommand", "partial")
    command = aws("ssm").send_command(InstanceIds=nodes, DocumentName="AWS-RunShellScript")["Command"]["CommandId"]
    sandbox.advance(10)
    answer = aws("ssm").list_command_invocations(CommandId=command)["CommandInvocations"]
    assert sorted(one["Status"] for one in answer) == ["Failed", "Failed", "Success", "Success"]


def test_snapshots_succeed_only_in_part(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    inject(sandbox, "ec2:CreateSnapshots", "partial")
    made = aws("ec2").create_snapshots(InstanceSpecification={"InstanceId": world["instance_id"]})["Snapshots"]
    sandbox.advance(10)
    ids = [one["SnapshotId"] for one in made]
    states = {one["SnapshotId"]: one["State"] for one in aws("ec2").describe_snapshots(SnapshotIds=ids)["Snapshots"]}
    assert states == {ids[0]: "completed", ids[1]: "error"}


@pytest.mark.parametrize(
    "fault",
    [
        {"operation": "ec2:StopInstances", "kind": "unheard-of"},
        {"operation": "ec2:StopInstances", "kind": "partial"},
        {"operation": "ec2:StopInstances", "kind": "stale-read"},
        {"kind": "throttle"},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(sandbox, fault):
    assert ask(sandbox.url, "faults", fault).status_code == 400


def test_every_call_is_recorded_with_its_place_and_its_error(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    control(sandbox.url, "calls", method="DELETE")
    aws("ec2").describe_instances()
    with pytest.raises(ClientError):
        aws("ec2").stop_instances(InstanceIds=["i-0bbbbbbbbbbbbbbb1"])
    inject(sandbox, "ssm:SendCommand", "timeout-after-effect")
    with pytest.raises(HTTPClientError):
        aws("ssm").send_command(InstanceIds=[world["instance_id"]], DocumentName="AWS-RunShellScript")
    calls = [one for one in control(sandbox.url, "calls")["calls"] if one["service"] != "sts"]
    assert [(one["operation"], one["mutating"], one["error"], one["fault"]) for one in calls] == [
        ("DescribeInstances", False, None, None),
        ("StopInstances", True, "InvalidInstanceID.NotFound", None),
        ("SendCommand", True, None, "timeout-after-effect"),
    ]
    assert {(one["account"], one["region"]) for one in calls} == {("210987654321", "eu-central-1")}
    assert calls[1]["parameters"] == {"InstanceIds": ["i-0bbbbbbbbbbbbbbb1"]}


def test_a_world_is_furnished_advanced_shown_and_emptied_over_http(sandbox, finding):
    made = control(sandbox.url, "furnish", {"finding": finding(), "options": {"volumes": 1}})
    where = f"world?account={made['account']}&region={made['region']}"
    shown = control(sandbox.url, where)
    assert {one["groups"][0] for one in shown["interfaces"].values() if one["instance_id"]} == {
        groups[0] for groups in made["interfaces"].values()
    }
    instance = shown["instances"][made["instance_id"]]
    assert (instance["state"], instance["packages"]) == ("running", {"openssl.amd64": "3.0.2-0ubuntu1.10"})
    assert instance["volumes"] == made["volumes"]
    before = control(sandbox.url, "clock")["now"]
    assert control(sandbox.url, "clock/advance", {"seconds": 60})["now"] > before
    control(sandbox.url, "reset", {})
    assert control(sandbox.url, where)["instances"] == {}


def test_what_cannot_be_furnished_is_refused_with_the_reason(sandbox, finding):
    for body in ({}, {"finding": {"detail": {"resources": []}}}, {"finding": finding(), "options": {"unheard": 1}}):
        answer = ask(sandbox.url, "furnish", body)
        assert (answer.status_code, bool(answer.json()["error"])) == (400, True)


@contextmanager
def server(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The server as a process, which is gone afterwards whatever a test has found out."""
    command = [sys.executable, "-m", "deployments.sandbox.server", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=REPOSITORY, text=True, stdout=pipe, stderr=pipe) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_server_says_where_it_is_and_ends_when_told_to(tmp_path):
    addresses = tmp_path / "addresses.json"
    with server("--addresses", str(addresses)) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("sandbox: ready")
        known = json.loads(addresses.read_text())
        assert set(known) == {"aws", "slack", "jira", "github"}
        assert control(known["aws"], "world") == {"worlds": []}
        for url in (known["slack"], known["jira"], known["github"]):
            host, port = url.split("/")[2].split(":")
            socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS).close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE_SECONDS) == 0


def test_a_port_that_is_taken_ends_the_server_with_one_clear_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with server("--addresses", str(tmp_path / "addresses.json"), "--port", str(port)) as process:
            _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 3
    assert errors == f"sandbox: 127.0.0.1:{port} cannot be used: Address already in use\n"
    assert not (tmp_path / "addresses.json").exists()
