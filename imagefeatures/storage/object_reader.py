"""An object as a file to seek in, for who needs little of much: the footer and one column of a Parquet file."""

from __future__ import annotations

import io

from imagefeatures import storage


class ObjectReader(io.RawIOBase):
    """Reads an object part by part, one request each.

    size: of the object, in bytes, as it was written down when it was made. Reading raises what
    storage.read_part raises.
    """

    def __init__(self, uri: str, size: int) -> None:
        super().__init__()
        self._uri, self._size, self._at = uri, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(self._size - self._at, 0)
        data = storage.read_part(self._uri, self._at, left if size < 0 else min(size, left))
        self._at += len(data)
        return data
