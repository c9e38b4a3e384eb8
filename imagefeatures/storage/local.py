"""The file:// store: folders and files as an object store."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from imagefeatures.errors import StoreError, StoreRefused
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

    def abort_old_uploads(self, path: str) -> int:
        return 0  # a file system has no multipart uploads


def _read(path: str) -> tuple[bytes, str]:
    """A file's bytes, and their ETag."""
    with _opened(path) as file:
        data = file.read()
        # The ETag is taken after reading: a write meanwhile changes the modification time.
        return data, _local_etag(os.fstat(file.fileno()))


@contextlib.contextmanager
def _opened(path: str) -> Iterator[io.FileIO]:
    """Open a file for reading. Translates OSError from opening and reading into the errors of a store."""
    try:
        with io.FileIO(path) as file:  # a buffer and a Path would cost a tenth of ingest's time
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
        with target.open("xb") as file:
            file.write(draft.read_bytes())


def _local_etag(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns:x}-{status.st_size:x}"
