"""The catalogue refuses a mistake in a runbook by file, line and key, and changing the file is enough to change it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from runbooks.catalog import LIBRARY, Catalog, read_runbook
from runbooks.errors import InvalidRunbook, InvalidSetting, NotFound
from runbooks.finding import ResourceType
from tests.runbooks.builders import a_finding, a_resource

SMALL = """\
# A runbook of little more than what it must say.
name: small
title: A small one
matches:
  finding_type: PACKAGE_VULNERABILITY
  resource_type: AWS_EC2_INSTANCE
  severities: [HIGH]
contain:
  when:
    - [exposed]
  quarantine:
    package_mirrors: [10.0.9.0/24]
remediate:
  checkpoints: [20, 100]
verify:
  timeout_minutes: 180
"""


def write(folder: Path, text: str, name: str = "small") -> Path:
    file = folder / f"{name}.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def refusal(file: Path) -> str:
    """What is said of the file, without its folder."""
    with pytest.raises(InvalidRunbook) as refused:
        read_runbook(file)
    assert (refused.value.code, refused.value.exit_code) == ("invalid-runbook", 2)
    return refused.value.detail.replace(f"{file.parent}/", "")


def test_a_small_runbook_is_read_and_takes_the_defaults(tmp_path: Path) -> None:
    runbook = read_runbook(write(tmp_path, SMALL))
    assert (runbook.name, runbook.title, runbook.version) == ("small", "A small one", 1)
    assert runbook.contain.when == (("exposed",),)
    assert runbook.contain.approval.required
    assert runbook.waves == ("100%",)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "title: A small one",
            "titel: A small one",
            ["small.yaml:2: title: Field", "small.yaml:3: titel: no such key"],
        ),
        ("  timeout_minutes: 180", "  timeout: 180", ["small.yaml:16: verify.timeout: no such key"]),
        ("  timeout_minutes: 180", "  timeout_minutes: soon", ["small.yaml:16: verify.timeout_minutes: Input should"]),
        ("  timeout_minutes: 180", '  timeout_minutes: "180"', ["small.yaml:16: verify.timeout_minutes: Input should"]),
        ("  timeout_minutes: 180", "  timeout_minutes: true", ["small.yaml:16: verify.timeout_minutes: Input should"]),
        (
            "  timeout_minutes: 180",
            "  timeout_minutes: 0",
            ["small.yaml:16: verify.timeout_minutes: Input should be gr"],
        ),
        (
            "  timeout_minutes: 180",
            "  timeout_minutes: 99999",
            ["small.yaml:16: verify.timeout_minutes: Input should be l"],
        ),
        ("[20, 100]", "[20, 101]", ["small.yaml:14: remediate.checkpoints.1: Input should be less than"]),
        ("severities: [HIGH]", "severities: []", ["small.yaml:7: matches.severities: "]),
        ("severities: [HIGH]", "severities: [HIGH, SEVERE]", ["small.yaml:7: matches.severities.1: "]),
        ("    - [exposed]", "    - [exposed]\n    - [worrying]", ["small.yaml:11: contain.when.1.0: "]),
        ("10.0.9.0/24", "10.0.9.0/99", ["small.yaml:12: contain.quarantine.package_mirrors.0: "]),
        ("10.0.9.0/24", "10.0.9.5/24", ["small.yaml:12: contain.quarantine.package_mirrors.0: "]),
        ("10.0.9.0/24", "10.0.9.5", ["small.yaml:12: contain.quarantine.package_mirrors.0: "]),
        ("contain:\n  when:\n    - [exposed]\n", "contain:\n", ["small.yaml:8: contain.when: Field required"]),
        ("title: A small one", "title: [A, B]", ["small.yaml:3: title: Input should be a valid string"]),
        ("name: small", "name: Small One", ["small.yaml:2: name: String should match pattern"]),
    ],
)
def test_a_mistake_is_named_by_file_line_and_key(tmp_path: Path, old: str, new: str, said: list[str]) -> None:
    assert old in SMALL
    lines = refusal(write(tmp_path, SMALL.replace(old, new))).splitlines()
    assert len(lines) == len(said)
    for line in said:
        assert [each for each in lines if each.startswith(line)], lines


def test_every_mistake_of_a_file_is_told_at_once(tmp_path: Path) -> None:
    text = SMALL.replace("  timeout_minutes: 180", "  timeout: 1").replace("[20, 100]", "[0]").replace("[HIGH]", "[]")
    assert len(refusal(write(tmp_path, text)).splitlines()) == 3


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("title: A small one", "title: A small one\ntitle: Another", "small.yaml:4: title: the key is there twice"),
        ("  timeout_minutes: 180", "  timeout_minutes: 1\n  timeout_minutes: 2", "small.yaml:17: timeout_minutes: "),
        ("    - [exposed]", "    - {exposed: 1, exposed: 2}", "small.yaml:10: exposed: the key is there twice"),
    ],
)
def test_a_key_that_is_there_twice_is_refused_wherever_it_is(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert refusal(write(tmp_path, SMALL.replace(old, new))).startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: [small\n", "small.yaml:2: not YAML: "),
        ("name: small\n\ttitle: x\n", "small.yaml:2: not YAML: "),
        ("name: !!python/object:os.system {}\n", "small.yaml:1: not YAML: "),
        ("name: small\n---\nname: other\n", "small.yaml:2: not YAML: "),
        ("name: small\ntitle: a\x07bell\n", "small.yaml:1: not YAML: "),
        ("name: small\ntitle: 2026-13-45\n", "small.yaml:1: not YAML: "),
        ("", "small.yaml:1: a runbook is a mapping of keys to values"),
        ("# nothing but a comment\n", "small.yaml:1: a runbook is a mapping of keys to values"),
        ("- name: small\n", "small.yaml:1: a runbook is a mapping of keys to values"),
        ("small\n", "small.yaml:1: a runbook is a mapping of keys to values"),
    ],
)
def test_what_is_not_a_mapping_in_yaml_is_refused(tmp_path: Path, text: str, said: str) -> None:
    found = refusal(write(tmp_path, text))
    assert found.startswith(said)
    assert len(found.splitlines()) == 1


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "absent.yaml").startswith("absent.yaml: cannot be read: ")
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("title: naïve".encode("latin-1"))
    assert refusal(latin).startswith("latin.yaml: cannot be read: ")


def test_a_check_of_ours_speaks_in_our_own_words(tmp_path: Path) -> None:
    said = refusal(write(tmp_path, SMALL.replace("10.0.9.0/24", "10.0.9.0")))
    assert said == (
        "small.yaml:12: contain.quarantine.package_mirrors.0: a CIDR has a prefix length, such as 10.0.9.0/24"
    )


def test_a_runbook_has_its_files_name(tmp_path: Path) -> None:
    assert refusal(write(tmp_path, SMALL, "other")) == "other.yaml:1: name: 'small' must be the file's name, 'other'"


# --- many of them ----------------------------------------------------------------------------------------------------


def test_one_bad_runbook_spoils_the_whole_catalogue(tmp_path: Path) -> None:
    write(tmp_path, SMALL)
    write(tmp_path, "", "empty")
    with pytest.raises(InvalidRunbook, match=r"empty\.yaml:1"):
        Catalog.read(tmp_path)


def test_a_later_folders_runbook_takes_the_place_of_the_earlier_ones(tmp_path: Path) -> None:
    shutil.copytree(LIBRARY, tmp_path / "mine")
    changed = tmp_path / "mine" / "ec2-package-cve.yaml"
    changed.write_text(changed.read_text().replace("title: Package CVE on an EC2 instance", "title: Ours"))
    catalog = Catalog.read(LIBRARY, tmp_path / "mine")
    assert [runbook.name for runbook in catalog] == sorted(file.stem for file in LIBRARY.glob("*.yaml"))
    assert catalog.named("ec2-package-cve").title == "Ours"
    assert Catalog.read().named("ec2-package-cve").title == "Package CVE on an EC2 instance"


def test_a_folder_without_a_runbook_is_a_mistake_in_the_setting(tmp_path: Path) -> None:
    empty, nowhere, file = tmp_path / "empty", tmp_path / "nowhere", write(tmp_path, SMALL)
    empty.mkdir()
    (empty / "small.yml").write_text(SMALL)
    said = {
        nowhere: f"RUNBOOKS_LIBRARY: there is no folder {nowhere}",
        file: f"RUNBOOKS_LIBRARY: there is no folder {file}",
        empty: f"RUNBOOKS_LIBRARY: the folder {empty} holds no *.yaml",
    }
    for folder, words in said.items():
        with pytest.raises(InvalidSetting) as refused:
            Catalog.read(LIBRARY, folder)
        assert (refused.value.detail, refused.value.exit_code) == (words, 2)


def test_a_name_that_nobody_has_is_answered_with_the_names_there_are() -> None:
    with pytest.raises(NotFound, match=r"'lost'.*ec2-high-severity-cve, ec2-package-cve") as refused:
        Catalog.read().named("lost")
    assert refused.value.code == "no-such-runbook"
    with pytest.raises(NotFound, match="the library has: none"):
        Catalog(()).named("lost")


def test_the_first_runbook_by_file_name_covers_a_finding(tmp_path: Path) -> None:
    write(tmp_path, SMALL.replace("name: small", "name: b-second"), "b-second")
    write(tmp_path, SMALL.replace("name: small", "name: a-first"), "a-first")
    covering = Catalog.read(tmp_path).covering(a_finding(severity="HIGH"))
    assert covering is not None
    assert covering.name == "a-first"
    assert Catalog.read(tmp_path).covering(a_finding(severity="LOW")) is None


def a_ticket(name: str, finding_type: str = "any", resource_type: str = "any", *, when: str = "[]") -> str:
    return f"""\
name: {name}
title: For a person
playbook: ticket
matches:
  finding_type: {finding_type}
  resource_type: {resource_type}
  severities: [HIGH]
contain:
  when: {when}
"""


def test_the_preciser_runbook_goes_before_the_one_for_anything_whatever_their_files_are_called(tmp_path: Path) -> None:
    write(tmp_path, a_ticket("a-anything"), "a-anything")
    write(tmp_path, a_ticket("b-any-package", "PACKAGE_VULNERABILITY"), "b-any-package")
    write(tmp_path, SMALL.replace("name: small", "name: c-instances"), "c-instances")
    catalog = Catalog.read(tmp_path)

    def covering(finding_type: str, resource_type: str) -> str | None:
        found = catalog.covering(a_finding(severity="HIGH", type=finding_type, resource=a_resource(type=resource_type)))
        return found.name if found else None

    assert covering("PACKAGE_VULNERABILITY", "AWS_EC2_INSTANCE") == "c-instances"
    assert covering("PACKAGE_VULNERABILITY", "MACHINE_IMAGE") == "b-any-package"
    assert covering("CODE_VULNERABILITY", "CODE_REPOSITORY") == "a-anything"


def test_anything_is_what_this_system_knows(tmp_path: Path) -> None:
    write(tmp_path, a_ticket("anything"), "anything")
    write(tmp_path, a_ticket("quantum", resource_type="AWS_QUANTUM"), "quantum")
    catalog = Catalog.read(tmp_path)
    known = {
        each: a_finding(severity="HIGH", resource=a_resource(type=each)) for each in (*ResourceType, "AWS_QUANTUM")
    }
    covered = {each: runbook.name for each, finding in known.items() if (runbook := catalog.covering(finding))}
    assert covered == dict.fromkeys(ResourceType, "anything") | {"AWS_QUANTUM": "quantum"}
    assert catalog.covering(a_finding(severity="HIGH", type="SECRET_EXPOSURE")) is None
    assert catalog.covering(a_finding(severity="HIGH", resource=a_resource(type="AWS_TELEPORTER"))) is None


def test_a_ticket_contains_nothing(tmp_path: Path) -> None:
    said = refusal(write(tmp_path, a_ticket("small", when="[[exposed]]")))
    assert said == "small.yaml:1: the runbook: contain.when: a ticket changes nothing; leave it empty"
