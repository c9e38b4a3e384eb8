"""List, read and write objects by URI, the same for `file://` and `s3://`.

A URI is scheme, bucket and key exactly as the store lists it, never percent-encoded:
`file:///data/é 1+%20#.jpg`. Transient failures (5xx, resets, timeouts, short bodies) are retried with
back-off until a deadline, and then raised as StoreError. ObjectMissing, ObjectChanged and Rejected are never
retried: they state a fact about the object.

Writes are atomic: a local file is linked into place, an S3 object is one PUT of bytes held in memory
(an exception inside an upload stream would publish a truncated object). What is too large for memory is a draft, which
becomes the object at its end.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice

from imagefeatures.errors import Rejected, StoreRefused
from imagefeatures.reasons import Reason
from imagefeatures.storage.objects import (
    Access,
    Draft,
    Fetched,
    Listed,
    ObjectChanged,
    ObjectMissing,
    ObjectVersion,
    Store,
    StoredObject,
)
from imagefeatures.storage.others import others_succeed
from imagefeatures.storage.retry import shorten_retries

__all__ = [
    "Access",
    "Draft",
    "ObjectChanged",
    "ObjectMissing",
    "StoredObject",
    "abort_old_uploads",
    "delete",
    "delete_folder",
    "draft",
    "exists",
    "fetch",
    "fetch_all",
    "gives_others",
    "list_entries",
    "list_objects",
    "names",
    "read",
    "read_into",
    "read_part",
    "shorten_retries",
    "stat",
    "stat_all",
    "write",
]

SEEN_BESIDE = 1000
"""How many objects are looked at for others that can be read."""

BEGINNING = 64 << 10
"""So many bytes of another object are read to see whether the store gives it."""


def list_entries(prefix: str, access: Access | None = None) -> Iterator[StoredObject]:
    """Stream everything below a folder URI, each once, in the order of the keys' bytes; nothing for a missing folder.

    What lies in a local folder and is no readable file is `rejected`. A store that goes through its folders one by
    one, as SeaweedFS does, lists them in that order. access: of a source's bucket; None: as the lake is reached. Raises
    StoreRefused (no such bucket, wrong credentials, a listing that contradicts itself) or StoreError.
    """
    scheme, path = _split(prefix)
    if not path.endswith("/"):
        path += "/"  # without it the folder `day-1` would include the folder `day-10`
    for listed in _source_store(scheme, access).list_objects(path):
        yield StoredObject(f"{scheme}://{listed.path}", listed.size, listed.etag, listed.rejected, listed.modified)


def list_objects(prefix: str) -> Iterator[StoredObject]:
    """Stream the objects of `list_entries`. Raises StoreRefused for a folder without permission too."""
    for entry in list_entries(prefix):
        if entry.rejected is None:
            yield entry
        elif entry.rejected.reason is Reason.NOT_READABLE:
            raise StoreRefused(f"{entry.uri}: {entry.rejected.detail}")


def read(uri: str) -> bytes:
    """The object's bytes. Raises ObjectMissing, StoreRefused or StoreError."""
    scheme, path = _split(uri)
    return _store(scheme).read(path)


def read_part(uri: str, start: int, length: int, access: Access | None = None) -> bytes:
    """`length` bytes of the object from `start` on; fewer at its end. Raises what `read` raises."""
    scheme, path = _split(uri)
    return _source_store(scheme, access).read_part(path, start, length)


def read_into(uri: str, start: int, memory: memoryview) -> int:
    """Fill memory with the object's bytes from `start` on. Returns how many these are: fewer at its end.

    Raises what `read` raises.
    """
    scheme, path = _split(uri)
    return _store(scheme).read_into(path, start, memory)


def stat(uri: str, access: Access | None = None) -> StoredObject:
    """The object's size and ETag, without its bytes.

    Raises ObjectMissing, Rejected (it may not be read, or is no file), StoreRefused or StoreError.
    """
    (found,) = stat_all([uri], access)
    if isinstance(found, Exception):
        raise found
    return found


def stat_all(uris: Sequence[str], access: Access | None = None) -> Iterator[StoredObject | ObjectMissing | Rejected]:
    """For each of many objects of one store, in order: its size and ETag, or the error of `stat` about this object.

    Raises StoreRefused; raises StoreError for all objects as soon as the retries of one have reached their deadline.
    """
    if not uris:
        return
    scheme, _ = _split(uris[0])
    paths = [uri.removeprefix(f"{scheme}://") for uri in uris]
    for uri, found in zip(uris, _source_store(scheme, access).stat_all(paths), strict=True):
        yield StoredObject(uri, found.size, found.etag) if isinstance(found, Listed) else found


def fetch(listed: StoredObject) -> bytes:
    """The bytes of exactly the version that was listed.

    Raises ObjectMissing, ObjectChanged (another ETag, or another length under the same one), Rejected (it may not be
    read, or is no file), StoreRefused or StoreError.
    """
    (fetched,) = fetch_all([listed])
    if isinstance(fetched, Exception):
        raise fetched
    return fetched


def fetch_all(
    listed: Sequence[StoredObject], folder: str | None = None, access: Access | None = None
) -> Iterator[Fetched]:
    """For each of many objects of one store, in order: its bytes, or the error of `fetch` about this object.

    folder: URI of the folder that was listed; a file that is not inside it by now is Rejected (LINK_OUTSIDE).
    access: as for `list_entries`. No more than the listed size is read of an object. Objects are fetched concurrently
    and held in memory until the caller takes them. Raises StoreRefused; raises StoreError for all objects as soon as
    the retries of one of them have reached their deadline.
    """
    if not listed:
        return
    scheme, _ = _split(listed[0].uri)
    versions = [ObjectVersion(stored.uri.removeprefix(f"{scheme}://"), stored.etag, stored.size) for stored in listed]
    root = _split(folder)[1] if folder else None
    for stored, fetched in zip(listed, _source_store(scheme, access).fetch_all(versions, root), strict=True):
        if isinstance(fetched, bytes) and len(fetched) != stored.size:
            yield ObjectChanged(f"{stored.etag} with {len(fetched)} bytes instead of {stored.size}")
        else:
            yield fetched


def gives_others(uri: str, folder: str, access: Access | None = None) -> bool:
    """Whether the store now gives other objects below a folder than this one, of which requests have failed.

    The beginning of some of them is read. False where there are none, and where nothing answers in time.
    """
    scheme, path = _split(uri)

    def listed() -> list[Listed]:
        some = islice(list_entries(folder, access), SEEN_BESIDE)
        return [Listed(entry.uri.removeprefix(f"{scheme}://"), entry.size) for entry in some if not entry.rejected]

    def can_be_read(other: Listed) -> bool:
        most = min(other.size, BEGINNING)
        return len(_source_store(scheme, access).read_part(other.path, 0, most)) == most

    return others_succeed(ObjectVersion(path, "", 0), listed, can_be_read)


def write(uri: str, data: bytes | memoryview, *, only_if_absent: bool = False) -> bool:
    """Write an object. With only_if_absent an existing object is kept, and False is returned.

    A store without conditional writes overwrites the object instead; nothing in the pipeline relies on more.
    """
    scheme, path = _split(uri)
    return _store(scheme).write(path, data, only_if_absent)


def draft(uri: str, part_bytes: int = 0) -> Draft:
    """An object that is written piece by piece. Raises StoreRefused or StoreError, as its methods do.

    part_bytes: what is no larger is one request to an object store; the draft holds as much.
    """
    scheme, path = _split(uri)
    return _store(scheme).draft(path, part_bytes)


def exists(uri: str) -> bool:
    """Whether the object exists. Reads it whole."""
    try:
        read(uri)
    except ObjectMissing:
        return False
    return True


def names(folder: str) -> list[str]:
    """The names of the objects directly inside a folder, sorted."""
    folder = folder.rstrip("/") + "/"
    paths = (stored.uri.removeprefix(folder) for stored in list_objects(folder))
    return sorted(path for path in paths if "/" not in path)


def delete(uri: str) -> None:
    """Remove one object. One that is missing is not an error."""
    scheme, path = _split(uri)
    _store(scheme).delete(path)


def delete_folder(uri: str) -> None:
    """Remove every object below a folder URI. A missing folder is not an error."""
    scheme, path = _split(uri)
    _store(scheme).delete_folder(path.rstrip("/") + "/")


def abort_old_uploads(folder: str, *, ended: bool = False, remove: bool = True) -> int:
    """Abort multipart uploads below a folder URI that are unfinished after a day. Returns how many.

    In a file system these are the hidden files that killed processes have left; they are removed. ended: there also
    younger ones, of processes that have ended, where the file system has locks. remove: False only counts them. Raises
    no error of the store: if it cannot list or abort uploads, they stay.
    """
    scheme, path = _split(folder)
    return _store(scheme).abort_old_uploads(path.rstrip("/") + "/", ended, remove)


def _source_store(scheme: str, access: Access | None) -> Store:
    return _store(scheme, access) if access else _store(scheme)


@cache
def _store(scheme: str, access: Access | None = None) -> Store:
    if scheme == "file":
        from imagefeatures.storage.local import LocalStore

        return LocalStore()
    from imagefeatures.storage.s3 import S3Store

    return S3Store(access)


# A connection belongs to one process: two that read from the same socket would take each other's answers.
os.register_at_fork(after_in_child=_store.cache_clear)


def _split(uri: str) -> tuple[str, str]:
    scheme, separator, path = uri.partition("://")
    if not separator or scheme not in ("file", "s3"):
        raise StoreRefused(f"{uri}: neither file:// nor s3://")
    return scheme, path
