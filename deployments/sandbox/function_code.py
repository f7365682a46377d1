"""The zips of Lambda functions: taken from S3 by the very version that is named, and handed out again by an address.

Lambda API reference, UpdateFunctionCode: the bucket is in the function's own region. GetFunction: the address of the
code is signed, and holds for ten minutes; whoever has it needs nothing else.
"""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import urlencode

from moto.awslambda.models import LambdaFunction
from moto.s3.exceptions import MissingBucket
from moto.s3.models import S3Backend, s3_backends

from deployments.sandbox.wire import AwsError
from deployments.sandbox.world import World

_FAILED = "Error occurred while GetObject. S3 Error Code: {code}. S3 Error Message: {message}"


def from_s3(world: World, params: dict[str, Any]) -> bytes:
    """The object that an update names.

    Raises:
        AwsError: it is not there, or in another region (InvalidParameterValueException).
    """
    bucket, key = params["S3Bucket"], params["S3Key"]
    try:
        home = _s3(world).get_bucket(bucket).region_name
        stored = _s3(world).get_object(bucket, key, params.get("S3ObjectVersion"))
    except MissingBucket as error:
        raise _refused("NoSuchBucket", "The specified bucket does not exist") from error
    if home != world.region:
        raise _refused("PermanentRedirect", f"The bucket is in this region: {home}.")
    if stored is None:
        code = "NoSuchVersion" if params.get("S3ObjectVersion") else "NoSuchKey"
        raise _refused(code, "The specified key does not exist.")
    return stored.value


def location(world: World, function: LambdaFunction, endpoint: str) -> str:
    """An address of a version's zip, at the endpoint where AWS was asked."""
    s3, bucket = _s3(world), f"awslambda-{world.region}-{world.account}-tasks"
    if bucket not in s3.buckets:
        s3.create_bucket(bucket, world.region)
    name = uuid.uuid5(uuid.NAMESPACE_URL, f"{function.function_arn}/{function.code_sha_256}")
    key = f"snapshots/{world.account}/{function.function_name}-{name}"
    s3.put_object(bucket, key, function.code_bytes)
    signed = {"X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Expires": 600, "X-Amz-Signature": name.hex * 2}
    return f"{endpoint}/{bucket}/{key}?{urlencode(signed)}"


def _s3(world: World) -> S3Backend:
    return s3_backends[world.account]["aws"]


def _refused(code: str, message: str) -> AwsError:
    return AwsError("InvalidParameterValueException", _FAILED.format(code=code, message=message))
