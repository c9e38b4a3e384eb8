"""Pillow in a child process: a crash, a hang or excessive use of memory rejects one image and no other.

The child (`imagefeatures.decode_child`) processes a batch, and writes pixels, results and its progress to shared
memory. When it dies or hangs, the parent therefore knows which image was at fault. It rejects that image with a
reason, and hands the rest to a new child. No image is processed twice, and no pixel is copied between processes.

Bytes may also take the decoder over. So the child has nothing: an environment without settings and keys, no
descriptor but its connection, and no system call by which it could open a file or reach anybody. And it is not
believed: the parent reads single bytes from it and records that it checks, and unpickles nothing. What a child that
was taken over can still do is in docs/decisions/0022-decode-child.md.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Literal

import numpy as np

from imagefeatures import images
from imagefeatures.batches import (
    AT_WORK,
    DONE,
    REJECTED,
    WAITING,
    Batch,
    InMemory,
    SharedBuffer,
    Sources,
    impossible,
    note_rejected,
    rejection,
)
from imagefeatures.decode_child import FINISHED, MEMORY_BYTES, MISTAKE, MISTAKES, READY, UNCONFINED, Job, Work
from imagefeatures.decode_process import LIAR, START_SECONDS, DecodeProcess, ProcessLost, warn_that_it_is_not_confined
from imagefeatures.errors import DecoderUnavailable, Rejected
from imagefeatures.limits import Limits
from imagefeatures.preprocessing import PixelRule
from imagefeatures.preprocessing.bands import Channels
from imagefeatures.reasons import Reason, printable

__all__ = [
    "DONE",
    "MEMORY_BYTES",
    "REJECTED",
    "Batch",
    "Isolated",
    "decoder",
    "decoder_of",
    "inspector",
    "inspector_of",
    "rejection",
]


STOPPED_SECONDS = 1.0
"""Between two looks at the child this process did not run for what is beyond this: it was stopped (Ctrl-Z, a paused
container), most likely with the child. That time is no image's."""


class Isolated:
    """A decode child, and what to do when it dies. A process that works on shards keeps one for each kind of work.

    work: the function that the child calls for each image; it can be imported by name. mode: the only one that an image
    can have; None: one of those with a conversion to RGB.
    """

    def __init__(self, work: Work, mode: str | None = None) -> None:
        self._work, self._mode = work, mode
        self._child: DecodeProcess | None = None
        self._buffer: SharedBuffer | None = None

    def run(self, blobs: Sequence[bytes] | Sources, limits: Limits, preprocessing: PixelRule | None = None) -> Batch:
        """Process n images in one batch, as `run_in_parts` does."""
        (batch,) = self.run_in_parts(blobs, limits, preprocessing)
        return batch

    def run_in_parts(
        self,
        blobs: Sequence[bytes] | Sources,
        limits: Limits,
        preprocessing: PixelRule | None = None,
        most: int | None = None,
    ) -> Iterator[Batch]:
        """Process n images, in batches of at most so many. Every record of a batch is DONE or REJECTED.

        blobs: the bytes of each, or what reads them into the memory that the child sees; once, before the first batch.
        preprocessing: turns a decoded image into pixels; None for work that makes no pixels. The pixels are valid until
        the next batch, or the next call, which writes into the same memory. Of no images comes one empty batch. Raises
        DecoderUnavailable when two children in a row die before they begin an image, NameError or ImportError when the
        work does, and what the sources raise.
        """
        sources = InMemory(blobs) if isinstance(blobs, Sequence) else blobs
        shape = preprocessing.shape if preprocessing else (0,)
        dtype = preprocessing.dtype if preprocessing else "uint8"
        count = len(sources.bounds)
        most = max(1, min(most or count, count))
        buffer = self._buffer_for(most, math.prod(shape) * np.dtype(dtype).itemsize, sources.size)
        sources.read_into(memoryview(buffer.sources))  # once: no child can change them
        for first in range(0, max(1, count), most):
            bounds = sources.bounds[first : first + most]
            batch = Batch(buffer, len(bounds), shape, dtype)
            self._finish(batch, bounds, Job(limits, preprocessing, buffer.sizes, len(bounds), shape, dtype, 0))
            yield batch

    def _finish(self, batch: Batch, bounds: np.ndarray, job: Job) -> None:
        index, restarted_at = 0, -1
        while index < batch.count:
            try:
                index = self._go_on(batch, bounds, replace(job, first=index))
            except ProcessLost as lost:  # it died while it was idle, or as it started: no image is at fault
                if restarted_at == index:
                    raise DecoderUnavailable(f"no decode process lives: {lost}") from None
                restarted_at = index

    def _go_on(self, batch: Batch, bounds: np.ndarray, job: Job) -> int:
        """Give the rest of a batch to the child. Returns the index of the first image still to be done."""
        if self._child is None:
            self._child = DecodeProcess(self._work)
        # Anew for each child: the one before may have written anything into the memory.
        batch.hand_out(job.first, bounds)
        batch.pid[0] = self._child.pid
        try:
            self._child.begin(job, batch.buffer)
            death = _watch(self._child, batch, job.first, job.limits)
        except BaseException:  # it may still be at work, and would answer when the next batch is asked about
            self._end_child()
            raise
        # A copy: whatever is still running could change what it has written between the check and the use.
        written = batch.written[job.first :].copy()
        if death is None and impossible(written, job.limits, self._mode).any():
            death = Death(LIAR)
        if death is not None:
            self._end_child()
        return _settle(batch, job.first, written, death, job.limits, self._mode)

    def stop(self) -> None:
        """End the child."""
        self._end_child()
        if self._buffer:
            self._buffer.close()
            self._buffer = None

    def _end_child(self) -> None:
        if self._child:
            self._child.end()
            self._child = None

    def _buffer_for(self, count: int, image_bytes: int, source_bytes: int) -> SharedBuffer:
        # Kept for the next batch: allocating new memory, page by page, costs more than the decoder's writes into it.
        buffer = self._buffer
        if buffer:
            has = buffer.sizes
            if has.image_bytes == image_bytes and has.capacity >= count and has.source_bytes >= source_bytes:
                return buffer
            count, source_bytes = max(count, has.capacity), max(source_bytes, has.source_bytes)
            self._buffer = None  # first: there may be no memory for the next one, and the numbers of this one's
            buffer.close()  # descriptors are soon those of other files
        self._buffer = SharedBuffer.make(count, image_bytes, source_bytes)
        return self._buffer


@lru_cache
def decoder() -> Isolated:
    """This process's decoder: images.decode in a child."""
    return Isolated(images.decode)


@lru_cache
def inspector() -> Isolated:
    """This process's inspector: images.inspect in a child."""
    return Isolated(images.inspect)


def decoder_of(channels: Channels | None) -> Isolated:
    """This process's decoder of pictures of bands; the one that makes RGB where `channels` is None."""
    return decoder() if channels is None else _of_bands("decode", channels)


def inspector_of(channels: Channels | None) -> Isolated:
    """The same, for the inspector."""
    return inspector() if channels is None else _of_bands("inspect", channels)


_children_of_bands: dict[tuple[str, Channels], Isolated] = {}


def _of_bands(work: Literal["decode", "inspect"], channels: Channels) -> Isolated:
    from imagefeatures.bands import decode

    if (work, channels) not in _children_of_bands:
        if len(_children_of_bands) > 1:  # a worker of Spark may go on with another dataset
            _children_of_bands.pop(next(iter(_children_of_bands))).stop()
        made = Isolated(partial(getattr(decode, work), channels=channels), channels.mode)
        _children_of_bands[work, channels] = made
    return _children_of_bands[work, channels]


def stop_those_of_bands() -> None:
    """End this process's children that read pictures of bands."""
    for child in _children_of_bands.values():
        child.stop()


@dataclass(frozen=True)
class Death:
    """Why a child died. late: index of the image that took too long; None when the child died by itself."""

    why: Rejected
    late: int | None = None


def _watch(child: DecodeProcess, batch: Batch, index: int, limits: Limits) -> Death | None:
    """Wait for the child; kill it when an image takes too long. Returns why it died, None when it is done.

    index: of the first image still to be done. Raises DecoderUnavailable when no child begins in time, ProcessLost when
    the child died as it started, NameError or ImportError for a mistake in the code that it runs.
    """
    killed: Death | None = None
    since, begun = time.monotonic(), False
    last = since
    while True:
        answer = child.answer()
        now = time.monotonic()
        since += max(0.0, now - last - STOPPED_SECONDS)
        last = now
        if not child.ready:
            if answer in (READY, UNCONFINED):
                child.ready, since = True, now  # its start is not part of its first image's time
                if answer == UNCONFINED:
                    warn_that_it_is_not_confined()
            elif answer is not None:
                raise ProcessLost(f"it died before its first image: {child.cause_of_death().detail}")
            elif now - since > START_SECONDS:
                raise DecoderUnavailable(f"no decode process has begun within {START_SECONDS:g} s")
            continue
        if answer == FINISHED:
            return None
        if answer == b"":
            cause = child.cause_of_death()
            return killed or Death(cause)
        if answer == MISTAKE:
            raise _mistake(batch.written.copy())
        if answer is not None:
            return Death(LIAR)
        if not begun and (batch.written["state"][index] >= AT_WORK or now - since > START_SECONDS):
            begun, since = True, now  # what precedes the first image is not part of its time either
        while index < batch.count and batch.written["state"][index] >= DONE:
            index, since = index + 1, now
        if begun and killed is None and now - since > limits.decode_seconds:
            if index == batch.count:  # it says that every image is done, and does not say that it has finished
                return Death(LIAR)
            why = f"it took longer than limits.decode_seconds = {limits.decode_seconds:g} s"
            killed = Death(Rejected(Reason.TIMEOUT, why), index)
            child.kill()


def _settle(
    batch: Batch, first: int, written: np.ndarray, death: Death | None, limits: Limits, mode: str | None = None
) -> int:
    """Take over the records that the child has written, and reject the image at which it died, if it did.

    written: a copy of the records from `first` on. Returns the index of the first image still to be done. Raises
    ProcessLost when the child died before it began the first one.
    """
    undone = np.flatnonzero(written["state"] < DONE)
    count = int(undone[0]) if len(undone) else len(written)
    batch.records[first : first + count] = written[:count]
    for offset in np.flatnonzero(impossible(written[:count], limits, mode)):
        note_rejected(batch.records, first + int(offset), LIAR)
    index = first + count
    if death is None or index == batch.count:  # it died after its last image
        return index
    if death.late not in (None, index):  # the late image was done just before the kill: the next is not at fault
        return index
    if written["state"][count] == WAITING and death.why is not LIAR:
        if index == first:
            raise ProcessLost(f"it died before its first image: {death.why.detail}")
        return index
    note_rejected(batch.records, index, death.why)
    return index + 1


def _mistake(written: np.ndarray) -> Exception:
    """The error that the child notes where it stopped: one of MISTAKES, whatever it has written."""
    for record in written[written["state"] == AT_WORK]:
        error = MISTAKES.get(bytes(record["reason"]), ImportError)
        return error(printable(record["detail"].decode("utf-8", "ignore")))
    return ImportError("the decode process says that its code has a mistake, and not which")
