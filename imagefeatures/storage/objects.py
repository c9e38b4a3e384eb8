"""The types that all stores share: an object, its version, its errors, and the `Store` protocol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


@dataclass(frozen=True)
class StoredObject:
    """One listed object. size: in bytes. etag: the store's identifier of this version of its bytes."""

    uri: str
    size: int
    etag: str


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


class Store(Protocol):
    """The operations of a store. path: a URI without its scheme, such as /folder/file or bucket/key."""

    def list_objects(self, path: str) -> Iterator[tuple[str, int, str]]: ...
    def read(self, path: str) -> bytes: ...
    def fetch_all(self, versions: Sequence[ObjectVersion]) -> Iterator[bytes | ObjectMissing | ObjectChanged]: ...
    def read_part(self, path: str, start: int, length: int) -> bytes: ...
    def write(self, path: str, data: bytes | memoryview, only_if_absent: bool) -> bool: ...
    def delete_folder(self, path: str) -> None: ...
    def abort_old_uploads(self, path: str) -> int: ...
