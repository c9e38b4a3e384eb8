"""A decode process as its parent holds it: its start, the connection to it, how it died.

`imagefeatures.decode_child` is what runs in it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import weakref
from functools import lru_cache

from imagefeatures.batches import SharedBuffer
from imagefeatures.decode_child import Job, Work, send
from imagefeatures.errors import Rejected
from imagefeatures.reasons import Reason
from imagefeatures.usage import processes

START_SECONDS = 60.0
"""The longest time until a new child begins its first image, imports included."""

POLL_SECONDS = 0.05

PROGRAM = (
    "import sys; sys.path[:] = sys.argv[3:]; "
    "from imagefeatures import decode_child; decode_child.main(int(sys.argv[1]), int(sys.argv[2]))"
)
"""What the child's Python runs. It does not import its parent's main module, which may be all of PySpark."""

INHERITED = ("LD_LIBRARY_PATH", "PATH")
"""Environment variables that Python may need to start at all."""

EXIT_SECONDS = 10.0
"""The longest time between the end of the connection and the end of the process, however busy the machine is."""

log = logging.getLogger(__name__)

LIAR = Rejected(Reason.DECODER_CRASHED, "the decode process left a result that no decoder leaves; it was ended")
"""What is wrong with an image whose record or answer cannot be true."""


class ProcessLost(Exception):
    """The decode process is gone, and no image is at fault."""


class DecodeProcess:
    """A decode process and the connection to it. ready: it has finished its imports and locked itself in."""

    def __init__(self, work: Work) -> None:
        self._connection, theirs = socket.socketpair()
        with theirs:
            arguments = [str(theirs.fileno()), str(os.getpid()), *sys.path]
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter and code of our own
                [sys.executable, "-I", "-c", PROGRAM, *arguments],
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        processes.watch(self._process.pid)
        self.ready = False
        self._buffer: SharedBuffer | None = None
        self._end = weakref.finalize(self, _end, self._process, self._connection)
        self._connection.settimeout(START_SECONDS)
        with contextlib.suppress(OSError):  # it has died already: `answer` will tell
            send(self._connection, work)
        self._connection.settimeout(POLL_SECONDS)

    @property
    def pid(self) -> int:
        return self._process.pid

    def begin(self, job: Job, buffer: SharedBuffer) -> None:
        """Give it a batch, or the rest of one. Raises ProcessLost when it is dead."""
        try:
            send(self._connection, job, () if buffer is self._buffer else buffer.descriptors)
        except OSError:
            raise ProcessLost(self.cause_of_death().detail) from None
        self._buffer = buffer

    def answer(self) -> bytes | None:
        """What it has answered, usually one byte. b"" when it is dead; None when POLL_SECONDS bring no answer."""
        try:
            # Until it is ready one byte alone: a small batch may be done before its parent looks.
            return self._connection.recv(16 if self.ready else 1)
        except TimeoutError:
            return None
        except OSError:  # reset: it died with a message unread
            return b""

    def kill(self) -> None:
        self._process.kill()  # SIGKILL: no other signal ends an endless loop in C code

    def cause_of_death(self) -> Rejected:
        """Why it is dead, or has closed its connection; after this it is dead."""
        try:
            return cause_of_death_by(self._process.wait(EXIT_SECONDS))
        except subprocess.TimeoutExpired:
            self.kill()
            return LIAR

    def end(self) -> None:
        self._end()


def _end(process: subprocess.Popen[bytes], connection: socket.socket) -> None:
    connection.close()
    process.kill()
    process.wait()
    processes.unwatch(process.pid)


def _environment() -> dict[str, str]:
    """The child's environment. Threads of a library could not be locked in on every kernel, and it needs none."""
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return kept | {"LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def cause_of_death_by(status: int) -> Rejected:
    """The reason for an exit status. SIGKILL without a timeout comes from the kernel's out-of-memory killer."""
    if status == -signal.SIGKILL:
        return Rejected(Reason.OUT_OF_MEMORY, "the decode process was killed by the system, most likely for its memory")
    name = f"exit status {status}"
    if status < 0:
        known = {int(number): number.name for number in signal.Signals}
        name = known.get(-status, f"signal {-status}")  # real-time signals have no names
    return Rejected(Reason.DECODER_CRASHED, f"the decoder crashed ({name})")


@lru_cache
def warn_that_it_is_not_confined() -> None:
    """Say it once in each process."""
    log.warning(
        "decode processes are not confined here: the platform has no system call filter (seccomp) for them. "
        "They hold no keys, but a decoder that an image has taken over could open files and connections"
    )
