"""Registering approvers: each change is signed for its place in their stream, and fails where the stream has grown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from pydantic import ValidationError

from runbooks.approvers import Approver
from runbooks.case import APPROVERS_STREAM
from runbooks.codes import timecode_of
from runbooks.errors import BadInput, NotFound, Overtaken, Refused
from runbooks.records import ApproverAdded, ApproverRevoked, ApproverUnlocked, CodeTried
from runbooks.registry import Registry, RegistryRecord
from tasks.keys import make_key_file, signing_key_file
from tasks.services import Services

MOST_READINGS = 10
"""How often the stream is read again because somebody else wrote to it meanwhile."""


def registry(have: Services) -> Registry:
    """The approvers as they stand now.

    Raises:
        Unsafe: there is no signing key.
    """
    # The head first: what is written in between makes the entries more, never fewer.
    head = have.ledger.head(APPROVERS_STREAM)
    return Registry.read(have.ledger.entries(APPROVERS_STREAM), have.signer, head)


def make_key(have: Services) -> None:
    """Make the signing key, unless the environment or the file has one."""
    if have.settings.signing_key is None:
        make_key_file(signing_key_file(have.settings))


def new_approver(name: str, grants: Sequence[str], secret: str, **more: object) -> Approver:
    """An approver as somebody typed them, to be registered; `secret` is in Base32, and in the clear.

    Raises:
        BadInput: a name, a grant or a Slack id is not in its form.
    """
    try:
        return Approver.model_validate({"name": name, "grants": tuple(grants), "secret": secret, **more})
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = str(problem["loc"][0])
        raise BadInput(f"{field}: {problem['msg']}; {_FORMS.get(field, 'see --help')}") from None


def add_approver(have: Services, approver: Approver, *, by: str, first_code: str | None = None) -> None:
    """Register an approver; one who is registered already has from now on what is given here, and nothing else.

    Args:
        approver: with the secret in the clear; it is concealed before it is written down.
        by: who registers them.
        first_code: what their authenticator shows now; it is used up by this.

    Raises:
        BadInput: `slack-taken`: somebody else has this Slack identity.
        Refused: `wrong-code`: the first code is wrong.
        Unsafe: there is no signing key.
    """
    concealed = approver.model_copy(update={"secret": have.signer.conceal(approver.secret)})
    confirmed = _confirmed(have, approver, first_code)

    def records(known: Registry) -> Sequence[RegistryRecord]:
        for each in known.standings.values():
            if not each.revoked and _is_taken_by(each.approver, approver):
                raise BadInput(f"{each.approver.name} has this Slack identity; revoke them first", code="slack-taken")
        return (ApproverAdded(approver=concealed, by=by), *confirmed)

    _write(have, records)


def revoke_approver(have: Services, name: str, *, by: str) -> None:
    """From now on no yes of theirs counts, those given included, unless the plan has begun.

    Raises:
        NotFound: nobody of this name is registered.
    """
    _write(have, lambda known: (ApproverRevoked(name=_known(known, name), by=by),))


def unlock_approver(have: Services, name: str, *, by: str) -> None:
    """Forget the wrong codes that were given in their name.

    Raises:
        NotFound: nobody of this name is registered.
    """
    _write(have, lambda known: (ApproverUnlocked(name=_known(known, name), by=by),))


def _write(have: Services, decide: Callable[[Registry], Sequence[RegistryRecord]]) -> None:
    for _ in range(MOST_READINGS - 1):
        with suppress(Overtaken):
            return _write_now(have, decide)
    return _write_now(have, decide)


def _write_now(have: Services, decide: Callable[[Registry], Sequence[RegistryRecord]]) -> None:
    known = registry(have)
    records = known.signed_next(have.signer, *decide(known))
    have.ledger.append_after({APPROVERS_STREAM: known.head}, {APPROVERS_STREAM: records})


def _known(known: Registry, name: str) -> str:
    standing = known.named(name)
    if standing is None:
        raise NotFound(f"no approver has the name {name}; see runbooks approvers list", code="no-such-approver")
    return standing.approver.name


_FORMS = {
    "name": "a name has 2 to 120 letters, digits, and . _ @ + -",
    "grants": "a grant is contain, rebuild, remediate, release, deprecate or *, an @, and an environment or *",
    "slack_user": "a Slack user id is such as U0123456789",
    "slack_team": "a Slack team id is such as T0123456789",
}


def _confirmed(have: Services, approver: Approver, code: str | None) -> tuple[CodeTried, ...]:
    if code is None:
        return ()
    timecode = timecode_of(approver.secret, code, have.now())
    if timecode is None:
        raise Refused("this is not what the secret's codes are now; is the clock right?", code="wrong-code")
    return (CodeTried(name=approver.name, accepted=True, timecode=timecode, response=""),)


def _is_taken_by(other: Approver, approver: Approver) -> bool:
    """Whether somebody else has the Slack identity."""
    same = (other.slack_user, other.slack_team) == (approver.slack_user, approver.slack_team)
    return approver.slack_user is not None and same and other.name.casefold() != approver.name.casefold()
