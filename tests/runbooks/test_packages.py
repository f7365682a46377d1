"""Versions in the order of the package manager that owns them, and never an order that is guessed."""

from __future__ import annotations

import functools
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbooks.errors import BadInput
from runbooks.finding import VulnerablePackage
from runbooks.packages import (
    Scheme,
    compare,
    full_version,
    is_fixed,
    os_managed,
    override_id,
    package_architecture,
    scheme_for,
)

DEB, RPM = Scheme.DEB, Scheme.RPM

RISING = {
    DEB: [
        "1.0~~",
        "1.0~beta1-1",
        "1.0~rc1-1",
        "1.0",
        "1.0-1~bpo12+1",
        "1.0-1",
        "1.0-1ubuntu0.1",
        "1.0-1ubuntu0.10",
        "1.0-1+deb12u1",
        "1.0+dfsg-1",
        "1.0.1",
        "1.9-1",
        "1.10-1",
        "5.15.0.1026.30~20.04.16",
        "5.15.0.1027.31~20.04.16",
        "1:0.1-1",
        "2:0.0.1",
    ],
    RPM: [
        "1.0~beta1-1",
        "1.0~rc1-1",
        "1.0-1.amzn2",
        "1.0-1.el9",
        "1.0-2.amzn2",
        "1.0-10.amzn2",
        "1.0^20240101git-1",
        "1.0a-1",
        "1.0.1-1",
        "1.9-1",
        "1.10-1",
        "5.10.118-111.515.amzn2",
        "5.10.130-118.517.amzn2",
        "1:0.1-1",
        "2:0.0.1-1",
    ],
}
SAME = {
    DEB: [("1.0", "0:1.0"), ("1.0", "1.0-0"), ("1.01", "1.1"), ("2:1.0-1", "2:1.0-1")],
    RPM: [("1.0-1", "0:1.0-1"), ("1.01-1", "1.1-1"), ("1.0_1-1", "1.0.1-1"), ("2:1.0-1", "2:1.0-1")],
}
LOOKALIKES = [
    "".join(parts)
    for parts in itertools.product(("", "1:"), ("1.0", "1.0a", "1.00"), ("", "~", "~1", "+1", "-1", "-1~a", ".1", ".a"))
]


def versions(scheme: Scheme) -> st.SearchStrategy[str]:
    marks = "~+." if scheme is DEB else "~^+._"
    pieces = st.sampled_from(["0", "1", "9", "10", "010", "a", "b", "Z", "rc", "el", *marks, *marks])
    body = st.lists(pieces, max_size=5).map("".join)
    epoch, release = st.sampled_from(["", "", "0:", "1:"]), body.map(lambda text: f"-1{text}") | st.just("")
    return st.builds("{}1{}{}".format, epoch, body, release)


PAIRS = st.sampled_from(Scheme).flatmap(lambda scheme: st.tuples(st.just(scheme), versions(scheme), versions(scheme)))
TRIPLES = st.sampled_from(Scheme).flatmap(lambda scheme: st.tuples(st.just(scheme), *[versions(scheme)] * 3))


@pytest.mark.parametrize("scheme", Scheme)
def test_each_version_comes_before_every_later_one(scheme: Scheme) -> None:
    for earlier, later in itertools.combinations(RISING[scheme], 2):
        assert (compare(earlier, later, scheme), compare(later, earlier, scheme)) == (-1, 1), (earlier, later)


@pytest.mark.parametrize(("scheme", "pair"), [(scheme, pair) for scheme in Scheme for pair in SAME[scheme]])
def test_two_ways_to_write_one_version_are_equal(scheme: Scheme, pair: tuple[str, str]) -> None:
    assert compare(*pair, scheme) == 0


@pytest.mark.parametrize(
    ("a", "b", "in_deb", "in_rpm"),
    [
        ("1.0", "1.0~rc1", 1, 1),
        ("1.0a", "1.0.1", -1, -1),
        ("1.0Z", "1.0a", -1, -1),
        ("1.0+1", "1.0.1", -1, 0),
        ("1.0.a", "1.0.1", 1, -1),
    ],
)
def test_each_scheme_orders_by_its_own_rules(a: str, b: str, in_deb: int, in_rpm: int) -> None:
    assert (compare(a, b, DEB), compare(a, b, RPM)) == (in_deb, in_rpm)


def test_the_caret_comes_after_the_version_and_before_the_next() -> None:
    assert compare("1.0^1", "1.0", RPM) == 1
    assert compare("1.0^1", "1.0.1", RPM) == -1
    assert compare("1.0~1^2", "1.0~1", RPM) == 1


@settings(max_examples=300, deadline=None)
@given(PAIRS)
def test_the_other_way_round_is_the_other_answer(pair: tuple[Scheme, str, str]) -> None:
    scheme, a, b = pair

    assert compare(a, b, scheme) == -compare(b, a, scheme)
    assert compare(a, a, scheme) == 0


@settings(max_examples=300, deadline=None)
@given(TRIPLES)
def test_order_carries_over(triple: tuple[Scheme, str, str, str]) -> None:
    scheme, *rest = triple
    first, second, third = sorted(rest, key=functools.cmp_to_key(lambda a, b: compare(a, b, scheme)))

    assert compare(first, second, scheme) <= 0
    assert compare(second, third, scheme) <= 0
    assert compare(first, third, scheme) <= 0


@pytest.mark.parametrize("scheme", Scheme)
def test_order_carries_over_among_versions_that_look_alike(scheme: Scheme) -> None:
    below = {(a, b): compare(a, b, scheme) <= 0 for a, b in itertools.product(LOOKALIKES, repeat=2)}

    broken = [(a, b, c) for a, b in below for c in LOOKALIKES if below[a, b] and below[b, c] and not below[a, c]]
    assert broken == []


@settings(max_examples=200, deadline=None)
@given(PAIRS, st.integers(1, 9))
def test_a_higher_epoch_beats_any_version(pair: tuple[Scheme, str, str], epoch: int) -> None:
    scheme, a, b = pair
    bare_a, bare_b = a.rpartition(":")[2], b.rpartition(":")[2]

    assert compare(f"{epoch}:{bare_a}", bare_b, scheme) == 1
    assert compare(f"{epoch}:{bare_a}", f"{epoch}:{bare_b}", scheme) == compare(bare_a, bare_b, scheme)


@pytest.mark.parametrize(
    ("installed", "fixed_in", "scheme", "fixed"),
    [
        ("2.63", "0:2.63+22.04ubuntu0.1", DEB, False),
        ("2.63+22.04ubuntu0.1", "0:2.63+22.04ubuntu0.1", DEB, True),
        ("3.0.2-0ubuntu1.100", "0:3.0.2-0ubuntu1.99", DEB, True),
        ("1:1.2.13.dfsg-1", "1:1.2.13.dfsg-2", DEB, False),
        ("5.10.118-111.515.amzn2", "0:5.10.130-118.517.amzn2", RPM, False),
        ("5.10.130-118.517.amzn2", "0:5.10.130-118.517.amzn2", RPM, True),
        ("1:3.0.8-1.amzn2023.0.3", "1:3.0.8-1.amzn2023.0.12", RPM, False),
        # The epoch was raised: only the version decides where the fixed version names no epoch.
        ("1:3.0.7-1", "3.0.8-1", RPM, False),
        ("1:3.0.8-1", "3.0.8-1", RPM, True),
        ("1:3.0.7-1", "0:3.0.8-1", RPM, True),
        ("3.0.9-1", "1:3.0.8-1", RPM, False),
    ],
)
def test_fixed_is_at_or_past_the_fixed_version(installed: str, fixed_in: str, scheme: Scheme, fixed: bool) -> None:
    assert is_fixed(installed, fixed_in, scheme) is fixed


@pytest.mark.parametrize(
    ("version", "scheme"),
    [
        *itertools.product(("", " ", "NotAvailable", "1.0 2", "1:", "x:1.0", "-1", "1.0\n", "\u0661.0"), Scheme),
        ("1.0-", DEB),
        ("v1.0", DEB),
        ("1.0^1", DEB),
        ("1.0-1-2", RPM),
        ("1111111111:1", RPM),
    ],
)
def test_what_is_no_version_has_no_order(version: str, scheme: Scheme) -> None:
    for pair in ((version, "1.0"), ("1.0", version)):
        with pytest.raises(BadInput) as refused:
            is_fixed(*pair, scheme)
        assert refused.value.code == "unreadable-version"


@pytest.mark.parametrize(
    ("platform", "scheme"),
    [
        ("UBUNTU_22_04", DEB),
        ("DEBIAN_12", DEB),
        ("Ubuntu", DEB),
        ("Debian GNU/Linux", DEB),
        ("AMAZON_LINUX", RPM),
        ("AMAZON_LINUX_2", RPM),
        ("AMAZON_LINUX_2023", RPM),
        ("Amazon Linux", RPM),
        ("RHEL_9", RPM),
        ("REDHAT_9", RPM),
        ("Red Hat Enterprise Linux", RPM),
        ("ORACLE_LINUX_8", RPM),
        ("ROCKY_LINUX_9", RPM),
        ("ALMALINUX_9", RPM),
        ("ALMA_LINUX_9", RPM),
        ("CENTOS_7", RPM),
        ("SUSE_SERVER_15", RPM),
        ("OPENSUSE_15", RPM),
        ("SLES_15", RPM),
        ("FEDORA_40", RPM),
        ("WINDOWS_SERVER_2022", None),
        ("ALPINE_LINUX_3_20", None),
        ("BOTTLEROCKET", None),
        ("MACOS_14", None),
        ("DEBIANISH_1", None),
        ("", None),
    ],
)
def test_the_platform_says_how_its_versions_are_ordered(platform: str, scheme: Scheme | None) -> None:
    assert scheme_for(platform, "OS") is scheme
    assert [scheme_for(platform, manager) for manager in ("PIP", "JAR", "UNKNOWN", "os", "")] == [None] * 5


def a_package(**changed: object) -> VulnerablePackage:
    facts: dict[str, object] = {"name": "openssl-libs", "version": "3.0.8", "release": "1.amzn2023", "arch": "X86_64"}
    return VulnerablePackage.model_validate(facts | changed)


@pytest.mark.parametrize(
    ("changed", "version"),
    [
        ({}, "3.0.8-1.amzn2023"),
        ({"epoch": 1}, "1:3.0.8-1.amzn2023"),
        ({"release": None}, "3.0.8"),
        ({"epoch": 2, "version": "1:3.0.8"}, "1:3.0.8-1.amzn2023"),
    ],
)
def test_the_full_version_joins_what_inspector_sends_apart(changed: dict[str, object], version: str) -> None:
    assert full_version(a_package(**changed)) == version


@pytest.mark.parametrize(
    ("arch", "in_deb", "in_rpm"),
    [
        ("X86_64", "amd64", "x86_64"),
        ("AMD64", "amd64", "x86_64"),
        ("ARM64", "arm64", "aarch64"),
        ("AARCH64", "arm64", "aarch64"),
        ("NOARCH", "all", "noarch"),
        ("ALL", "all", "noarch"),
        ("I686", "i386", "i686"),
        ("PPC64LE", "ppc64le", "ppc64le"),
        ("x86_64", "amd64", "x86_64"),
    ],
)
def test_each_package_manager_has_its_own_word_for_an_architecture(arch: str, in_deb: str, in_rpm: str) -> None:
    assert (package_architecture(arch, DEB), package_architecture(arch, RPM)) == (in_deb, in_rpm)


@pytest.mark.parametrize(
    ("changed", "override"),
    [
        ({}, "openssl-libs.x86_64"),
        ({"name": "libstdc++", "arch": "ARM64"}, "libstdc++.aarch64"),
        ({"name": "python3.11"}, "python3.11.x86_64"),
        ({"arch": None}, None),
        ({"arch": "*"}, None),
        ({"name": "*"}, None),
        ({"name": "open[s]sl"}, None),
        ({"name": "a\n- id: '*'"}, None),
    ],
)
def test_an_override_names_one_package_or_none(changed: dict[str, object], override: str | None) -> None:
    assert override_id(a_package(**changed), RPM) == override


def test_only_the_operating_systems_own_packages_are_its_to_update() -> None:
    assert [os_managed(a_package(manager=manager)) for manager in ("OS", "PIP", "GOBINARY", "UNKNOWN")] == [
        True,
        False,
        False,
        False,
    ]
