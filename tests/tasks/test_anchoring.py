"""The sweep anchors what is new: often enough, cheaply, never another ledger's, and under a key that is not in it."""

from __future__ import annotations

import base64
import random
from pathlib import Path

import pytest
from sqlalchemy import event

from runbooks.checkpoint import key_id, read_anchored
from runbooks.errors import InvalidSetting, NotFound, Unsafe
from runbooks.records import Restarted
from tasks.anchoring import EVERY_ENTRIES, MOST_ENTRIES, anchor
from tasks.anchors import anchor_at, own_public_key
from tasks.auditing import verify
from tasks.gateways.checkpoint_keys import OwnKey
from tests.tasks.anchored import Open, kept, open_audited, refusal
from tests.tasks.audited import Audited, owned

__all__ = ["open_audited"]


@pytest.fixture
def have(open_audited: Open) -> Audited:
    return open_audited()


def test_an_empty_ledger_is_not_anchored(have: Audited) -> None:
    assert anchor(have) is None
    assert kept(have) == []


def test_the_first_entries_are_anchored_at_once_and_the_next_a_minute_later(have: Audited) -> None:
    have.grow(3)
    first = anchor(have)
    assert first is not None
    assert (first.size, first.at) == (3, have.now())
    have.grow(5)
    assert anchor(have) is None
    have.clock.pass_by(seconds=54.9)
    assert anchor(have) is None, "5 + 54.9 seconds"
    have.clock.pass_by(seconds=0.1)
    second = anchor(have)
    assert second is not None
    assert [each.size for each in kept(have)] == [3, 8]
    assert verify(have).checkpoints == 2


def test_a_hundred_entries_do_not_wait_for_the_minute(have: Audited) -> None:
    have.grow(1)
    anchor(have)
    have.ledger.append("system", *[a_record(number) for number in range(EVERY_ENTRIES - 1)])
    assert anchor(have) is None
    have.ledger.append("system", a_record(1))
    made = anchor(have)
    assert made is not None
    assert made.size == 1 + EVERY_ENTRIES


def a_record(number: int) -> Restarted:
    return Restarted(response="resp-1", attempt=number + 1, reason="crashed")


def test_where_nothing_is_new_nothing_is_made_however_long(have: Audited) -> None:
    have.grow(3)
    anchor(have)
    before = len(have.ledger.entries("system"))
    have.clock.pass_by(days=30)
    assert anchor(have) is None
    assert [each.size for each in kept(have)] == [3]
    assert len(have.ledger.entries("system")) == before


def test_a_pass_with_nothing_to_do_asks_the_ledger_two_things_and_the_anchor_nothing(have: Audited) -> None:
    have.grow(3)
    anchor(have)
    asked: list[str] = []
    event.listen(have.ledger._database.engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
    folder = have.settings.home / "anchors"
    folder.rename(folder.with_name("away"))
    assert anchor(have) is None
    assert [statement.split()[0] for statement in asked] == ["BEGIN", "SELECT", "SELECT"]
    assert not folder.exists()


def test_more_than_one_checkpoint_can_list_becomes_several(have: Audited) -> None:
    have.ledger.append("system", *map(a_record, range(MOST_ENTRIES + 5)))
    made = anchor(have)
    assert made is not None
    assert [(each.size, each.heads is None) for each in kept(have)] == [(MOST_ENTRIES, True), (made.size, False)]
    found = verify(have)
    assert (found.checkpoints, found.anchored, found.ok) == (2, MOST_ENTRIES + 5, True)


def test_another_process_goes_on_from_the_newest_checkpoint(open_audited: Open) -> None:
    first = open_audited()
    first.grow(11)
    first.anchor()
    second = open_audited(anchor_retention_days=1)
    second.grow(5, random.Random(1))
    assert second.anchor() == 16
    first.grow(2, random.Random(2))
    assert first.anchor() == 18
    assert (verify(first).checkpoints, verify(first).ok, verify(first).anchored) == (3, True, 18)


def test_two_that_anchor_the_same_at_the_same_time_agree(open_audited: Open) -> None:
    """Both know checkpoint 3; one has signed 8 when the other comes with 8 too, signed at another time."""
    first = open_audited()
    first.grow(3)
    first.anchor()
    first.grow(5)
    place = anchor_at(first.settings)
    first.anchor()
    newest = place.read(8)
    (first.settings.home / "anchors" / "000" / "000" / "000" / "008").unlink()
    second = open_audited(anchor_retention_days=1)
    assert second.anchor() == 8
    own = place.read(8)
    assert own != newest
    assert read_anchored(own).checkpoint.root == read_anchored(newest).checkpoint.root
    assert verify(second).ok


def test_a_ledger_that_was_rolled_back_is_anchored_no_further(have: Audited) -> None:
    have.grow(8)
    have.anchor()
    with owned(have.ledger) as owner:
        rows = owner.read()
        owner.write(rows[:6], {row.stream: (row.sequence, row.hash) for row in rows[:6]})
    refused = refusal(have)
    assert refused.code == "ledger-forked"
    assert f"{rows[7].stream} entry {rows[7].sequence} was anchored" in refused.detail


def test_a_ledger_that_went_another_way_is_anchored_no_further(open_audited: Open) -> None:
    have = open_audited()
    have.grow(8)
    have.anchor()
    with owned(have.ledger) as owner:
        rows = owner.read()
        owner.write(rows[:6], {row.stream: (row.sequence, row.hash) for row in rows[:6]})
    have.grow(10, random.Random(5))
    assert refusal(have).code == "ledger-forked"
    assert refusal(open_audited(anchor_retention_days=1)).code == "ledger-forked", "a process that starts sees it too"
    assert not verify(have).ok


def test_another_ledger_is_not_anchored_beside_the_first(open_audited: Open) -> None:
    have = open_audited()
    have.grow(8)
    have.anchor()
    other = open_audited("other", anchor_retention_days=1)
    other.grow(12, random.Random(9))
    assert refusal(other).code == "ledger-forked"


def test_what_somebody_else_put_under_the_next_size_is_no_checkpoint_of_ours(open_audited: Open) -> None:
    have, other = open_audited(), open_audited("other", anchor_retention_days=1)
    other.grow(8, random.Random(9))
    other.anchor()
    (taken,) = (other.settings.home / "anchors").rglob("008")
    content = taken.read_bytes()
    taken.unlink()
    have.grow(3)
    have.anchor()
    have.grow(5)
    taken.write_bytes(content)
    assert refusal(have).code == "ledger-forked"


def test_a_key_is_made_once_for_its_owner_alone_where_nobody_named_one(have: Audited) -> None:
    with pytest.raises(NotFound) as refused:
        own_public_key(have.settings)
    assert refused.value.code == "no-checkpoint-key"
    have.grow(1)
    made = anchor(have)
    file = have.settings.home / "keys" / "checkpoint.key"
    assert file.stat().st_mode & 0o777 == 0o600
    seed = base64.b64decode(file.read_bytes())
    assert made is not None
    assert made.is_signed_by(OwnKey(seed).public_key)
    assert own_public_key(have.settings) == OwnKey(seed).public_key


def test_a_key_file_that_was_named_is_never_made(open_audited: Open, tmp_path: Path) -> None:
    have = open_audited(checkpoint_key_file=tmp_path / "named.key")
    have.grow(1)
    assert isinstance(refusal(have), Unsafe)
    assert not (tmp_path / "named.key").exists()


def test_a_key_file_that_others_may_read_is_refused(open_audited: Open, tmp_path: Path) -> None:
    file = tmp_path / "named.key"
    file.write_bytes(base64.b64encode(b"k" * 32))
    file.chmod(0o640)
    have = open_audited(checkpoint_key_file=file)
    have.grow(1)
    assert refusal(have).code == "key-readable"
    file.chmod(0o600)
    assert have.anchor() == 1


def test_the_key_of_the_environment_signs_and_no_file_is_made(open_audited: Open) -> None:
    have = open_audited(checkpoint_key=base64.b64encode(b"k" * 32).decode())
    have.grow(1)
    made = anchor(have)
    assert made is not None
    assert made.is_signed_by(OwnKey(b"k" * 32).public_key)
    assert not (have.settings.home / "keys").exists()


def test_a_new_key_goes_on_from_what_the_old_one_signed_after_looking_at_every_entry(open_audited: Open) -> None:
    old, new = (base64.b64encode(letter * 32).decode() for letter in (b"o", b"n"))
    have = open_audited(checkpoint_key=old)
    have.grow(11)
    have.anchor()
    again = open_audited(checkpoint_key=new)
    again.grow(3, random.Random(3))
    assert again.anchor() == 14
    keys = [OwnKey(letter * 32).public_key for letter in (b"o", b"n")]
    assert [each.key_id for each in kept(again)] == [key_id(key) for key in keys]
    assert verify(again, public_keys=keys).ok
    found = verify(again)
    assert [problem.size for problem in found.checkpoint_problems] == [11]
    assert "not signed with a key that was given" in found.checkpoint_problems[0].detail


def test_a_new_key_does_not_sign_what_was_changed_under_the_old_one(open_audited: Open) -> None:
    have = open_audited(checkpoint_key=base64.b64encode(b"o" * 32).decode())
    have.grow(11)
    have.anchor()
    with owned(have.ledger) as owner:
        rows, heads = owner.read(), owner.heads()
        rows[2] = rows[2]._replace(hash="f" * 64)
        owner.write(rows, heads)
    again = open_audited(checkpoint_key=base64.b64encode(b"n" * 32).decode())
    again.grow(3, random.Random(3))
    assert refusal(again).code == "ledger-forked"


def test_a_folder_that_was_named_and_is_not_there_is_not_made(open_audited: Open, tmp_path: Path) -> None:
    have = open_audited(anchor=str(tmp_path / "mount"))
    have.grow(1)
    with pytest.raises(InvalidSetting, match="make it, or mount it"):
        anchor(have)
    (tmp_path / "mount").mkdir()
    assert have.anchor() == 1
    assert (tmp_path / "mount" / "000" / "000" / "000" / "001").exists()


def test_forged_checkpoints_are_told_and_believed_by_nobody(open_audited: Open) -> None:
    """Whoever can write to the anchor, and has no key: each is named, and the others still count."""
    have, other = open_audited(), open_audited("other", checkpoint_key=base64.b64encode(b"x" * 32).decode())
    have.grow(8)
    have.anchor()
    have.grow(8, random.Random(1))
    have.anchor()
    place, folder = anchor_at(have.settings), have.settings.home / "anchors" / "000" / "000" / "000"
    (folder / "009").write_bytes(place.read(8))
    (folder / "010").write_bytes(b"{}\n")
    (folder / "011").write_bytes(place.read(16).replace(b"case/", b"cafe/", 1))
    other.grow(12, random.Random(2))
    forged = Audited(have.settings.home.with_name("elsewhere"), other.ledger, have.clock, checkpoint_key=other_key())
    forged.anchor()
    (folder / "012").write_bytes(anchor_at(forged.settings).read(12))
    found = verify(have)
    assert [(each.size, each.detail.partition(";")[0]) for each in found.checkpoint_problems] == [
        (9, "it is over 8 entries"),
        (10, "this is no checkpoint"),
        (11, "its list of entries is not the one it names"),
        (12, "it is not signed with a key that was given"),
    ]
    assert (found.ok, found.problems, found.checkpoints, found.anchored) == (False, (), 2, 16)


def other_key() -> str:
    return base64.b64encode(b"x" * 32).decode()


def test_a_checkpoint_that_is_not_there_any_more_is_made_good_by_the_next(have: Audited) -> None:
    for number in range(3):
        have.grow(5, random.Random(number))
        have.anchor()
    folder = have.settings.home / "anchors" / "000" / "000" / "000"
    (folder / "010").unlink()
    assert (verify(have).ok, verify(have).checkpoints) == (True, 2)
    with owned(have.ledger) as owner:
        rows, heads = owner.read(), owner.heads()
        rows[6] = rows[6]._replace(hash="f" * 64)
        owner.write(rows, heads)
    found = verify(have)
    assert [str(problem) for problem in found.checkpoint_problems] == [
        "checkpoint 15: entries 6 to 15 of the ledger are not those it was made of; which one is another, no list says"
    ]


def test_heads_that_were_changed_before_they_were_signed_are_told(have: Audited) -> None:
    have.grow(8)
    with owned(have.ledger) as owner:
        rows, heads = owner.read(), owner.heads()
        owner.write(rows, {**heads, "case/never": (1, "f" * 64)})
        have.anchor()
        owner.write(rows, heads)
    (problem,) = verify(have).checkpoint_problems
    assert "its heads are not those of the entries" in problem.detail


def test_checkpoints_without_a_key_to_check_them_are_an_error(have: Audited, open_audited: Open) -> None:
    have.grow(3)
    have.anchor()
    (have.settings.home / "keys" / "checkpoint.key").unlink()
    with pytest.raises(NotFound) as refused:
        verify(have)
    assert refused.value.code == "no-checkpoint-key"
