"""What an S3 store's answers mean: may they pass, are they true of the object, or is it a no?"""

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


def translate_errors(what: str, request: Callable[[], T]) -> T:
    """Run one request of boto3. Raises Transient, StoreRefused, ObjectMissing or ObjectChanged, and nothing of boto3's.

    what: the URI to speak of.
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
        raise Transient(text(error)) from error
    except NoCredentialsError:
        raise StoreRefused(f"{what}: no credentials (set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)") from None
    except (ParamValidationError, PartialCredentialsError) as error:
        raise StoreRefused(f"{what}: {' '.join(str(error).split())}") from None
    except (BotoCoreError, HTTPError, OSError) as error:
        raise Transient(f"{type(error).__name__}: {error}") from error


def read_body(answer: Mapping[str, Any]) -> bytes:
    """The body of a GET, whole. Raises Transient when it is short, too slow, or not what its CRC32 says."""
    size = answer["ContentLength"]
    seconds = ATTEMPT_SECONDS + size / 2**20
    deadline = time.monotonic() + seconds
    parts = []
    with answer["Body"] as raw:  # urllib3's own: botocore's waits for the last byte, however slowly it comes
        while part := raw.read1(1 << 20):
            parts.append(part)
            if time.monotonic() > deadline:
                raise Transient(f"{sum(map(len, parts))} of {size} bytes came in {seconds:.0f} s")
    data = b"".join(parts)
    if len(data) != size:
        raise Transient(f"{len(data)} of {size} bytes came")
    crc = base64.b64encode(zlib.crc32(data).to_bytes(4)).decode()
    if answer.get("ChecksumType") != "COMPOSITE" and answer.get("ChecksumCRC32", crc) != crc:
        raise Transient(f"bytes with CRC32 {crc} instead of {answer['ChecksumCRC32']}")
    return data


def check_that_s3_answers(what: str, is_so: bool) -> None:
    """A store's web console, or a proxy's page, says 200 to everything: to boto3 an empty listing, a finished write."""
    if not is_so:
        raise StoreRefused(f"{what}: what answers there is no S3 store (see AWS_ENDPOINT_URL)")


def status(error: ClientError) -> int:
    """The HTTP status, 0 where there is none."""
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def text(error: ClientError) -> str:
    """The store's own code and words."""
    details = error.response.get("Error", {})
    return f"{details.get('Code', '?')}: {details.get('Message', '')}".strip(": ")


def _raise_if_final(what: str, error: ClientError) -> None:
    """Raise what the store's answer means, when asking again would not change it."""
    code = error.response.get("Error", {}).get("Code", "")
    number = status(error)
    if code == "NoSuchBucket":
        raise StoreRefused(f"{what}: there is no such bucket") from None
    if number == 404:
        raise ObjectMissing(what) from None
    if number == 412:
        raise ObjectChanged(text(error)) from None
    if number == 501 or (400 <= number < 500 and number not in (408, 409, 429)):  # 409: another write was under way
        raise StoreRefused(f"{what}: the store refuses ({text(error)})") from None
