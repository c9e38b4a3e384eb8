"""List, read and write objects by URI, the same for `file://` and `s3://`.

A URI is scheme, bucket and key exactly as the store lists it, never percent-encoded:
`file:///data/é 1+%20#.jpg`. Whatever may pass on its own (5xx, resets, timeouts, short bodies) is
retried with back-off under a deadline and then raised as StoreError; only what is true of the
object itself is raised as ObjectMissing or ObjectChanged.

Writes are whole or not at all: a local file is linked into place, an S3 object is one PUT of bytes
held in memory (an upload stream would publish a short object when an exception passes through it).
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from imagefeatures.errors import StoreError, StoreRefused

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

T = TypeVar("T")

PATIENCE_SECONDS = 60.0
"""How long one request is retried before it is a StoreError; outlives a restart of the store."""


@dataclass(frozen=True)
class StoredObject:
    """One listed object. etag: the store's word for this version of the bytes."""

    uri: str
    size: int
    etag: str


class ObjectMissing(Exception):
    """There is no such object (any more)."""


class ObjectChanged(Exception):
    """The object is not the version that was listed. etag: what it is now."""

    def __init__(self, etag: str) -> None:
        super().__init__(etag)
        self.etag = etag


class Store(Protocol):
    """What a store can do. `path` is what stands behind the scheme: /folder/file or bucket/key."""

    def list_objects(self, path: str) -> Iterator[tuple[str, int, str]]: ...
    def read(self, path: str, etag: str | None) -> bytes: ...
    def write(self, path: str, data: bytes, only_if_absent: bool) -> bool: ...
    def delete_folder(self, path: str) -> None: ...


def list_objects(prefix: str) -> Iterator[StoredObject]:
    """Stream every object below a folder URI, in the order of their keys' bytes. Nothing there: nothing is yielded.

    Raises StoreRefused (no such bucket, wrong credentials) or StoreError.
    """
    scheme, path = _split(prefix)
    if not path.endswith("/"):
        path += "/"  # or the folder `day-1` of a bucket would take in the folder `day-10`
    for name, size, etag in _store(scheme).list_objects(path):
        yield StoredObject(f"{scheme}://{name}", size, etag)


def read(uri: str) -> bytes:
    """The object's bytes. Raises ObjectMissing, StoreRefused or StoreError."""
    scheme, path = _split(uri)
    return _store(scheme).read(path, None)


def fetch(listed: StoredObject) -> bytes:
    """The bytes of exactly the version that was listed.

    Raises ObjectMissing, ObjectChanged (another ETag, or another length under the same one),
    StoreRefused or StoreError.
    """
    scheme, path = _split(listed.uri)
    data = _store(scheme).read(path, listed.etag)
    if len(data) != listed.size:
        raise ObjectChanged(f"{listed.etag} with {len(data)} bytes instead of {listed.size}")
    return data


def write(uri: str, data: bytes, *, only_if_absent: bool = False) -> bool:
    """Write an object, whole. With only_if_absent an existing one is left alone and False returned.

    (A store that does not know conditional writes overwrites it instead; nothing here relies on more.)
    """
    scheme, path = _split(uri)
    return _store(scheme).write(path, data, only_if_absent)


def exists(uri: str) -> bool:
    """Whether there is such an object."""
    try:
        read(uri)
    except ObjectMissing:
        return False
    return True


def names(folder: str) -> list[str]:
    """The names of the objects right inside a folder, sorted."""
    folder = folder.rstrip("/") + "/"
    inside = (o.uri.removeprefix(folder) for o in list_objects(folder))
    return sorted(name for name in inside if "/" not in name)


def delete_folder(uri: str) -> None:
    """Remove every object below a folder URI; no such folder is no error."""
    scheme, path = _split(uri)
    _store(scheme).delete_folder(path.rstrip("/") + "/")


class LocalStore:
    """Files. The ETag is modification time and size, so a replaced file shows."""

    def list_objects(self, path: str) -> Iterator[tuple[str, int, str]]:
        try:
            entries = sorted(os.scandir(path), key=lambda entry: entry.name + "/" * entry.is_dir())  # as S3 sorts keys
        except FileNotFoundError:
            return
        except NotADirectoryError:
            raise StoreRefused(f"file://{path} is a file, not a folder") from None
        except PermissionError:
            raise StoreRefused(f"file://{path}: permission denied") from None
        except OSError as error:  # a loop of links, a disk that fails
            raise StoreError(f"file://{path}: {error.strerror}") from error
        for entry in entries:
            if entry.is_dir():
                if entry.is_symlink() and Path(path).resolve().is_relative_to(Path(entry.path).resolve()):
                    raise StoreRefused(f"file://{entry.path} is a link to a folder that it lies in")
                yield from self.list_objects(entry.path)
            elif entry.is_file():
                try:
                    status = entry.stat()
                except FileNotFoundError:  # removed since its folder was read
                    continue
                yield entry.path, status.st_size, _local_etag(status)

    def read(self, path: str, etag: str | None) -> bytes:
        try:
            with Path(path).open("rb") as file:
                data = file.read()
                # Taken after reading: bytes written while we read change the time of modification.
                now = _local_etag(os.fstat(file.fileno()))
        except (FileNotFoundError, NotADirectoryError):
            raise ObjectMissing(path) from None
        except PermissionError:
            raise StoreRefused(f"file://{path}: permission denied") from None
        except OSError as error:
            raise StoreError(f"file://{path}: {error.strerror}") from error
        if etag is not None and now != etag:
            raise ObjectChanged(now)
        return data

    def write(self, path: str, data: bytes, only_if_absent: bool) -> bool:
        target = Path(path)
        draft = target.with_name(f".draft-{secrets.token_hex(8)}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"file://{path}: {error.strerror}") from error
        try:
            draft.write_bytes(data)
            if only_if_absent:
                _put_if_absent(draft, target)
            else:
                draft.replace(target)
        except FileExistsError:
            return False
        except OSError as error:
            raise StoreError(f"file://{path}: {error.strerror}") from error
        finally:
            draft.unlink(missing_ok=True)
        return True

    def delete_folder(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(path)


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
        _check_that_s3_answers(f"s3://{path}", "ETag" in answer)
        return True

    def delete_folder(self, path: str) -> None:
        bucket, _ = _bucket_and_key(path)
        batch: list[dict[str, str]] = []

        def flush() -> None:
            if batch:
                _patiently(
                    f"s3://{bucket}", lambda: self._client.delete_objects(Bucket=bucket, Delete={"Objects": batch})
                )
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
    if 400 <= status < 500 and status not in (408, 409, 429):  # 409: another write was under way
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


@cache
def _store(scheme: str) -> Store:
    return LocalStore() if scheme == "file" else S3Store()


def _split(uri: str) -> tuple[str, str]:
    scheme, separator, path = uri.partition("://")
    if not separator or scheme not in ("file", "s3"):
        raise StoreRefused(f"{uri}: neither file:// nor s3://")
    return scheme, path


def _bucket_and_key(path: str) -> tuple[str, str]:
    bucket, _, key = path.partition("/")
    return bucket, key


def _put_if_absent(draft: Path, target: Path) -> None:
    """Give the draft its name unless that is taken. Raises FileExistsError."""
    try:
        os.link(draft, target)  # fails where rename would replace
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS):
            raise
        # A file system without hard links (FAT, some mounts): not atomic there, but never an overwrite.
        with target.open("xb") as file:
            file.write(draft.read_bytes())


def _local_etag(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns:x}-{status.st_size:x}"
