"""What others wrote stays text: no heading, link, mention or markup of theirs comes out as ours."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from runbooks.telling.escaping import (
    address,
    code,
    fitted,
    lines_within,
    markdown,
    markdown_link,
    plain,
    size,
    slack,
    slack_code,
    slack_link,
    wiki,
    wiki_code,
    wiki_link,
)

GFM = MarkdownIt("commonmark").enable(["table", "strikethrough"])
MARKUP = st.text(alphabet="ab1 .`*_[](){}<>#!|~&;:/\\-+=@\n\t^?hwx\u202e\u200b", max_size=60)
HOSTILE = st.one_of(
    st.text(max_size=60),
    MARKUP,
    st.sampled_from(
        [
            "# Approved",
            "fine\n\n# Approved by the board",
            "[log in](https://evil.example)",
            "![x](https://evil.example/x.png)",
            "<https://evil.example>",
            "see https://evil.example or www.evil.example",
            "<!channel> <@U123> @here",
            "[~accountid:1] {color:red}red{color} h1. Title",
            "</td><script>alert(1)</script>",
            "a | b | c",
            "- [ ] done",
            "1. first",
            "` ends the code",
            "\\",
            "```\ncode",
        ]
    ),
)


def tokens(text: str) -> list[Token]:
    found: list[Token] = []
    for token in GFM.parse(text):
        found += [token, *(token.children or [])]
    return found


def shown(text: str) -> str:
    return "".join(token.content for token in tokens(text) if token.type in ("text", "code_inline", "text_special"))


@given(HOSTILE)
@example("~1.0~rc1 before 1.1~")
@example("&lt; &#60;")
@example("a\\|b")
@example("_x_ in_side")
def test_escaped_text_is_shown_as_it_is_and_is_nothing_but_text(text: str) -> None:
    for place in ("{}", "- {}", "before {} after", "> {}"):
        kinds = {token.type for token in tokens(place.format(markdown(text)))}
        allowed = {"paragraph_open", "paragraph_close", "inline", "text", "text_special"} | {
            "bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close",
            "blockquote_open", "blockquote_close",
        }  # fmt: skip
        assert kinds <= allowed
    assert shown(markdown(text)).replace("\u2060", "") == plain(text)


@given(HOSTILE, HOSTILE)
@example("a | b", "c | d")
def test_hostile_cells_do_not_move_their_neighbours(one: str, two: str) -> None:
    text = f"| A | B | C |\n| --- | --- | --- |\n| {markdown(one) or '-'} | {code(two)} | ours |\n"
    found = tokens(text)
    kinds = [token.type for token in found]
    assert (kinds.count("tr_open"), kinds.count("td_open"), kinds.count("link_open")) == (2, 3, 0)
    assert "html_inline" not in kinds
    # The parser drops cells too many, so the last one must still be the last.
    last = len(kinds) - 1 - kinds[::-1].index("td_open")
    assert found[last + 1].content == "ours"


@given(HOSTILE)
def test_a_code_span_holds_all_that_was_said(text: str) -> None:
    if plain(text):
        inline = [token for token in tokens(f"said {code(text)} here") if token.type == "code_inline"]
        assert [token.content for token in inline] == [plain(text).replace("`", "'").replace("|", "¦")]


@given(HOSTILE)
def test_no_bare_address_is_left_for_a_renderer_to_link(text: str) -> None:
    for escaped in (markdown(text), wiki(text)):
        assert not re.search(r"://|\bwww\.", escaped, re.IGNORECASE)


@given(HOSTILE)
def test_slack_sees_no_control_sequence(text: str) -> None:
    for escaped in (slack(text), slack_code(text)):
        assert "<" not in escaped
        assert ">" not in escaped
        assert "\n" not in escaped
        assert not re.search(r"&(?!amp;|lt;|gt;)", escaped)
    assert slack_code(text).count("`") in (0, 2)


@given(HOSTILE)
@example("\\_")
@example("CORP\\jane \\\\ \\")
def test_wiki_sees_no_link_macro_image_or_cell(text: str) -> None:
    for escaped in (wiki(text), wiki_code(text).removeprefix("{{").removesuffix("}}")):
        assert not re.search(r"(?<!\\)[\[\]{}|!*]", escaped)
        assert "\\\\" not in escaped
        assert not re.match(r"(h[1-6]|bq)\.|[#-] ", escaped)
        assert "\n" not in escaped


def test_direction_and_zero_width_characters_are_dropped() -> None:
    assert plain("approved\u202e yb\u200b\x00 \ud800jane\n\nnow") == "approved yb jane now"


def test_ordinary_names_stay_readable() -> None:
    for text in ("eni-0abc: groups [sg-1, sg-2] become [q]", "a -> b", "snake_case_name", "i-0abc (1, eu-west-1)"):
        assert markdown(text) == text
    assert wiki("i-0abc -> igw-1, snake_case") == "i-0abc -> igw-1, snake_case"


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "//evil.example",
        "/path",
        "",
        None,
        "http://",
        "x" * 3000,
        "http://[::1",
    ],
)
def test_only_web_addresses_become_links(url: str | None) -> None:
    assert address(url) is None
    assert markdown_link("CVE", url) == slack_link("CVE", url) == wiki_link("CVE", url) == "CVE"


@given(HOSTILE, HOSTILE)
def test_a_link_goes_only_where_it_says(label: str, path: str) -> None:
    url = f"https://vendor.example/{path}"
    links = [token for token in tokens(markdown_link(label, url)) if token.type == "link_open"]
    assert len(links) == 1
    assert str(links[0].attrs["href"]).startswith("https://vendor.example/")
    assert re.fullmatch(r"<https://vendor\.example/[^<>|\s]*\|[^<>|]*>", slack_link(label, url))
    assert re.fullmatch(r"\[(?:[^\[\]|]|\\[\[\]|])*\|https://vendor\.example/[^\[\]|{}\s]*\]", wiki_link(label, url))


@given(st.text(max_size=400), st.integers(min_value=1, max_value=120))
@example("&" * 400, 20)
@example("\U0001f600" * 100, 21)
def test_fitted_text_fits_and_is_cut_only_when_it_must_be(text: str, limit: int) -> None:
    for escape in (plain, slack, markdown, wiki):
        cut = fitted(text, limit, escape)
        assert size(cut) <= limit or cut in ("…", escape("…"))
        if size(escape(text)) <= limit:
            assert cut == escape(text)
    assert not re.search(r"&(?!amp;|lt;|gt;)", fitted(text, limit, slack))


def test_lines_that_do_not_fit_are_counted() -> None:
    lines = [f"line {number}" for number in range(100)]
    text = lines_within(lines, 100)
    kept = text.split("\n")
    assert kept[:-1] == lines[: len(kept) - 1]
    assert kept[-1] == f"and {100 - len(kept) + 1} more"
    assert len(text) <= 100
