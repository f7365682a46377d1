"""The judgement as SARIF 2.1.0 (OASIS), with what GitHub's code scanning asks for beyond it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from runbooks.gating.judgement import Judgement, Outcome, Ruling, Weighed
from runbooks.gating.subject import Subject
from runbooks.gating.table import summary
from runbooks.gating.vulnerability import Vulnerability

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"
MOST_RESULTS = 25_000
"""What GitHub takes of one run."""
WHOLE = "runbooks-gate"
"""The rule of what is not about one vulnerability: a block, a scan that is missing."""
_LEVELS = {Outcome.REFUSED: "error", Outcome.ACCEPTED: "warning", Outcome.TOLERATED: "note"}
_SCORES = {"CRITICAL": 9.0, "HIGH": 7.0, "MEDIUM": 4.0, "LOW": 0.1, "INFORMATIONAL": 0.0, "UNTRIAGED": 7.0}
"""Where there is no score: the lowest that GitHub calls by that word; what nobody rated is high until somebody does."""


def as_sarif(judgement: Judgement) -> dict[str, Any]:
    """One run with a rule for each vulnerability and a result for each vulnerable package."""
    weighed = judgement.weighed[:MOST_RESULTS]
    alike: dict[str, list[Weighed]] = {}
    for each in weighed:
        alike.setdefault(each.vulnerability.id, []).append(each)
    rules = {name: _rule(members) for name, members in alike.items()}
    results = [_result(each, judgement.subject) for each in weighed]
    if judgement.reasons:
        rules[WHOLE] = {"id": WHOLE} | _described("The image or SBOM as a whole", "See what the result says.")
        results += [_of_the_whole(reason, judgement) for reason in judgement.reasons]
    indexes = {name: index for index, name in enumerate(rules)}
    run = {
        "tool": {"driver": {"name": "runbooks gate", "rules": list(rules.values())}},
        "automationDetails": {"id": f"runbooks-gate/{judgement.subject.repository or judgement.subject.name}/"},
        "invocations": [_invocation(judgement)],
        "results": [each | {"ruleIndex": indexes[each["ruleId"]]} for each in results],
        "properties": {
            "subject": str(judgement.subject),
            "gate": f"{judgement.gate} version {judgement.gate_version}",
            "ruling": judgement.ruling.value,
        },
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(alike: Sequence[Weighed]) -> dict[str, Any]:
    found = alike[0].vulnerability
    score = found.score if found.score is not None else _SCORES[found.severity]
    remedies = dict.fromkeys(f"{each.vulnerability.package}: {each.how_to_fix}" for each in alike)
    rule: dict[str, Any] = {
        "id": found.id,
        **_described(found.title or found.id, "\n".join(remedies)),
        "properties": {"security-severity": f"{score:.1f}", "tags": ["security", "vulnerability", found.severity]},
    }
    if found.source_url and found.source_url.startswith(("https://", "http://")):
        rule["helpUri"] = found.source_url
    return rule


def _described(title: str, remedy: str) -> dict[str, Any]:
    """The three texts that GitHub asks of a rule."""
    text = {"text": title}
    return {"shortDescription": text, "fullDescription": text, "help": {"text": remedy}}


def _of_the_whole(reason: str, judgement: Judgement) -> dict[str, Any]:
    return {
        "ruleId": WHOLE,
        "level": "warning" if judgement.lets_pass else "error",
        "message": {"text": f"{judgement.subject}: {reason}"},
        "locations": [{"physicalLocation": _file(judgement.subject.repository or judgement.subject.name)}],
        "partialFingerprints": {"gate/v1": hashlib.sha256(reason.encode()).hexdigest()},
    }


def _result(each: Weighed, subject: Subject) -> dict[str, Any]:
    found = each.vulnerability
    text = f"{found} ({found.severity}), {each.outcome}: {each.reason}"
    result: dict[str, Any] = {
        "ruleId": found.id,
        "level": _LEVELS[each.outcome],
        "message": {"text": f"{text}. To fix it: {each.how_to_fix}."},
        "locations": [_location(found, subject)],
        "partialFingerprints": {"packageVulnerability/v1": _fingerprint(found, subject)},
    }
    if each.accepted is not None:
        why = f"{each.accepted.reason} ({each.accepted.owner}, until {each.accepted.expires})"
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": why}]
    return result


def _location(found: Vulnerability, subject: Subject) -> dict[str, Any]:
    """GitHub wants a file and a line: the package's file in the image, or the image's own name."""
    file = (found.path or "").lstrip("/") or subject.repository or subject.name
    return {
        "physicalLocation": _file(file),
        "logicalLocations": [
            {
                "name": found.package,
                "fullyQualifiedName": "/".join(filter(None, (str(subject), found.platform, found.package))),
                "kind": "package",
            }
        ],
    }


def _fingerprint(found: Vulnerability, subject: Subject) -> str:
    """The same from build to build: neither the digest nor the installed version is in it."""
    where = [subject.repository or subject.name, found.id, found.package, found.path or ""]
    where += [found.platform] if found.platform else []
    return hashlib.sha256("\n".join(where).encode()).hexdigest()


def _invocation(judgement: Judgement) -> dict[str, Any]:
    invocation: dict[str, Any] = {
        "executionSuccessful": judgement.ruling is not Ruling.CANNOT_TELL,
        "endTimeUtc": judgement.at.isoformat().replace("+00:00", "Z"),
        "exitCodeDescription": summary(judgement),
    }
    levels = [
        *(("error", each) for each in judgement.reasons),
        *(("warning", each) for each in judgement.warnings),
        *(("note", f"not looked at: {each} ({each.why})") for each in judgement.unscanned),
    ]
    if levels:
        told = [{"level": level, "message": {"text": text}} for level, text in levels]
        invocation["toolExecutionNotifications"] = told
    return invocation


def _file(path: str) -> dict[str, Any]:
    return {"artifactLocation": {"uri": quote(path, safe="/@._-~+")}, "region": {"startLine": 1}}
