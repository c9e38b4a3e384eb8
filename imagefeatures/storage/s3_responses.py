"""The meaning of S3 responses: a transient failure, a fact about the object, a refusal, or a complete body."""

from __future__ import annotations

import base64
import time
import zlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from imagefeatures.errors import StoreRefused
from imagefeatures.storage.objects import ObjectChanged, ObjectMissing
from imagefeatures.storage.retry import ATTEMPT_SECONDS, Transient

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

T = TypeVar("T")

DENIED = ("AccessDenied", "AllAccessDisabled", "InvalidObjectState")
"""S3's codes for an object that may not be read with these credentials, or lies in an archive."""


def parsed(request: Callable[[], T]) -> T:
    """Run a request. Raises Transient for a response with values that boto3 cannot read, such as a size of letters."""
    from botocore.exceptions import BotoCoreError

    try:
        return request()
    except BotoCoreError:  # some of these are ValueErrors as well
        raise
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise Transient(f"a response that cannot be read ({type(error).__name__}: {error})") from error


def translate_errors(what: str, request: Callable[[], T]) -> T:
    """Run one boto3 request. Translates boto3's errors into Transient, StoreRefused, ObjectMissing or ObjectChanged.

    what: the URI that the error's text names.
    """
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        NoCredentialsError,
        ParamValidationError,
        PartialCredentialsError,
    )
    from urllib3.exceptions import HTTPError

    try:
        return request()
    except ClientError as error:
        _raise_if_final(what, error)
        raise Transient(error_text(error)) from error
    except NoCredentialsError:
        raise StoreRefused(f"{what}: no credentials (set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)") from None
    except (ParamValidationError, PartialCredentialsError) as error:
        raise StoreRefused(f"{what}: {' '.join(str(error).split())}") from None
    except (BotoCoreError, HTTPError, OSError) as error:
        raise Transient(f"{type(error).__name__}: {error}") from error


def read_body(response: Mapping[str, Any]) -> bytes:
    """The complete body of a GET. Raises Transient when it is short, too slow, or differs from its CRC32."""
    size = response["ContentLength"]
    seconds = ATTEMPT_SECONDS + size / 2**20
    deadline = time.monotonic() + seconds
    parts: list[bytes] = []
    with response["Body"] as raw:  # urllib3's stream: botocore's own has no time limit for the whole body
        while sum(map(len, parts)) <= size and (part := raw.read1(1 << 20)):
            parts.append(part)
            if time.monotonic() > deadline:
                raise Transient(f"{sum(map(len, parts))} of {size} bytes arrived in {seconds:.0f} s")
    data = b"".join(parts)
    if len(data) != size:
        raise Transient(f"{len(data)} of {size} bytes arrived")
    crc = base64.b64encode(zlib.crc32(data).to_bytes(4)).decode()
    if response.get("ChecksumType") != "COMPOSITE" and response.get("ChecksumCRC32", crc) != crc:
        raise Transient(f"bytes with CRC32 {crc} instead of {response['ChecksumCRC32']}")
    return data


def check_is_s3(what: str, has_s3_fields: bool) -> None:
    """Raise StoreRefused for a response that lacks the fields which every S3 store sends.

    A web console or a proxy's page answers every request with 200. boto3 takes that for an empty listing, or for a
    write that succeeded.
    """
    if not has_s3_fields:
        raise StoreRefused(f"{what}: the server there is not an S3 store (see AWS_ENDPOINT_URL)")


def status(error: ClientError) -> int:
    """The HTTP status of an error; 0 if it has none."""
    number: int = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return number


def is_denied(error: ClientError) -> bool:
    """Whether the store refuses to give this object, rather than the credentials or the request."""
    return status(error) == 403 and error.response.get("Error", {}).get("Code") in DENIED


def error_text(error: ClientError) -> str:
    """The store's own error code and message."""
    details = error.response.get("Error", {})
    return f"{details.get('Code', '?')}: {details.get('Message', '')}".strip(": ")


def _raise_if_final(what: str, error: ClientError) -> None:
    """Raise the meaning of an error response that a retry would not change; return for any other."""
    code = error.response.get("Error", {}).get("Code", "")
    number = status(error)
    if code == "NoSuchBucket":
        raise StoreRefused(f"{what}: there is no such bucket") from None
    if number == 404:
        raise ObjectMissing(what) from None
    if number == 412:
        raise ObjectChanged(error_text(error)) from None
    if number == 501 or (400 <= number < 500 and number not in (408, 409, 429)):  # 409: another write was under way
        raise StoreRefused(f"{what}: the store refuses ({error_text(error)})") from None
