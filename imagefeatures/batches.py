"""The memory that a decode process and its parent share: the images' bytes, a record of each image, and pixels.

The parent never believes what the decode process leaves here: it copies the records, and `impossible` says which of
the copies cannot be true. Nothing here is pickled, and nothing refers to an address.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imagefeatures.errors import Rejected
from imagefeatures.images import PILLOW_CONVERTS, SIXTEEN_BIT_GREY
from imagefeatures.limits import BAND_FORMATS, FORMATS, Limits
from imagefeatures.reasons import DETAIL_CHARACTERS, Reason, printable

WAITING, AT_WORK, DONE, REJECTED = range(4)

RECORD = np.dtype(
    [
        ("state", "u1"),
        ("width", "i4"),
        ("height", "i4"),
        ("format", "S8"),
        ("mode", "S12"),
        ("reason", "S24"),
        ("detail", f"S{4 * DETAIL_CHARACTERS}"),  # UTF-8
    ]
)
"""The decode process's result for one image."""

_FORMATS = np.array([name.encode() for name in ("", *FORMATS, *BAND_FORMATS)])  # "": decode says none
_MODES = np.array([mode.encode() for mode in PILLOW_CONVERTS | SIXTEEN_BIT_GREY])
_REASONS = np.array([reason.encode() for reason in Reason])


@dataclass(frozen=True)
class Sizes:
    """The sizes of a shared buffer.

    capacity: the most images of a batch. image_bytes: size of the pixels of one image. source_bytes: the most bytes
    of the images of a batch together.
    """

    capacity: int
    image_bytes: int
    source_bytes: int

    @property
    def total(self) -> int:
        return self.source_at + self.source_bytes

    @property
    def ends_at(self) -> int:
        """Offset of the ends of the images' bytes."""
        return self.capacity * RECORD.itemsize

    @property
    def pixels_at(self) -> int:
        return self.ends_at + 8 * (self.capacity + 1)

    @property
    def source_at(self) -> int:
        return self.pixels_at + self.capacity * self.image_bytes


@dataclass(frozen=True)
class SharedBuffer:
    """A file in memory for the bytes, records and pixels of a batch. descriptor: of the file, which has no name."""

    sizes: Sizes
    descriptor: int
    memory: mmap.mmap

    @classmethod
    def make(cls, capacity: int, image_bytes: int, source_bytes: int = 0) -> SharedBuffer:
        sizes = Sizes(capacity, image_bytes, source_bytes)
        # A file in memory. Not /dev/shm: containers have 64 MB of it, and kill a process that uses more.
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("imagefeatures", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            os.ftruncate(descriptor, sizes.total)
            # Whoever reads beyond the end of a file is killed, so the decode process must not be able to cut it.
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        else:
            descriptor, path = tempfile.mkstemp(prefix="imagefeatures-")
            os.unlink(path)  # noqa: PTH108
            os.ftruncate(descriptor, sizes.total)
        return cls.received(sizes, descriptor)

    @classmethod
    def received(cls, sizes: Sizes, descriptor: int) -> SharedBuffer:
        """The buffer whose descriptor another process has passed to this one."""
        return cls(sizes, descriptor, mmap.mmap(descriptor, sizes.total))

    def close(self) -> None:
        """Release the memory. Arrays that are mapped to it stay valid until they are gone."""
        os.close(self.descriptor)


class Batch:
    """The first `count` places of a buffer: the memory that parent and child share for one batch.

    written: RECORD [n], as the child writes them. records: RECORD [n], the parent's own copy of those that it has
    checked. pid: int64 [1], of the child. pixels: of dtype, [n, *shape]. shape: of the pixels of one image; (0,)
    for a batch of headers.
    """

    def __init__(self, buffer: SharedBuffer, count: int, shape: tuple[int, ...], dtype: str = "uint8") -> None:
        sizes = buffer.sizes
        self.buffer, self.count, self.shape = buffer, count, shape
        self.pid = np.zeros(1, np.int64)
        self.records = np.zeros(count, RECORD)
        self.written = np.ndarray((count,), RECORD, buffer.memory)
        self._ends = np.ndarray((count + 1,), np.int64, buffer.memory, sizes.ends_at)
        self.pixels = np.ndarray((count, *shape), dtype, buffer.memory, sizes.pixels_at)

    def hand_out(self, first: int, blobs: Sequence[bytes]) -> None:
        """Put the images' bytes into the memory, those of image `first` first, and forget what was written of them."""
        end = self.buffer.sizes.source_at
        self._ends[first] = end
        for index, data in enumerate(blobs, first):
            start, end = end, end + len(data)
            self.buffer.memory[start:end] = data
            self._ends[index + 1] = end
        self.written[first:] = np.zeros((), RECORD)

    def source(self, index: int) -> bytes:
        """The bytes of an image."""
        return self.buffer.memory[int(self._ends[index]) : int(self._ends[index + 1])]

    def decoded_pixels(self) -> np.ndarray:
        """The pixels of the images that are DONE: [k, *shape]. A copy only when some are not."""
        done = self.records["state"] == DONE
        return self.pixels if done.all() else self.pixels[done]


def impossible(records: np.ndarray, limits: Limits, mode: str | None = None) -> np.ndarray:
    """Which records no decoder can have left that works as it should: bool [n].

    records: RECORD [n], a copy that nobody else can change. An image that is not finished is not possible either.
    mode: the only one that is possible; None: those that have a conversion to RGB.
    """
    width, height = records["width"].astype(np.int64), records["height"].astype(np.int64)
    done = (records["state"] == DONE) & (width > 0) & (height > 0) & (width * height <= limits.max_pixels)
    done &= np.isin(records["format"], _FORMATS) & np.isin(records["mode"], _MODES if mode is None else [mode.encode()])
    rejected = (records["state"] == REJECTED) & np.isin(records["reason"], _REASONS)
    found: np.ndarray = ~(done | rejected)
    return found


def rejection(record: np.void) -> Rejected:
    """The rejection that a REJECTED record holds."""
    return Rejected(Reason(record["reason"].decode()), printable(record["detail"].decode("utf-8", "ignore")))


def note_rejected(records: np.ndarray, index: int, why: Rejected) -> None:
    records[index] = (REJECTED, 0, 0, b"", b"", why.reason.encode(), printable(why.detail).encode())
