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
import multiprocessing
import os
import resource
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import TimeoutError as NotYet
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from pebble import ProcessExpired, ProcessFuture, ProcessPool

from imagefeatures import images, schemas
from imagefeatures.datasets import Limits
from imagefeatures.errors import DecoderUnavailable, Rejected
from imagefeatures.reasons import DETAIL_CHARACTERS, Reason, printable

MEMORY_BYTES = 2 * 2**30
"""Most private memory of the child: 50 million pixels decoded, turned and converted, with room to spare."""

START_SECONDS = 60.0
"""How long a new child may take to begin with its first image, imports included."""

POLL_SECONDS = 0.05

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
"""What the child says of one image."""

Work = Callable[[bytes, Limits], images.Header | images.Decoded]


@dataclass(frozen=True)
class Room:
    """A file in memory, with room for so many images: what a batch is written into."""

    path: str
    capacity: int
    descriptor: int

    @classmethod
    def make(cls, capacity: int) -> Room:
        # A file in memory without a name. Not /dev/shm: containers have 64 MB of it, and end who wants more.
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("imagefeatures")
            path = f"/proc/{os.getpid()}/fd/{descriptor}"
        else:
            descriptor, path = tempfile.mkstemp(prefix="imagefeatures-")
        os.ftruncate(descriptor, 8 + capacity * (RECORD.itemsize + schemas.PIXELS_BYTES))
        return cls(path, capacity, descriptor)

    def leave(self) -> None:
        """Give it up; what has been mapped stays until it is mapped no more."""
        os.close(self.descriptor)
        if not self.path.startswith("/proc/"):
            os.unlink(self.path)  # noqa: PTH108


class Batch:
    """Memory that parent and child share for one batch: the first `count` places of a room.

    pid: int64 [1], the child's. records: RECORD [n]. pixels: uint8 [n, 224, 224, 3].
    Untouched pixels take no memory, so a batch of headers may carry them too.
    """

    def __init__(self, room: Room, count: int) -> None:
        self.room, self.count = room, count
        head = 8 + room.capacity * RECORD.itemsize
        self.pid = np.memmap(room.path, np.int64, "r+", 0, (1,))
        self.records = np.memmap(room.path, RECORD, "r+", 8, (count,))
        self.pixels = np.memmap(room.path, np.uint8, "r+", head, (count, *schemas.PIXELS_SHAPE))

    def decoded_pixels(self) -> np.ndarray:
        """The pixels of the images that are DONE: uint8 [k, 224, 224, 3]. A copy only when some are missing."""
        done = self.records["state"] == DONE
        return self.pixels if done.all() else self.pixels[done]


class Isolated:
    """A decode child and what to do when it dies. One for each process that works on shards.

    work: what the child does with an image; a function that can be imported by name.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._pool = _new_pool()
        self._room: Room | None = None

    def run(self, datas: Sequence[bytes], limits: Limits) -> Batch:
        """Work through n images. Every record of the returned batch is DONE or REJECTED.

        What the batch holds is good until the next run: it writes into the same memory. Raises DecoderUnavailable when
        a child dies at no image, and the one after it as well.
        """
        batch = Batch(self._room_for(len(datas)), len(datas))
        batch.records[:] = np.zeros((), RECORD)
        at, begun_again = 0, -1
        while at < len(datas):
            try:
                at = self._go_on(batch, at, datas[at:], limits)
            except BrokenProcessPool as error:  # the child died while it waited: no image's fault, nor the shard's
                if begun_again == at:
                    raise DecoderUnavailable(f"no decode process lives: {error}") from error
                begun_again = at
                self._end_pool()
                self._pool = _new_pool()
        return batch

    def _go_on(self, batch: Batch, at: int, datas: Sequence[bytes], limits: Limits) -> int:
        """Give the rest of a batch to the child. Returns the index of the first image still to be done."""
        batch.pid[0] = 0
        try:
            future = self._pool.schedule(_child, args=(self._work, batch.room, batch.count, at, datas, limits))
        except RuntimeError as error:  # what pebble says when the pool broke before
            raise BrokenProcessPool(str(error)) from error
        death = _watch(future, batch, at, limits)
        return batch.count if death is None else _blame(batch, at, death)

    def stop(self) -> None:
        """End the child."""
        self._end_pool()
        self._leave_room()

    def _end_pool(self) -> None:
        self._pool.stop()
        self._pool.join()

    def _room_for(self, count: int) -> Room:
        # Kept from batch to batch: new memory costs more than the decoder's writing into it, page by page.
        if self._room is None or self._room.capacity < count:
            self._leave_room()
            self._room = Room.make(count)
        return self._room

    def _leave_room(self) -> None:
        if self._room:
            self._room.leave()
            self._room = None


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


def rejection(record: np.void) -> Rejected:
    """What a REJECTED record says."""
    return Rejected(Reason(record["reason"].decode()), record["detail"].decode("utf-8", "ignore"))


def _child(work: Work, room: Room, count: int, first: int, datas: Sequence[bytes], limits: Limits) -> None:
    batch = Batch(room, count)
    batch.pid[0] = os.getpid()
    for at, data in enumerate(datas, first):
        batch.records["state"][at] = AT_WORK
        try:
            found = work(data, limits)
        except Rejected as why:
            _note_rejected(batch, at, why)
        except MemoryError:
            _note_rejected(batch, at, Rejected(Reason.OUT_OF_MEMORY, f"it asked for more than {MEMORY_BYTES:,} bytes"))
        except (NameError, ImportError):
            raise  # a mistake in this code must stop the run, not pass for a corrupt image
        except Exception as error:
            _note_rejected(batch, at, Rejected(Reason.CORRUPT, f"{type(error).__name__}: {error}"))
        else:
            if isinstance(found, images.Decoded):
                batch.pixels[at] = found.pixels
            kind = getattr(found, "format", "")
            batch.records[at] = (DONE, found.width, found.height, kind.encode(), found.mode.encode(), b"", b"")


def _note_rejected(batch: Batch, at: int, why: Rejected) -> None:
    batch.records[at] = (REJECTED, 0, 0, b"", b"", why.reason.encode(), printable(why.detail).encode())


@dataclass(frozen=True)
class Death:
    """Why a child died. late: the image for which it was ended; None when it died by itself."""

    why: Rejected
    late: int | None = None


def _watch(future: ProcessFuture, batch: Batch, at: int, limits: Limits) -> Death | None:
    """Wait for the child; end it when an image takes too long. Returns why it died, None when it is through.

    Raises DecoderUnavailable when no child begins in time, BrokenProcessPool when it died before it was given anything.
    """
    ended: Death | None = None
    begun, since = False, time.monotonic()
    while True:
        try:
            return future.result(timeout=POLL_SECONDS)
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
    _note_rejected(batch, at, death.why)
    return at + 1


def _cause_of_death(status: int) -> Rejected:
    """What an exit status says. The kernel's out-of-memory killer is the only one that kills with SIGKILL."""
    if status == -signal.SIGKILL:
        return Rejected(Reason.OUT_OF_MEMORY, "the decode process was killed by the system, most likely for its memory")
    name = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    return Rejected(Reason.DECODER_CRASHED, f"the decoder crashed ({name})")


def _prepare_child(parent: int) -> None:
    """In the child: no more memory than it may have, no core files, and no life after the parent's."""
    # Private data only: the pixels that it shares with its parent are the parent's.
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, where there is one
    if os.getppid() != parent:  # it died meanwhile
        os._exit(1)
