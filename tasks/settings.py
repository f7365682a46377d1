"""Settings: the only reader of the environment. Every one is described, bounded and checked at start-up."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from runbooks.errors import InvalidSetting

PREFIX = "RUNBOOKS_"

_QUEUE = re.compile(r"https?://[^/?#@\s]+/[0-9]{12}/[A-Za-z0-9_-]{1,80}(\.fifo)?", re.ASCII)
_TOPIC = re.compile(r"arn:aws(-[a-z]+)*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?", re.ASCII)


class Settings(BaseSettings):
    """Read from environment variables named `RUNBOOKS_` and the field's name in capitals."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    home: Path = Field(default=Path("var"), description="Folder for the ledger and what commands write.")
    ledger_url: str = Field(
        default="",
        description="SQLAlchemy URL of the ledger. Empty: SQLite in the home folder; or postgresql+psycopg://...",
    )
    library: str = Field(
        default="", description="Folders with runbooks of your own, separated by ':'; the shipped library comes first."
    )
    role_arn: str = Field(
        default="arn:{partition}:iam::{account}:role/remediation-runbooks-{role}",
        description="Template of the roles to assume: {partition}, {account}, {role} (read, contain, patch, restore).",
    )
    external_id: str | None = Field(default=None, description="External id for assuming the roles.")
    package_bucket: str = Field(
        default="remediation-runbooks-{account}-{region}",
        description="S3 bucket for lists of packages: {account}, {region}. The instances' profile must read it.",
    )
    slack_token: SecretStr | None = Field(default=None, description="Slack bot token. Empty: no Slack messages.")
    slack_channel: str = Field(default="#security-operations", description="The SOC's Slack channel.")
    slack_signing_secret: SecretStr | None = Field(
        default=None, description="Slack's signing secret. Empty: no answers from Slack are taken."
    )
    slack_url: str = Field(default="https://slack.com/api/", description="Slack Web API address, ending in a slash.")
    jira_server: str | None = Field(default=None, description="Jira address. Empty: no tickets.")
    jira_user: str | None = Field(
        default=None, description="Jira user (e-mail) for basic authentication with the token."
    )
    jira_token: SecretStr | None = Field(default=None, description="Jira API token.")
    jira_project: str = Field(default="SEC", pattern=r"^[A-Z][A-Z0-9_]{1,9}$", description="Jira project key.")
    jira_issue_type: str = Field(default="Task", min_length=1, description="Issue type of tickets.")
    github_token: SecretStr | None = Field(
        default=None,
        description="GitHub token that may write Actions of the workflows' repositories. Empty: no workflows.",
    )
    github_api: str = Field(
        default="https://api.github.com",
        description="GitHub REST API address; of an Enterprise Server https://{host}/api/v3.",
    )
    buildkit_address: str = Field(
        default="",
        pattern=r"^(|[a-z][a-z-]*://\S*)$",
        description="Where copa finds BuildKit, as its --addr takes it. Empty: copa's own choice.",
    )
    signing_key: SecretStr | None = Field(
        default=None,
        description="Key that decisions and approvers are signed with: 32 bytes in base64. Empty: the key file.",
    )
    signing_key_file: Path | None = Field(
        default=None, description="File with the signing key. Empty: keys/signing.key in the home folder."
    )
    checkpoint_key: SecretStr | None = Field(
        default=None,
        description="Ed25519 key that checkpoints of the ledger are signed with: its 32 bytes in base64.",
    )
    checkpoint_key_file: Path | None = Field(
        default=None, description="File with the checkpoint key. Empty: keys/checkpoint.key in the home folder."
    )
    checkpoint_kms_key: str = Field(
        default="", description="ARN of a KMS key to sign checkpoints with, instead of a key of our own."
    )
    anchor: str = Field(
        default="",
        description="Where checkpoints are kept: a folder, or s3://bucket/prefix. Empty: anchors in the home folder.",
    )
    anchor_account: str = Field(
        default="",
        pattern=r"^(|[0-9]{12})$",
        description="Account of the anchor's bucket and of the KMS key. Empty: that of the process's own credentials.",
    )
    anchor_retention_days: Annotated[int, Field(ge=1, le=3650)] = Field(
        default=400, description="How long S3 Object Lock keeps a checkpoint from being changed or deleted."
    )
    inspector_account: str = Field(
        default="",
        pattern=r"^(|[0-9]{12})$",
        description="Account whose Inspector is asked for findings that were never delivered. Empty: nobody is asked.",
    )
    inspector_regions: str = Field(
        default="", description="Regions to ask it in, separated by ','. Needed with RUNBOOKS_INSPECTOR_ACCOUNT."
    )
    reconcile_minutes: Annotated[int, Field(ge=1, le=1440)] = Field(
        default=15, description="How often Inspector is asked for findings that were never delivered."
    )
    coverage_gaps: Literal["record", "ticket"] = Field(
        default="record",
        description="What is done where Inspector scans a resource without a case no more: nothing, or a ticket each.",
    )
    webhook_key: SecretStr | None = Field(
        default=None,
        description="API key that EventBridge sends in x-api-key. The receiver does not start without one.",
    )
    queue_url: str = Field(
        default="",
        description="SQS queue that `runbooks consumer` empties: https://sqs.{region}.amazonaws.com/{account}/{name}.",
    )
    queue_wait_seconds: Annotated[int, Field(ge=0, le=20)] = Field(
        default=20, description="How long the queue is asked for messages before it says that there are none."
    )
    sns_topics: str = Field(
        default="",
        description="ARNs of the SNS topics that the receiver takes messages of, separated by ','. Empty: of none.",
    )
    receiver_host: str = Field(default="127.0.0.1", description="Address the receiver listens on.")
    receiver_port: Annotated[int, Field(ge=1, le=65535)] = Field(
        default=8080, description="Port the receiver listens on."
    )
    ui_url: str = Field(default="", description="Address of the Prefect UI, for links. Empty: from PREFECT_API_URL.")
    lease_seconds: Annotated[int, Field(ge=10, le=300)] = Field(
        default=30, description="How long a run may be silent before it counts as dead."
    )
    settle_seconds: Annotated[int, Field(ge=25, le=600)] = Field(
        default=26,
        description="How long a take-over waits after the lease lapsed; more than any AWS call may take (25 s).",
    )
    start_seconds: Annotated[int, Field(ge=20, le=600)] = Field(
        default=90,
        description="How long a flow run may take from its creation to its first line before it is replaced.",
    )
    short_wait_seconds: Annotated[int, Field(ge=0, le=30)] = Field(
        default=8, description="How long a run waits in place before it ends and is woken by the sweep."
    )
    request_rate_factor: Annotated[float, Field(ge=0, le=1000)] = Field(
        default=1,
        description="How many times AWS's documented request rates your accounts have. 0: requests are not paced.",
    )
    grouping_seconds: Annotated[int, Field(ge=0, le=55)] = Field(
        default=40,
        description="How long a case may wait for others like it; a quarter of that without another is enough.",
    )
    sweep_seconds: Annotated[float, Field(ge=0.2, le=300)] = Field(default=2, description="Pause between two sweeps.")
    maximum_look_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(
        default=3600, description="Upper bound for the runbooks' time between two looks; a sandbox sets it low."
    )

    @field_validator("slack_url", "ui_url", "jira_server", "github_api")
    @classmethod
    def _an_address(cls, value: str | None) -> str | None:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value

    @field_validator("slack_url", "jira_server", "github_api")
    @classmethod
    def _keeps_a_token(cls, value: str | None) -> str | None:
        if value and value.startswith("http://") and not _leads_to_this_machine(value):
            raise ValueError(
                "http:// is for this machine only (127.0.0.1, ::1, localhost): a token goes there; use https://"
            )
        return value

    @field_validator("role_arn")
    @classmethod
    def _names_account_and_role(cls, value: str) -> str:
        if "{account}" not in value or "{role}" not in value:
            raise ValueError("must contain {account} and {role}")
        return value

    @field_validator("queue_url")
    @classmethod
    def _is_a_queue(cls, value: str) -> str:
        if value and not _QUEUE.fullmatch(value):
            raise ValueError("must be https://{host}/{account of 12 digits}/{name of the queue}")
        if value.startswith("http://") and not _leads_to_this_machine(value):
            raise ValueError("http:// is for this machine only (127.0.0.1, ::1, localhost); use https://")
        return value

    @field_validator("sns_topics")
    @classmethod
    def _are_topics(cls, value: str) -> str:
        if not all(_TOPIC.fullmatch(topic) for topic in _listed(value)):
            raise ValueError("must be ARNs of topics, arn:aws:sns:{region}:{account}:{name}, separated by ','")
        return value

    @property
    def ledger(self) -> str:
        """The ledger's URL, the default filled in."""
        return self.ledger_url or f"sqlite:///{self.home.resolve() / 'ledger.db'}"

    @property
    def topics(self) -> tuple[str, ...]:
        """The ARNs of the SNS topics."""
        return _listed(self.sns_topics)

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions that Inspector is asked in."""
        return _listed(self.inspector_regions)

    @property
    def library_folders(self) -> tuple[Path, ...]:
        return tuple(Path(part) for part in self.library.split(":") if part)

    @property
    def console(self) -> str:
        """The address of the Prefect UI, without a slash at the end."""
        return (self.ui_url or os.environ.get("PREFECT_API_URL", "").removesuffix("/api")).rstrip("/")


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process.

    Raises:
        InvalidSetting: one or more are out of bounds; the message names each, never its value.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = (
            f"{PREFIX}{'_'.join(str(part) for part in each['loc']).upper()}: "
            + each["msg"].removeprefix("Value error, ")
            for each in error.errors(include_url=False, include_input=False)
        )
        raise InvalidSetting("; ".join(problems)) from None


def _listed(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _leads_to_this_machine(address: str) -> bool:
    try:
        host = urlsplit(address).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
