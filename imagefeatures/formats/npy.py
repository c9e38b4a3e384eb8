"""NumPy's .npy files, for datasets that declare `channels`: one array of numbers, by its header. No pickle is read."""

from __future__ import annotations

import ast  # noqa: F401 - NumPy imports it for its first header, and a process that is locked in can import nothing
import io
import math
from dataclasses import dataclass

import numpy as np

from imagefeatures.errors import Rejected
from imagefeatures.reasons import Reason

MAGIC = b"\x93NUMPY"
HEADER_BYTES = 10_000
"""The longest header that is parsed."""

_TYPES = {"|u1": "uint8", "<u2": "uint16", ">u2": "uint16", "<f4": "float32", ">f4": "float32"}


@dataclass(frozen=True)
class Array:
    """What the header declares. descr: the type with its byte order. start: offset of the first value."""

    shape: tuple[int, ...]
    descr: str
    fortran_order: bool
    start: int

    @property
    def dtype(self) -> str:
        return _TYPES[self.descr]

    @property
    def size(self) -> int:
        """Bytes of all values."""
        return math.prod(self.shape) * np.dtype(self.descr).itemsize

    def values(self, data: bytes) -> np.ndarray:
        """The values in their declared shape and type; no copy. data: the file, which holds them all."""
        flat = np.frombuffer(data, self.descr, math.prod(self.shape), self.start)
        return flat.reshape(self.shape, order="F" if self.fortran_order else "C")


def read_header(data: bytes) -> Array:
    """Read the header, and check that the type is one of ours and the file has as many bytes as it declares.

    Raises Rejected: TRUNCATED, CORRUPT; UNSUPPORTED_MODE for another type, or another version than 1.0 and 2.0.
    """
    sink = io.BytesIO(data[: HEADER_BYTES + 64])
    try:
        version = np.lib.format.read_magic(sink)
    except ValueError:
        raise Rejected(Reason.TRUNCATED, f".npy file of {len(data)} bytes without its whole header") from None
    if version not in ((1, 0), (2, 0)):
        raise Rejected(
            Reason.UNSUPPORTED_MODE, f"an .npy file of version {version[0]}.{version[1]}; 1.0 and 2.0 are read"
        )
    length_bytes = 2 if version == (1, 0) else 4
    length = int.from_bytes(data[8 : 8 + length_bytes], "little")
    start = 8 + length_bytes + length
    if length > HEADER_BYTES:
        raise Rejected(Reason.METADATA_TOO_LARGE, f"an .npy header of {length:,} bytes; {HEADER_BYTES:,} is the most")
    if start > len(data):
        raise Rejected(Reason.TRUNCATED, f".npy file of {len(data):,} bytes, whose header ends at {start:,}")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, fortran_order, dtype = read(sink, max_header_size=HEADER_BYTES)
    except Exception as error:  # whatever Python's parser raises on hostile text
        raise Rejected(Reason.CORRUPT, f".npy header that cannot be read ({type(error).__name__})") from None
    if dtype.str not in _TYPES:
        found = "objects" if dtype.hasobject else f"type {dtype.str if dtype.names is None else 'of several fields'}"
        raise Rejected(Reason.UNSUPPORTED_MODE, f"an .npy file of {found}; {', '.join(sorted(_TYPES))} are read")
    if any(type(side) is not int or side < 1 for side in shape):
        raise Rejected(Reason.CORRUPT, f".npy file of shape {shape}, of which no side may be below 1")
    array = Array(shape, dtype.str, fortran_order, start)
    if len(data) != start + array.size:
        reason = Reason.TRUNCATED if len(data) < start + array.size else Reason.CORRUPT
        raise Rejected(reason, f".npy file of {len(data):,} bytes, its header declares {start + array.size:,}")
    return array
