"""One finding, in Amazon Inspector's own form or in one of Security Hub's: acted upon, or set aside by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from runbooks import ocsf, security_hub
from runbooks.delivery import Aside, SetAside, set_aside
from runbooks.errors import MalformedPayload, UnknownKind
from runbooks.finding import Finding
from runbooks.inspector import read_finding
from runbooks.strict_json import members_of


def is_finding(members: Mapping[str, object]) -> bool:
    """Whether an object with these members says that it is a finding, in any form."""
    return "findingArn" in members or any(form.marks <= members.keys() for form in _FORMS)


def read_one(value: object, path: str) -> Finding | SetAside:
    """The finding that `value` is; or why nothing acts upon it.

    Raises:
        MalformedPayload: (malformed-finding) It is none that can be read; `path` begins the JSON path in the message.
    """
    return _read(_put(value), path)


def read_each(values: Sequence[object], path: str) -> Iterator[Finding | SetAside]:
    """The findings that `values`, the list at `path`, holds; one that cannot be read is set aside with its place."""
    for index, value in enumerate(values):
        put = _put(value)
        try:
            yield _read(put, f"{path}[{index}]")
        except MalformedPayload as error:
            yield set_aside(Aside.MALFORMED_FINDING, put.kind, error.detail, put.detail)


class _Form(NamedTuple):
    """A form that findings come in other than Inspector's own."""

    kind: str
    marks: frozenset[str]
    product_of: Callable[[dict[str, object]], str | None]
    as_detail: Callable[[dict[str, object]], dict[str, object]]


_FORMS = (
    _Form("security-hub-finding", security_hub.MARKS, security_hub.product_of, security_hub.as_detail),
    _Form("ocsf-finding", ocsf.MARKS, ocsf.product_of, ocsf.as_detail),
)


class _Put(NamedTuple):
    """What was sent as a finding, put into Inspector's own form."""

    detail: object
    kind: str = "inspector-finding"
    product: str | None = None
    """Another product than Inspector, whose finding it is."""
    at: str = ""
    """What follows the path of it in a message."""


def _put(value: object) -> _Put:
    members = members_of(value)
    form = next((form for form in _FORMS if form.marks <= members.keys()), None)
    if form is None or "findingArn" in members:
        return _Put(value)
    return _Put(form.as_detail(members), form.kind, form.product_of(members), ", put into Inspector's form, $")


def _read(put: _Put, path: str) -> Finding | SetAside:
    if put.product:
        reason = f"a finding of {put.product!r}, at {path}: only those of Amazon Inspector are acted upon"
        return set_aside(Aside.OTHER_PRODUCT, put.kind, reason, put.detail)
    if ":finding/ondemand/" in str(members_of(put.detail).get("findingArn")):
        reason = f"a finding on an image that was scanned on demand, at {path}: it names nothing that runs"
        return set_aside(Aside.UNSUPPORTED_SOURCE, "inspector-on-demand-finding", reason, put.detail)
    try:
        return read_finding(put.detail, path + put.at)
    except UnknownKind as error:
        return set_aside(Aside(error.code), put.kind, f"{error.detail}, at {path}", put.detail)
