"""Reading from a folder that other people can write to: what is listed of it, and how one of its files is opened.

A link is followed to a file inside the folder, and nowhere else. Every folder is entered under its own path alone, so
each is entered once, whatever links there are. All else that lies there is listed with the reason why it is no object
(docs/decisions/0021-listing.md).

What was listed may be another thing by the time it is read. So a file is opened in two steps. The first gives a mere
reference (O_PATH), which has no effect on a FIFO or a device, and of which the kernel tells type and real path. The
second opens what the reference refers to, whatever has its name by then.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from imagefeatures.errors import Rejected, StoreError, StoreRefused
from imagefeatures.reasons import Reason
from imagefeatures.storage import kernel_files
from imagefeatures.storage.objects import Listed, ObjectMissing, ObjectVersion
from imagefeatures.storage.others import others_succeed
from imagefeatures.usage import traffic

LONGEST_PATH = 4095
"""The most bytes of a path that Linux opens."""

LONGEST_NAME = 255
"""The most bytes of one name in a path, for nearly every file system."""

SEEN_BESIDE = 1000
"""How many entries of a folder are looked at for a file that can be read."""

FOLDER, OTHER = range(2)

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}
_DENIED = (errno.EACCES, errno.EPERM, errno.ENOKEY)
_DAMAGED = (errno.EUCLEAN, errno.EBADMSG)
_OF_THE_FILE = (errno.EINVAL, errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP, errno.EISDIR, errno.EOVERFLOW)
"""Errors of opening or reading what only looks like a file, such as a socket or a setting of the kernel."""

_READING = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO would else block for ever


def list_folder(path: str) -> Iterator[Listed]:
    """Everything below a folder, in the order of the paths' bytes as S3 sorts keys; nothing for a missing folder.

    path: ends in a slash; may be a link. A link to a folder sorts without its slash. Raises StoreRefused or StoreError.
    """
    try:
        root = os.path.realpath(path, strict=True)
        folders = [(path, iter(_children(path, None)))]
    except FileNotFoundError:
        return
    except NotADirectoryError:
        file = next((place for place in [Path(path), *Path(path).parents] if place.is_file()), path)
        raise StoreRefused(f"file://{file} is a file, not a folder") from None
    except OSError as error:
        raise _of_the_run(path, error) from error
    while folders:  # not by recursion: folders may be nested a thousand deep
        folder, children = folders[-1]
        if (child := next(children, None)) is None:
            folders.pop()
            continue
        name, kind = child
        below = folder + os.fsdecode(name)
        if kind == FOLDER:
            try:
                folders.append((below, iter(_children(below, root))))
                continue
            except FileNotFoundError:  # removed after its parent was read
                continue
            except Rejected as why:
                yield Listed(below, rejected=why)
                continue
            except OSError as error:
                if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                    yield Listed(below, rejected=_rejection(below, error))
                    continue
                below = below.rstrip("/")  # replaced by a file or a link after its parent was read
        if listed := _entry(below, root):
            yield listed


def read_file(path: str) -> bytes:
    """A file's bytes, wherever its path leads. Raises as `open_file`."""
    with open_file(path) as descriptor, open(descriptor, "rb", buffering=0, closefd=False) as file:
        data = file.readall()
        traffic.read(len(data))
        return data


@contextlib.contextmanager
def open_file(path: str) -> Iterator[int]:
    """A descriptor for reading a file, wherever its path leads.

    Raises ObjectMissing, StoreRefused (no permission, or no file) or StoreError; so for the errors of reading too.
    """
    try:
        descriptor = os.open(path, _READING)
        try:
            _check_is_file(os.fstat(descriptor))
            yield descriptor
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise ObjectMissing(path) from None
        if error.errno == errno.ENXIO:  # a socket
            raise StoreRefused(f"file://{path} is not a file") from None
        raise _of_the_run(path, error) from error
    except Rejected as why:
        raise StoreRefused(f"file://{path}: {why.detail}") from None


def read_listed(path: str, size: int, root: str) -> tuple[bytes, str]:
    """The bytes of a listed file, at most one more than its size, and their ETag.

    size: in bytes. root: real path of the folder that was listed. Raises ObjectMissing, Rejected or StoreError.
    """
    try:
        with _reference(path) as (reference, status):
            _check_is_inside(reference, root)
            _check_is_file(status)
            descriptor = os.open(f"/proc/self/fd/{reference}", _READING)
        try:
            data = read_at_most(descriptor, size + 1)
            # The ETag is taken after reading: a write meanwhile changes the modification time.
            return data, etag_of(os.fstat(descriptor))
        finally:
            os.close(descriptor)
    except (FileNotFoundError, NotADirectoryError):
        raise ObjectMissing(path) from None
    except OSError as error:
        if error.errno == errno.EIO and _others_can_be_read(path, size):
            detail = f"the disk gives other files, and not this one ({error.strerror})"
            raise Rejected(Reason.NOT_READABLE, detail) from None
        raise _rejection(path, error) from None


def stat_file(path: str) -> Listed:
    """A file's size and ETag, wherever its path leads. Raises ObjectMissing, Rejected or StoreError."""
    try:
        with _reference(path) as (_, status):
            _check_is_file(status)
            kernel_files.check(status)
            return Listed(path, status.st_size, etag_of(status))
    except (FileNotFoundError, NotADirectoryError):
        raise ObjectMissing(path) from None
    except OSError as error:
        raise _rejection(path, error) from None


def read_at_most(descriptor: int, most: int) -> bytes:
    """The next bytes of a file: `most`, or fewer at its end."""
    parts = [os.read(descriptor, most)]
    while parts[-1] and (left := most - sum(map(len, parts))) > 0:
        parts.append(os.read(descriptor, left))
    data = b"".join(parts)
    traffic.read(len(data))
    return data


def etag_of(status: os.stat_result) -> str:
    """Modification time and size: a replaced file has another ETag."""
    return f"{status.st_mtime_ns:x}-{status.st_size:x}"


def _children(folder: str, root: str | None) -> list[tuple[bytes, int]]:
    """(name, FOLDER or OTHER) of what is directly in a folder, sorted. The name of a folder ends in a slash.

    root: real path of the folder that is listed; None for that folder itself. Raises Rejected (LINK_OUTSIDE), OSError.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (os.O_NOFOLLOW if root else 0)
    descriptor = os.open(folder.rstrip("/") or "/", flags)  # with the slash O_NOFOLLOW would follow a link
    try:
        if root:
            _check_is_inside(descriptor, root)
        with os.scandir(descriptor) as entries:
            return sorted(
                (os.fsencode(entry.name) + b"/", FOLDER) if _is_folder(entry) else (os.fsencode(entry.name), OTHER)
                for entry in entries
            )
    finally:
        os.close(descriptor)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:  # `_entry` meets it too, and says why
        return False


def _entry(path: str, root: str) -> Listed | None:
    """A folder's entry that is no folder; None when it is gone. Raises StoreError."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        return Listed(path, rejected=_rejection(path, error))
    name = path
    try:
        if stat.S_ISLNK(status.st_mode):
            with _reference(path) as (reference, status):
                name += "/" * stat.S_ISDIR(status.st_mode)
                _check_is_inside(reference, root)
            if name.endswith("/"):
                detail = "it is a link to a folder of the source, whose files are listed under their own names"
                raise Rejected(Reason.LINK_TO_FOLDER, detail)
        _check_is_file(status)
        return Listed(path, status.st_size, etag_of(status), modified=status.st_mtime)
    except Rejected as why:
        return Listed(name, rejected=why)
    except (FileNotFoundError, NotADirectoryError):
        return Listed(path, rejected=Rejected(Reason.LINK_BROKEN, "it is a link that leads to nothing"))
    except OSError as error:
        return Listed(path, rejected=_rejection(path, error))


@contextlib.contextmanager
def _reference(path: str) -> Iterator[tuple[int, os.stat_result]]:
    """A reference to what a path leads to, and its status. Raises OSError."""
    reference = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        yield reference, os.fstat(reference)
    finally:
        os.close(reference)


def _check_is_inside(descriptor: int, root: str) -> None:
    """Raise Rejected (LINK_OUTSIDE) if the real path of an open file is not below a folder. root: the folder's."""
    try:
        real = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115 - once for each file that is read
    except FileNotFoundError:
        raise StoreRefused(f"file://{root}: nothing can be read safely while /proc is not mounted") from None
    if real != root and not real.startswith(root.rstrip("/") + "/"):
        raise Rejected(Reason.LINK_OUTSIDE, "it is a link, or lies behind one, that leads out of the source's folder")


def _check_is_file(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise Rejected(Reason.NOT_A_FILE, f"it is {kind}, and no file")


def _rejection(path: str, error: OSError) -> Rejected:
    """The reason that an error gives to reject a file, a link or a folder. Raises StoreError for any other error."""
    if error.errno in _DENIED:
        return Rejected(Reason.NOT_READABLE, "permission denied")
    length = len(os.fsencode(path))
    if error.errno == errno.ENAMETOOLONG and length > LONGEST_PATH:
        return Rejected(Reason.NOT_READABLE, f"its path of {length:,} bytes is longer than the system opens")
    if error.errno == errno.ENAMETOOLONG and (longest := max(map(len, os.fsencode(path).split(b"/")))) > LONGEST_NAME:
        return Rejected(Reason.NOT_READABLE, f"a name of {longest:,} bytes in its path is longer than the system opens")
    if error.errno == errno.ENAMETOOLONG:  # the target of a link is
        return Rejected(Reason.LINK_BROKEN, "it is a link that leads to nothing")
    if error.errno == errno.ELOOP:
        return Rejected(Reason.LINK_BROKEN, "it is a link that leads in a circle")
    if error.errno in _DAMAGED:
        return Rejected(Reason.NOT_READABLE, f"the file system is damaged there ({error.strerror})")
    if error.errno in _OF_THE_FILE:
        return Rejected(Reason.NOT_READABLE, f"the system does not let it be read ({error.strerror})")
    raise _of_the_run(path, error) from error


def _of_the_run(path: str, error: OSError) -> StoreRefused | StoreError:
    """The error that stops the run."""
    if error.errno in _DENIED:
        return StoreRefused(f"file://{path}: permission denied")
    if error.errno in (errno.ELOOP, errno.ENAMETOOLONG):
        return StoreRefused(f"file://{path}: {error.strerror}")
    return StoreError(f"file://{path}: {error.strerror}")  # for example a failing disk


def _others_can_be_read(path: str, size: int) -> bool:
    """Whether another file beside this one can be read. Where none can, the disk or the mount is at fault."""

    def files() -> Iterator[Listed]:
        with os.scandir(Path(path).parent) as entries:
            for entry in itertools.islice(entries, SEEN_BESIDE):
                if entry.is_file(follow_symlinks=False):
                    yield Listed(entry.path, entry.stat().st_size)

    def read(other: Listed) -> bool:
        with open_file(other.path) as descriptor:
            return len(read_at_most(descriptor, other.size + 1)) == other.size

    return others_succeed(ObjectVersion(path, "", size), files, read)
