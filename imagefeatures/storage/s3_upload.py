"""One local file as one S3 object, however large: a multipart upload, of which nothing is seen before its end."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from imagefeatures.errors import StoreRefused
from imagefeatures.storage.objects import ObjectChanged, ObjectMissing
from imagefeatures.storage.retry import with_retries
from imagefeatures.storage.s3 import RETRY_SECONDS, S3Store
from imagefeatures.storage.s3_responses import translate_errors

T = TypeVar("T")

PART = 16 << 20
"""The bytes of a part. botocore holds a part in memory, and S3 takes 10,000 parts: 160 GB with this size."""

MOST_PARTS = 10_000

THREADS = 4
"""How many parts are sent at the same time."""

MARK = "imagefeatures-upload"
"""The key of an object's metadata that tells which upload made it."""


class S3Upload(S3Store):
    """S3Store with objects that are larger than memory."""

    def upload(self, path: str, file: Path, only_if_absent: bool) -> bool:
        """Upload a file. With only_if_absent an existing object is kept, and False is returned.

        A store without conditional writes overwrites it instead. A process that is killed leaves no object, and parts
        that `storage.abort_old_uploads` removes. Raises StoreRefused or StoreError.
        """
        if file.stat().st_size <= PART:
            return self.write(path, file.read_bytes(), only_if_absent)
        bucket, _, key = path.partition("/")
        target = {"Bucket": bucket, "Key": key}
        mark = {MARK: secrets.token_hex(8)}
        create = partial(self._client.create_multipart_upload, **target, Metadata=mark)
        upload = target | {"UploadId": _retried(path, create)["UploadId"]}
        completed = False
        try:
            request = upload | {"MultipartUpload": {"Parts": self._parts(path, file, upload)}}
            completed = self._complete(path, request, mark, only_if_absent)
        finally:
            if not completed:
                _retried(path, partial(_abort, self._client, upload))
        return completed

    def delete(self, path: str) -> None:
        """Delete an object, if there is one. Raises StoreRefused or StoreError."""
        bucket, _, key = path.partition("/")
        _retried(path, partial(self._client.delete_object, Bucket=bucket, Key=key))

    def _parts(self, path: str, file: Path, upload: dict[str, Any]) -> list[dict[str, Any]]:
        """Send every part. Returns what the store wants to hear of them at the end."""
        size = file.stat().st_size
        length = max(PART, -(-size // MOST_PARTS))

        def send(number: int) -> dict[str, Any]:
            with file.open("rb") as source:
                source.seek((number - 1) * length)
                body = source.read(length)
            sent = _retried(path, partial(self._client.upload_part, **upload, PartNumber=number, Body=body))
            return {"PartNumber": number, "ETag": sent["ETag"]}

        pool = ThreadPoolExecutor(THREADS)
        try:
            return list(pool.map(send, range(1, -(-size // length) + 1)))
        finally:
            pool.shutdown(cancel_futures=True)

    def _complete(self, path: str, request: dict[str, Any], mark: dict[str, str], only_if_absent: bool) -> bool:
        condition = {"IfNoneMatch": "*"} if only_if_absent else {}
        try:
            _retried(path, partial(self._client.complete_multipart_upload, **request, **condition))
        except (ObjectMissing, ObjectChanged) as error:
            # An earlier attempt may have succeeded, and its answer may have been lost: the upload is gone then.
            if self._mark(path) == mark[MARK]:
                return True
            if isinstance(error, ObjectChanged):
                return False
            raise StoreRefused(f"s3://{path}: the upload is gone; another program has ended it, try again") from None
        except StoreRefused as refusal:
            if not (condition and "NotImplemented" in str(refusal)):
                raise
            return self._complete(path, request, mark, only_if_absent=False)
        return True

    def _mark(self, path: str) -> str | None:
        """Which upload made the object; None where there is none, or it was made in another way."""
        bucket, _, key = path.partition("/")
        try:
            head = _retried(path, partial(self._client.head_object, Bucket=bucket, Key=key))
        except ObjectMissing:
            return None
        found: str | None = head.get("Metadata", {}).get(MARK)
        return found


def _abort(client: Any, upload: dict[str, Any]) -> None:
    from botocore.exceptions import ClientError

    try:
        client.abort_multipart_upload(**upload)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "NoSuchUpload":
            raise


def _retried(path: str, request: Callable[[], T]) -> T:
    """Run a request until it succeeds, is refused, or RETRY_SECONDS have passed."""
    return with_retries(f"s3://{path}", RETRY_SECONDS, lambda: translate_errors(f"s3://{path}", request))
