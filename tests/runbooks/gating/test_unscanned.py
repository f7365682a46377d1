"""What ScanSbom did not look at: said by its answer, or by what the answer leaves out."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks.gating.unscanned import unscanned

OURS = "amazon:inspector:sbom_scanner:"
SCANNED = ("info", "Component scanned: no vulnerabilities found.")
NO_RULES = ("info", "Component skipped: no rules found.")


def a_component(purl: str | None, said: tuple[str, str] | None = None, **members: Any) -> dict[str, Any]:
    path = (purl or "").partition("?")[0].rpartition("/")[2]
    name, _, version = path.partition("@")
    made: dict[str, Any] = {"type": "library", "name": name or "unnamed", "version": version}
    made |= {"purl": purl} if purl else {}
    made |= {"properties": [{"name": OURS + said[0], "value": said[1]}]} if said else {}
    return made | members


def an_sbom(*components: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "components": list(components)} | members


def told(*components: dict[str, Any], **members: Any) -> dict[str, str]:
    """Component -> why nothing is known of it."""
    document = an_sbom(*components, **members)
    return {str(each): each.why for each in unscanned(document, document)}


def test_what_was_scanned_or_is_vulnerable_was_looked_at() -> None:
    scanned = a_component("pkg:pypi/jinja2@3.1", SCANNED)
    vulnerable = a_component("pkg:pypi/urllib3@1.0") | {"bom-ref": "comp-2"}

    assert told(scanned, vulnerable, vulnerabilities=[{"affects": [{"ref": "comp-2"}]}]) == {}


@pytest.mark.parametrize("said", [NO_RULES, ("info", "Component skipped: no supported rules found.")])
def test_a_package_of_which_nobody_has_reported_anything_was_looked_up(said: tuple[str, str]) -> None:
    """As most packages of any system: without it no SBOM would ever pass."""
    known = a_component("pkg:deb/ubuntu/openssl@3.0?distro=22.04", SCANNED)
    rare = a_component("pkg:deb/ubuntu/adduser@3.118?distro=22.04", said)

    assert told(known, rare, a_component("pkg:npm/left-pad@1.3.0", said)) == {}


def test_a_warning_says_why_a_component_was_not_scanned() -> None:
    unresolved = ("warning", "Component skipped: unresolved version provided.")
    assert told(a_component("pkg:golang/github.com/munnerz/goautoneg?unresolved=true", unresolved)) == {
        "goautoneg": "unresolved version provided"
    }


@pytest.mark.parametrize("kind", ["cocoapods", "generic", "swift", "alpm"])
def test_a_type_without_rules_was_not_looked_at(kind: str) -> None:
    assert told(a_component(f"pkg:{kind}/thing@1.0", NO_RULES)) == {
        "thing 1.0": f"Inspector has no rules for it, of type {kind}"
    }
    assert told(a_component(f"pkg:{kind}/thing@1.0", SCANNED)) == {}


def test_a_system_of_which_inspector_knows_no_package_was_not_looked_at() -> None:
    known = a_component("pkg:deb/ubuntu/openssl@3.0?distro=22.04", SCANNED)
    other = a_component("pkg:deb/ubuntu/adduser@3.118?distro=31.04", NO_RULES)
    nowhere = a_component("pkg:rpm/zlib@1.2", NO_RULES)

    assert told(known, other, nowhere) == {
        "adduser 3.118": "Inspector knows no package of ubuntu 31.04",
        "zlib 1.2": "Inspector knows no package of its system",
    }


def test_a_package_without_a_version_or_without_a_word_was_not_looked_at() -> None:
    assert told(a_component("pkg:npm/%40acme/pay", NO_RULES, name="@acme/pay", version="")) == {
        "@acme/pay": "no version provided"
    }
    assert told(a_component("pkg:npm/pay@1.0")) == {"pay 1.0": "Inspector says nothing of it"}


def test_what_the_answer_leaves_out_was_not_looked_at() -> None:
    jinja, flask = a_component("pkg:pypi/Jinja2@3.1%2Blocal"), a_component("pkg:pypi/flask@3.0", name="Flask")
    answer = an_sbom(a_component("pkg:pypi/jinja2@3.1+local", SCANNED))

    assert [(str(each), each.why) for each in unscanned(an_sbom(jinja, flask), answer)] == [
        ("Flask 3.0", "Inspector's answer does not have it")
    ]


def test_a_library_without_a_package_url_was_not_looked_at_whatever_the_answer_has_of_it() -> None:
    library = a_component(None, name="checkout-core", version="1.4.2", group="com.acme")
    for answer in (an_sbom(library), an_sbom()):
        assert [(str(each), each.why) for each in unscanned(an_sbom(library), answer)] == [
            ("com.acme/checkout-core 1.4.2", "no purl provided")
        ]


@pytest.mark.parametrize(
    "nothing",
    [
        {"type": "file", "name": "/usr/bin/true", "version": "sha256:5e"},
        {"type": "operating-system", "name": "debian", "version": "12"},
        {"type": "container", "name": "checkout", "version": "1.4.2"},
        {"type": "data", "name": "words"},
        {"type": "application", "name": "app/package-lock.json"},
        {"type": "application", "name": "checkout", "version": "1.4.2"},
    ],
    ids=lambda each: each["name"],
)
def test_files_and_applications_that_are_but_a_name_and_the_whole_are_no_loss(nothing: dict[str, Any]) -> None:
    root = {"component": {"type": "application", "name": "checkout", "version": "1.4.2"}}
    warned = nothing | {"properties": [{"name": f"{OURS}warning", "value": "Component skipped: no purl provided."}]}

    assert told(warned, metadata=root) == {}


def test_an_application_with_a_version_that_is_not_the_whole_is_a_loss() -> None:
    nginx = {"type": "application", "name": "nginx", "version": "1.25.3"}
    assert told(nginx) == {"nginx 1.25.3": "no purl provided"}


def test_components_inside_others_count_as_any() -> None:
    inner = a_component(None, name="inner", version="1")
    outer = a_component("pkg:pypi/outer@1", SCANNED, components=[inner])
    assert told(outer) == {"inner 1": "no purl provided"}
