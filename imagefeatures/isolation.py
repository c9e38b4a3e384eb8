"""Pillow in a process that can die: a crash, a hang or a hunger for memory costs one image, never its neighbours.

The child works through a batch and notes in shared memory how far it has come: pixels, verdicts, and
which image it is at. When it dies or stands still, the parent therefore knows the culprit, gives that
image its reason, and hands the rest to a new child. Nothing is done twice, and no pixel is copied
between processes.

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
"""Most private memory of the child: 50 million pixels decoded, turned and converted, with room to spare."""

START_SECONDS = 60.0
"""How long a new child may take to begin with its first image, imports included."""

POLL_SECONDS = 0.05

Work = Callable[..., images.Header | images.Decoded]
"""images.inspect(data, limits), or images.decode(data, limits, preprocessing)."""


class Isolated:
    """A decode child and what to do when it dies. One for each process that works on shards.

    work: what the child does with an image; a function that can be imported by name.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._pool = _new_pool()
        self._buffer: SharedBuffer | None = None

    def run(self, blobs: Sequence[bytes], limits: Limits, preprocessing: Preprocessing | None = None) -> Batch:
        """Work through n images. Every record of the returned batch is DONE or REJECTED.

        preprocessing: what makes pixels of a decoded image; None for work that makes none. What the batch holds is
        good until the next run, which writes into the same memory. Raises DecoderUnavailable when a child dies at no
        image, and the one after it as well.
        """
        shape = preprocessing.shape if preprocessing else (0,)
        batch = Batch(self._buffer_for(len(blobs), math.prod(shape)), len(blobs), shape)
        batch.records[:] = np.zeros((), RECORD)
        job = Job(self._work, limits, preprocessing)
        index, restarted_at = 0, -1
        while index < len(blobs):
            try:
                index = self._go_on(batch, index, blobs[index:], job)
            except BrokenProcessPool as error:  # the child died while it waited: no image's fault, nor the shard's
                if restarted_at == index:
                    raise DecoderUnavailable(f"no decode process lives: {error}") from error
                restarted_at = index
                self._end_pool()
                self._pool = _new_pool()
        return batch

    def _go_on(self, batch: Batch, first: int, blobs: Sequence[bytes], job: Job) -> int:
        """Give the rest of a batch to the child. Returns the index of the first image still to be done."""
        batch.pid[0] = 0
        place = (batch.buffer, batch.count, batch.shape)
        try:
            future = self._pool.schedule(_child, args=(job, place, first, blobs))
        except RuntimeError as error:  # what pebble says when the pool broke before
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
        # Kept from batch to batch: new memory costs more than the decoder's writing into it, page by page.
        kept = self._buffer
        if kept is None or kept.capacity < count or kept.image_bytes != image_bytes:
            self._close_buffer()
            self._buffer = kept = SharedBuffer.make(count, image_bytes)
        return kept

    def _close_buffer(self) -> None:
        if self._buffer:
            self._buffer.close()
            self._buffer = None


@dataclass(frozen=True)
class Job:
    """What the child does with each image of a batch, and by which rules."""

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


def _child(job: Job, place: tuple[SharedBuffer, int, tuple[int, ...]], first: int, blobs: Sequence[bytes]) -> None:
    batch = Batch(*place)
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
    """Why a child died. late: the image for which it was ended; None when it died by itself."""

    why: Rejected
    late: int | None = None


def _watch(future: ProcessFuture[None], batch: Batch, at: int, limits: Limits) -> Death | None:
    """Wait for the child; end it when an image takes too long. Returns why it died, None when it is through.

    Raises DecoderUnavailable when no child begins in time, BrokenProcessPool when it died before it was given anything.
    """
    ended: Death | None = None
    begun, since = False, time.monotonic()
    while True:
        try:
            future.result(timeout=POLL_SECONDS)
            return None
        except NotYet:
            pass
        except ProcessExpired as died:
            return ended or Death(_cause_of_death(died.exitcode))
        if not begun:
            begun, waited = bool(batch.pid[0]), time.monotonic() - since
            if waited > START_SECONDS:
                future.cancel()
                raise DecoderUnavailable(f"no decode process has begun within {START_SECONDS:g} s")
            since = time.monotonic() if begun else since  # its start is not its first image's time
        while at < batch.count and batch.records["state"][at] >= DONE:
            at, since = at + 1, time.monotonic()
        if begun and ended is None and at < batch.count and time.monotonic() - since > limits.decode_seconds:
            why = f"it took longer than limits.decode_seconds = {limits.decode_seconds:g} s"
            ended = Death(Rejected(Reason.TIMEOUT, why), at)
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(batch.pid[0]), signal.SIGKILL)  # C code that spins hears nothing less


def _blame(batch: Batch, first: int, death: Death) -> int:
    """Give the image that the child died at its reason. Returns the index of the first image still to be done.

    Raises BrokenProcessPool when it died at no image.
    """
    undone = np.flatnonzero(batch.records["state"][first:] < DONE)
    if not len(undone):  # it died behind its last image
        return batch.count
    at = first + int(undone[0])
    if death.late not in (None, at):  # the late one came through in the moment of the kill: no fault of its neighbour
        return at
    if batch.records["state"][at] == WAITING:
        raise BrokenProcessPool(f"it died before its first image: {death.why.detail}")
    note_rejected(batch, at, death.why)
    return at + 1


def _cause_of_death(status: int) -> Rejected:
    """What an exit status says. The kernel's out-of-memory killer is the only one that kills with SIGKILL."""
    if status == -signal.SIGKILL:
        return Rejected(Reason.OUT_OF_MEMORY, "the decode process was killed by the system, most likely for its memory")
    name = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    return Rejected(Reason.DECODER_CRASHED, f"the decoder crashed ({name})")


def _prepare_child(parent: int) -> None:
    """In the child: no more memory than it may have, no core files, and no life after the parent's."""
    images.configure_pillow()
    # Private data only: the pixels that it shares with its parent are the parent's.
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, where there is one
    if os.getppid() != parent:  # it died meanwhile
        os._exit(1)
