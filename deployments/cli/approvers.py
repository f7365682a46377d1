"""`runbooks approvers`: who may say yes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from deployments.cli.identity import As, login, read_code
from deployments.cli.opening import opened
from deployments.cli.output import Json, data, lines, rows, say
from runbooks.errors import BadInput, Refused

if TYPE_CHECKING:
    from runbooks.approvers import Approver
    from runbooks.registry import Registry, Standing
    from tasks.services import Services

TRIES = 3

app = App(
    name="approvers",
    help_epilogue="""\
Examples:

  runbooks approvers add jane --grant 'contain@*' --grant remediate@staging
  runbooks approvers add joe --grant '*@*' --slack-user U012AB3 --slack-team T01
  runbooks approvers list
  runbooks approvers unlock jane
  runbooks approvers revoke jane

A grant is a phase (contain, rebuild, remediate, release, deprecate, or *), an @, and an environment
(or *). The secret of the one-time codes is shown by add, and never again.
""",
)


@app.command
def add(
    name: str,
    /,
    *,
    grant: Annotated[tuple[str, ...], Parameter(negative="")],
    slack_user: str | None = None,
    slack_team: str | None = None,
    login_name: Annotated[tuple[str, ...], Parameter(name="--login", negative="", show_default=False)] = (),
    as_name: As = None,
    as_json: Json = False,
) -> None:
    """Register an approver, or register one anew, with a new secret. The first one makes the signing key.

    Args:
        name: What they are called in a form or a terminal, such as jane or jane@corp.example.
        grant: What they may approve, and where: PHASE@ENVIRONMENT. May be given several times.
        slack_user: Their Slack user id, for where the runbook lets a button in Slack suffice.
        slack_team: The id of the Slack team that the user belongs to.
        login_name: A login under which they start responses, which they then do not approve.
    """
    from runbooks.codes import new_secret, provisioning_uri
    from tasks.registering import add_approver, make_key, new_approver

    if (slack_user is None) != (slack_team is None):
        raise BadInput("a Slack user id is one only together with its team: give --slack-user and --slack-team")
    secret = new_secret()
    approver = new_approver(name, grant, secret, slack_user=slack_user, slack_team=slack_team, logins=login_name)
    uri = provisioning_uri(secret, approver.name)
    with opened() as have:
        make_key(have)
        if as_json:
            add_approver(have, approver, by=as_name or login())
            data({"name": approver.name, "grants": approver.grants, "uri": uri, "secret": secret})
            return
        _show(uri)
        _confirm_and_add(have, approver, by=as_name or login())
        say(f"{approver.name} is registered. The secret is not shown again.")


@app.command(name="list")
def list_approvers(*, as_json: Json = False) -> None:
    """Everyone who is or was registered. Never a secret."""
    from tasks.registering import registry

    with opened(ledger_exists=True) as have:
        known = registry(have)
    standings = list(known.standings.values())
    if as_json:
        data({"approvers": [_as_json(each) for each in standings], "forged": known.forged})
    else:
        header = ("NAME", "STATE", "GRANTS", "SLACK", "LOGINS")
        rows(header, [_row(each) for each in standings])
    _warn(known)


@app.command
def revoke(name: str, /, *, as_name: As = None) -> None:
    """From now on no yes of theirs counts; what they approved and has not begun does not begin.

    Args:
        name: As runbooks approvers list has it.
    """
    from tasks.registering import revoke_approver

    with opened(ledger_exists=True) as have:
        revoke_approver(have, name, by=as_name or login())
    say(f"{name} is no longer an approver.")


@app.command
def unlock(name: str, /, *, as_name: As = None) -> None:
    """Let somebody answer again after too many wrong codes. First find out whose they were.

    Args:
        name: As runbooks approvers list has it.
    """
    from tasks.registering import unlock_approver

    with opened(ledger_exists=True) as have:
        unlock_approver(have, name, by=as_name or login())
    say(f"{name} may answer again.")


def _show(uri: str) -> None:
    """The secret as a QR code, where there is a screen to photograph, and as text."""
    if sys.stdout.isatty():
        import segno

        segno.make(uri, micro=False).terminal(compact=True)
    lines(uri)


def _confirm_and_add(have: Services, approver: Approver, *, by: str) -> None:
    """At a terminal, the authenticator shows first that it has the secret."""
    from tasks.registering import add_approver

    if not sys.stdin.isatty():
        add_approver(have, approver, by=by)
        return
    for left in reversed(range(TRIES)):
        try:
            add_approver(
                have, approver, by=by, first_code=read_code(None, "The code that the authenticator shows now: ")
            )
        except Refused as wrong:
            if wrong.code != "wrong-code" or not left:
                raise
            say(f"{wrong.detail} Once more:")
        else:
            return


def _row(standing: Standing) -> tuple[str, ...]:
    approver = standing.approver
    slack = f"{approver.slack_user} of {approver.slack_team}" if approver.slack_user else ""
    return approver.name, _state(standing), ", ".join(approver.grants), slack, ", ".join(approver.logins)


def _state(standing: Standing) -> str:
    if standing.revoked:
        return "revoked"
    if standing.doubtful:
        return "in doubt"
    return "locked" if standing.locked else "active"


def _as_json(standing: Standing) -> dict[str, object]:
    approver = standing.approver.model_dump(mode="json", exclude={"secret"})
    return {**approver, "state": _state(standing), "wrong_codes": standing.wrong_codes}


def _warn(known: Registry) -> None:
    if known.forged:
        places = ", ".join(map(str, known.forged))
        say(f"The record of approvers was tampered with (entry {places}): whoever is in doubt must be added again.")
