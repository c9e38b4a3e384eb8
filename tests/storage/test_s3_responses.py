"""What a response of a store means, response by response, without a store."""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from botocore import exceptions
from botocore.exceptions import ClientError
from urllib3.exceptions import ProtocolError

from imagefeatures.errors import StoreRefused
from imagefeatures.reasons import Reason
from imagefeatures.storage import s3_responses
from imagefeatures.storage.objects import ObjectChanged, ObjectMissing
from imagefeatures.storage.retry import Transient
from imagefeatures.storage.s3_responses import check_is_s3, error_text, parsed, read_body, reason_of, translate_errors

URI = "s3://images/key"


def response(status: int, code: str = "Code", message: str = "") -> ClientError:
    content = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(content, "GetObject")


def raising(error: Exception) -> Callable[[], None]:
    def request() -> None:
        raise error

    return request


FINAL = [
    (response(404, "NoSuchBucket"), StoreRefused, f"{URI}: there is no such bucket"),
    (response(404, "NoSuchKey"), ObjectMissing, URI),
    (response(412, "PreconditionFailed", "at least one"), ObjectChanged, "PreconditionFailed: at least one"),
    (response(501, "NotImplemented"), StoreRefused, f"{URI}: the store refuses (NotImplemented)"),
    (response(400, "Bad", "why"), StoreRefused, f"{URI}: the store refuses (Bad: why)"),
    (response(403, "AccessDenied"), StoreRefused, f"{URI}: the store refuses (AccessDenied)"),
    (response(499, "X"), StoreRefused, f"{URI}: the store refuses (X)"),
    (
        exceptions.NoCredentialsError(),
        StoreRefused,
        f"{URI}: no credentials (set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)",
    ),
    (
        exceptions.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
        StoreRefused,
        f"{URI}: Partial credentials found in env, missing: AWS_SECRET_ACCESS_KEY",
    ),
    (
        exceptions.ParamValidationError(report="one\n  two"),
        StoreRefused,
        f"{URI}: Parameter validation failed: one two",
    ),
    (
        exceptions.EndpointResolutionError(msg="Custom endpoint `http://h:x` was not a valid URI"),
        StoreRefused,
        f"{URI}: Custom endpoint `http://h:x` was not a valid URI",
    ),
    (
        exceptions.HTTPClientError(error=ValueError("Invalid header value b'Credential=a\\n/2026'")),
        StoreRefused,
        f"{URI}: AWS_ACCESS_KEY_ID or AWS_SESSION_TOKEN holds a line end or a sign that no header has",
    ),
]
PASSING = [
    *(response(status, "X", "m") for status in (300, 399, 408, 409, 429, 500, 502, 503, 504, 0)),
    exceptions.EndpointConnectionError(endpoint_url="http://x"),
    exceptions.HTTPClientError(error=ValueError("something else")),
    ProtocolError("reset"),
    OSError("reset"),
]


@pytest.mark.parametrize(("error", "meaning", "text"), FINAL)
def test_a_response_that_a_retry_does_not_change(error: Exception, meaning: type[Exception], text: str) -> None:
    with pytest.raises(meaning) as told:
        translate_errors(URI, raising(error))
    assert type(told.value) is meaning
    assert getattr(told.value, "etag", None) == text if meaning is ObjectChanged else str(told.value) == text


@pytest.mark.parametrize("error", PASSING, ids=lambda error: f"{error}"[:40])
def test_a_response_that_may_pass(error: Exception) -> None:
    with pytest.raises(Transient) as told:
        translate_errors(URI, raising(error))
    expected = "X: m" if isinstance(error, ClientError) else f"{type(error).__name__}: {error}"
    assert str(told.value) == expected


def test_what_a_request_returns_is_handed_on() -> None:
    assert translate_errors(URI, lambda: 7) == parsed(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        translate_errors(URI, lambda: 1 // 0)


@pytest.mark.parametrize(
    "error", [ValueError("a"), TypeError("a"), KeyError("a"), IndexError("a"), AttributeError("a")]
)
def test_a_response_that_boto3_cannot_read_may_pass(error: Exception) -> None:
    with pytest.raises(Transient, match=rf"^a response that cannot be read \({type(error).__name__}: '?a'?\)$"):
        parsed(raising(error))


@pytest.mark.parametrize("error", [exceptions.InvalidRegionError(region_name="a b"), ZeroDivisionError()])
def test_other_errors_of_reading_a_response_are_themselves(error: Exception) -> None:
    assert not isinstance(error, exceptions.BotoCoreError) or isinstance(error, ValueError)
    with pytest.raises(type(error)):
        parsed(raising(error))


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        ("AccessDenied", 403, Reason.NOT_READABLE),
        ("AllAccessDisabled", 403, Reason.NOT_READABLE),
        ("KMS.DisabledException", 400, Reason.NOT_READABLE),
        ("InvalidObjectState", 403, Reason.ARCHIVED),
        ("AccessDenied", 401, None),
        ("ExpiredToken", 403, None),
        ("403", 403, None),
    ],
)
def test_an_object_that_is_denied_is_told_from_credentials_that_are(
    code: str, status: int, reason: Reason | None
) -> None:
    assert reason_of(response(status, code)) is reason


def test_an_error_without_any_details_is_read_too() -> None:
    bare = ClientError({}, "GetObject")
    assert (s3_responses.status(bare), error_text(bare), reason_of(bare)) == (0, "?", None)
    assert error_text(response(500, "Code", "words")) == "Code: words"


def test_what_no_s3_store_sends_is_refused() -> None:
    check_is_s3(URI, True)
    with pytest.raises(StoreRefused, match=rf"^{URI}: the server there is not an S3 store \(see AWS_ENDPOINT_URL\)$"):
        check_is_s3(URI, False)


# Bodies


class Body(io.BytesIO):
    """urllib3's stream. times: what the clock says after each read."""

    def __init__(self, data: bytes, piece: int = 1 << 30) -> None:
        super().__init__(data)
        self.piece, self.asked = piece, list[int]()

    def read1(self, size: int | None = -1) -> bytes:
        self.asked.append(size or 0)
        return super().read1(min(size or 0, self.piece))


def body(data: bytes, **fields: Any) -> dict[str, Any]:
    return {"ContentLength": len(data), "Body": Body(data), **fields}


def crc(data: bytes) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4)).decode()


DATA = bytes(range(256)) * 10


def test_a_whole_body_is_its_bytes_and_its_stream_is_closed() -> None:
    for given in (body(DATA), body(b""), body(DATA, Body=Body(DATA, piece=7)), body(DATA, ChecksumCRC32=crc(DATA))):
        expected = given["Body"].getvalue()
        assert read_body(given) == expected
        assert given["Body"].closed
        assert set(given["Body"].asked) == {1 << 20}


@pytest.mark.parametrize("count", [0, 1, len(DATA) - 1])
def test_a_body_that_is_short_may_pass(count: int) -> None:
    with pytest.raises(Transient, match=f"^{count} of {len(DATA)} bytes arrived$"):
        read_body(body(DATA, Body=Body(DATA[:count])))


def test_a_body_that_is_too_long_is_not_read_to_its_end() -> None:
    stream = Body(bytes(10_000), piece=100)
    with pytest.raises(Transient, match=r"^300 of 250 bytes arrived$"):
        read_body({"ContentLength": 250, "Body": stream})
    with pytest.raises(Transient, match=r"^300 of 200 bytes arrived$"):  # one piece more tells that it is too long
        read_body({"ContentLength": 200, "Body": Body(bytes(10_000), piece=100)})


def test_a_body_with_another_checksum_may_pass_and_one_over_parts_is_not_compared() -> None:
    wrong = crc(DATA + b"x")
    with pytest.raises(Transient, match=rf"^bytes with CRC32 {crc(DATA)} instead of {wrong}$".replace("+", r"\+")):
        read_body(body(DATA, ChecksumCRC32=wrong))
    with pytest.raises(Transient):
        read_body(body(DATA, ChecksumCRC32=wrong, ChecksumType="FULL_OBJECT"))
    assert read_body(body(DATA, ChecksumCRC32=wrong, ChecksumType="COMPOSITE")) == DATA


@pytest.mark.parametrize(("mebibytes", "seconds"), [(0, 20), (3, 23)])
def test_a_body_has_twenty_seconds_and_one_for_each_mebibyte(
    mebibytes: int, seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = max(1, mebibytes << 20)
    for late in (False, True):
        moments = iter([1000.0, 1000.0 + seconds + (0.5 if late else 0), *[1000.0] * 10])
        monkeypatch.setattr(s3_responses.time, "monotonic", lambda moments=moments: next(moments))
        if late:
            with pytest.raises(Transient, match=rf"^\d+ of {size} bytes arrived in {seconds} s$"):
                read_body(body(bytes(size)))
        else:
            assert len(read_body(body(bytes(size)))) == size
        monkeypatch.undo()
