"""The whole sandbox cloud: its clock, its worlds, moto behind them, and what is done with every call.

`Cloud.answer` is the one way every AWS call goes: read, perhaps throttled, or disturbed by an injected fault, answered
by a registered operation or else by moto, recorded. A call that neither knows is answered with the error
NotImplemented, so that it can never be taken for a resource that is not there.
"""

from __future__ import annotations

import importlib
import threading
from functools import partial
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from deployments.sandbox import autoscaling, inventory, registry
from deployments.sandbox.clock import Clock
from deployments.sandbox.faults import FaultKind, Faults
from deployments.sandbox.operations import OPERATIONS, Call, Refused, is_read
from deployments.sandbox.record import Record
from deployments.sandbox.settings import SandboxSettings
from deployments.sandbox.throttling import Throttling
from deployments.sandbox.wire import Answer, AwsError, Message, ServiceException, read_message, run_wsgi
from deployments.sandbox.world import World

_SERVICES = (
    "ec2_network",
    "ec2_instances",
    "ec2_storage",
    "ec2_tags",
    "launch_templates",
    "ssm_commands",
    "ssm_nodes",
    "inspector_api",
    "sbom_scanning",
    "ecr_images",
    "ecr_policies",
    "codebuild",
    "pipelines",
    "autoscaling",
    "instance_refresh",
    "load_balancing",
    "ecs_definitions",
    "ecs_services",
    "ecs_task_api",
    "ecs_history",
    "codedeploy",
    "codedeploy_shown",
    "codedeploy_groups",
    "lambda_functions",
    "lambda_versions",
    "lambda_access",
    "lambda_provisioned",
)
_CHANGES_INSTANCES = frozenset({"ec2", "autoscaling", "iam"})


class Cloud:
    """A small AWS in this process. There can be only one: moto's state belongs to the process.

    Args:
        settings: how long things take.
        pace: sandbox seconds that pass in one real second.
    """

    def __init__(self, settings: SandboxSettings | None = None, pace: float = 1.0) -> None:
        self.settings = settings or SandboxSettings()
        self.clock = Clock(pace)
        self.record = Record()
        self.faults = Faults()
        self.throttling = Throttling()
        self.lock = threading.RLock()
        self.moto = DomainDispatcherApplication(create_backend_app)
        self._worlds: dict[tuple[str, str], World] = {}
        self._accounts: dict[str, str] = {}
        for service in _SERVICES:
            importlib.import_module(f"deployments.sandbox.{service}")

    @property
    def worlds(self) -> list[World]:
        """Every account and region that was used so far."""
        return list(self._worlds.values())

    def world(self, account: str, region: str) -> World:
        """One account and region, made when first asked for."""
        key = (account, region)
        if key not in self._worlds:
            self._worlds[key] = World(account, region, self.clock, self.settings, self.world)
            inventory.found(self._worlds[key])
            registry.found(self._worlds[key])
        return self._worlds[key]

    def reset(self) -> None:
        """An empty cloud again, in real time, with no faults, no request rates and nothing recorded."""
        with self.lock:
            moto_api_backend.reset()
            self._worlds.clear()
            self.clock.reset()
            self.faults.clear()
            self.throttling.enforce(0)
            self.record.clear()

    def answer(self, environ: dict[str, Any], body: bytes) -> Answer | None:
        """The answer to one AWS request; None when the connection is to be cut without one."""
        message = read_message(environ, body)
        if message is None:
            with self.lock:
                return run_wsgi(self.moto, environ, body)
        with self.lock:
            self._keep_account(message)
            self.clock.catch_up()
            throttled = self.throttling.refuses(message, self.clock.now())
            fault = FaultKind.THROTTLE if throttled else self.faults.strike(message)
            answer = self.faults.disturb(message, fault, partial(self._answer_once, message))
            self.record.add(message, answer, self.clock.now(), fault)
            return answer

    def _keep_account(self, message: Message) -> None:
        # moto forgets assumed roles when it is reset, and then takes their keys for the default account's.
        message.account = self._accounts.setdefault(message.access_key, message.account)
        message.environ["HTTP_X_MOTO_ACCOUNT_ID"] = message.account

    def _answer_once(self, message: Message, *, partial: bool) -> Answer:
        known = (message.service, message.operation) in OPERATIONS
        try:
            _refuse_dry_run(message)
            answer = self._perform(Call(message, self, partial)) if known else _by_moto(message, self)
        except Refused as refused:
            answer = refused.answer
        except ServiceException as error:
            answer = message.serialise(error)
        except JsonRESTError as error:
            answer = message.serialise(AwsError(error.error_type, error.message, status=error.code))
        if message.service in _CHANGES_INSTANCES and not is_read(message.operation):
            world = self.world(message.account, message.region)
            inventory.observe(world)
            autoscaling.check_health(world)
        return answer

    def _perform(self, call: Call) -> Answer:
        result = OPERATIONS[call.message.service, call.message.operation](call)
        return result if isinstance(result, Answer) else call.message.serialise(result)


def _refuse_dry_run(message: Message) -> None:
    if message.service == "ec2" and message.params.get("DryRun"):
        raise AwsError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", status=412)


def _by_moto(message: Message, cloud: Cloud) -> Answer:
    try:
        answer = message.forward_to(cloud.moto) if message.is_known_to_moto else None
    except NotImplementedError:
        answer = None
    # An answer to HEAD has no body in any case.
    if answer is None or (_is_unknown_page(answer) and message.environ["REQUEST_METHOD"] != "HEAD"):
        name = f"{message.service}:{message.operation}"
        return message.serialise(AwsError("NotImplemented", f"The sandbox does not have {name}."))
    return answer


def _is_unknown_page(answer: Answer) -> bool:
    kind = next((value for name, value in answer.headers if name.lower() == "content-type"), "")
    return (
        answer.status in (404, 500)
        and (b"<!doctype html>" in answer.body[:200].lower() or not answer.body.strip())
        and "html" in kind
    )
