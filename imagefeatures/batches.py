"""The memory that a decode child and its parent share: pixels, a record of each image, and the child's progress."""

from __future__ import annotations

import math
import os
import tempfile
from dataclasses import dataclass

import numpy as np

from imagefeatures.errors import Rejected
from imagefeatures.reasons import DETAIL_CHARACTERS, Reason, printable

WAITING, AT_WORK, DONE, REJECTED = range(4)

RECORD = np.dtype(
    [
        ("state", "u1"),
        ("width", "i4"),
        ("height", "i4"),
        ("format", "S8"),
        ("mode", "S8"),
        ("reason", "S24"),
        ("detail", f"S{4 * DETAIL_CHARACTERS}"),  # UTF-8
    ]
)
"""The child's result for one image."""


@dataclass(frozen=True)
class SharedBuffer:
    """A file in memory for the records and pixels of a batch.

    capacity: the most images of a batch. image_bytes: size of the pixels of one image.
    """

    path: str
    capacity: int
    image_bytes: int
    descriptor: int

    @classmethod
    def make(cls, capacity: int, image_bytes: int) -> SharedBuffer:
        # A file in memory without a name. Not /dev/shm: containers have 64 MB of it, and kill a process that uses more.
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("imagefeatures")
            path = f"/proc/{os.getpid()}/fd/{descriptor}"
        else:
            descriptor, path = tempfile.mkstemp(prefix="imagefeatures-")
        os.ftruncate(descriptor, 8 + capacity * (RECORD.itemsize + image_bytes))
        return cls(path, capacity, image_bytes, descriptor)

    def close(self) -> None:
        """Release the memory. Arrays that are mapped to it stay valid until they are unmapped."""
        os.close(self.descriptor)
        if not self.path.startswith("/proc/"):
            os.unlink(self.path)  # noqa: PTH108


class Batch:
    """The first `count` places of a buffer: the memory that parent and child share for one batch.

    pid: int64 [1], of the child. records: RECORD [n]. pixels: uint8 [n, *shape]. shape: of the pixels of one image;
    (0,) for a batch of headers.
    """

    def __init__(self, buffer: SharedBuffer, count: int, shape: tuple[int, ...]) -> None:
        self.buffer, self.count, self.shape = buffer, count, shape
        pixels_offset = 8 + buffer.capacity * RECORD.itemsize
        self.pid = np.memmap(buffer.path, np.int64, "r+", 0, (1,))
        self.records = np.memmap(buffer.path, RECORD, "r+", 8, (count,))
        # An empty array cannot be mapped.
        empty = not count or not math.prod(shape)
        self.pixels = (
            np.empty((count, *shape), np.uint8)
            if empty
            else np.memmap(buffer.path, np.uint8, "r+", pixels_offset, (count, *shape))
        )

    def decoded_pixels(self) -> np.ndarray:
        """The pixels of the images that are DONE: uint8 [k, *shape]. A copy only when some are not."""
        done = self.records["state"] == DONE
        return self.pixels if done.all() else self.pixels[done]


def rejection(record: np.void) -> Rejected:
    """The rejection that a REJECTED record holds."""
    return Rejected(Reason(record["reason"].decode()), record["detail"].decode("utf-8", "ignore"))


def note_rejected(batch: Batch, index: int, why: Rejected) -> None:
    batch.records[index] = (REJECTED, 0, 0, b"", b"", why.reason.encode(), printable(why.detail).encode())
