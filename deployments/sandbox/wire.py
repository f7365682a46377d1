"""From an HTTP request to an AWS operation with its parameters, and back to an answer.

The protocols are moto's, read from botocore's own service models: what boto3 can send, the sandbox can read.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from botocore.parsers import create_parser
from botocore.session import get_session
from moto.backend_index import backend_url_patterns
from moto.core.exceptions import ServiceException
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.serialize import DefaultAttributePicker, get_serializer_class
from moto.core.utils import get_service_model
from moto.iam.models import get_account_id_from
from werkzeug.exceptions import NotFound

__all__ = ["Answer", "AwsError", "Message", "ServiceException", "WsgiApp", "read_message", "run_wsgi"]

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]

_CREDENTIAL = re.compile(r"Credential=(?P<key>[^/]+)/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
_ELB_CLASSIC_VERSION = "2012-06-01"
_BY_SIGNING_NAME = {"monitoring": "cloudwatch"}
_UNPARSED = frozenset({"s3"})


class AwsError(ServiceException):
    """An error as AWS answers it: a code, a message, and the HTTP status when it is not 400."""

    def __init__(self, code: str, message: str, status: int | None = None) -> None:
        super().__init__(code, message)
        self.status = status


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, complete."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the call succeeded."""
        return self.status < 300


@dataclass
class Message:
    """One call of an AWS operation, as it came over the wire."""

    service: str
    signing_name: str
    operation: str
    params: dict[str, Any]
    access_key: str
    account: str
    region: str
    environ: dict[str, Any]
    body: bytes

    @property
    def is_known_to_moto(self) -> bool:
        """Whether moto has this service at all."""
        host = f"http://{self.signing_name}.{self.region}.amazonaws.com"
        return any(pattern.match(host) for _, pattern in backend_url_patterns)

    @property
    def operation_model(self) -> Any:
        """The operation in botocore's service model, as moto keeps it."""
        return get_service_model(self.service).operation_model(self.operation)

    def serialise(self, result: object) -> Answer:
        """The answer for a result or for an error, in the protocol the caller spoke."""
        protocol = _protocol(self.service, self.environ)
        serializer = get_serializer_class(self.service, protocol)(
            operation_model=self.operation_model, value_picker=DefaultAttributePicker()
        )
        with warnings.catch_warnings():
            # Not every error code AWS answers with is in its service model, and moto says so each time.
            warnings.simplefilter("ignore", UserWarning)
            answer = serializer.serialize(result)
        body = answer["body"]
        status = getattr(result, "status", None) or answer["status_code"]
        return Answer(status, tuple(answer["headers"].items()), body.encode() if isinstance(body, str) else bytes(body))

    def read(self, answer: Answer) -> dict[str, Any]:
        """What boto3 would make of this answer, without its metadata."""
        model = get_session().get_service_model(self.service)
        # Some services speak several protocols: the answer is in the one of the question.
        parser = create_parser(_protocol(self.service, self.environ))
        response = {
            "headers": {name.lower(): value for name, value in answer.headers},
            "status_code": answer.status,
            "body": answer.body,
        }
        shape: Any = model.operation_model(self.operation).output_shape
        parsed = parser.parse(response, shape)
        parsed.pop("ResponseMetadata", None)
        return parsed

    def forward_to(self, application: WsgiApp) -> Answer:
        """Let another WSGI application answer this very request."""
        return run_wsgi(application, self.environ, self.body)


def read_message(environ: dict[str, Any], body: bytes) -> Message | None:
    """The AWS operation this request calls, or None when it is not a signed call of a known operation."""
    credential = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    if credential is None:
        return None
    service = _service_name(credential["service"], body)
    request = Request({**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))})
    try:
        operation, uri_params = get_service_router(service).match(request)
    except (NotFound, NotImplementedError, LookupError):
        return None
    params = dict(uri_params)
    if service not in _UNPARSED:
        params = _parse(service, request, operation, uri_params, environ)
    return Message(
        service=service,
        signing_name=credential["service"],
        operation=str(operation.name),
        params=params,
        access_key=credential["key"],
        account=get_account_id_from(credential["key"]),
        region=credential["region"],
        environ=environ,
        body=body,
    )


def run_wsgi(application: WsgiApp, environ: dict[str, Any], body: bytes) -> Answer:
    """Call a WSGI application and collect its answer."""
    started: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> None:
        started[:] = [status, headers]

    environ = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    chunks = application(environ, start_response)
    content = b"".join(chunks)
    close = getattr(chunks, "close", None)
    if close:
        close()
    status, headers = started
    return Answer(int(status.split()[0]), tuple(headers), content)


def _parse(
    service: str, request: Request, operation: Any, uri_params: dict[str, Any], environ: dict[str, Any]
) -> dict[str, Any]:
    parser = PROTOCOL_PARSERS[_protocol(service, environ)](operation, map_type=dict)
    return parser.parse(
        {
            "method": request.method,
            "values": request.values,
            "headers": request.headers,
            "body": request.data,
            "url_path": request.path,
            "url_params": uri_params,
        }
    )


def _protocol(service: str, environ: dict[str, Any]) -> str:
    return determine_request_protocol(get_service_model(service), environ.get("CONTENT_TYPE"))


def _service_name(signing_name: str, body: bytes) -> str:
    if signing_name == "elasticloadbalancing":
        return "elb" if _ELB_CLASSIC_VERSION.encode() in body else "elbv2"
    return _BY_SIGNING_NAME.get(signing_name, signing_name)
