"""`runbooks gate`: whether an image, or what an SBOM lists, may go on. For pipelines, and for who reads their logs."""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter, validators

from deployments.cli.exits import ANSWER_IS_NO, DONE, OUTSIDE_FAILED
from deployments.cli.gate_evidence import Left, leave, require_key, verify_file
from deployments.cli.opening import opened, read_settings
from deployments.cli.output import say
from deployments.cli.public_keys import PublicKeys
from runbooks.errors import BadInput, InvalidSetting, NotFound

if TYPE_CHECKING:
    from runbooks.gating import Gate, Judgement
    from tasks.gateways.aws_session import AwsSessions
    from tasks.services import Services
    from tasks.settings import Settings

Format = Literal["table", "json", "sarif", "junit"]
Minutes = Annotated[int | None, Parameter(name="--wait", validator=validators.Number(gte=0, lte=120))]

CANNOT_TELL = OUTSIDE_FAILED
"""The exit code where something outside failed: it is no yes, and it is counted apart from a no."""

app = App(
    name="gate",
    help_epilogue="""\
Examples:

  runbooks gate 111122223333.dkr.ecr.eu-west-1.amazonaws.com/checkout:1.4.0
  runbooks gate "$IMAGE" --own-credentials --format sarif --output gate.sarif
  runbooks gate sbom.cdx.json --format junit --output gate.xml
  runbooks gate "$IMAGE" --statement passed.json
  runbooks gate "$IMAGE_WITH_DIGEST" --verify passed.json --public-key checkpoint.pem

The exit code is 0 when it may go on, 1 when it is refused, 2 when the input is
wrong, and 3 when it cannot be told, which is no yes either.
""",
)


@Parameter(name="*")
@dataclass(frozen=True)
class Telling:
    """How the judgement is told, and what is left of it."""

    form: Annotated[Format, Parameter(name="--format", help="How the judgement is told.")] = "table"
    output: Annotated[Path | None, Parameter(help="File for it; the table is then printed, too.")] = None
    statement: Annotated[Path | None, Parameter(help="File for a signed statement of what has passed.")] = None


@Parameter(name="*")
@dataclass(frozen=True)
class Proof:
    """A statement that is verified, instead of anything being judged."""

    verify: Annotated[
        Path | None,
        Parameter(help="A statement to verify instead: that WHAT, by digest, has passed these very rules of late."),
    ] = None
    max_age: Annotated[
        float | None,
        Parameter(
            name="--max-age",
            validator=validators.Number(gt=0, lte=24 * 365),
            help="How many hours old the statement may be, instead of what the runbook says.",
        ),
    ] = None
    public_key: Annotated[
        PublicKeys,
        Parameter(
            help="A key that the statement may be signed with, instead of this installation's own: a PEM file or 64 "
            "hexadecimal digits. May be given more than once."
        ),
    ] = ()


@app.default
def gate(
    what: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    /,
    *,
    runbook: Path | None = None,
    minutes: Minutes = None,
    own_credentials: Annotated[bool, Parameter(negative="")] = False,
    telling: Telling = Telling(),
    proof: Proof = Proof(),
) -> int:
    """Judge an image by Inspector's findings, or an SBOM by Inspector's scan of it, by the gate's runbook.

    Args:
        what: An image in ECR by tag or digest, its ARN or its digest alone; or the file of a CycloneDX 1.5 SBOM, - for
            standard input.
        runbook: The gate's runbook, instead of gates/default.yaml of the library. A statement must be of these rules.
        minutes: How many minutes to wait for Inspector's initial scan, instead of what the runbook says.
        own_credentials: Read AWS with the credentials there are, without assuming the read role.
    """
    if what is None:
        raise BadInput("name an image, a digest or the file of an SBOM", code="usage")
    settings = read_settings()
    rules = _rules(runbook, settings)
    if proof.verify is not None:
        max_age = None if proof.max_age is None else timedelta(hours=proof.max_age)
        verify_file(proof.verify, proof.public_key, what, rules, max_age)
        return DONE
    if telling.statement is not None:
        require_key(settings)
    with ExitStack() as stack:
        have = _services(stack)
        judgement = _judge(what, rules, minutes, have, own_credentials=own_credentials)
        left = leave(have, settings, judgement, telling.statement)
    _tell(judgement, telling, left)
    if judgement.ruling == "passed":
        return DONE
    if judgement.ruling == "refused":
        return ANSWER_IS_NO
    return DONE if judgement.lets_pass else CANNOT_TELL


def _rules(file: Path | None, settings: Settings) -> Gate:
    from runbooks.catalog import gate_file, read_gate

    return read_gate(file or gate_file("default", *settings.library_folders))


def _services(stack: ExitStack) -> Services | None:
    """Those of this installation; None where there is no ledger, as on the runner of a pipeline."""
    try:
        return stack.enter_context(opened(ledger_exists=True))
    except NotFound:
        return None


def _judge(what: str, rules: Gate, minutes: int | None, have: Services | None, *, own_credentials: bool) -> Judgement:
    from runbooks.gating import ImageName
    from runbooks.gating.subject import is_digest
    from tasks.gateways.caller import own_account
    from tasks.gating import Patience, image_of_digest, judge_image, judge_sbom

    if what == "-" or what.endswith(".json") or Path(what).is_file():
        content, sbom = _read_sbom(what)
        name = "standard input" if what == "-" else Path(what).name
        return judge_sbom(_sessions(None), _region(), name, content, sbom, rules, datetime.now(UTC))
    if is_digest(what):
        region = _region()
        account = own_account(region)
        place = ImageName(account=account, region=region, repository="any", digest=what)
        sessions = _sessions(None if own_credentials else place.partition)
        name = image_of_digest(sessions, account, region, what)
    else:
        name = ImageName.parse(what)
        sessions = _sessions(None if own_credentials else name.partition)
    limit = timedelta(minutes=rules.wait_minutes if minutes is None else minutes)
    judgement = judge_image(have, sessions, name, rules, Patience(limit, time.sleep, say))
    if not own_credentials and any("AssumeRole" in reason for reason in judgement.reasons):
        say("The read role could not be assumed; --own-credentials reads with the credentials there are.")
    return judgement


def _sessions(partition: str | None) -> AwsSessions:
    """Under the read role of the partition, or with the process's own credentials where none is named."""
    from deployments.cli.findings import reading_sessions
    from tasks.gateways.aws_session import AwsSessions

    if partition is None:
        return AwsSessions(None, session_name="runbooks-gate")
    return reading_sessions(read_settings(), partition)


def _region() -> str:
    from tasks.gateways.caller import own_region

    if region := own_region():
        return region
    raise InvalidSetting("AWS_DEFAULT_REGION: set it; neither a digest alone nor an SBOM says which region to ask in")


def _read_sbom(file: str) -> tuple[bytes, object]:
    from runbooks.gating.sbom import MAX_BYTES

    try:
        with sys.stdin.buffer if file == "-" else Path(file).open("rb") as opened_file:
            content = opened_file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}", code="unreadable") from error
    if len(content) > MAX_BYTES:
        raise BadInput(f"{file} has more than {MAX_BYTES:,} bytes, and Inspector takes no more", code="sbom-too-large")
    try:
        return content, json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{file} is no JSON: {error}", code="not-json") from error


def _tell(judgement: Judgement, telling: Telling, left: Left) -> None:
    from runbooks.gating.table import as_table

    table = as_table(judgement)
    told = table if telling.form == "table" else _formatted(judgement, telling.form, left)
    if (output := telling.output) is None:
        _print(told)
    else:
        try:
            output.write_text(told, encoding="utf-8")
        except OSError as error:
            raise BadInput(
                f"{output}: {error.strerror}; name a file that can be written", code="cannot-write"
            ) from error
        _print(table)
    for line in left.words():
        say(line)


def _formatted(judgement: Judgement, form: Format, left: Left) -> str:
    if form == "junit":
        from runbooks.gating.junit import as_junit

        return as_junit(judgement)
    if form == "sarif":
        from runbooks.gating.sarif import as_sarif

        return json.dumps(as_sarif(judgement), indent=2) + "\n"
    return json.dumps(judgement.model_dump(mode="json") | {"evidence": left.as_json()}, indent=2) + "\n"


def _print(text: str) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), end="")
