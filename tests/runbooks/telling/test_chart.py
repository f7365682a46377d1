"""The timeline's picture: well-formed, to scale, and with nothing in it but what it shows."""

from __future__ import annotations

import base64
from datetime import timedelta
from functools import cache
from xml.etree.ElementTree import Element, fromstring

from hypothesis import given, settings
from hypothesis import strategies as st

from runbooks.history import fold
from runbooks.telling.chart import LABELS, RIGHT, WIDTH, data_address, timeline_svg
from runbooks.telling.incident import PostMortem, Span
from runbooks.telling.post_mortem import write_post_mortem
from tests.runbooks.builders import CASE, a_finding, a_runbook, after, keys_of
from tests.runbooks.histories import a_whole_response

SVG = "{http://www.w3.org/2000/svg}"


def a_post_mortem(*spans: Span) -> PostMortem:
    return whole().model_copy(update={"spans": spans}) if spans else whole()


@cache
def whole() -> PostMortem:
    return write_post_mortem(fold(a_whole_response()), keys_of(), {CASE: (a_finding(),)}, [], [], a_runbook())


def bars(picture: Element) -> list[Element]:
    return [each for each in picture.iter(f"{SVG}rect") if each.find(f"{SVG}title") is not None]


def words(picture: Element) -> list[str]:
    return [each.text or "" for each in picture.iter(f"{SVG}text")]


def test_each_wait_and_each_phase_has_its_bar_in_order() -> None:
    picture = fromstring(timeline_svg(a_post_mortem()))
    titles = [each.findtext(f"{SVG}title", "").split(": ")[0] for each in bars(picture)]
    assert titles == [
        "Approval to contain",
        "Contain",
        "Approval to remediate",
        "Remediate",
        "Verify",
        "Release",
    ]
    assert "From 2026-03-02 09:19:00 UTC to 2026-03-02 10:01:00 UTC (42 min)" in words(picture)
    assert "7 min" in words(picture)


def test_bars_are_to_scale() -> None:
    short = Span(name="Contain", kind="contain", start=after(0), end=after(10))
    long = Span(name="Verify", kind="verify", start=after(10), end=after(40))
    one, three = bars(fromstring(timeline_svg(a_post_mortem(short, long))))
    assert float(one.attrib["x"]) == LABELS
    assert abs(float(three.attrib["width"]) - 3 * float(one.attrib["width"])) < 1
    assert abs(float(three.attrib["x"]) + float(three.attrib["width"]) - (WIDTH - RIGHT)) < 1


def test_a_moment_without_length_is_still_to_be_seen() -> None:
    span = Span(name="Contain", kind="contain", start=after(0), end=after(0))
    (bar,) = bars(fromstring(timeline_svg(a_post_mortem(span))))
    assert float(bar.attrib["width"]) == 3.0


def test_nothing_done_is_said() -> None:
    empty = a_post_mortem().model_copy(update={"spans": ()})
    assert words(fromstring(timeline_svg(empty))) == ["Nothing was changed."]


def test_the_data_address_holds_the_picture() -> None:
    svg = timeline_svg(a_post_mortem())
    kind, content = data_address(svg).split(",")
    assert kind == "data:image/svg+xml;base64"
    assert base64.b64decode(content).decode() == svg


@settings(deadline=None)
@given(st.text(max_size=200), st.integers(min_value=0, max_value=10**6), st.integers(min_value=1, max_value=60))
def test_whatever_a_span_is_called_the_picture_is_well_formed(name: str, minutes: int, number: int) -> None:
    start = after(0)
    spans = (Span(name=name, kind="verify", start=start, end=start + timedelta(minutes=minutes)),) * number
    picture = fromstring(timeline_svg(a_post_mortem(*spans)))
    assert len(bars(picture)) == min(number, 24)
    assert {each.tag.removeprefix(SVG) for each in picture.iter()} <= {"svg", "rect", "text", "line", "title"}
