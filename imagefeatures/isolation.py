"""Pillow in a child process: a crash, a hang or excessive use of memory rejects one image and no other.

The child processes a batch, and writes pixels, results and its progress to shared memory. When it dies or hangs,
the parent therefore knows which image was at fault. It rejects that image with a reason, and hands the rest to a
new child. No image is processed twice, and no pixel is copied between processes.

The child is started by `spawn`, before its parent has loaded any engine, and ends with its parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import TimeoutError as NotYet
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from pebble import ProcessExpired, ProcessFuture, ProcessPool

from imagefeatures import images
from imagefeatures.batches import (
    AT_WORK,
    DONE,
    RECORD,
    REJECTED,
    WAITING,
    Batch,
    SharedBuffer,
    note_rejected,
    rejection,
)
from imagefeatures.errors import DecoderUnavailable, Rejected
from imagefeatures.limits import Limits
from imagefeatures.preprocessing import Preprocessing
from imagefeatures.reasons import Reason

__all__ = ["DONE", "REJECTED", "Batch", "Isolated", "decoder", "inspector", "rejection"]

MEMORY_BYTES = 2 * 2**30
"""The most private memory of the child: more than enough to decode, turn and convert 50 million pixels."""

START_SECONDS = 60.0
"""The longest time until a new child begins its first image, imports included."""

POLL_SECONDS = 0.05

Work = Callable[..., images.Header | images.Decoded]
"""images.inspect(data, limits), or images.decode(data, limits, preprocessing)."""


class Isolated:
    """A decode child, and what to do when it dies. A process that works on shards keeps one for each kind of work.

    work: the function that the child calls for each image; it can be imported by name.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._pool = _new_pool()
        self._buffer: SharedBuffer | None = None

    def run(self, blobs: Sequence[bytes], limits: Limits, preprocessing: Preprocessing | None = None) -> Batch:
        """Process n images. Every record of the returned batch is DONE or REJECTED.

        preprocessing: turns a decoded image into pixels; None for work that makes no pixels. The batch is valid until
        the next call of `run`, which writes into the same memory. Raises DecoderUnavailable when two children in a
        row die before they begin an image.
        """
        shape = preprocessing.shape if preprocessing else (0,)
        batch = Batch(self._buffer_for(len(blobs), math.prod(shape)), len(blobs), shape)
        batch.records[:] = np.zeros((), RECORD)
        job = Job(self._work, limits, preprocessing)
        index, restarted_at = 0, -1
        while index < len(blobs):
            try:
                index = self._go_on(batch, index, blobs[index:], job)
            except BrokenProcessPool as error:  # the child died while it was idle: no image is at fault
                if restarted_at == index:
                    raise DecoderUnavailable(f"no decode process lives: {error}") from error
                restarted_at = index
                self._end_pool()
                self._pool = _new_pool()
        return batch

    def _go_on(self, batch: Batch, first: int, blobs: Sequence[bytes], job: Job) -> int:
        """Give the rest of a batch to the child. Returns the index of the first image still to be done."""
        batch.pid[0] = 0
        memory = (batch.buffer, batch.count, batch.shape)
        try:
            future = self._pool.schedule(_child, args=(job, memory, first, blobs))
        except RuntimeError as error:  # pebble's error for a pool that broke before
            raise BrokenProcessPool(str(error)) from error
        death = _watch(future, batch, first, job.limits)
        return batch.count if death is None else _blame(batch, first, death)

    def stop(self) -> None:
        """End the child."""
        self._end_pool()
        self._close_buffer()

    def _end_pool(self) -> None:
        self._pool.stop()
        self._pool.join()

    def _buffer_for(self, count: int, image_bytes: int) -> SharedBuffer:
        # Kept for the next batch: allocating new memory, page by page, costs more than the decoder's writes into it.
        buffer = self._buffer
        if buffer is None or buffer.capacity < count or buffer.image_bytes != image_bytes:
            self._close_buffer()
            self._buffer = buffer = SharedBuffer.make(count, image_bytes)
        return buffer

    def _close_buffer(self) -> None:
        if self._buffer:
            self._buffer.close()
            self._buffer = None


@dataclass(frozen=True)
class Job:
    """The work on each image of a batch, and its rules."""

    work: Work
    limits: Limits
    preprocessing: Preprocessing | None

    def __call__(self, data: bytes) -> images.Header | images.Decoded:
        if self.preprocessing is None:
            return self.work(data, self.limits)
        return self.work(data, self.limits, self.preprocessing)


def _new_pool() -> ProcessPool:
    context = multiprocessing.get_context("spawn")
    return ProcessPool(max_workers=1, initializer=_prepare_child, initargs=(os.getpid(),), context=context)


@lru_cache
def decoder() -> Isolated:
    """This process's decoder: images.decode in a child."""
    return Isolated(images.decode)


@lru_cache
def inspector() -> Isolated:
    """This process's inspector: images.inspect in a child."""
    return Isolated(images.inspect)


def _child(job: Job, memory: tuple[SharedBuffer, int, tuple[int, ...]], first: int, blobs: Sequence[bytes]) -> None:
    batch = Batch(*memory)
    batch.pid[0] = os.getpid()
    for index, data in enumerate(blobs, first):
        batch.records["state"][index] = AT_WORK
        try:
            result = job(data)
        except Rejected as why:
            note_rejected(batch, index, why)
        except MemoryError:
            note_rejected(
                batch, index, Rejected(Reason.OUT_OF_MEMORY, f"it asked for more than {MEMORY_BYTES:,} bytes")
            )
        except (NameError, ImportError):
            raise  # a mistake in this code must stop the run, not pass for a corrupt image
        except Exception as error:
            note_rejected(batch, index, Rejected(Reason.CORRUPT, f"{type(error).__name__}: {error}"))
        else:
            if isinstance(result, images.Decoded):
                batch.pixels[index] = result.pixels
            kind = getattr(result, "format", "")
            batch.records[index] = (
                DONE, result.width, result.height, kind.encode(), result.mode.encode(), b"", b"",
            )  # fmt: skip


@dataclass(frozen=True)
class Death:
    """Why a child died. late: index of the image that took too long; None when the child died by itself."""

    why: Rejected
    late: int | None = None


def _watch(future: ProcessFuture[None], batch: Batch, index: int, limits: Limits) -> Death | None:
    """Wait for the child; kill it when an image takes too long. Returns why it died, None when it is done.

    index: of the first image still to be done. Raises DecoderUnavailable when no child begins in time,
    BrokenProcessPool when the child died before it was given any image.
    """
    killed: Death | None = None
    begun, since = False, time.monotonic()
    while True:
        try:
            future.result(timeout=POLL_SECONDS)
            return None
        except NotYet:
            pass
        except ProcessExpired as died:
            return killed or Death(_cause_of_death(died.exitcode))
        if not begun:
            begun, waited = bool(batch.pid[0]), time.monotonic() - since
            if waited > START_SECONDS:
                future.cancel()
                raise DecoderUnavailable(f"no decode process has begun within {START_SECONDS:g} s")
            since = time.monotonic() if begun else since  # the child's start is not part of its first image's time
        while index < batch.count and batch.records["state"][index] >= DONE:
            index, since = index + 1, time.monotonic()
        if begun and killed is None and index < batch.count and time.monotonic() - since > limits.decode_seconds:
            why = f"it took longer than limits.decode_seconds = {limits.decode_seconds:g} s"
            killed = Death(Rejected(Reason.TIMEOUT, why), index)
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(batch.pid[0]), signal.SIGKILL)  # no other signal ends an endless loop in C code


def _blame(batch: Batch, first: int, death: Death) -> int:
    """Reject the image at which the child died. Returns the index of the first image still to be done.

    Raises BrokenProcessPool when the child had not begun an image.
    """
    undone = np.flatnonzero(batch.records["state"][first:] < DONE)
    if not len(undone):  # it died after its last image
        return batch.count
    index = first + int(undone[0])
    if death.late not in (None, index):  # the late image was done just before the kill: the next is not at fault
        return index
    if batch.records["state"][index] == WAITING:
        raise BrokenProcessPool(f"it died before its first image: {death.why.detail}")
    note_rejected(batch, index, death.why)
    return index + 1


def _cause_of_death(status: int) -> Rejected:
    """The reason for an exit status. SIGKILL without a timeout comes from the kernel's out-of-memory killer."""
    if status == -signal.SIGKILL:
        return Rejected(Reason.OUT_OF_MEMORY, "the decode process was killed by the system, most likely for its memory")
    name = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    return Rejected(Reason.DECODER_CRASHED, f"the decoder crashed ({name})")


def _prepare_child(parent: int) -> None:
    """Runs in the child: limits its memory, turns off core files, and makes it end with its parent."""
    images.configure_pillow()
    # Private data only: the pixels that the child shares with its parent are the parent's.
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, where the system has it
    if os.getppid() != parent:  # the parent has died meanwhile
        os._exit(1)
