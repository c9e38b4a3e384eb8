"""S3-compatible stores: boto3 lists, writes and says what went wrong; obstore reads small objects in bulk."""

from __future__ import annotations

import hashlib
import logging
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from imagefeatures.errors import StoreError, StoreRefused
from imagefeatures.storage import uploads
from imagefeatures.storage.bulk import BulkReader
from imagefeatures.storage.objects import ObjectChanged, ObjectMissing, ObjectVersion
from imagefeatures.storage.retry import CONNECT_SECONDS, LIST_SECONDS, SharedDeadline, Transient, with_retries, within
from imagefeatures.storage.s3_responses import check_that_s3_answers, read_body, status, translate_errors

T = TypeVar("T")

RETRY_SECONDS = 60.0
"""How long one request is retried before it is a StoreError; outlives a restart of the store."""

READ_SECONDS = 20
"""The longest that a store may keep silent; a paused one comes back."""

FETCH_THREADS = 16
"""How many objects one worker fetches at a time."""


class S3Store:
    """An S3-compatible store, configured by what configures boto3 alone: the AWS_* variables, a profile."""

    def __init__(self) -> None:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        # Our own retry wraps request and body together, so botocore's (which cannot) is off.
        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"total_max_attempts": 1, "mode": "standard"},
            max_pool_connections=32,
        )
        try:
            self._client = boto3.client("s3", config=config)
        except (ValueError, BotoCoreError) as error:  # an endpoint that is no URL, a profile that does not exist
            raise StoreRefused(f"s3: {' '.join(str(error).split())}") from None
        self._lock = threading.Lock()
        self._bulk_readers: dict[str, BulkReader | None] = {}
        self._etag_is_no_md5: set[str] = set()

    def list_objects(self, path: str) -> Iterator[tuple[str, int, str]]:
        bucket, prefix = _bucket_and_key(path)
        request: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix}
        while True:
            ask = partial(within, LIST_SECONDS, partial(self._client.list_objects_v2, **request))
            page = _with_retries(f"s3://{bucket}", ask)
            check_that_s3_answers(f"s3://{bucket}", "Name" in page or "IsTruncated" in page)
            for found in page.get("Contents", []):
                yield f"{bucket}/{found['Key']}", found["Size"], found["ETag"].strip('"')
            if not page.get("IsTruncated"):
                return
            request["ContinuationToken"] = page["NextContinuationToken"]

    def read(self, path: str) -> bytes:
        return _with_retries(f"s3://{path}", lambda: self._get(path, None))

    def fetch_all(self, wanted: Sequence[ObjectVersion]) -> Iterator[bytes | ObjectMissing | ObjectChanged]:
        deadline = SharedDeadline()

        def fetch(one: ObjectVersion) -> bytes | ObjectMissing | ObjectChanged:
            try:
                return self._fetch(one, deadline)
            except (ObjectMissing, ObjectChanged) as verdict:
                return verdict

        with ThreadPoolExecutor(min(FETCH_THREADS, max(len(wanted), 1))) as pool:
            yield from pool.map(fetch, wanted)

    def read_part(self, path: str, start: int, length: int) -> bytes:
        if length <= 0:
            return b""
        bucket, key = _bucket_and_key(path)

        def get() -> bytes:
            answer = self._client.get_object(Bucket=bucket, Key=key, Range=f"bytes={start}-{start + length - 1}")
            check_that_s3_answers(f"s3://{path}", "ETag" in answer and "ContentLength" in answer)
            if "ContentRange" in answer:
                answer.pop("ChecksumCRC32", None)  # the whole object's
                return read_body(answer)
            return read_body(answer)[start : start + length]  # a store that ignores ranges

        return _with_retries(f"s3://{path}", get)

    def write(self, path: str, data: bytes | memoryview, only_if_absent: bool) -> bool:
        bucket, key = _bucket_and_key(path)
        condition = {"IfNoneMatch": "*"} if only_if_absent else {}
        data = bytes(data)  # boto3 takes no other buffer

        def put() -> dict[str, Any]:
            return self._client.put_object(Bucket=bucket, Key=key, Body=data, **condition)

        try:
            answer = _with_retries(f"s3://{path}", put)
        except ObjectChanged:
            return False
        except StoreRefused as refusal:
            if not (condition and "NotImplemented" in str(refusal)):
                raise
            return self.write(path, data, only_if_absent=False)  # a store that knows no conditional writes
        check_that_s3_answers(f"s3://{path}", "ETag" in answer)
        return True

    def delete_folder(self, path: str) -> None:
        bucket, _ = _bucket_and_key(path)
        batch: list[dict[str, str]] = []

        def flush() -> None:
            if batch:
                request = {"Bucket": bucket, "Delete": {"Objects": batch, "Quiet": True}}
                answer = _with_retries(f"s3://{bucket}", lambda: self._client.delete_objects(**request))
                if errors := answer.get("Errors"):
                    first = f"{errors[0].get('Key')}: {errors[0].get('Code')}"
                    raise StoreError(f"s3://{bucket}: {len(errors)} objects could not be deleted, first {first}")
                batch.clear()

        for name, _, _ in self.list_objects(path):
            batch.append({"Key": name.partition("/")[2]})
            if len(batch) == 1000:  # the most that one request may name
                flush()
        flush()

    def abort_old_uploads(self, path: str) -> int:
        from botocore.exceptions import BotoCoreError, ClientError
        from urllib3.exceptions import HTTPError

        bucket, prefix = _bucket_and_key(path)
        try:
            return within(LIST_SECONDS, partial(uploads.abort_old_uploads, self._client, bucket, prefix))
        except (Transient, ClientError, BotoCoreError, HTTPError, OSError, LookupError, TypeError, ValueError) as error:
            # Not allowed, not known to this store, no answer just now: whatever it is, the next run tries again.
            logging.getLogger(__name__).info("s3://%s: unfinished uploads stay (%s)", bucket, error)
            return 0

    def _fetch(self, wanted: ObjectVersion, deadline: SharedDeadline) -> bytes:
        """The bytes of the version that was listed: first by obstore, then by boto3, until they are whole."""
        bucket, key = _bucket_and_key(wanted.path)
        readers = [self._bulk_reader(bucket)]
        digests: set[str] = set()

        def once() -> bytes:
            bulk = readers.pop() if readers else None
            data = bulk.get(key, wanted.etag, wanted.size) if bulk else None
            if data is None:
                data = self._get(wanted.path, wanted.etag)
            self._check_md5(bucket, wanted.etag, data, digests)
            return data

        return _with_retries(f"s3://{wanted.path}", once, deadline)

    def _get(self, path: str, etag: str | None) -> bytes:
        from botocore.exceptions import ClientError

        bucket, key = _bucket_and_key(path)
        condition = {"IfMatch": f'"{etag}"'} if etag else {}
        try:
            answer = self._client.get_object(Bucket=bucket, Key=key, **condition)
        except ClientError as error:
            if status(error) != 412:
                raise
            now = self._client.head_object(Bucket=bucket, Key=key)["ETag"].strip('"')
            raise ObjectChanged(now) from None
        check_that_s3_answers(f"s3://{path}", "ETag" in answer and "ContentLength" in answer)
        now = answer["ETag"].strip('"')
        if etag and now != etag:  # a store that ignores If-Match
            raise ObjectChanged(now)
        return read_body(answer)

    def _check_md5(self, bucket: str, etag: str, data: bytes, digests: set[str]) -> None:
        """Raise Transient for bytes that are not those of the ETag, where an ETag is an MD5.

        It is not everywhere: with some encryption it only looks like one. So bytes that come twice alike are
        believed, and the bucket's ETags no more. digests: those of the earlier tries at this object.
        """
        if bucket in self._etag_is_no_md5 or not re.fullmatch("[0-9a-f]{32}", etag):
            return
        digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
        if digest == etag:
            return
        if digest not in digests:
            digests.add(digest)
            raise Transient(f"bytes with MD5 {digest}, listed with {etag}")
        self._etag_is_no_md5.add(bucket)

    def _bulk_reader(self, bucket: str) -> BulkReader | None:
        with self._lock:
            if bucket not in self._bulk_readers:
                try:
                    self._bulk_readers[bucket] = BulkReader(bucket, self._client)
                except ValueError:  # boto3 will say what is wrong, if it is wrong for boto3 as well
                    self._bulk_readers[bucket] = None
            return self._bulk_readers[bucket]


def _with_retries(what: str, request: Callable[[], T], deadline: SharedDeadline | None = None) -> T:
    """Run a request until it works, is refused, or RETRY_SECONDS have passed."""
    return with_retries(what, RETRY_SECONDS, lambda: translate_errors(what, request), deadline)


def _bucket_and_key(path: str) -> tuple[str, str]:
    bucket, _, key = path.partition("/")
    return bucket, key
