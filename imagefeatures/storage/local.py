"""The file:// store: folders and files as an object store."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path

from imagefeatures.errors import Rejected, StoreError
from imagefeatures.storage import local_reading, modes
from imagefeatures.storage.objects import Fetched, Listed, ObjectChanged, ObjectMissing, ObjectVersion


class LocalStore:
    """A file system as a store. An ETag is modification time and size, so a replaced file has another one."""

    def list_objects(self, path: str) -> Iterator[Listed]:
        return local_reading.list_folder(path)

    def read(self, path: str) -> bytes:
        return local_reading.read_file(path)

    def fetch_all(self, versions: Sequence[ObjectVersion], folder: str | None = None) -> Iterator[Fetched]:
        root = os.path.realpath(folder or "/")
        for path, etag, size in versions:  # mostly from the page cache: threads would gain nothing
            fetched: Fetched
            try:
                fetched, current_etag = local_reading.read_listed(path, size, root)
            except (ObjectMissing, Rejected) as missing_or_rejected:
                fetched, current_etag = missing_or_rejected, etag
            yield fetched if current_etag == etag else ObjectChanged(current_etag)

    def read_part(self, path: str, start: int, length: int) -> bytes:
        with local_reading.open_file(path) as descriptor:
            return os.pread(descriptor, length, start)

    def write(self, path: str, data: bytes | memoryview, only_if_absent: bool) -> bool:
        target = Path(path)
        draft = target.with_name(f".draft-{secrets.token_hex(8)}")
        try:
            missing = list(takewhile(lambda folder: not folder.exists(), target.parents))
            target.parent.mkdir(parents=True, exist_ok=True)
            for folder in missing:
                modes.restrict_folder(folder)
        except OSError as error:
            raise StoreError(f"file://{path}: {error.strerror}") from error
        try:
            with open(draft, "xb", opener=modes.create) as file:
                file.write(data)
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

    def abort_old_uploads(self, path: str) -> int:
        return 0  # a file system has no multipart uploads


def _put_if_absent(draft: Path, target: Path) -> None:
    """Link the draft under the target's name. Raises FileExistsError if the target exists."""
    try:
        os.link(draft, target)  # unlike a rename, this fails when the target exists
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS):
            raise
        # A file system without hard links (FAT, some mounts): not atomic, but never an overwrite.
        with open(target, "xb", opener=modes.create) as file:
            file.write(draft.read_bytes())
