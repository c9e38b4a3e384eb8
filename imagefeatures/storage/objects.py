"""The types that all stores share: an object, its version, its errors, and the `Store` protocol."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from imagefeatures.errors import Rejected

OLD = dt.timedelta(days=1)
"""No write of the pipeline takes so long: an older one that is unfinished belongs to a process that has ended."""


@dataclass(frozen=True)
class StoredObject:
    """One listed object. size: in bytes. etag: the store's identifier of this version of its bytes.

    rejected: why it cannot be read, for what a local folder holds besides readable files; None for an object. It may
    then be a whole folder, whose URI ends in a slash. modified: when it was last written, by the store's clock, in
    seconds since 1970; None where the store does not say so.
    """

    uri: str
    size: int
    etag: str
    rejected: Rejected | None = field(default=None, compare=False)
    modified: float | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Access:
    """How a source's bucket is read, where that is not as the lake is; local folders know nothing of it.

    anonymous: without a signature, as a public bucket allows it. requester_pays: with the consent to pay.
    """

    anonymous: bool = False
    requester_pays: bool = False


class Listed(NamedTuple):
    """What a store lists: as StoredObject, with the path of Store in place of the URI."""

    path: str
    size: int = 0
    etag: str = ""
    rejected: Rejected | None = None
    modified: float | None = None


class ObjectVersion(NamedTuple):
    """One version of one object, to be fetched. path: as in Store. size: in bytes."""

    path: str
    etag: str
    size: int


class ObjectMissing(Exception):
    """The object does not exist, or no longer."""


class ObjectChanged(Exception):
    """The object is no longer the version that was listed. etag: that of the current version."""

    def __init__(self, etag: str) -> None:
        super().__init__(etag)
        self.etag = etag


Fetched = bytes | ObjectMissing | ObjectChanged | Rejected
"""The result of fetching one listed object: its bytes, or why there are none."""


class Draft(Protocol):
    """A new object that is written piece by piece, and is not there before `commit`. Raises StoreRefused, StoreError.

    One of `commit` and `abort` is its end.
    """

    def write(self, data: bytes | memoryview) -> None: ...
    def commit(self) -> None: ...
    def abort(self) -> None: ...


class ReadsParts(Protocol):
    """A store that gives a part of an object as bytes."""

    def read_part(self, path: str, start: int, length: int) -> bytes: ...


def copy_in(store: ReadsParts, path: str, start: int, memory: memoryview) -> int:
    """`Store.read_into` of a store whose bytes come from elsewhere."""
    data = store.read_part(path, start, len(memory))
    memory[: len(data)] = data
    return len(data)


class Store(Protocol):
    """The operations of a store. path: a URI without its scheme, such as /folder/file or bucket/key."""

    def list_objects(self, path: str) -> Iterator[Listed]: ...
    def read(self, path: str) -> bytes: ...
    def fetch_all(self, versions: Sequence[ObjectVersion], folder: str | None = None) -> Iterator[Fetched]: ...
    def read_part(self, path: str, start: int, length: int) -> bytes: ...
    def read_into(self, path: str, start: int, memory: memoryview) -> int: ...
    def stat_all(self, paths: Sequence[str]) -> Iterator[Listed | ObjectMissing | Rejected]: ...
    def write(self, path: str, data: bytes | memoryview, only_if_absent: bool) -> bool: ...
    def draft(self, path: str, part_bytes: int = 0) -> Draft: ...
    def delete(self, path: str) -> None: ...
    def delete_folder(self, path: str) -> None: ...
    def abort_old_uploads(self, path: str, ended: bool = False, remove: bool = True) -> int: ...
