"""The memory that a decode process and its parent share: the images' bytes, a record of each image, and pixels.

The decode process can read the images' bytes and not change them: they are the parent's, and those that it has checked.
All else lies in other memory, and the parent never believes what the decode process leaves there: it copies the
records, and `impossible` says which of the copies cannot be true. Nothing here is pickled, and nothing refers to an
address.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

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

_FORMATS = frozenset(name.encode() for name in ("", *FORMATS, *BAND_FORMATS))  # "": decode says none
_MODES = frozenset(mode.encode() for mode in PILLOW_CONVERTS | SIXTEEN_BIT_GREY)
_REASONS = frozenset(reason.encode() for reason in Reason)


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
    def results(self) -> int:
        return self.pixels_at + self.capacity * self.image_bytes

    @property
    def bounds_at(self) -> int:
        """Offset of the bounds of the images' bytes."""
        return self.capacity * RECORD.itemsize

    @property
    def pixels_at(self) -> int:
        return self.bounds_at + 16 * max(self.capacity, 1)  # nothing cannot be mapped


@dataclass(frozen=True)
class SharedBuffer:
    """Two files in memory, which have no names: one for the images' bytes, and one for all else of a batch.

    memory: of records, bounds and pixels. sources: of the images' bytes. descriptors: of the two, as the decode process
    gets them; that of the sources is for reading alone.
    """

    sizes: Sizes
    memory: mmap.mmap
    sources: mmap.mmap
    descriptors: tuple[int, int]

    @classmethod
    def make(cls, capacity: int, image_bytes: int, source_bytes: int = 0) -> SharedBuffer:
        """A new one. Its bytes can be written by this process alone. Raises OSError, and leaves nothing open then."""
        sizes = Sizes(capacity, image_bytes, max(source_bytes, 1))
        with ExitStack() as on_failure:
            results, others = _file_in_memory(sizes.results)
            on_failure.callback(os.close, results)
            os.close(others)
            writable, sources = _file_in_memory(sizes.source_bytes)
            on_failure.callback(os.close, sources)
            try:
                mapped = mmap.mmap(writable, sizes.source_bytes)
            finally:
                os.close(writable)
            made = cls(sizes, mmap.mmap(results, sizes.results), mapped, (results, sources))
            on_failure.pop_all()
        return made

    @classmethod
    def received(cls, sizes: Sizes, descriptors: Sequence[int]) -> SharedBuffer:
        """The buffer whose descriptors another process has passed to this one."""
        results, sources = descriptors
        read_only = mmap.mmap(sources, sizes.source_bytes, prot=mmap.PROT_READ)
        return cls(sizes, mmap.mmap(results, sizes.results), read_only, (results, sources))

    def close(self) -> None:
        """Release the memory. Arrays that are mapped to it stay valid until they are gone."""
        for descriptor in self.descriptors:
            os.close(descriptor)


def _file_in_memory(size: int) -> tuple[int, int]:
    """Descriptors of a new file for writing, and of the same file for reading alone."""
    # Not /dev/shm: containers have 64 MB of it, and kill a process that uses more.
    with ExitStack() as on_failure:
        if hasattr(os, "memfd_create"):
            writable = os.memfd_create("imagefeatures", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            on_failure.callback(os.close, writable)
            os.ftruncate(writable, size)
            # Whoever reads beyond the end of a file is killed, so the decode process must not be able to cut it.
            fcntl.fcntl(writable, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
            readable = os.open(f"/proc/self/fd/{writable}", os.O_RDONLY | os.O_CLOEXEC)
        else:
            writable, path = tempfile.mkstemp(prefix="imagefeatures-")
            on_failure.callback(os.close, writable)
            try:
                readable = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            finally:
                os.unlink(path)  # noqa: PTH108
            on_failure.callback(os.close, readable)
            os.ftruncate(writable, size)
        on_failure.pop_all()
    return writable, readable


class Sources(Protocol):
    """The bytes of n images, which need not be in memory yet. size: of the memory for them.

    bounds: int64 [n, 2], where those of each image begin and end in it.
    """

    @property
    def size(self) -> int: ...
    @property
    def bounds(self) -> np.ndarray: ...
    def read_into(self, memory: memoryview) -> None: ...


class InMemory:
    """Bytes of images as sources."""

    def __init__(self, blobs: Sequence[bytes]) -> None:
        ends = [0, *accumulate(map(len, blobs))]
        self._blobs, self.size = blobs, ends[-1]
        self.bounds = np.array([ends[:-1], ends[1:]], np.int64).T

    def read_into(self, memory: memoryview) -> None:
        for (begin, end), data in zip(self.bounds.tolist(), self._blobs, strict=True):
            memory[begin:end] = data


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
        self._bounds = np.ndarray((count, 2), np.int64, buffer.memory, sizes.bounds_at)
        self.pixels = np.ndarray((count, *shape), dtype, buffer.memory, sizes.pixels_at)

    def hand_out(self, first: int, bounds: np.ndarray) -> None:
        """Say where the bytes of image `first` and of those after it are, and forget what was written of them.

        bounds: of all images.
        """
        self._handed_out = bounds
        self._bounds[first:] = bounds[first:]
        self.written[first:] = np.zeros((), RECORD)

    def source(self, index: int) -> bytes:
        """The bytes of an image, for the decode process."""
        begin, end = self._bounds[index].tolist()
        return self.buffer.sources[begin:end]

    def original(self, index: int) -> bytes:
        """The same for its parent, whatever has been written into the memory since."""
        begin, end = self._handed_out[index].tolist()
        return self.buffer.sources[begin:end]

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
    done &= _among(records["format"], _FORMATS)
    done &= _among(records["mode"], _MODES if mode is None else {mode.encode()})
    rejected = (records["state"] == REJECTED) & _among(records["reason"], _REASONS)
    found: np.ndarray = ~(done | rejected)
    return found


def _among(values: np.ndarray, known: AbstractSet[bytes]) -> np.ndarray:
    # np.isin sorts both: for a few dozen records that takes longer than all else here.
    return np.array([value in known for value in values.tolist()], bool)


def rejection(record: np.void) -> Rejected:
    """The rejection that a REJECTED record holds."""
    return Rejected(Reason(record["reason"].decode()), printable(record["detail"].decode("utf-8", "ignore")))


def note_rejected(records: np.ndarray, index: int, why: Rejected) -> None:
    records[index] = (REJECTED, 0, 0, b"", b"", why.reason.encode(), printable(why.detail).encode())
