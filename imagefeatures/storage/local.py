"""Files, as an object store."""

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
from imagefeatures.storage.objects import ObjectChanged, ObjectMissing, ObjectVersion


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

    def read(self, path: str) -> bytes:
        return _read(path)[0]

    def fetch_all(self, wanted: Sequence[ObjectVersion]) -> Iterator[bytes | ObjectMissing | ObjectChanged]:
        for path, listed, _ in wanted:  # the page cache answers; threads would only take turns
            try:
                data, etag = _read(path)
            except ObjectMissing as missing:
                yield missing
            else:
                yield data if etag == listed else ObjectChanged(etag)

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
        return 0  # files are not uploaded in parts


def _read(path: str) -> tuple[bytes, str]:
    """A file's bytes, and the ETag that they have now."""
    with _opened(path) as file:
        data = file.read()
        # Taken after reading: bytes written while we read change the time of modification.
        return data, _local_etag(os.fstat(file.fileno()))


@contextlib.contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    """A file to read. Raises what a store raises, for opening and for reading."""
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
