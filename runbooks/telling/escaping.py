"""Text from outside, made harmless: it stays on its line, and cannot forge a heading, a link or a mention.

Three languages are written here: GitHub markdown (Prefect), mrkdwn (Slack) and wiki markup (Jira, REST version 2).
What a person wrote or is called always appears as code, which is what sets it apart from the words of this system.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from urllib.parse import quote, urlsplit

ELLIPSIS = "…"
NOTHING = "-"

_INVISIBLE = ("Cc", "Cf", "Cs", "Cn", "Co")
_JOINER = "\u2060"
# Renderers make links of bare addresses, even of escaped ones; an invisible joiner keeps them text.
_BARE_ADDRESS = re.compile(r"://|\bwww(?=\.)|\b(?:mailto|xmpp):", re.IGNORECASE)
_MARKDOWN = re.compile(r"[\\`*<|~]|(?<![^\W_])_|_(?![^\W_])|\](?=[(\[:])|&(?=[#\w])")
_MARKDOWN_LABEL = re.compile(rf"{_MARKDOWN.pattern}|[\[\]]")
_MARKDOWN_START = re.compile(r"[#>+\-=\[]|\d{1,9}(?=[.)](?:\s|$))")
_WIKI = re.compile(r"[{}\[\]|!*?]|(?<![^\W_])[_+^~]|[_+^~](?![^\W_])|(?<!\S)-(?=[^\s>])|\((?=[/x!?+\-*yni]\))")
_WIKI_START = re.compile(r"(h[1-6]|bq)(?=\.)|[#-]")
_WIKI_BACKSLASH = re.compile(r"\\(?![^\W_])")
_ADDRESS_LIMIT = 1_500
_ADDRESS_PARTS = ":/?#@!$&'*+,;=%-._~"


def plain(text: str) -> str:
    """One line of visible characters: no control, direction or joining characters, no lone surrogates."""
    spaced = " ".join(text.split())
    if spaced.isprintable():
        return spaced
    return " ".join("".join(each for each in spaced if unicodedata.category(each) not in _INVISIBLE).split())


def markdown(text: str) -> str:
    """As inline text of GitHub markdown, also at the beginning of a line and in a table cell."""
    return _as_markdown(text, _MARKDOWN)


def code(text: str) -> str:
    """As a code span of markdown. A backtick and a pipe, which would end it or its cell, get a look-alike."""
    return f"`{_in_code(text)}`" if plain(text) else NOTHING


def slack(text: str) -> str:
    """As mrkdwn (docs.slack.dev, Formatting message text): `&`, `<` and `>` are all that links and mentions need."""
    return plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def slack_code(text: str) -> str:
    """As code in mrkdwn."""
    return f"`{slack(_in_code(text))}`" if plain(text) else NOTHING


def wiki(text: str) -> str:
    """As inline text of Jira's wiki markup, also at the beginning of a line and in a table cell."""
    # Two backslashes are a line break there, so a backslash cannot be escaped by another.
    escaped = _WIKI.sub(r"\\\g<0>", _WIKI_BACKSLASH.sub("\u2216", plain(text)))
    start = _WIKI_START.match(escaped)
    if start:
        cut = start.end() if start.group(1) else 0
        escaped = f"{escaped[:cut]}\\{escaped[cut:]}"
    return _unlinked(escaped)


def wiki_code(text: str) -> str:
    """As monospaced wiki markup, in which markup would still be read and is escaped."""
    return "{{" + wiki(text) + "}}" if plain(text) else NOTHING


def address(url: str | None) -> str | None:
    """A web address that is safe inside a link of all three languages; None for anything else."""
    if not url or len(url) > _ADDRESS_LIMIT:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return None
    safe = quote(plain(url), safe=_ADDRESS_PARTS)
    return safe if len(safe) <= _ADDRESS_LIMIT else None


def markdown_link(label: str, url: str | None) -> str:
    """A link, or the label alone where the address is none."""
    safe = address(url)
    return f"[{_as_markdown(label, _MARKDOWN_LABEL)}]({safe})" if safe else markdown(label)


def slack_link(label: str, url: str | None) -> str:
    safe = address(url)
    return f"<{safe.replace('&', '&amp;')}|{slack(label).replace('|', '/')}>" if safe else slack(label)


def wiki_link(label: str, url: str | None) -> str:
    safe = address(url)
    return f"[{wiki(label)}|{safe.replace('!', '%21')}]" if safe else wiki(label)


def size(text: str) -> int:
    """Length as Slack and Jira count it, in UTF-16 units."""
    return len(text) + sum(1 for each in text if ord(each) > 0xFFFF)


def fitted(text: str, limit: int, escape: Callable[[str], str] = plain) -> str:
    """`escape(text)`, of as much of the text as fits into `limit`; never cut within an escape."""
    raw = plain(text)
    if size(raw) <= limit and size(whole := escape(raw)) <= limit:
        return whole
    # No escape makes a text shorter, so no more than `limit` of it can fit.
    low, high = 0, min(len(raw), limit)
    while low < high:
        middle = (low + high + 1) // 2
        if size(escape(raw[:middle] + ELLIPSIS)) <= limit:
            low = middle
        else:
            high = middle - 1
    return escape(raw[:low] + ELLIPSIS)


def lines_within(lines: Sequence[str], limit: int, more: str = "and {} more") -> str:
    """The first lines that fit into `limit` together, and how many were left out."""
    text = "\n".join(lines)
    if size(text) <= limit:
        return text
    kept: list[str] = []
    room = limit - size(more.format(len(lines)))
    for line in lines:
        room -= size(line) + 1
        if room < 0:
            break
        kept.append(line)
    return "\n".join((*kept, more.format(len(lines) - len(kept))))


def _as_markdown(text: str, specials: re.Pattern[str]) -> str:
    escaped = specials.sub(r"\\\g<0>", plain(text))
    start = _MARKDOWN_START.match(escaped)
    if start:
        cut = start.end() if start.group()[0].isdigit() else 0
        escaped = f"{escaped[:cut]}\\{escaped[cut:]}"
    return _unlinked(escaped)


def _in_code(text: str) -> str:
    return plain(text).replace("`", "'").replace("|", "¦")


def _unlinked(text: str) -> str:
    return _BARE_ADDRESS.sub(lambda found: found.group()[:1] + _JOINER + found.group()[1:], text)
