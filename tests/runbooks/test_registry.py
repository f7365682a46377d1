"""Who may say yes follows from signed records in their places; where one is missing or forged, nobody before it is."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.approvers import Approver
from runbooks.case import APPROVERS_STREAM
from runbooks.chain import Entry
from runbooks.records import ApproverRevoked, ApproverUnlocked, CaseClosed, CodeTried
from runbooks.registry import MOST_WRONG_CODES, Registry, RegistryRecord
from runbooks.signing import Signer
from tests.runbooks.signatures import JANE, JOE, SIGNER, TEAM, added, an_approver, entries, registry_of, signed

REVOKED = ApproverRevoked(name=JANE, by="root")
UNLOCKED = ApproverUnlocked(name=JANE, by="root")


def tried(accepted: bool, timecode: int | None = None, name: str = JANE) -> CodeTried:
    return CodeTried(name=name, accepted=accepted, timecode=timecode, response="r")


def read(stream: tuple[Entry, ...]) -> Registry:
    return Registry.read(stream, SIGNER)


def test_whoever_was_added_and_not_revoked_since_is_able() -> None:
    assert registry_of().able == ()
    assert registry_of(added(), added(JOE)).able == (JANE, JOE)
    assert registry_of(added(), added(JOE), REVOKED).able == (JOE,)
    assert registry_of(added(), REVOKED, added()).able == (JANE,)


def test_a_revocation_that_was_cut_off_leaves_nobody_who_is_believed() -> None:
    whole = entries(*signed(added(), added(JOE), REVOKED))
    known = Registry.read(whole[:-1], SIGNER, head=3)
    assert (known.able, known.forged, known.head) == ((), (3,), 3)

    again = known.signed_next(SIGNER, added(JOE))
    (entry,) = entries(*again)
    later = Registry.read((*whole[:-1], entry.model_copy(update={"sequence": 4})), SIGNER, head=4)
    assert later.able == (JOE,)


def test_five_wrong_codes_in_a_row_lock_until_somebody_unlocks() -> None:
    wrong = [tried(accepted=False)] * MOST_WRONG_CODES
    assert registry_of(added(), *wrong[1:]).able == (JANE,)
    assert registry_of(added(), *wrong).able == ()
    assert registry_of(added(), *wrong, UNLOCKED).able == (JANE,)
    assert registry_of(added(), *wrong[1:], tried(accepted=True, timecode=1), *wrong[1:]).able == (JANE,)
    assert registry_of(added(), added(JOE), *wrong).able == (JOE,)


def test_a_code_stays_used_whatever_is_registered_anew() -> None:
    known = registry_of(added(), tried(accepted=True, timecode=7), tried(accepted=True, timecode=5), REVOKED, added())
    standing = known.named(JANE)
    assert standing is not None
    assert (standing.last_timecode, standing.wrong_codes, standing.believed) == (7, 0, True)


def test_a_name_is_the_same_whatever_its_case() -> None:
    known = registry_of(added("Jane"), added("jane", grants=("contain@staging",)))
    assert [each.approver.name for each in known.standings.values()] == ["jane"]
    assert known.named(" JANE ") == known.named("jane")


def test_a_slack_identity_is_user_and_team_and_of_one_person() -> None:
    slack = {"slack_user": "U0JANE", "slack_team": TEAM}
    known = registry_of(added(JANE, **slack), added(JOE))
    assert known.of_slack("U0JANE", TEAM) == known.named(JANE)
    assert (known.of_slack("U0JANE", "T0OTHER"), known.of_slack("U0JOE", TEAM)) == (None, None)
    assert registry_of(added(JANE, **slack), added(JOE, **slack)).of_slack("U0JANE", TEAM) is None
    assert registry_of(added(JANE, **slack), REVOKED).of_slack("U0JANE", TEAM) is None


# --- what this system did not write ----------------------------------------------------------------------------------

WHOLE = signed(added(JANE), added(JOE), tried(accepted=True, timecode=9), REVOKED)


def test_the_whole_stream_is_believed() -> None:
    assert (read(entries(*WHOLE)).able, read(entries(*WHOLE)).forged) == ((JOE,), ())


FORGERIES: list[tuple[str, tuple[RegistryRecord, ...]]] = [
    ("an unsigned approver", (*WHOLE, added("eve"))),
    ("one signed with another key", (*WHOLE, Registry(head=4).signed_next(Signer(b"x" * 32), added("eve"))[0])),
    ("a genuine registration written again, after the revocation", (*WHOLE, WHOLE[0])),
    ("a revocation that names somebody else now", (*WHOLE[:3], WHOLE[3].model_copy(update={"name": JOE}))),
    ("a revocation without its signature", (*WHOLE[:3], REVOKED)),
    ("a revocation taken out, and the rest moved up", (*WHOLE[:2], *WHOLE[3:])),
    ("an unlocking that nobody ordered", (*WHOLE, UNLOCKED)),
    ("a code that was accepted, to clear wrong ones", (*WHOLE, tried(accepted=True, timecode=1))),
    ("an approver with more grants", (added(JANE, grants=("*@*",)), *WHOLE[1:])),
]


@pytest.mark.parametrize(("what", "records"), FORGERIES, ids=[what for what, _ in FORGERIES])
def test_a_forgery_is_seen_and_puts_everybody_before_it_in_doubt(what: str, records: tuple[Any, ...]) -> None:
    known = read(entries(*records))
    assert known.forged
    assert "eve" not in known.standings
    before = [each for each in known.standings.values() if each.approver.name == JANE]
    assert not any(each.believed for each in before)
    if known.forged[-1] == len(records):
        assert known.able == ()


def test_whoever_is_in_doubt_is_added_again() -> None:
    forged = entries(*WHOLE, added("eve"), *signed(added(JOE), behind=5))
    known = read(forged)
    assert (known.able, known.forged) == ((JOE,), (5,))


def test_a_gap_a_record_of_another_kind_and_one_of_another_stream_are_seen() -> None:
    whole = entries(*WHOLE)
    assert read(whole[:2] + whole[3:]).forged == (3,)
    assert read(whole[1:]).forged == (1,)
    closed = CaseClosed(response="r", reason="no")
    assert read((*whole, whole[0].model_copy(update={"sequence": 5, "body": closed.model_dump()}))).forged == (5,)
    assert read((*whole[:3], whole[3].model_copy(update={"stream": "case/x"}))).forged == (4,)


KINDS = st.sampled_from([added(JANE), added(JOE), REVOKED, UNLOCKED, tried(accepted=True, timecode=3), tried(False)])


@given(records=st.lists(KINDS, min_size=1, max_size=8), seed=st.integers(0, 10**6))
def test_no_edit_of_one_record_makes_anybody_able_who_was_not(records: list[Any], seed: int) -> None:
    chance = random.Random(seed)
    whole = list(signed(*records))
    able = set(read(entries(*whole)).able)
    place = chance.randrange(len(whole))
    other = chance.choice([added("eve"), added(JANE), REVOKED, UNLOCKED, tried(accepted=True, timecode=1)])
    whole[place] = other.model_copy(update={"signature": whole[place].signature})
    known = read(entries(*whole))
    if other.model_copy(update={"signature": ""}) != records[place]:
        # Somebody who was added again behind it is believed: this system wrote that.
        later = {each.approver.name for each in records[place + 1 :] if each.kind == "approver-added"}
        assert set(known.able) <= able | later
        assert known.forged == (place + 1,)


def test_the_stream_is_named_once() -> None:
    assert {entry.stream for entry in entries(*WHOLE)} == {APPROVERS_STREAM}


# --- approvers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grants", "phase", "environment", "may"),
    [
        (("contain@production",), "contain", "production", True),
        (("contain@production",), "contain", "staging", False),
        (("contain@production",), "release", "production", False),
        (("*@staging", "release@*"), "contain", "staging", True),
        (("*@staging", "release@*"), "release", "production", True),
        (("*@staging", "release@*"), "contain", "production", False),
        (("*@*",), "remediate", "unknown", True),
        (("rebuild@*", "deprecate@staging"), "rebuild", "production", True),
        (("rebuild@*", "deprecate@staging"), "deprecate", "production", False),
    ],
)
def test_a_grant_is_a_phase_and_an_environment(
    grants: tuple[str, ...], phase: str, environment: str, may: bool
) -> None:
    assert an_approver(grants=grants).may_approve(phase, environment) is may


@pytest.mark.parametrize(
    "changes",
    [
        {"grants": ()},
        {"grants": ("contain",)},
        {"grants": ("verify@*",)},
        {"grants": ("contain@a b",)},
        {"name": "j"},
        {"name": "jane doe"},
        {"name": "@jane"},
        {"slack_user": "jane"},
        {"slack_team": "U0JANE"},
    ],
)
def test_what_is_no_approver_cannot_be_made(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Approver.model_validate(an_approver().model_dump() | changes)
