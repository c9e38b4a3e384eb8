"""The file:// store: folders and files as an object store."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from imagefeatures.errors import Rejected
from imagefeatures.storage import drafts, durable, local_reading
from imagefeatures.storage.objects import Fetched, Listed, ObjectChanged, ObjectMissing, ObjectVersion
from imagefeatures.usage import traffic

ATTEMPTS = 100
"""So often a folder is deleted in which others delete and write too."""


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
            data = os.pread(descriptor, length, start)
        traffic.read(len(data))
        return data

    def read_into(self, path: str, start: int, memory: memoryview) -> int:
        count = 0
        with local_reading.open_file(path) as descriptor:
            # A read may be shorter than asked for: 2 GB at most.
            while more := os.preadv(descriptor, [memory[count:]], start + count):
                count += more
        traffic.read(count)
        return count

    def stat_all(self, paths: Sequence[str]) -> Iterator[Listed | ObjectMissing | Rejected]:
        for path in paths:
            try:
                yield local_reading.stat_file(path)
            except (ObjectMissing, Rejected) as missing_or_rejected:
                yield missing_or_rejected

    def write(self, path: str, data: bytes | memoryview, only_if_absent: bool) -> bool:
        target = Path(path)
        draft = drafts.hidden_name(target)
        try:
            durable.make_folder(target.parent)
        except OSError as error:
            raise durable.write_failed(path, error) from error
        written = True
        try:
            try:
                with durable.written(draft, data):  # held until it has its name: it is no dead process's
                    if only_if_absent:
                        _put_if_absent(draft, target)
                    else:
                        draft.replace(target)
            except FileExistsError:
                written = False
            finally:
                draft.unlink(missing_ok=True)
            durable.sync_folder(target.parent)  # also for another writer's file: whoever names it may go on at once
        except OSError as error:
            raise durable.write_failed(path, error) from error
        return written

    def draft(self, path: str, part_bytes: int = 0) -> drafts.LocalDraft:
        return drafts.LocalDraft(path)

    def delete(self, path: str) -> None:
        try:
            Path(path).unlink(missing_ok=True)
        except OSError as error:
            raise durable.write_failed(path, error) from error

    def delete_folder(self, path: str) -> None:
        for left in reversed(range(ATTEMPTS)):
            try:
                shutil.rmtree(path)
                return
            except OSError as error:
                if error.errno == errno.ENOENT and not os.path.lexists(path):
                    return
                if error.errno not in (errno.ENOENT, errno.ENOTEMPTY) or not left:
                    raise durable.write_failed(path, error) from error

    def abort_old_uploads(self, path: str, ended: bool = False, remove: bool = True) -> int:
        return drafts.remove_old(path, ended, remove)


def _put_if_absent(draft: Path, target: Path) -> None:
    """Link the draft under the target's name. Raises FileExistsError if the target exists."""
    try:
        os.link(draft, target)  # unlike a rename, this fails when the target exists
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS):
            raise
        # A file system without hard links (FAT, some mounts): not atomic, but never an overwrite.
        durable.write_file(target, draft.read_bytes())
