"""A `copa` that patches nothing and pushes what the test has made ready: a small program on the path."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox import builds, registry
from deployments.sandbox.container_images import make_layer, write_manifest
from deployments.sandbox.server import Sandbox
from runbooks.steps import PatchImage
from runbooks.steps.base import Role
from tasks.gateways.aws_session import AwsSessions
from tests.tasks.gateways.aws_world import ACCOUNT, CASE, REGION, ROLE_ARN, a_target
from tests.tasks.gateways.image_world import NEW_TAG, REPOSITORY

REGISTRY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
_PROGRAM = """\
import json, os, pathlib, re, signal, sys, urllib.request

here = pathlib.Path(__file__).parent
told = json.loads((here / "told.json").read_text())
command, *given = sys.argv[1:]
arguments = dict(re.fullmatch(r"--([a-z]+)=?(.*)", each).groups() for each in given)
config = json.loads((pathlib.Path(os.environ["DOCKER_CONFIG"]) / "config.json").read_text())
call = {"command": command, "arguments": arguments, "config": config, "environment": sorted(os.environ)}
call |= {"process": os.getpid(), "group": os.getpgrp(), "folder": os.getcwd()}
with (here / "calls").open("a") as calls:
    calls.write(json.dumps(call) + "\\n")
print(told["says"], flush=True)
if told["waits"]:
    (here / "waiting").write_text("yes")  # a pipe: whoever reads it knows that this is here
    signal.pause()
if told["manifest"]:
    repository, _, digest = arguments["image"].partition("/")[2].partition("@")
    body = {"repositoryName": repository, "imageManifest": told["manifest"], "imageTag": arguments["tag"]}
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": "AmazonEC2ContainerRegistry_V20150921.PutImage",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={told['key']}/20260101/{told['region']}/ecr/aws4_request",
    }
    request = urllib.request.Request(told["url"], json.dumps(body).encode(), headers)
    urllib.request.urlopen(request, timeout=30).close()
sys.exit(told["ends"])
"""


@dataclass
class Copa:
    """What the program is told, and what it was called with."""

    folder: Path
    told: dict[str, Any]

    @classmethod
    def install(cls, folder: Path, monkeypatch: pytest.MonkeyPatch, **told: Any) -> Copa:
        """Put it on the path."""
        given = {"says": "", "waits": False, "manifest": None, "ends": 0, "url": "", "key": "", "region": REGION}
        program = folder / "copa"
        program.write_text(f"#!{sys.executable} -IS\n{_PROGRAM}")
        program.chmod(0o755)
        os.mkfifo(folder / "waiting")
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        made = cls(folder, given)
        made.tell(**told)
        return made

    def tell(self, **told: Any) -> None:
        self.told |= told
        (self.folder / "told.json").write_text(json.dumps(self.told))

    def until_it_waits(self) -> None:
        (self.folder / "waiting").read_text()

    @property
    def calls(self) -> list[dict[str, Any]]:
        calls = self.folder / "calls"
        return [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []


def pushing(sandbox: Sandbox, digest: str) -> dict[str, Any]:
    """What has it push the image with all of the operating system's updates in a layer of their own."""
    sessions = AwsSessions(ROLE_ARN, session_name="copa")
    client = sessions.client("ecr", ACCOUNT, REGION, Role.PATCH)
    client.describe_repositories()
    key = client._request_signer._credentials.get_frozen_credentials().access_key
    with sandbox.cloud.lock:
        world = sandbox.cloud.world(ACCOUNT, REGION)
        source = registry.get(world, REPOSITORY, {"imageDigest": digest}).content
        updates = builds._updates(world, source.config.platform, list(source.layers), "all")
        layers = (*source.layers, make_layer(world, updates, "copa"))
        manifest = write_manifest(world, replace(source, layers=layers), "copa")
    sandbox.cloud.record.clear()
    return {"manifest": manifest, "url": sandbox.url, "key": key}


def a_patch(built: dict[str, Any], **values: Any) -> PatchImage:
    given: dict[str, Any] = {
        "target": a_target(f"{REPOSITORY}:{NEW_TAG}", "image"),
        "cases": (CASE,),
        "image": f"{REGISTRY}/{REPOSITORY}@{built['digest']}",
        "repository": REPOSITORY,
        "tag": NEW_TAG,
        "timeout_minutes": 90,
    }
    return PatchImage.model_validate(given | values)
