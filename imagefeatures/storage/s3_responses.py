"""The meaning of S3 responses: a transient failure, a fact about the object, a refusal, or a complete body."""

from __future__ import annotations

import base64
import re
import time
import zlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from imagefeatures.errors import StoreRefused
from imagefeatures.reasons import Reason
from imagefeatures.storage.objects import ObjectChanged, ObjectMissing
from imagefeatures.storage.retry import ATTEMPT_SECONDS, Transient
from imagefeatures.usage import traffic

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

T = TypeVar("T")

ARCHIVED = "InvalidObjectState"
"""S3's code for an object of an archive class, such as Glacier, that is not restored."""

NOT_OF_AN_OBJECT = re.compile(
    "AccountProblem|Authorization|BadDigest|CredentialsNotSupported|ExpiredToken|IllegalLocation|IncorrectEndpoint|"
    "InvalidAccessKeyId|InvalidBucketName|InvalidClientTokenId|InvalidPayer|InvalidRegion|InvalidSecurity|InvalidToken|"
    "MissingAuthenticationToken|MissingSecurityHeader|NoSuchBucket|NotSignedUp|OptInRequired|RequestExpired|"
    "RequestTimeTooSkewed|SignatureDoesNotMatch|TokenRefreshRequired|UnauthorizedAccess|UnrecognizedClient|"
    "UserSuspended|XAmzContentSHA256Mismatch"
)
"""The starts of codes for credentials, an account, a clock, an address or a bucket: true of all objects of a store.

With 400 and 403 every other code is believed to be of the one object: the same credentials have just listed it. It may
be denied by a policy (AccessDenied), encrypted with a key that is disabled or gone (KMS.DisabledException, …) or that
nobody sent (InvalidRequest), or held back. If it is true of all objects, the failure budget stops the run.
"""

PASSING = re.compile(
    "Throttl|RequestTimeout$|DependencyTimeout|SlowDown|TooManyRequests|(Service|Key)Unavailable|Internal"
)
"""In codes that come with status 400 or 403, and say nevertheless that another try may help."""

BEHIND_THE_END = 416
"""The status of a range that begins where the object has ended."""

FULL = 507
"""The status of a store that has no room left."""


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
        EndpointProviderError,
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
    except (ParamValidationError, PartialCredentialsError, EndpointProviderError) as error:
        raise StoreRefused(f"{what}: {' '.join(str(error).split())}") from None
    except (BotoCoreError, HTTPError, OSError) as error:
        if "Invalid header value" in str(error):  # such as a secret's file with its line end; the text quotes it
            raise StoreRefused(
                f"{what}: AWS_ACCESS_KEY_ID or AWS_SESSION_TOKEN holds a line end or a sign that no header has"
            ) from None
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
            traffic.read(len(part))
            if time.monotonic() > deadline:
                raise Transient(f"{sum(map(len, parts))} of {size} bytes arrived in {seconds:.0f} s")
    data = b"".join(parts)
    if len(data) != size:
        raise Transient(f"{len(data)} of {size} bytes arrived")
    crc = base64.b64encode(zlib.crc32(data).to_bytes(4)).decode()
    if response.get("ChecksumType") != "COMPOSITE" and response.get("ChecksumCRC32", crc) != crc:
        raise Transient(f"bytes with CRC32 {crc} instead of {response['ChecksumCRC32']}")
    return data


def read_range(what: str, get: Callable[..., dict[str, Any]], start: int, length: int) -> bytes:
    """`length` bytes of an object from `start` on; fewer at its end, and none behind it.

    what: its URI. get: boto3's get_object for it, which takes a Range. Raises as `read_body`, and what `get` raises.
    """
    from botocore.exceptions import ClientError

    try:
        response = get(Range=f"bytes={start}-{start + length - 1}")
    except ClientError as error:
        if status(error) == BEHIND_THE_END:  # it became shorter since it was listed: what is read of it tells
            return b""
        raise
    check_is_s3(what, "ETag" in response and "ContentLength" in response)
    if "ContentRange" in response:
        response.pop("ChecksumCRC32", None)  # it is the whole object's
        return read_body(response)
    return read_body(response)[start : start + length]  # the store ignores ranges


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


def reason_of(error: ClientError) -> Reason | None:
    """Why the store does not give a listed object; None where the error is not of this object, or may pass."""
    code = _code(error)
    if code == ARCHIVED:
        return Reason.ARCHIVED
    # A proxy's page has no code of S3; botocore shows its status in place of one.
    no_code = not re.fullmatch(r"[A-Za-z][\w.]*", code)
    if status(error) not in (400, 403, 405, 451) or no_code or NOT_OF_AN_OBJECT.match(code) or PASSING.search(code):
        return None
    return Reason.NOT_READABLE


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def error_text(error: ClientError) -> str:
    """The store's own error code and message."""
    details = error.response.get("Error", {})
    return f"{details.get('Code', '?')}: {details.get('Message', '')}".strip(": ")


def _raise_if_final(what: str, error: ClientError) -> None:
    """Raise the meaning of an error response that a retry would not change; return for any other."""
    code, number = _code(error), status(error)
    if number == FULL:
        raise StoreRefused(
            f"{what}: no space left in the store ({error_text(error)}); free some, then try again"
        ) from None
    if number in (400, 403) and PASSING.search(code):
        return
    if code == "NoSuchBucket":
        raise StoreRefused(f"{what}: there is no such bucket") from None
    if number == 404:
        raise ObjectMissing(what) from None
    if number == 412:
        raise ObjectChanged(error_text(error)) from None
    if number == 501 or (400 <= number < 500 and number not in (408, 409, 429)):  # 409: another write was under way
        raise StoreRefused(f"{what}: the store refuses ({error_text(error)})") from None
