"""What stores speak of: objects, and what may be true of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


@dataclass(frozen=True)
class StoredObject:
    """One listed object. etag: the store's word for this version of the bytes."""

    uri: str
    size: int
    etag: str


class ObjectVersion(NamedTuple):
    """One version of one object, to be fetched. path: as in Store."""

    path: str
    etag: str
    size: int


class ObjectMissing(Exception):
    """There is no such object (any more)."""


class ObjectChanged(Exception):
    """The object is not the version that was listed. etag: what it is now."""

    def __init__(self, etag: str) -> None:
        super().__init__(etag)
        self.etag = etag


class Store(Protocol):
    """What a store can do. `path` is what stands behind the scheme: /folder/file or bucket/key."""

    def list_objects(self, path: str) -> Iterator[tuple[str, int, str]]: ...
    def read(self, path: str) -> bytes: ...
    def fetch_all(self, wanted: Sequence[ObjectVersion]) -> Iterator[bytes | ObjectMissing | ObjectChanged]: ...
    def read_part(self, path: str, start: int, length: int) -> bytes: ...
    def write(self, path: str, data: bytes | memoryview, only_if_absent: bool) -> bool: ...
    def delete_folder(self, path: str) -> None: ...
    def abort_old_uploads(self, path: str) -> int: ...
