"""Somebody halts everything in the middle: nothing is changed, everybody is told, and later it goes on by itself."""

from __future__ import annotations

from runbooks.history import HALTED
from tests.end_to_end.product import Product


def test_what_was_approved_waits_while_everything_is_halted_and_goes_on_after_the_resumption(product: Product) -> None:
    incident = product.deliver(10)
    product.until(lambda: incident.case().response_id, "a response to it")
    incident.question("contain")
    try:
        assert product.run("halt", "--reason", "a drill", "--as", "jane").returncode == 0
        incident.approve("contain")
        product.until(lambda: incident.response().waiting_phase == HALTED, "a response that is halted")
        assert incident.changes() == []
        assert incident.interfaces() == incident.interfaces(incident.before)
        assert any(each["text"].startswith("Nothing is changed: halted since") for each in incident.thread())
        listed = product.run("cases", "show", incident.instance)
        assert "by jane: a drill; nothing is changed until: runbooks resume" in listed.stderr
        assert "by jane: a drill" in listed.stdout
    finally:
        assert product.run("resume", "--reason", "the drill is over").returncode == 0

    incident.approve("remediate")

    ended = incident.ended()
    assert (ended.result, ended.contained) == ("fixed", False)
    assert incident.interfaces() == incident.interfaces(incident.before)
    posted = [each["text"] for each in product.messages()]
    assert sum(text.startswith("⛔ Everything is halted since") for text in posted) == 1
    assert sum(text.startswith("▶️ Changes are made again") for text in posted) == 1
