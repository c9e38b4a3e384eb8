"""S3-compatible stores, through boto3."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from imagefeatures.errors import StoreError, StoreRefused
from imagefeatures.storage.objects import ObjectChanged, ObjectMissing

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

T = TypeVar("T")

PATIENCE_SECONDS = 60.0
"""How long one request is retried before it is a StoreError; outlives a restart of the store."""


class S3Store:
    """An S3-compatible store through boto3, configured by the standard AWS_* variables alone."""

    def __init__(self) -> None:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        # Our own retry wraps request and body together, so botocore's (which cannot) stays short.
        config = Config(
            connect_timeout=5,
            read_timeout=20,
            retries={"total_max_attempts": 2, "mode": "standard"},
            max_pool_connections=32,
        )
        try:
            self._client = boto3.client("s3", config=config)
        except (ValueError, BotoCoreError) as error:  # an endpoint that is no URL, a profile that does not exist
            raise StoreRefused(f"s3: {' '.join(str(error).split())}") from None

    def list_objects(self, path: str) -> Iterator[tuple[str, int, str]]:
        bucket, prefix = _bucket_and_key(path)
        request: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix}
        while True:
            page = _patiently(f"s3://{bucket}", lambda: self._client.list_objects_v2(**request))
            _check_that_s3_answers(f"s3://{bucket}", "Name" in page or "IsTruncated" in page)
            for found in page.get("Contents", []):
                yield f"{bucket}/{found['Key']}", found["Size"], found["ETag"].strip('"')
            if not page.get("IsTruncated"):
                return
            request["ContinuationToken"] = page["NextContinuationToken"]

    def read(self, path: str, etag: str | None) -> bytes:
        from botocore.exceptions import ClientError

        bucket, key = _bucket_and_key(path)
        condition = {"IfMatch": f'"{etag}"'} if etag else {}

        def get() -> bytes:
            try:
                answer = self._client.get_object(Bucket=bucket, Key=key, **condition)
            except ClientError as error:
                if _status(error) != 412:
                    raise
                now = self._client.head_object(Bucket=bucket, Key=key)["ETag"].strip('"')
                raise ObjectChanged(now) from None
            _check_that_s3_answers(f"s3://{path}", "ETag" in answer)
            now = answer["ETag"].strip('"')
            if etag and now != etag:  # a store that ignores If-Match
                raise ObjectChanged(now)
            return answer["Body"].read()

        return _patiently(f"s3://{path}", get)

    def write(self, path: str, data: bytes, only_if_absent: bool) -> bool:
        bucket, key = _bucket_and_key(path)
        condition = {"IfNoneMatch": "*"} if only_if_absent else {}

        def put() -> dict[str, Any]:
            return self._client.put_object(Bucket=bucket, Key=key, Body=data, **condition)

        try:
            answer = _patiently(f"s3://{path}", put)
        except ObjectChanged:
            return False
        except StoreRefused as refusal:
            if not (condition and "NotImplemented" in str(refusal)):
                raise
            return self.write(path, data, only_if_absent=False)  # a store that knows no conditional writes
        _check_that_s3_answers(f"s3://{path}", "ETag" in answer)
        return True

    def delete_folder(self, path: str) -> None:
        bucket, _ = _bucket_and_key(path)
        batch: list[dict[str, str]] = []

        def flush() -> None:
            if batch:
                request = {"Bucket": bucket, "Delete": {"Objects": batch, "Quiet": True}}
                answer = _patiently(f"s3://{bucket}", lambda: self._client.delete_objects(**request))
                if errors := answer.get("Errors"):
                    first = f"{errors[0].get('Key')}: {errors[0].get('Code')}"
                    raise StoreError(f"s3://{bucket}: {len(errors)} objects could not be deleted, first {first}")
                batch.clear()

        for name, _, _ in self.list_objects(path):
            batch.append({"Key": name.partition("/")[2]})
            if len(batch) == 1000:  # the most that one request may name
                flush()
        flush()


def _patiently(what: str, request: Callable[[], T]) -> T:
    """Run a request until it works, is refused, or PATIENCE_SECONDS have passed."""
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        NoCredentialsError,
        ParamValidationError,
        PartialCredentialsError,
    )
    from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

    class Transient(Exception):
        pass

    def once() -> T:
        try:
            return request()
        except ClientError as error:
            _raise_if_final(what, error)
            raise Transient(_text(error)) from error
        except NoCredentialsError:
            raise StoreRefused(f"{what}: no credentials (set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)") from None
        except (ParamValidationError, PartialCredentialsError) as error:
            raise StoreRefused(f"{what}: {' '.join(str(error).split())}") from None
        except (BotoCoreError, OSError) as error:
            raise Transient(f"{type(error).__name__}: {error}") from error

    patience = Retrying(
        stop=stop_after_delay(PATIENCE_SECONDS),
        wait=wait_random_exponential(multiplier=0.2, max=8),  # full jitter
        retry=retry_if_exception_type(Transient),
        reraise=True,
    )
    try:
        return patience(once)
    except Transient as error:
        raise StoreError(f"{what}: no answer in {PATIENCE_SECONDS:.0f} s ({error})") from error


def _raise_if_final(what: str, error: ClientError) -> None:
    """Raise what the store's answer means, when asking again would not change it."""
    code = error.response.get("Error", {}).get("Code", "")
    status = _status(error)
    if code == "NoSuchBucket":
        raise StoreRefused(f"{what}: there is no such bucket") from None
    if status == 404:
        raise ObjectMissing(what) from None
    if status == 412:
        raise ObjectChanged(_text(error)) from None
    if status == 501 or (400 <= status < 500 and status not in (408, 409, 429)):  # 409: another write was under way
        raise StoreRefused(f"{what}: the store refuses ({_text(error)})") from None


def _check_that_s3_answers(what: str, is_so: bool) -> None:
    # A store's web console, or a proxy's page, says 200 to everything: to boto3 an empty listing, a finished write.
    if not is_so:
        raise StoreRefused(f"{what}: what answers there is no S3 store (see AWS_ENDPOINT_URL)")


def _status(error: ClientError) -> int:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def _text(error: ClientError) -> str:
    details = error.response.get("Error", {})
    return f"{details.get('Code', '?')}: {details.get('Message', '')}".strip(": ")


def _bucket_and_key(path: str) -> tuple[str, str]:
    bucket, _, key = path.partition("/")
    return bucket, key
