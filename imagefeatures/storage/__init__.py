"""List, read and write objects by URI, the same for `file://` and `s3://`.

A URI is scheme, bucket and key exactly as the store lists it, never percent-encoded:
`file:///data/é 1+%20#.jpg`. Whatever may pass on its own (5xx, resets, timeouts, short bodies) is
retried with back-off under a deadline and then raised as StoreError; only what is true of the
object itself is raised as ObjectMissing or ObjectChanged.

Writes are whole or not at all: a local file is linked into place, an S3 object is one PUT of bytes
held in memory (an upload stream would publish a short object when an exception passes through it).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

from imagefeatures.errors import StoreRefused
from imagefeatures.storage.objects import ObjectChanged, ObjectMissing, ObjectVersion, Store, StoredObject
from imagefeatures.storage.retry import shorten_retries

__all__ = [
    "ObjectChanged",
    "ObjectMissing",
    "StoredObject",
    "abort_old_uploads",
    "delete_folder",
    "exists",
    "fetch",
    "fetch_all",
    "list_objects",
    "names",
    "read",
    "read_part",
    "shorten_retries",
    "write",
]


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
    return _store(scheme).read(path)


def read_part(uri: str, start: int, length: int) -> bytes:
    """`length` bytes of the object from `start` on; fewer where it ends. Raises as `read` does."""
    scheme, path = _split(uri)
    return _store(scheme).read_part(path, start, length)


def fetch(listed: StoredObject) -> bytes:
    """The bytes of exactly the version that was listed.

    Raises ObjectMissing, ObjectChanged (another ETag, or another length under the same one),
    StoreRefused or StoreError.
    """
    (fetched,) = fetch_all([listed])
    if isinstance(fetched, Exception):
        raise fetched
    return fetched


def fetch_all(listed: Sequence[StoredObject]) -> Iterator[bytes | ObjectMissing | ObjectChanged]:
    """What `fetch` returns, or raises as true of the object, for each of many objects of one store, in their order.

    Many are fetched at a time, and those that are not yet asked for are held in memory. Raises StoreRefused; or
    StoreError for all of them, once one of them has been waited for in vain.
    """
    if not listed:
        return
    scheme, _ = _split(listed[0].uri)
    wanted = [ObjectVersion(found.uri.removeprefix(f"{scheme}://"), found.etag, found.size) for found in listed]
    for found, fetched in zip(listed, _store(scheme).fetch_all(wanted), strict=True):
        if isinstance(fetched, bytes) and len(fetched) != found.size:
            yield ObjectChanged(f"{found.etag} with {len(fetched)} bytes instead of {found.size}")
        else:
            yield fetched


def write(uri: str, data: bytes | memoryview, *, only_if_absent: bool = False) -> bool:
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


def abort_old_uploads(folder: str) -> int:
    """Abort multipart uploads below a folder URI that nobody has finished in a day. Returns how many.

    Raises nothing of the store's: where it does not list or abort uploads, they stay.
    """
    scheme, path = _split(folder)
    return _store(scheme).abort_old_uploads(path.rstrip("/") + "/")


@cache
def _store(scheme: str) -> Store:
    if scheme == "file":
        from imagefeatures.storage.local import LocalStore

        return LocalStore()
    from imagefeatures.storage.s3 import S3Store

    return S3Store()


def _split(uri: str) -> tuple[str, str]:
    scheme, separator, path = uri.partition("://")
    if not separator or scheme not in ("file", "s3"):
        raise StoreRefused(f"{uri}: neither file:// nor s3://")
    return scheme, path
