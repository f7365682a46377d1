"""Whatever arrives, the parser answers with a delivery or a refusal, and with nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runbooks.errors import MalformedPayload
from runbooks.event import parse, read_payload
from runbooks.inspector import read_finding, to_detail

EVENTS = Path(__file__).parents[1] / "events"

WORDS = (
    "detail-type source detail findings findingArn resources type id Messages Records awsAccountId severity status "
    "epss packageVulnerabilityDetails firstObservedAt nextToken Findings SchemaVersion ProductArn Resources "
    "Vulnerabilities class_uid metadata finding_info vulnerabilities TopicArn Message MessageId Body body Sns"
)
NAMES = st.sampled_from(WORDS.split())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["aws.inspector2"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=5), inner, max_size=6),
    max_leaves=25,
)


@settings(max_examples=300, deadline=None)
@given(JSON)
def test_no_json_value_does_worse_than_be_refused(value: object) -> None:
    try:
        delivery = parse(value)
    except MalformedPayload as error:
        assert error.code in {"not-json", "not-an-object", "malformed-event", "malformed-finding"}
    else:
        assert isinstance(value, dict)
        assert delivery.findings or delivery.set_aside or [] in (value.get("findings"), value.get("Findings"))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60))
def test_no_bytes_do_worse_than_be_refused(raw: bytes | str) -> None:
    try:
        read_payload(raw)
    except MalformedPayload as error:
        assert error.code in {"not-json", "not-an-object", "malformed-event", "malformed-finding"}


WRAPS: dict[str, Callable[[Any], object]] = {
    "": lambda event: event,
    "sns": lambda event: {"TopicArn": "t", "Message": json.dumps(event)},
    "sqs": lambda event: {"Messages": [{"Body": json.dumps(event)}, {"Body": json.dumps(event)}]},
    "lambda": lambda event: {"Records": [{"Sns": {"Message": json.dumps(event)}}]},
}


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_no_damage_to_a_real_event_does_worse_than_be_refused(data: st.DataObject) -> None:
    event = json.loads(data.draw(st.sampled_from(sorted(EVENTS.glob("*.json")))).read_bytes())
    part: Any = event
    while isinstance(part, dict | list) and part:
        place = data.draw(st.sampled_from(sorted(part) if isinstance(part, dict) else range(len(part))))
        if not isinstance(part[place], dict | list) or not part[place] or data.draw(st.booleans()):
            part[place] = data.draw(JSON)
            break
        part = part[place]
    try:
        delivery = parse(WRAPS[data.draw(st.sampled_from(sorted(WRAPS)))](event))
    except MalformedPayload as error:
        assert error.detail
    else:
        assert delivery.model_validate_json(delivery.model_dump_json()) == delivery
        for finding in delivery.findings:
            assert read_finding(json.loads(json.dumps(to_detail(finding)))) == finding


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_damage_to_the_bytes_of_a_real_event_does_worse_than_be_refused(data: st.DataObject) -> None:
    raw = bytearray(data.draw(st.sampled_from(sorted(EVENTS.glob("*.json")))).read_bytes())
    begin = data.draw(st.integers(0, len(raw) - 1))
    raw[begin : begin + data.draw(st.integers(0, 5))] = data.draw(st.binary(max_size=5))
    try:
        read_payload(bytes(raw))
    except MalformedPayload as error:
        assert error.detail
