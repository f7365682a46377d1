"""Whatever arrives, the parser answers with a delivery or a refusal, and with nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runbooks.errors import MalformedPayload
from runbooks.event import parse, read_payload

EVENTS = Path(__file__).parents[1] / "events"

WORDS = (
    "detail-type source detail findings findingArn resources type id Messages Records awsAccountId severity status "
    "epss packageVulnerabilityDetails firstObservedAt nextToken"
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
        assert error.code in {"malformed-event", "malformed-finding", "not-an-object"}
    else:
        assert isinstance(value, dict)
        assert delivery.findings or delivery.set_aside or value["findings"] == []


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60))
def test_no_bytes_do_worse_than_be_refused(raw: bytes | str) -> None:
    try:
        read_payload(raw)
    except MalformedPayload as error:
        assert error.code in {"not-json", "not-an-object", "malformed-event", "malformed-finding"}


@settings(max_examples=200, deadline=None)
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
        delivery = parse(event)
    except MalformedPayload as error:
        assert error.detail
    else:
        assert delivery.model_validate_json(delivery.model_dump_json()) == delivery
