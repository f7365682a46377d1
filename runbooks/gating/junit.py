"""The judgement as JUnit XML, as Jenkins, GitLab and CodeBuild read it: one test for each vulnerable package."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from runbooks.gating.judgement import Judgement, Outcome, Ruling, Weighed
from runbooks.gating.table import summary

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""XML 1.0, "Characters"."""


def as_junit(judgement: Judgement) -> str:
    """Refused is a failure, accepted is skipped, and what could not be told is an error of the first test."""
    cases = [_whole(judgement), *map(_case, judgement.weighed)]
    counts = {
        "tests": str(len(cases)),
        "failures": str(sum(case.find("failure") is not None for case in cases)),
        "errors": str(sum(case.find("error") is not None for case in cases)),
        "skipped": str(sum(case.find("skipped") is not None for case in cases)),
    }
    times = {"time": "0", "timestamp": judgement.at.replace(tzinfo=None).isoformat(timespec="seconds")}
    suites = ET.Element("testsuites", {"name": "runbooks gate", **counts, "time": "0"})
    suite = ET.SubElement(suites, "testsuite", {"name": _text(str(judgement.subject)), **counts, **times})
    suite.extend(cases)
    ET.indent(suites)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(suites, encoding="unicode")}\n'


def _whole(judgement: Judgement) -> ET.Element:
    """The gate itself: there is always one test, and it alone says what is not about one package."""
    case = _testcase("runbooks.gate", f"gate {judgement.gate}")
    kinds = {Ruling.REFUSED: "failure", Ruling.CANNOT_TELL: "error"}
    said = [*judgement.warnings, *(f"not looked at: {each} ({each.why})" for each in judgement.unscanned)]
    if judgement.ruling in kinds and judgement.reasons and not judgement.lets_pass:
        _add(case, kinds[judgement.ruling], judgement.ruling.value, summary(judgement), "\n".join(judgement.reasons))
    else:
        said = [*judgement.reasons, *said]
    if said:
        ET.SubElement(case, "system-out").text = _text("\n".join(said))
    return case


def _case(each: Weighed) -> ET.Element:
    found = each.vulnerability
    case = _testcase(f"runbooks.gate.{found.package}", str(found))
    if each.outcome is Outcome.REFUSED:
        detail = f"{found.package} {found.installed}, fixed in {found.fixed_in or 'no version yet'}"
        _add(case, "failure", found.severity, each.reason, f"{detail}\nTo fix it: {each.how_to_fix}")
    elif each.outcome is Outcome.ACCEPTED:
        ET.SubElement(case, "skipped", {"message": _text(each.reason)})
    else:
        ET.SubElement(case, "system-out").text = _text(each.reason)
    return case


def _testcase(classname: str, name: str) -> ET.Element:
    return ET.Element("testcase", {"classname": _text(classname), "name": _text(name), "time": "0"})


def _add(case: ET.Element, kind: str, of_type: str, message: str, detail: str) -> None:
    ET.SubElement(case, kind, {"type": of_type, "message": _text(message)}).text = _text(detail)


def _text(value: str) -> str:
    return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", value)
