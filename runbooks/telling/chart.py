"""The timeline as a picture: a small SVG with one bar for each wait and each phase."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from xml.sax.saxutils import escape

from runbooks.telling.escaping import fitted, plain
from runbooks.telling.incident import PostMortem, Span, SpanKind
from runbooks.telling.timeline import aware
from runbooks.telling.words import duration
from runbooks.timestamps import moment

WIDTH, LABELS, RIGHT = 760, 190, 90
_ROW, _BAR, _TOP, _BOTTOM = 28, 16, 34, 30
_TICKS = 4
_MOST_ROWS = 24
_COLOURS: dict[SpanKind, str] = {
    "approval": "#b8860b",
    "contain": "#c0392b",
    "rebuild": "#4a6fa5",
    "test": "#5f8f8b",
    "remediate": "#2166ac",
    "verify": "#1b7837",
    "release": "#6a51a3",
    "deprecate": "#6b6b6b",
}


def timeline_svg(pm: PostMortem) -> str:
    """An SVG document; it holds text of this system only, and loads nothing."""
    bars = pm.spans[:_MOST_ROWS]
    height = _TOP + _ROW * max(len(bars), 1) + _BOTTOM
    body = (*_axis(bars, height), *_rows(bars)) if bars else (_text(20, _TOP + 16, "Nothing was changed."),)
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" role="img" aria-label="Timeline of the response" '
        'font-family="system-ui, sans-serif" font-size="12" fill="#1f2933">'
    )
    paper = f'<rect width="{WIDTH}" height="{height}" rx="6" fill="#ffffff"/>'
    return "\n".join((opening, paper, *body, "</svg>"))


def data_address(svg: str) -> str:
    """The picture as a `data:` address, for an image in markdown."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def _rows(bars: Sequence[Span]) -> Iterator[str]:
    start, end = _bounds(bars)
    for number, bar in enumerate(bars):
        top = _TOP + number * _ROW
        left, right = _place(bar.start, start, end), _place(bar.end, start, end)
        # A bar of no length is still to be seen.
        width = max(right - left, 3.0)
        yield _text(LABELS - 10, top + 13, fitted(bar.name, 30, plain), anchor="end")
        yield (
            f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{_BAR}" rx="3" fill="{_COLOURS[bar.kind]}">'
            f"<title>{escape(plain(bar.name))}: {moment(bar.start)} to {moment(bar.end)}</title></rect>"
        )
        yield _text(left + width + 6, top + 13, duration(aware(bar.end) - aware(bar.start)))


def _axis(bars: Sequence[Span], height: int) -> Iterator[str]:
    start, end = _bounds(bars)
    bottom = height - _BOTTOM
    yield _text(LABELS, 18, f"From {moment(start)} to {moment(end)} ({duration(end - start)})")
    for tick in range(_TICKS + 1):
        at = start + (end - start) * tick / _TICKS
        x = _place(at, start, end)
        yield f'<line x1="{x:.1f}" y1="{_TOP - 6}" x2="{x:.1f}" y2="{bottom}" stroke="#d5dbe3"/>'
        yield _text(x, bottom + 16, _clock(at, end - start), anchor="middle", colour="#52606d")


def _bounds(bars: Sequence[Span]) -> tuple[datetime, datetime]:
    start = min(aware(bar.start) for bar in bars)
    end = max(aware(bar.end) for bar in bars)
    return start, max(end, start + timedelta(seconds=1))


def _place(at: datetime, start: datetime, end: datetime) -> float:
    share = (aware(at) - start) / (end - start)
    return LABELS + share * (WIDTH - LABELS - RIGHT)


def _clock(at: datetime, whole: timedelta) -> str:
    if whole >= timedelta(days=2):
        return f"{at:%m-%d %H:%M}"
    return f"{at:%H:%M}" if whole >= timedelta(minutes=20) else f"{at:%H:%M:%S}"


def _text(x: float, y: float, text: str, anchor: str = "start", colour: str = "#1f2933") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'
