"""The file:// store: folders and files as an object store."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from imagefeatures.errors import StoreError, StoreRefused
from imagefeatures.storage import durable
from imagefeatures.storage.objects import ObjectChanged, ObjectMissing, ObjectVersion


class LocalStore:
    """A file system as a store. An ETag is modification time and size, so a replaced file has another one."""

    def list_objects(self, path: str) -> Iterator[tuple[str, int, str]]:
        try:
            entries = sorted(os.scandir(path), key=lambda entry: entry.name + "/" * entry.is_dir())  # as S3 sorts keys
        except FileNotFoundError:
            return
        except NotADirectoryError:
            raise StoreRefused(f"file://{path} is a file, not a folder") from None
        except PermissionError:
            raise StoreRefused(f"file://{path}: permission denied") from None
        except OSError as error:  # for example a loop of links, or a failing disk
            raise StoreError(f"file://{path}: {error.strerror}") from error
        for entry in entries:
            if entry.is_dir():
                if entry.is_symlink() and Path(path).resolve().is_relative_to(Path(entry.path).resolve()):
                    raise StoreRefused(f"file://{entry.path} is a link to a folder that it lies in")
                yield from self.list_objects(entry.path)
            elif entry.is_file():
                try:
                    status = entry.stat()
                except FileNotFoundError:  # removed after its folder was read
                    continue
                yield entry.path, status.st_size, _local_etag(status)

    def read(self, path: str) -> bytes:
        return _read(path)[0]

    def fetch_all(self, versions: Sequence[ObjectVersion]) -> Iterator[bytes | ObjectMissing | ObjectChanged]:
        for path, etag, _ in versions:  # mostly from the page cache: threads would gain nothing
            try:
                data, current_etag = _read(path)
            except ObjectMissing as missing:
                yield missing
            else:
                yield data if current_etag == etag else ObjectChanged(current_etag)

    def read_part(self, path: str, start: int, length: int) -> bytes:
        with _opened(path) as file:
            return os.pread(file.fileno(), length, start)

    def write(self, path: str, data: bytes | memoryview, only_if_absent: bool) -> bool:
        target = Path(path)
        draft = target.with_name(f".draft-{secrets.token_hex(8)}")
        try:
            durable.make_folder(target.parent)
        except OSError as error:
            raise durable.write_failed(path, error) from error
        written = True
        try:
            try:
                durable.write_file(draft, data)
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

    def delete_folder(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(path)

    def abort_old_uploads(self, path: str) -> int:
        return 0  # a file system has no multipart uploads


def _read(path: str) -> tuple[bytes, str]:
    """A file's bytes, and their ETag."""
    with _opened(path) as file:
        data = file.read()
        # The ETag is taken after reading: a write meanwhile changes the modification time.
        return data, _local_etag(os.fstat(file.fileno()))


@contextlib.contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    """Open a file for reading. Translates OSError from opening and reading into the errors of a store."""
    try:
        with Path(path).open("rb") as file:
            yield file
    except (FileNotFoundError, NotADirectoryError):
        raise ObjectMissing(path) from None
    except PermissionError:
        raise StoreRefused(f"file://{path}: permission denied") from None
    except OSError as error:
        raise StoreError(f"file://{path}: {error.strerror}") from error


def _put_if_absent(draft: Path, target: Path) -> None:
    """Link the draft under the target's name. Raises FileExistsError if the target exists."""
    try:
        os.link(draft, target)  # unlike a rename, this fails when the target exists
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS):
            raise
        # A file system without hard links (FAT, some mounts): not atomic, but never an overwrite.
        durable.write_file(target, draft.read_bytes())


def _local_etag(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns:x}-{status.st_size:x}"
