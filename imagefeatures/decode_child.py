"""What runs in the decode process: it works through batches in shared memory, and can do nothing else.

It is started with an environment of its own, which holds no setting and no key. Before its first image it imports
all that it needs, and gives up the system calls by which it could open a file, a connection or another process
(`imagefeatures.sandbox`). So bytes that take the decoder over find nothing to read and nobody to talk to.

What the parent sends is pickled. What it gets back are the bytes below and the records in shared memory, and neither
is ever unpickled.
"""

from __future__ import annotations

import codecs
import contextlib
import ctypes
import hashlib
import os
import pickle
import resource
import signal
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from imagefeatures import (
    images,
    inflated,
    sandbox,
    streamed,
    transforms,  # noqa: F401 - declared chains call it, and a process that is locked in can import nothing
    webp,
)
from imagefeatures.batches import AT_WORK, DONE, Batch, SharedBuffer, Sizes, note_rejected
from imagefeatures.errors import Rejected
from imagefeatures.limits import Limits
from imagefeatures.preprocessing import PixelRule, for_image
from imagefeatures.reasons import Reason, printable

READY, UNCONFINED, FINISHED, MISTAKE = b"r", b"u", b"f", b"m"
"""The child's answers: it is locked in; it has started, but this platform cannot lock it in; the batch is done; this
code has a mistake, which the record of the image tells."""

MISTAKES: dict[bytes, type[Exception]] = {b"NameError": NameError, b"ImportError": ImportError}
"""Errors that no image can cause: by the name that the child notes."""

MEMORY_BYTES = 2 * 2**30
"""The most private memory of the child: more than enough to decode, turn and convert 50 million pixels."""

CODECS = ("ascii", "latin-1", "utf-8", "utf-16", "utf-16-le", "utf-16-be", "unicode_escape")
"""Python imports a codec at its first use."""

Work = Callable[..., images.Header | images.Decoded]
"""images.inspect(data, limits), or images.decode(data, limits, preprocessing)."""


@dataclass(frozen=True)
class Job:
    """One batch, or the rest of one. sizes: of the buffer. first: index of the first image to be done.

    A message of the parent; the descriptors of a buffer that the child does not know come with it.
    """

    limits: Limits
    preprocessing: PixelRule | None
    sizes: Sizes
    count: int
    shape: tuple[int, ...]
    dtype: str
    first: int


def send(connection: socket.socket, message: object, descriptors: tuple[int, ...] = ()) -> None:
    """Send a message to the child, with descriptors or without. Raises OSError when the child is gone."""
    data = pickle.dumps(message)
    socket.send_fds(connection, [struct.pack(">I", len(data)) + data], descriptors)


def main(descriptor: int, parent: int) -> NoReturn:
    """The life of the child. descriptor: of the connection to its parent. parent: the parent's process id."""
    connection = socket.socket(fileno=descriptor)
    connection.setblocking(True)
    work, _ = _receive(connection)
    _prepare(parent)
    _answer(connection, READY if sandbox.lock() else UNCONFINED)
    buffer: SharedBuffer | None = None
    while True:
        job, passed = _receive(connection)
        if passed:
            if buffer is not None:
                buffer.close()
            buffer = SharedBuffer.received(job.sizes, passed)
        if buffer is None:
            raise RuntimeError("no memory came with the first batch")
        _answer(connection, _work_through(work, job, Batch(buffer, job.count, job.shape, job.dtype)))


def _answer(connection: socket.socket, answer: bytes) -> None:
    try:
        os.write(connection.fileno(), answer)  # not send, which the filter refuses with all calls for an address
    except OSError:  # the parent is gone
        os._exit(0)


def _receive(connection: socket.socket) -> tuple[Any, tuple[int, ...]]:
    """The parent's next message, and the descriptors that came with it. Ends the process when the parent is gone."""
    data, descriptors, _, _ = socket.recv_fds(connection, 4, 2)
    (length,) = struct.unpack(">I", data + _exactly(connection, 4 - len(data)))
    message = pickle.loads(_exactly(connection, length))  # noqa: S301 - by the parent, which has started this process
    return message, tuple(descriptors)


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = os.read(connection.fileno(), count - len(data))
        if not part:
            os._exit(0)
        data += part
    return data


def _prepare(parent: int) -> None:
    """Import what is missing, limit the memory, turn off core files, let go of the log, and end with the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to every process; the parent decides
    images.configure_pillow()
    for name in CODECS:
        codecs.lookup(name)
    hashlib.sha256(b"")  # OpenSSL reads its settings at the first digest
    # Private data only: the pixels that the child shares with its parent are the parent's.
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(1, 2)  # both are /dev/null now: an image must not be able to write lines into the log
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, where the system has it
    if os.getppid() != parent:  # the parent has died meanwhile
        os._exit(1)


def _work_through(work: Work, job: Job, batch: Batch) -> bytes:
    records = batch.written
    if job.preprocessing is not None:
        streamed.prove(job.preprocessing)
        webp.prove()
        inflated.prove()
    for index in range(job.first, job.count):
        records["state"][index] = AT_WORK
        try:
            data = batch.source(index)
            rule = () if job.preprocessing is None else (for_image(job.preprocessing, data),)
            result = work(data, job.limits, *rule)
            if isinstance(result, images.Decoded):
                _place(result.pixels, batch, index)
        except Rejected as why:
            note_rejected(records, index, why)
        except MemoryError:
            detail = f"it asked for more than {MEMORY_BYTES:,} bytes"
            note_rejected(records, index, Rejected(Reason.OUT_OF_MEMORY, detail))
        except (NameError, ImportError) as error:  # a mistake in this code must stop the run, not pass for a bad image
            name = b"NameError" if isinstance(error, NameError) else b"ImportError"
            records[index] = (AT_WORK, 0, 0, b"", b"", name, printable(error).encode())
            return MISTAKE
        except Exception as error:
            note_rejected(records, index, Rejected(Reason.CORRUPT, f"{type(error).__name__}: {error}"))
        else:
            kind = getattr(result, "format", "")
            records[index] = (DONE, result.width, result.height, kind.encode(), result.mode.encode(), b"", b"")
    return FINISHED


def _place(pixels: np.ndarray, batch: Batch, index: int) -> None:
    """Write an image's pixels into the batch. Raises Rejected (CORRUPT) where they are not of the batch's shape."""
    if pixels.shape != batch.shape:
        found, wanted = (" × ".join(map(str, shape)) for shape in (pixels.shape, batch.shape))
        raise Rejected(Reason.CORRUPT, f"its pixels came out as {found}, its header says {wanted}")
    batch.pixels[index] = pixels
