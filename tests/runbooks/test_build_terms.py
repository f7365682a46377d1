"""What a build is told: placeholders, variables, and a tag of its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.build_terms import LONGEST_TAG, build_variables, named, new_tag, project_name
from runbooks.catalog import LIBRARY, Catalog
from runbooks.definition import Runbook
from runbooks.errors import InvalidRunbook, Refused
from tests.runbooks.image_builders import an_image_runbook, digest

GIVEN: dict[str, Any] = {"base": "debian:12@sha256:0", "packages": ("a=1", "b=2"), "repository": "x", "tag": "t"}


def edited(folder: Path, old: str, new: str) -> Catalog:
    text = (LIBRARY / "ecr-critical-cve.yaml").read_text().replace("canary_percent: 10", "canary_percent: 2")
    assert text.count(old) == 1, old
    (folder / "ecr-critical-cve.yaml").write_text(text.replace(old, new))
    return Catalog.read(folder)


def test_each_placeholder_stands_for_what_it_says() -> None:
    templates = {"A": "{base}", "B": "[{packages}] {{x}}", "C": "{repository}:{tag}", "D": "fixed"}
    assert build_variables(templates, **GIVEN) == {
        "A": "debian:12@sha256:0",
        "B": "[a=1 b=2] {x}",
        "C": "x:t",
        "D": "fixed",
    }


def test_a_build_for_a_function_is_told_of_it_and_of_no_repository() -> None:
    given = {"base": None, "packages": ("a=1",), "tag": "t", "function": "orders"}
    templates = {"A": "{function}", "B": "{repository}", "C": "{packages} {tag}"}
    assert build_variables(templates, **given) == {"A": "orders", "C": "a=1 t"}
    with pytest.raises(Refused):
        build_variables(templates, **(given | {"function": "orders; x"}))


def test_a_variable_that_names_what_there_is_nothing_of_is_left_out() -> None:
    templates = {"A": "from {base}", "B": "{packages}", "C": "{tag}"}
    assert build_variables(templates, **(GIVEN | {"base": None, "packages": ()})) == {"C": "t"}


@pytest.mark.parametrize(
    "word", ["a b", "a;b", "$x", "`x`", "a|b", "a>b", "a&b", "a'b", 'a"b', "a\\b", "-rf", "", "a\n"]
)
@pytest.mark.parametrize("place", ["packages", "base", "tag", "repository"])
def test_nothing_that_a_shell_reads_as_more_than_a_word_is_handed_over(place: str, word: str) -> None:
    if place == "base" and not word:
        return
    value: Any = (word,) if place == "packages" else word
    with pytest.raises(Refused) as refused:
        build_variables({"A": "x"}, **(GIVEN | {place: value}))
    assert refused.value.code == "person"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{image}", "{image} stands for nothing; there are {base}, {function}, {packages}, {repository}, {tag}"),
        ("{}", "{} stands for nothing"),
        ("{tag!r}", "{tag!r} stands for nothing"),
        ("{tag:>9}", "{tag:>9} stands for nothing"),
        ("{tag.real}", "{tag.real} stands for nothing"),
        ("{tag", "expected '}' before end of string"),
        ("tag}", "a brace of its own is written twice"),
    ],
)
def test_what_is_no_placeholder_is_a_mistake(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        named(text)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"{base}"', '"{bas}"', "rebuild.variables: '{bas}': {bas} stands for nothing"),
        ("BASE_IMAGE:", "BASE-IMAGE:", "'BASE-IMAGE' is no name of an environment variable"),
        ('"{tag}"', '"1"', "rebuild.variables: one of them must name {tag}"),
        ('"{repository}-build"', '"{tag}-build"', "rebuild.project: '{tag}-build': {tag} stands for nothing"),
        ("as-it-is            #", "LINEAR #", "LINEAR takes steps of at least 3 percent"),
        ("deny_pulls: false", "may_pull: ['somebody'] #", "contain.block.may_pull.0: String should match pattern"),
        ("immutable_tags: false", 'lifecycle_policy: "{}" #', "a lifecycle policy has 100 to 30720 characters"),
        ("limits:", "waves: [1]\nlimits:", "waves: an image has none"),
    ],
)
def test_a_runbook_with_a_mistake_is_refused_when_it_is_read(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(InvalidRunbook) as refused:
        edited(tmp_path, old, new)
    assert words in str(refused.value)
    assert "ecr-critical-cve.yaml:" in str(refused.value)


def test_what_an_image_needs_no_instance_needs() -> None:
    assert Runbook.model_validate(an_image_runbook().model_dump() | {"playbook": "instance", "rebuild": {}})


@pytest.mark.parametrize(("repository", "project"), [("shop/checkout", "shop-checkout-b"), ("a.b/c", "a-b-c-b")])
def test_a_project_is_named_after_the_repository(repository: str, project: str) -> None:
    assert project_name("{repository}-b", repository) == project


@given(st.lists(st.text(max_size=300), max_size=4), st.integers(1, 999))
def test_any_new_tag_is_one_that_a_registry_takes(tags: list[str], revision: int) -> None:
    tag = new_tag(tags, [digest(1)], "response-1", revision)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", tag, re.ASCII)
    assert len(tag) <= LONGEST_TAG


def test_a_new_tag_is_of_these_digests_this_response_and_this_revision_alone() -> None:
    tags = {
        new_tag(["1.4.2"], digests, response, revision)
        for digests in ([digest(1)], [digest(1), digest(2)])
        for response in ("response-1", "response-2")
        for revision in (1, 2)
    }
    assert len(tags) == 8
    assert new_tag(["1"], [digest(1), digest(2)], "r", 1) == new_tag(["1"], [digest(2), digest(1)], "r", 1)


def test_a_new_tag_says_which_version_it_was_and_does_not_grow() -> None:
    first = new_tag(["latest", "1.4.2"], [digest(1)], "r", 1)
    again = new_tag([first], [digest(2)], "r", 1)
    assert first.startswith("1.4.2-remediated-")
    assert re.fullmatch(r"1\.4\.2-remediated-[0-9a-f]{12}", again)
    assert new_tag(["latest"], [digest(1)], "r", 1).startswith("image-remediated-")
