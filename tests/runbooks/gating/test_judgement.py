"""What the gate refuses, what it lets pass and why, and that nothing passes because nobody could look."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from runbooks.gating import Outcome, Refuse, Ruling, Vulnerability
from runbooks.gating.judgement import Unscanned
from tests.runbooks.gating.gated import (
    CVE,
    DIGEST,
    NOW,
    REPOSITORY,
    a_gate,
    a_vulnerability,
    an_accepted_risk,
    judged,
    without_a_fix,
)

LISTED = datetime(2026, 2, 1, tzinfo=UTC)


def outcome(vulnerability: Vulnerability, **gate: object) -> tuple[str, str]:
    (weighed,) = judged(vulnerability, gate=a_gate(**gate)).weighed
    return weighed.outcome.value, weighed.reason


def test_an_image_without_vulnerabilities_passes() -> None:
    judgement = judged(scanned_at=NOW)

    assert (judgement.ruling, judgement.lets_pass, judgement.reasons, judgement.warnings) == (
        Ruling.PASSED,
        True,
        (),
        (),
    )


def test_a_severity_of_the_runbook_with_a_fix_is_refused_and_another_is_not() -> None:
    assert outcome(a_vulnerability()) == ("refused", "severity HIGH, and a fix is available")
    assert outcome(a_vulnerability(severity="MEDIUM")) == ("tolerated", "MEDIUM is not refused")


def test_what_nobody_has_rated_is_refused_where_the_runbook_names_it() -> None:
    unrated = a_vulnerability(severity="UNTRIAGED")
    assert outcome(unrated, refuse=Refuse(severities=("UNTRIAGED",)))[0] == "refused"
    assert outcome(unrated) == ("tolerated", "UNTRIAGED is not refused")


def test_what_no_version_fixes_passes_unless_the_runbook_minds() -> None:
    assert outcome(without_a_fix()) == ("tolerated", "no version fixes it yet")
    assert outcome(without_a_fix(), only_when_fix_available=False) == ("refused", "severity HIGH")


def test_epss_from_the_threshold_on_is_enough_whatever_the_severity() -> None:
    likely = a_vulnerability(severity="LOW", epss=0.5)
    refuse = Refuse(severities=(), epss=0.5)
    assert outcome(likely, refuse=refuse) == (
        "refused",
        "likely to be exploited (EPSS 0.50, refused from 0.50 on), and a fix is available",
    )
    assert outcome(a_vulnerability(severity="LOW", epss=0.49), refuse=refuse)[0] == "tolerated"
    assert outcome(a_vulnerability(severity="LOW", epss=None), refuse=refuse)[0] == "tolerated"
    assert outcome(likely, refuse=Refuse(severities=()))[0] == "tolerated"


def test_grace_counts_from_when_it_was_known_and_ends() -> None:
    grace = {"HIGH": 3}
    assert outcome(a_vulnerability(known_since=NOW.replace(day=1)), grace_days=grace) == (
        "tolerated",
        "its grace ends on 2026-03-04",
    )
    assert outcome(a_vulnerability(known_since=datetime(2026, 2, 27, 12, tzinfo=UTC)), grace_days=grace)[0] == "refused"
    assert outcome(a_vulnerability(known_since=None), grace_days=grace)[0] == "refused"
    assert outcome(a_vulnerability(known_since=NOW), grace_days={"CRITICAL": 3})[0] == "refused"


@pytest.mark.parametrize(
    "excuse",
    [
        {"vulnerability": without_a_fix(known_exploited_since=LISTED)},
        {"vulnerability": a_vulnerability(known_exploited_since=LISTED, severity="LOW")},
        {"vulnerability": a_vulnerability(known_exploited_since=LISTED), "grace_days": {"HIGH": 365}},
        {"vulnerability": a_vulnerability(known_exploited_since=LISTED), "accepted": (an_accepted_risk(),)},
    ],
    ids=["no-fix", "low", "grace", "accepted"],
)
def test_what_is_exploited_in_the_wild_has_no_excuse(excuse: dict[str, object]) -> None:
    vulnerability = excuse.pop("vulnerability")
    assert isinstance(vulnerability, Vulnerability)
    assert outcome(vulnerability, **excuse) == (
        "refused",
        "exploited in the wild: in CISA's catalogue since 2026-02-01",
    )


def test_a_runbook_may_choose_not_to_refuse_by_cisas_catalogue() -> None:
    listed = a_vulnerability(known_exploited_since=LISTED, severity="LOW")
    assert outcome(listed, refuse=Refuse(known_exploited=False))[0] == "tolerated"


def test_a_malicious_package_has_no_excuse_either() -> None:
    bad = without_a_fix(id="MAL-2026-7", severity="LOW", malicious=True)
    risk = an_accepted_risk(vulnerability="MAL-2026-7")
    assert outcome(bad, accepted=(risk,)) == ("refused", "the package is malicious")


# --- accepted risks --------------------------------------------------------------------------------------------------


def test_an_accepted_risk_lets_pass_what_it_names_and_says_whose_it_is() -> None:
    risk = an_accepted_risk()
    judgement = judged(a_vulnerability(), gate=a_gate(accepted=(risk,)))

    assert judgement.ruling is Ruling.PASSED
    (weighed,) = judgement.of(Outcome.ACCEPTED)
    assert (weighed.accepted, weighed.reason) == (risk, "accepted by jane@example.com until 2026-03-31")


@pytest.mark.parametrize(
    ("pattern", "covers"),
    [
        ({"package": "zlib*"}, True),
        ({"package": "ZLIB*"}, False),
        ({"package": "openssl"}, False),
        ({"repository": "team/*"}, True),
        ({"repository": "other/*"}, False),
        ({"digest": DIGEST}, True),
        ({"digest": f"sha256:{'00' * 32}"}, False),
        ({"package": "zlib1g", "repository": REPOSITORY, "digest": "sha256:*"}, True),
        ({"package": "zlib1g", "repository": "other"}, False),
        ({"vulnerability": "CVE-2026-*"}, False),
    ],
)
def test_every_pattern_of_an_accepted_risk_must_match(pattern: dict[str, str], covers: bool) -> None:
    judgement = judged(a_vulnerability(), gate=a_gate(accepted=(an_accepted_risk(**pattern),)))
    assert judgement.lets_pass is covers


def test_an_accepted_risk_of_a_repository_is_not_one_of_an_sbom() -> None:
    assert not an_accepted_risk(repository="*").covers(CVE, "zlib1g", None, DIGEST)


def test_an_expired_risk_does_not_count_and_is_named() -> None:
    expired, other = an_accepted_risk(expires="2026-03-01"), an_accepted_risk(vulnerability="CVE-2020-1")
    judgement = judged(a_vulnerability(), gate=a_gate(accepted=(expired, other)))

    assert judgement.ruling is Ruling.REFUSED
    assert judgement.warnings == (
        f"the accepted risk {CVE} of jane@example.com expired on 2026-03-01: it does not count",
    )


def test_an_accepted_risk_counts_on_its_last_day_in_utc() -> None:
    last = an_accepted_risk(expires="2026-03-02")
    assert not last.has_expired(datetime(2026, 3, 2, 23, 59, 59, tzinfo=UTC))
    assert last.has_expired(datetime(2026, 3, 3, tzinfo=UTC))


def test_a_renewed_risk_counts_beside_the_expired_one() -> None:
    risks = (an_accepted_risk(expires="2026-03-01"), an_accepted_risk(owner="joe@example.com"))
    judgement = judged(a_vulnerability(), gate=a_gate(accepted=risks))

    assert judgement.lets_pass
    assert judgement.weighed[0].accepted == risks[1]


# --- the whole -------------------------------------------------------------------------------------------------------


def test_an_open_case_refuses_an_image_that_is_otherwise_good() -> None:
    judgement = judged(blocked_by="case-0123456789ab")

    assert (judgement.ruling, judgement.blocked_by) == (Ruling.REFUSED, "case-0123456789ab")
    assert judgement.reasons == ("case-0123456789ab is open for it, and holds it back until it is closed",)


@pytest.mark.parametrize(("choice", "lets_pass"), [("refuse", False), ("pass", True)])
def test_what_cannot_be_told_passes_only_by_the_runbooks_choice(choice: str, lets_pass: bool) -> None:
    judgement = judged(gate=a_gate(cannot_tell=choice), unknown=("it was not scanned",))

    assert (judgement.ruling, judgement.lets_pass) == (Ruling.CANNOT_TELL, lets_pass)
    assert judgement.reasons == ("it was not scanned",)


def test_what_is_refused_is_refused_although_something_else_cannot_be_told() -> None:
    judgement = judged(a_vulnerability(), gate=a_gate(cannot_tell="pass"), unknown=("something",))

    assert (judgement.ruling, judgement.lets_pass) == (Ruling.REFUSED, False)


def test_what_nobody_looked_at_cannot_be_told_unless_the_runbook_lets_it_go() -> None:
    lost = tuple(Unscanned(name=name, version="1", why="no purl provided") for name in ("core", "pay", "shop", "ui"))

    judgement = judged(unscanned=lost)
    assert (judgement.ruling, judgement.unscanned) == (Ruling.CANNOT_TELL, lost)
    assert judgement.reasons == ("Inspector did not look at 4 components: core 1, pay 1 and 2 more",)
    some = judged(gate=a_gate(unscanned_components=("?ay", "core")), unscanned=lost)
    assert some.reasons == ("Inspector did not look at 2 components: shop 1 and ui 1",)
    every = judged(gate=a_gate(unscanned_components=("*",)), unscanned=lost)
    assert (every.ruling, every.reasons, every.unscanned) == (Ruling.PASSED, (), lost)


def test_only_what_cannot_be_told_may_be_told_later() -> None:
    assert judged(unknown=("it was not scanned",), not_yet=True).not_yet
    assert not judged(unknown=("it was not scanned",)).not_yet
    assert not judged(a_vulnerability(), unknown=("it was not scanned",), not_yet=True).not_yet


def test_nothing_passes_because_nobody_could_look_into_cisas_catalogue() -> None:
    unknown = a_vulnerability(severity="LOW", exploitation_known=False)

    judgement = judged(unknown)
    assert judgement.ruling is Ruling.CANNOT_TELL
    assert judgement.reasons == (f"whether {CVE} is in CISA's catalogue could not be looked up",)
    assert judged(unknown, gate=a_gate(refuse=Refuse(known_exploited=False))).ruling is Ruling.PASSED
    assert judged(a_vulnerability(exploitation_known=False)).reasons == ()


def test_suppressed_in_inspector_is_weighed_as_any_other_and_said() -> None:
    judgement = judged(a_vulnerability(suppressed=True))

    assert judgement.ruling is Ruling.REFUSED
    assert judgement.warnings == (
        f"{CVE} is suppressed in Inspector, which is nobody's accepted risk: it is weighed as any other",
    )


def test_the_refused_come_first_and_the_worst_of_them_before() -> None:
    judgement = judged(
        a_vulnerability(id="CVE-4", severity="LOW"),
        a_vulnerability(id="CVE-3", package="b"),
        a_vulnerability(id="CVE-2", package="a"),
        a_vulnerability(id="CVE-1", severity="CRITICAL"),
        a_vulnerability(id="CVE-5", severity="LOW", known_exploited_since=LISTED),
    )

    assert [each.vulnerability.id for each in judgement.weighed] == ["CVE-5", "CVE-1", "CVE-2", "CVE-3", "CVE-4"]


def test_the_same_judgement_has_the_same_digest_and_another_has_another() -> None:
    assert judged(a_vulnerability()).digest == judged(a_vulnerability()).digest
    assert judged(a_vulnerability()).digest != judged(a_vulnerability(installed="2")).digest
