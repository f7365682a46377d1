"""Errors of this system, as one tree. Each class has a stable code: it is printed, audited and counted by.

RunbooksError                       exit  code
├── BadInput                        2     bad-input
│   ├── MalformedPayload            2     not-json, too-large, malformed-event, malformed-finding, ...
│   ├── UnknownKind                 2     unknown-kind, unsupported-source, other-cloud, ...
│   ├── InvalidRunbook              2     invalid-runbook
│   ├── InvalidSetting              2     invalid-setting
│   └── NotFound                    2     no-such-case, no-such-finding, no-such-runbook, ...
├── Refused                         1     refused (the system ran and its answer is no)
│   ├── LimitExceeded               1     limit-exceeded
│   ├── NotApproved                 1     not-approved, expired, code-changed, ...
│   ├── Halted                      1     halted (the kill switch is on: nothing leaves)
│   ├── Unsafe                      1     unsafe (the start-up guard refuses to run like this)
│   └── LeaseLost                   1     lease-lost
├── Outside                         3     outside (something outside failed)
│   ├── Throttled                   3     throttled
│   ├── AnswerLost                  3     answer-lost (sent, and the answer never came: the effect is unknown)
│   └── AccessDenied                3     access-denied
└── LedgerError                     3     ledger (the record cannot be written or does not verify)
    └── Overtaken                   3     overtaken (someone else wrote to the stream first: read it again)
"""

from __future__ import annotations


class RunbooksError(Exception):
    """Root of the tree. `code` is stable; `detail` is one line for a person."""

    code = "error"
    exit_code = 3

    def __init__(self, detail: str, *, code: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return self.detail

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.detail, self.code))


def _rebuild(kind: type[RunbooksError], detail: str, code: str) -> RunbooksError:
    return kind(detail, code=code)


class BadInput(RunbooksError):
    code = "bad-input"
    exit_code = 2


class MalformedPayload(BadInput):
    """The payload cannot be read as what it claims to be."""

    code = "malformed-event"


class UnknownKind(BadInput):
    """The payload is readable, but nothing here acts on its kind. Set aside, never acted upon."""

    code = "unknown-kind"


class InvalidRunbook(BadInput):
    code = "invalid-runbook"


class InvalidSetting(BadInput):
    code = "invalid-setting"


class NotFound(BadInput):
    code = "not-found"


class Refused(RunbooksError):
    code = "refused"
    exit_code = 1


class LimitExceeded(Refused):
    code = "limit-exceeded"


class NotApproved(Refused):
    code = "not-approved"


class Halted(Refused):
    """The kill switch is on: nothing is changed until it is off again."""

    code = "halted"


class Unsafe(Refused):
    """The start-up guard does not let the system run like this."""

    code = "unsafe"


class LeaseLost(Refused):
    """Another run holds the lease with a higher epoch; this one must not act."""

    code = "lease-lost"


class Outside(RunbooksError):
    code = "outside"
    exit_code = 3


class Throttled(Outside):
    code = "throttled"


class AnswerLost(Outside):
    """The request left and no answer came: the effect may or may not have happened. Look before sending again."""

    code = "answer-lost"


class AccessDenied(Outside):
    code = "access-denied"


class LedgerError(RunbooksError):
    code = "ledger"
    exit_code = 3


class Overtaken(LedgerError):
    """The stream has grown since it was read: read it again, and decide again."""

    code = "overtaken"
