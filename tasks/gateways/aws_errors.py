"""What went wrong at AWS, said once in our words, by the error's code and never by its text.

Every public method that talks to AWS wears `reads` or `acts`. Codes that mean "there is no such thing" are answers:
the gateways look at them inside, with `code_of`, before they get here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    ProxyConnectionError,
    ResponseStreamingError,
    SSLError,
)
from botocore.parsers import ResponseParserError

from runbooks.errors import AccessDenied, AnswerLost, Outside, Throttled

_THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "SnapshotCreationPerVolumeRateExceeded",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TooManyUpdates",
    }
)
_DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "OptInRequired",
        "UnauthorizedAccess",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
    }
)
_NEVER_SENT = (ConnectTimeoutError, EndpointConnectionError, ProxyConnectionError, SSLError)
_PERHAPS_SENT = (HTTPClientError, IncompleteReadError, ResponseParserError, ResponseStreamingError)


def code_of(error: ClientError) -> str:
    """The AWS error code, such as InvalidGroup.NotFound."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def reads() -> Iterator[None]:
    """Decorates what only reads, or surrounds it: errors of botocore leave as ours.

    Raises:
        Throttled, AccessDenied: by the error's code.
        Outside: anything else; `code` is AWS's own code where it gave one.
    """
    with _translated(acting=False):
        yield


@contextmanager
def acts() -> Iterator[None]:
    """As `reads`, for what changes the world.

    Raises:
        AnswerLost: the request may have left and no answer, or only a 5xx, came back: the effect is not known.
    """
    with _translated(acting=True):
        yield


@contextmanager
def _translated(*, acting: bool) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise _refusal(error, acting) from error
    except _NEVER_SENT as error:
        raise Outside(f"AWS cannot be reached: {error}", code="unreachable") from error
    except _PERHAPS_SENT as error:
        kind = AnswerLost if acting else Outside
        raise kind(f"AWS gave no answer: {error}") from error
    except BotoCoreError as error:
        raise Outside(f"the AWS client failed: {error}") from error


def _refusal(error: ClientError, acting: bool) -> Outside:
    code = code_of(error)
    said = error.response.get("Error", {}).get("Message", "")
    detail = f"{error.operation_name}: {code}: {said}"
    if code in _THROTTLED:
        return Throttled(detail)
    if code in _DENIED:
        return AccessDenied(detail)
    if acting and int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) >= 500:
        return AnswerLost(detail)
    return Outside(detail, code=code or None)
