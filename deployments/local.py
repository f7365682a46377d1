"""The whole system on one machine: sandbox, Prefect server, worker, receiver and sweep, as children in one folder.

The product's own processes know nothing of the sandbox: they are told where AWS, Slack, Jira and GitHub are by settings
alone.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from deployments.demo.authenticators import Authenticators
from deployments.processes import Progress, Service, Stack, free_port, inherited
from deployments.stack import (
    deploy_all,
    ensure_work_pool,
    prefect_environment,
    prefect_server_service,
    responds,
    worker_service,
)
from tasks.settings import Settings

WORK_POOL = "remediation-runbooks"
REPOSITORY = Path(__file__).resolve().parent.parent
SLACK_TOKEN, SLACK_SIGNING_SECRET = "xoxb-sandbox", "sandbox-signing-secret"
GITHUB_TOKEN, JIRA_TOKEN, JIRA_USER = "github-sandbox", "jira-sandbox", "runbooks@example.com"
WEBHOOK_KEY = "sandbox-webhook-key"
NOT_INHERITED = ("PREFECT_", "RUNBOOKS_", "AWS_", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")


@dataclass
class Local:
    """Where everything is once it has started."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict[str, str])
    """Further settings of the product's processes."""
    environment: dict[str, str] = field(default_factory=dict[str, str])
    durations: dict[str, float] = field(default_factory=dict[str, float])
    """How long things take in the sandbox, where not as it has them: its SandboxSettings by name."""
    authenticators: Authenticators = field(default_factory=Authenticators)
    """Of everyone who may approve here."""
    aws: str = ""
    slack: str = ""
    jira: str = ""
    github: str = ""
    prefect: str = ""
    receiver: str = ""

    @property
    def ledger(self) -> str:
        """The ledger's URL."""
        return self.settings.get("RUNBOOKS_LEDGER_URL", f"sqlite:///{self.folder / 'ledger.db'}")

    def start_sandbox(self, stack: Stack, progress: Progress | None = None) -> None:
        """AWS, Slack, Jira and GitHub on loopback."""
        addresses = self.folder / "sandbox.json"
        durations = (f"--duration={name}={seconds:g}" for name, seconds in self.durations.items())
        command = (sys.executable, "-m", "deployments.sandbox.server", "--addresses", str(addresses), *durations)
        environment = inherited(without=NOT_INHERITED)
        stack.start(
            Service(name="sandbox", command=command, env=environment, ready=addresses.exists), progress=progress
        )
        found = json.loads(addresses.read_text(encoding="utf-8"))
        self.aws, self.slack, self.jira, self.github = (found[name] for name in ("aws", "slack", "jira", "github"))

    def start_product(self, stack: Stack, bucket: str, progress: Progress | None = None) -> None:
        """The approvers, the Prefect server with its deployments, a worker, the receiver and the sweep."""
        self.environment = self._environment(bucket)
        # As the product's processes have it: what this process's own environment says of keys is not theirs.
        here = Settings(home=self.folder, ledger_url=self.ledger, signing_key=None, signing_key_file=None)
        self.authenticators.register(here)
        stack.start(prefect_server_service(self.environment), self._receiver(), progress=progress)
        self._tell_slack()
        ensure_work_pool(self.environment, WORK_POOL)
        deploy_all(REPOSITORY, self.environment)
        stack.start(worker_service(self.environment, WORK_POOL), self._sweep(), progress=progress)

    def _tell_slack(self) -> None:
        """Where what is pressed goes: what is entered on the page of a Slack app as its request URL."""
        where = {"request_url": f"{self.receiver}/slack/interactions"}
        control = self.slack.replace("/api/", "/sandbox/application")
        httpx.post(control, json=where, trust_env=False, timeout=30).raise_for_status()

    def _environment(self, bucket: str) -> dict[str, str]:
        port, receiver = free_port(), free_port()
        self.prefect, self.receiver = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{receiver}"
        return {
            **inherited(without=NOT_INHERITED),
            **prefect_environment(self.folder, f"{self.prefect}/api"),
            # The sweep is a process here: the scheduled one would start a process every thirty seconds for nothing.
            "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
            "AWS_ENDPOINT_URL": self.aws,
            "AWS_ACCESS_KEY_ID": "sandbox",
            "AWS_SECRET_ACCESS_KEY": "sandbox",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "RUNBOOKS_HOME": str(self.folder),
            "RUNBOOKS_LEDGER_URL": self.ledger,
            "RUNBOOKS_UI_URL": self.prefect,
            "RUNBOOKS_PACKAGE_BUCKET": bucket,
            "RUNBOOKS_SLACK_URL": self.slack,
            "RUNBOOKS_SLACK_TOKEN": SLACK_TOKEN,
            "RUNBOOKS_SLACK_SIGNING_SECRET": SLACK_SIGNING_SECRET,
            "RUNBOOKS_SLACK_CHANNEL": "#security",
            "RUNBOOKS_JIRA_SERVER": self.jira,
            "RUNBOOKS_JIRA_USER": JIRA_USER,
            "RUNBOOKS_JIRA_TOKEN": JIRA_TOKEN,
            "RUNBOOKS_GITHUB_API": self.github,
            "RUNBOOKS_GITHUB_TOKEN": GITHUB_TOKEN,
            "RUNBOOKS_WEBHOOK_KEY": WEBHOOK_KEY,
            "RUNBOOKS_RECEIVER_PORT": str(receiver),
            "RUNBOOKS_SWEEP_SECONDS": "0.5",
            "RUNBOOKS_GROUPING_SECONDS": "1",
            # The sandbox takes requests as fast as they come.
            "RUNBOOKS_REQUEST_RATE_FACTOR": "0",
            # The sandbox's Inspector looks within seconds; a real one takes minutes, and the runbook's interval holds.
            "RUNBOOKS_MAXIMUM_LOOK_SECONDS": "2",
            **self.settings,
        }

    def _receiver(self) -> Service:
        return Service(
            name="receiver",
            command=(sys.executable, "-m", "deployments.cli.main", "receiver"),
            env=self.environment,
            ready=lambda: responds(f"{self.receiver}/healthz"),
            restart=True,
        )

    def _sweep(self) -> Service:
        return Service(
            name="sweep",
            command=(sys.executable, "-m", "deployments.cli.main", "sweep"),
            env=self.environment,
            ready=lambda: True,
            restart=True,
        )
