"""Approvers are registered with a signature for each change, and the database never knows their secrets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runbooks.approvers import Approver
from runbooks.case import APPROVERS_STREAM
from runbooks.errors import BadInput, NotFound, Overtaken, Refused, Unsafe
from runbooks.records import ApproverRevoked
from tasks.keys import signing_key_file
from tasks.registering import add_approver, make_key, new_approver, registry, revoke_approver, unlock_approver
from tasks.services import Services
from tasks.settings import Settings
from tests.runbooks.signatures import JANE, SECRETS, TEAM, code_of, signed
from tests.tasks.gateways.ledger.samples import kinds


@pytest.fixture
def have(tmp_path: Path) -> Iterator[Services]:
    services = Services(Settings(home=tmp_path / "home", signing_key=None))
    make_key(services)
    with closing(services.ledger):
        yield services


def jane(**changes: Any) -> Approver:
    return new_approver(JANE, ("*@*",), SECRETS[JANE], **changes)


def test_a_key_is_made_once_and_for_its_owner_only(have: Services) -> None:
    file = signing_key_file(have.settings)
    before = file.read_bytes()
    make_key(have)
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (before, 0o600)


def test_without_a_key_nobody_is_registered(tmp_path: Path) -> None:
    keyless = Services(Settings(home=tmp_path / "none", signing_key=None))
    with closing(keyless.ledger), pytest.raises(Unsafe, match="there is no key"):
        add_approver(keyless, jane(), by="root")


def test_who_was_added_can_say_yes_and_the_ledger_does_not_know_their_secret(have: Services, tmp_path: Path) -> None:
    add_approver(have, jane(), by="root")
    assert registry(have).able == (JANE,)
    standing = registry(have).named(JANE)
    assert standing is not None
    assert have.signer.reveal(standing.approver.secret) == SECRETS[JANE]
    have.ledger.close()
    stored = b"".join(file.read_bytes() for file in tmp_path.rglob("ledger.db*"))
    assert SECRETS[JANE].encode() not in stored


def test_the_first_code_proves_the_authenticator_and_is_used_up(have: Services) -> None:
    with pytest.raises(Refused, match="is the clock right"):
        add_approver(have, jane(), by="root", first_code="000000")
    assert registry(have).able == ()
    add_approver(have, jane(), by="root", first_code=code_of(JANE, have.now()))
    assert kinds(have.ledger, APPROVERS_STREAM) == ["approver-added", "code-tried"]
    standing = registry(have).named(JANE)
    assert standing is not None
    assert standing.last_timecode > 0


def test_who_was_revoked_is_so_until_added_again(have: Services) -> None:
    add_approver(have, jane(), by="root")
    revoke_approver(have, JANE.upper(), by="root")
    assert registry(have).able == ()
    unlock_approver(have, JANE, by="root")
    assert registry(have).able == ()
    add_approver(have, jane(), by="root")
    assert registry(have).able == (JANE,)
    assert registry(have).forged == ()


def test_nobody_is_revoked_or_unlocked_who_was_never_registered(have: Services) -> None:
    for change in (revoke_approver, unlock_approver):
        with pytest.raises(NotFound, match="no approver has the name eve"):
            change(have, "eve", by="root")
    assert kinds(have.ledger, APPROVERS_STREAM) == []


def test_a_slack_identity_belongs_to_one_approver(have: Services) -> None:
    add_approver(have, jane(slack_user="U0JANE", slack_team=TEAM), by="root")
    add_approver(have, jane(slack_user="U0JANE", slack_team=TEAM), by="root")
    other = new_approver("joe", ("*@*",), SECRETS[JANE], slack_user="U0JANE", slack_team=TEAM)
    with pytest.raises(BadInput, match=f"{JANE} has this Slack identity"):
        add_approver(have, other, by="root")
    revoke_approver(have, JANE, by="root")
    add_approver(have, other, by="root")
    assert registry(have).able == ("joe",)


@pytest.mark.parametrize(
    ("name", "grants", "more", "words"),
    [
        ("j", ("*@*",), {}, "a name has 2 to 120"),
        ("jane", ("contain",), {}, "a grant is contain, rebuild, remediate, release"),
        ("jane", (), {}, "a grant is contain"),
        ("jane", ("*@*",), {"slack_user": "jane"}, "a Slack user id is such as"),
        ("jane", ("*@*",), {"slack_team": "x"}, "a Slack team id is such as"),
    ],
)
def test_what_is_typed_wrong_is_said_without_the_secret(
    name: str, grants: tuple[str, ...], more: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadInput, match=words) as wrong:
        new_approver(name, grants, SECRETS[JANE], **more)
    assert SECRETS[JANE] not in str(wrong.value)


def test_a_change_that_was_overtaken_is_made_behind_the_other_one(have: Services) -> None:
    add_approver(have, jane(), by="root")
    write, done = have.ledger.append_after, iter([True])

    def overtaken(seen: Any, records: Any) -> None:
        if next(done, False):
            raise Overtaken("somebody else was quicker")
        write(seen, records)

    object.__setattr__(have.ledger, "append_after", overtaken)
    revoke_approver(have, JANE, by="root")
    assert (registry(have).able, registry(have).forged) == ((), ())


def test_an_entry_from_elsewhere_puts_everybody_in_doubt_until_they_are_added_again(have: Services) -> None:
    add_approver(have, jane(), by="root")
    have.ledger.append(APPROVERS_STREAM, *signed(ApproverRevoked(name="somebody", by="eve"), behind=1))
    assert (registry(have).able, registry(have).forged) == ((), (2,))
    add_approver(have, jane(), by="root")
    assert registry(have).able == (JANE,)
