"""Whatever is tried: it is refused, nothing is changed in the world, and the ledger tells of it."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.attacks.attack import Attack
from tests.attacks.catalogue import ATTACKS
from tests.attacks.conftest import SetScene
from tests.attacks.scene import everyone
from tests.runbooks.signatures import JOE

BEGINNING = {"admitted", "intent", "outcome"}
"""What is written down when something is begun."""


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_it_is_refused_changes_nothing_and_is_written_down(attack: Attack, set_scene: SetScene) -> None:
    with set_scene(
        rule=attack.rule, people=attack.people, started_by=attack.started_by, asked=attack.asked, code=attack.code
    ) as scene:
        before = Counter(scene.told())
        attack.tried(scene)
        tried = Counter(scene.told())
        state = scene.act()
        after = Counter(scene.told())
    assert (state, scene.changes()) == (attack.state, [])
    assert attack.told in after - before
    assert not BEGINNING & (after - tried).keys()


def test_no_two_attacks_have_one_name() -> None:
    names = [attack.name for attack in ATTACKS]
    assert sorted(set(names)) == sorted(names)
    assert len(names) >= 30


# Last, because it changes the world that the attacks share.
def test_without_an_attack_the_same_plan_is_carried_out(set_scene: SetScene) -> None:
    """Only so does it mean something that an attack changes nothing."""
    with set_scene(rule={"quorum": 2}, people=everyone(), started_by="webhook", asked=True, code="") as scene:
        scene.answer()
        scene.approve(JOE)
        assert scene.act() == "acted"
        assert scene.changes() != []
        assert "intent" in scene.told()
