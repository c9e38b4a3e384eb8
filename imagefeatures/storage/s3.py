"""The s3:// store: boto3 for everything but bulk reads of small objects, which go through obstore."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from imagefeatures.errors import Rejected, StoreError, StoreRefused
from imagefeatures.reasons import Reason
from imagefeatures.storage import s3_listing, uploads
from imagefeatures.storage.bulk import BulkReader
from imagefeatures.storage.drafts import S3Draft
from imagefeatures.storage.objects import Access, Fetched, Listed, ObjectChanged, ObjectMissing, ObjectVersion, copy_in
from imagefeatures.storage.others import others_succeed
from imagefeatures.storage.retry import (
    CONNECT_SECONDS,
    LIST_SECONDS,
    FailsAlone,
    SharedDeadline,
    Transient,
    with_retries,
    within,
)
from imagefeatures.storage.s3_named import NamedObjects
from imagefeatures.storage.s3_responses import (
    check_is_s3,
    error_text,
    parsed,
    read_body,
    read_range,
    reason_of,
    status,
    translate_errors,
)
from imagefeatures.usage import traffic

T = TypeVar("T")

RETRY_SECONDS = 60.0
"""How long one request is retried before StoreError is raised: longer than a store takes to restart."""

READ_SECONDS = 20
"""The longest that a store may send nothing: long enough for a short pause of the store."""

FETCH_THREADS = 16
"""How many objects one worker fetches at a time."""

KEYS_PER_DELETE = 1000
"""The most keys that S3 takes in one request to delete objects."""


class S3Store:
    """An S3-compatible store, configured only as boto3 is: by AWS_* variables or a profile.

    access: of a source's bucket; by default requests are signed, and nobody agrees to pay.
    """

    def __init__(self, access: Access | None = None) -> None:
        import boto3
        from botocore import UNSIGNED
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        self._access = access or Access()
        self._payer = {"RequestPayer": "requester"} if self._access.requester_pays else {}
        # botocore's retries are off, since they do not cover the body; with_retries covers request and body.
        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"total_max_attempts": 1, "mode": "standard"},
            max_pool_connections=32,
            signature_version=UNSIGNED if self._access.anonymous else None,
        )
        try:
            self._client = boto3.client("s3", config=config)
        except (ValueError, BotoCoreError) as error:  # for example a malformed endpoint or an unknown profile
            raise StoreRefused(f"s3: {' '.join(str(error).split())}") from None
        self._client.meta.events.register("before-send.s3", _count)  # of each request, also one that is sent again
        self._lock = threading.Lock()
        self._bulk_readers: dict[str, BulkReader | None] = {}
        self._etag_is_no_md5: set[str] = set()

    def list_objects(self, path: str) -> Iterator[Listed]:
        bucket, prefix = _bucket_and_key(path)

        def get_page(**token: str) -> Mapping[str, Any]:
            request = partial(self._client.list_objects_v2, Bucket=bucket, Prefix=prefix, **token, **self._payer)
            return _with_retries(f"s3://{bucket}", lambda: parsed(partial(within, LIST_SECONDS, request)))

        return s3_listing.list_keys(get_page, bucket, prefix)

    def read(self, path: str) -> bytes:
        return _with_retries(f"s3://{path}", lambda: self._get(path, None))

    def fetch_all(self, versions: Sequence[ObjectVersion], folder: str | None = None) -> Iterator[Fetched]:
        deadline = SharedDeadline()

        def fetch(version: ObjectVersion) -> Fetched:
            try:
                return self._fetch(version, deadline, folder)
            except (ObjectMissing, ObjectChanged, Rejected) as no_bytes:
                return no_bytes
            except FailsAlone as alone:
                return Rejected(Reason.NOT_READABLE, str(alone))

        with ThreadPoolExecutor(min(FETCH_THREADS, max(len(versions), 1))) as pool:
            yield from pool.map(fetch, versions)

    def read_part(self, path: str, start: int, length: int) -> bytes:
        if length <= 0:
            return b""
        bucket, key = _bucket_and_key(path)
        get = partial(self._client.get_object, Bucket=bucket, Key=key, **self._payer)
        return _with_retries(f"s3://{path}", partial(read_range, f"s3://{path}", get, start, length))

    read_into = copy_in

    def stat_all(self, paths: Sequence[str]) -> Iterator[Listed | ObjectMissing | Rejected]:
        def others(path: str) -> bool:
            return self._others_can_be_read(ObjectVersion(path, "", 0), None)

        return NamedObjects(self._client, self._payer, RETRY_SECONDS, others).stat_all(paths)

    def write(self, path: str, data: bytes | memoryview, only_if_absent: bool) -> bool:
        bucket, key = _bucket_and_key(path)
        condition = {"IfNoneMatch": "*"} if only_if_absent else {}
        body = bytes(data)  # boto3 takes no other buffer
        put = partial(self._client.put_object, Bucket=bucket, Key=key, Body=body, **condition)
        try:
            response: dict[str, Any] = _with_retries(f"s3://{path}", put)
        except ObjectChanged:
            return False
        except StoreRefused as refusal:
            if not (condition and "NotImplemented" in str(refusal)):
                raise
            return self.write(path, body, only_if_absent=False)  # the store has no conditional writes
        check_is_s3(f"s3://{path}", "ETag" in response)
        return True

    def draft(self, path: str, part_bytes: int = 0) -> S3Draft:
        put = partial(self.write, path, only_if_absent=False)
        return S3Draft(path, self._client, partial(_with_retries, f"s3://{path}"), put, part_bytes)

    def delete(self, path: str) -> None:
        bucket, key = _bucket_and_key(path)
        _with_retries(f"s3://{path}", partial(self._client.delete_object, Bucket=bucket, Key=key))

    def delete_folder(self, path: str) -> None:
        bucket, _ = _bucket_and_key(path)
        keys = (listed.path.partition("/")[2] for listed in self.list_objects(path))
        while batch := [{"Key": key} for key in islice(keys, KEYS_PER_DELETE)]:
            request = {"Bucket": bucket, "Delete": {"Objects": batch, "Quiet": True}}
            response = _with_retries(f"s3://{bucket}", partial(self._client.delete_objects, **request))
            if errors := response.get("Errors"):
                first = f"{errors[0].get('Key')}: {errors[0].get('Code')}"
                kind = StoreRefused if errors[0].get("Code") == "AccessDenied" else StoreError
                raise kind(f"s3://{bucket}: {len(errors)} objects could not be deleted, first {first}")

    def abort_old_uploads(self, path: str, ended: bool = False, remove: bool = True) -> int:  # ended: no store tells
        return uploads.abort_old_uploads(self._client, *_bucket_and_key(path), remove)

    def _fetch(self, version: ObjectVersion, deadline: SharedDeadline, folder: str | None) -> bytes:
        """The bytes of the listed version. The first attempt uses obstore, all later ones use boto3.

        Raises FailsAlone where the store gives other objects of the folder and not this one.
        """
        bucket, key = _bucket_and_key(version.path)
        bulk_readers = [self._bulk_reader(bucket)]
        digests: set[str] = set()

        def attempt() -> bytes:
            bulk = bulk_readers.pop() if bulk_readers else None
            data = bulk.get(key, version.etag, version.size) if bulk else None
            try:
                data = self._get(version.path, version) if data is None else data
            except self._client.exceptions.NoSuchBucket:
                if folder:
                    raise
                raise ObjectMissing(version.path) from None  # its bucket is its own, and nobody else's
            self._check_md5(bucket, version.etag, data, digests)
            return data

        what = f"s3://{version.path}"
        others = partial(self._others_can_be_read, version, folder)
        return with_retries(what, RETRY_SECONDS, lambda: translate_errors(what, attempt), deadline, others)

    def _others_can_be_read(self, version: ObjectVersion, folder: str | None) -> bool:
        """Whether the store gives another object of the listed folder, not smaller where there is one.

        Of an object that a list names, which may lie alone in its folder: or another object of its bucket.
        """
        bucket, prefix = _bucket_and_key(f"{(folder or version.path.rpartition('/')[0]).rstrip('/')}/")

        def read(other: Listed) -> bool:
            what = f"s3://{other.path}"
            return len(translate_errors(what, partial(self._get, other.path, None))) == other.size

        prefixes = [prefix] if folder else list(dict.fromkeys([prefix, ""]))
        return any(others_succeed(version, partial(self._first_page, bucket, start), read) for start in prefixes)

    def _first_page(self, bucket: str, prefix: str) -> list[Listed]:
        page = self._client.list_objects_v2(Bucket=bucket, Prefix=prefix, **self._payer)
        return list(s3_listing.list_keys(lambda **_: {**page, "IsTruncated": False}, bucket, prefix))

    def _get(self, path: str, version: ObjectVersion | None) -> bytes:
        """The bytes of an object through boto3.

        version: as listed. Raises ObjectChanged when the object is another one, before it is read; Rejected when the
        store does not let it be read, though it listed it.
        """
        from botocore.exceptions import ClientError

        bucket, key = _bucket_and_key(path)
        condition = {"IfMatch": f'"{version.etag}"'} if version else {}
        try:
            response = self._client.get_object(Bucket=bucket, Key=key, **condition, **self._payer)
        except ClientError as error:
            if version and (reason := reason_of(error)):
                raise Rejected(reason, f"the store does not let it be read ({error_text(error)})") from None
            if status(error) != 412:
                raise
            raise ObjectChanged(self._etag(bucket, key)) from None
        check_is_s3(f"s3://{path}", "ETag" in response and "ContentLength" in response)
        current_etag = response["ETag"].strip('"')
        if version and (current_etag, response["ContentLength"]) != (version.etag, version.size):
            response["Body"].close()
            if current_etag != version.etag:  # the store ignores If-Match
                raise ObjectChanged(current_etag)
            raise ObjectChanged(f"{current_etag} with {response['ContentLength']} bytes instead of {version.size}")
        return read_body(response)

    def _etag(self, bucket: str, key: str) -> str:
        """The ETag of the version that a key has now."""
        from botocore.exceptions import ClientError

        try:
            etag: str = self._client.head_object(Bucket=bucket, Key=key, **self._payer)["ETag"]
        except ClientError as error:
            if status(error) not in (400, 403):
                raise
            return "unknown: the store does not show it"  # the new version is another person's, or has its own key
        return etag.strip('"')

    def _check_md5(self, bucket: str, etag: str, data: bytes, digests: set[str]) -> None:
        """Raise Transient for bytes whose MD5 differs from the ETag, if the bucket's ETags are MD5 digests.

        With some kinds of encryption an ETag only looks like an MD5. So if two attempts return the same bytes, the
        bytes are accepted, and the bucket's ETags are not checked again. digests: of earlier attempts at this object.
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
                    self._bulk_readers[bucket] = BulkReader(bucket, self._client, self._access)
                except ValueError:  # boto3 reports the error, unless it can reach the bucket
                    self._bulk_readers[bucket] = None
            return self._bulk_readers[bucket]


def _count(event_name: str, request: Any, **_: Any) -> None:
    """Count a request of boto3 as it is sent. event_name: before-send.s3.<operation>."""
    operation = event_name.rpartition(".")[2]
    sizes = (request.headers.get(name) for name in ("X-Amz-Decoded-Content-Length", "Content-Length"))
    size = next((int(size) for size in sizes if size), 0)  # the former where the body is sent with its checksum
    traffic.s3_request(operation, size if operation in ("PutObject", "UploadPart") else 0)


def _with_retries(what: str, request: Callable[[], T]) -> T:
    """Run a request until it succeeds, is refused, or RETRY_SECONDS have passed."""
    return with_retries(what, RETRY_SECONDS, lambda: translate_errors(what, request))


def _bucket_and_key(path: str) -> tuple[str, str]:
    bucket, _, key = path.partition("/")
    return bucket, key
