"""An object as a seekable file, for reading small parts of it: the footer and one column of a Parquet file."""

from __future__ import annotations

import io

from imagefeatures import storage
from imagefeatures.storage.objects import Access


class Seekable(io.RawIOBase):
    """A read-only file of a known size, in bytes, that keeps its place."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size, self._position = size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        return self._position


class ObjectReader(Seekable):
    """A read-only file over an object; each read is one request. size: the object's length in bytes.

    access: of a source's bucket, as for storage.read_part. Reading raises what that raises.
    """

    def __init__(self, uri: str, size: int, access: Access | None = None) -> None:
        super().__init__(size)
        self._uri, self._access = uri, access

    def read(self, size: int = -1) -> bytes:
        data = storage.read_part(self._uri, self._position, self._length(size), self._access)
        self._position += len(data)
        return data

    def _length(self, size: int) -> int:
        """How many bytes a read of `size` gets. size: negative for all that are left."""
        remaining = max(self._size - self._position, 0)
        return remaining if size < 0 else min(size, remaining)
