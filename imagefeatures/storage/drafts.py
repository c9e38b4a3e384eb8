"""Objects that are written piece by piece: a local file that gets its name at the end, or an upload in parts.

Neither is there before `commit`, whatever happens in between. A local file has no name at all until then, so that a
killed process leaves nothing; where the file system knows none without a name, it is a hidden one meanwhile.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from imagefeatures.errors import StoreError, StoreRefused
from imagefeatures.storage import durable, modes
from imagefeatures.storage.locks import hold, locked
from imagefeatures.storage.objects import OLD, ObjectMissing
from imagefeatures.storage.s3_responses import check_is_s3

PART_BYTES = 8 * 2**20
"""The fewest bytes of a part but the last one: S3 wants 5 MiB, and takes 10,000 parts."""


_HIDDEN = re.compile(r"\.draft-[0-9a-f]{16}")

_NO_NAMELESS = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)
"""What a file system or a kernel without O_TMPFILE says to it."""


def hidden_name(target: Path) -> Path:
    """A new name for a file that is to be the target."""
    return target.with_name(f".draft-{secrets.token_hex(8)}")


def remove_old(folder: str, ended: bool = False, remove: bool = True) -> int:
    """Remove the hidden files below a folder that killed processes have left. Returns how many. Raises nothing.

    ended: also those younger than a day that no process of this machine holds. remove: False only counts them.
    """
    count, before = 0, time.time() - OLD.total_seconds()
    for place, _, names in os.walk(folder):
        for hidden in (Path(place, name) for name in names if _HIDDEN.fullmatch(name)):
            # Another process removes it too; or may not, and the next one tries.
            with contextlib.suppress(OSError, ObjectMissing):
                if hidden.lstat().st_mtime < before or (ended and _is_free(hidden)):
                    if remove:
                        hidden.unlink()
                    count += 1
    return count


def _is_free(hidden: Path) -> bool:
    with locked(f"file://{hidden}") as free:
        return free is True  # where there are no locks a process may be writing it


class LocalDraft:
    """A new file, without its name until `commit`. Raises StoreError or StoreRefused."""

    def __init__(self, path: str) -> None:
        self._target = Path(path)
        self._draft = hidden_name(self._target)
        try:
            durable.make_folder(self._target.parent)
            descriptor = _open_nameless(self._target.parent)
            self._is_nameless = descriptor is not None
            if descriptor is None:
                descriptor = modes.create(str(self._draft), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            hold(descriptor)
            self._file = io.FileIO(descriptor, "w")
        except OSError as error:
            raise durable.write_failed(path, error) from error

    def write(self, data: bytes | memoryview) -> None:
        try:
            durable.write_all(self._file.fileno(), data)
        except OSError as error:
            raise self._failed(error) from error

    def commit(self) -> None:
        try:
            os.fsync(self._file.fileno())
            if self._is_nameless:  # a link alone could not replace the target
                _link(self._file.fileno(), self._draft)
            self._draft.replace(self._target)
            self._file.close()  # only now: without its lock the draft is taken for a dead process's
            durable.sync_folder(self._target.parent)
        except OSError as error:
            raise self._failed(error) from error

    def abort(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
            self._draft.unlink(missing_ok=True)

    def _failed(self, error: OSError) -> StoreError | StoreRefused:
        why = durable.write_failed(str(self._target), error)  # before the draft makes room
        self.abort()
        return why


class S3Draft:
    """A multipart upload, or one PUT where the object is small. Raises StoreError or StoreRefused.

    client: of boto3. request: runs a request of it, with retries. put: writes a small object. part_bytes: so many are
    held before they are sent.
    """

    def __init__(
        self,
        path: str,
        client: Any,
        request: Callable[[Callable[[], Any]], Any],
        put: Callable[[bytes], object],
        part_bytes: int = PART_BYTES,
    ) -> None:
        bucket, _, key = path.partition("/")
        self._path, self._client, self._request, self._put = path, client, request, put
        self._part_bytes, self._held = max(part_bytes, PART_BYTES), 0
        self._object = {"Bucket": bucket, "Key": key}
        self._waiting: list[bytes] = []
        self._parts: list[dict[str, Any]] = []
        self._upload: dict[str, Any] = {}

    def write(self, data: bytes | memoryview) -> None:
        self._waiting.append(bytes(data))  # no copy of bytes
        self._held += len(data)
        if self._held >= self._part_bytes:
            self._send()

    def commit(self) -> None:
        if not self._upload:
            self._put(b"".join(self._waiting))
            return
        if self._waiting:
            self._send()
        parts = {"Parts": self._parts}
        try:
            self._request(lambda: self._client.complete_multipart_upload(**self._upload, MultipartUpload=parts))
        except ObjectMissing:  # another process took it for abandoned; or it is whole, and the answer to that was lost
            raise StoreError(f"s3://{self._path}: its upload in parts was gone at the end") from None
        self._upload = {}

    def abort(self) -> None:
        if self._upload:
            # What stays is aborted after a day: storage.uploads.
            with contextlib.suppress(StoreError, StoreRefused, ObjectMissing):
                self._request(lambda: self._client.abort_multipart_upload(**self._upload))
            self._upload = {}

    def _send(self) -> None:
        body = b"".join(self._waiting)
        self._waiting.clear()
        self._held = 0
        if not self._upload:
            made = self._request(lambda: self._client.create_multipart_upload(**self._object))
            check_is_s3(f"s3://{self._path}", "UploadId" in made)
            self._upload = {**self._object, "UploadId": made["UploadId"]}
        number = len(self._parts) + 1
        part = self._request(lambda: self._client.upload_part(**self._upload, PartNumber=number, Body=body))
        check_is_s3(f"s3://{self._path}", "ETag" in part)
        self._parts.append({"PartNumber": number, "ETag": part["ETag"]})


def _open_nameless(folder: Path) -> int | None:
    """A new file of a folder, which is gone with its last descriptor; None where there can be none. Raises OSError."""
    try:
        descriptor = modes.create(str(folder), os.O_WRONLY | os.O_TMPFILE)
    except OSError as error:
        if error.errno not in _NO_NAMELESS:
            raise
        return None
    if Path(_opened(descriptor)).exists():
        return descriptor
    os.close(descriptor)  # without /proc it could never be linked
    return None


def _link(descriptor: int, path: Path) -> None:
    # Python follows a link, which the name in /proc is, only where a folder's descriptor is given. The path is
    # absolute: it counts for nothing.
    os.link(_opened(descriptor), path, src_dir_fd=descriptor)


def _opened(descriptor: int) -> str:
    return f"/proc/self/fd/{descriptor}"
