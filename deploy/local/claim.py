"""One Airflow a folder, and one server a port: who has them, in words, before anything is started."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from imagefeatures.errors import ImageFeaturesError

LEAVING_SECONDS = 20
"""How long the services of a parent that was killed are waited for: the kernel tells them to end, which takes time."""


class PortTaken(ImageFeaturesError):
    """Another program listens on the port; the text names it, and the way out."""


@dataclass(frozen=True)
class Owner:
    """The process that has started Airflow in a folder. port: of its API server."""

    pid: int
    port: int


@contextlib.contextmanager
def claimed(home: Path, port: int) -> Iterator[Owner | None]:
    """Hold the folder while the context lasts. Yields None; or, while another process holds it, that process.

    The claim is a lock of the kernel: it ends with this process, however that ends, and no file is left to mislead.
    """
    file = os.open(home / "running.json", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield _owner(home)
            return
        os.ftruncate(file, 0)
        os.write(file, json.dumps({"port": port, "pid": os.getpid()}).encode())
        try:
            yield None
        finally:
            os.ftruncate(file, 0)
            # Closing is not enough: a process that is being started just now has the descriptor until it has begun.
            fcntl.flock(file, fcntl.LOCK_UN)
    finally:
        os.close(file)


def require_free(port: int, home: Path) -> None:
    """Raise PortTaken unless a server may listen on this port of 127.0.0.1. home: of the Airflow that is to start.

    Waits a while for services of this very folder that have lost their parent.
    """
    deadline = time.monotonic() + LEAVING_SECONDS
    asked_again = False
    while (error := _refusal(port)) is not None:
        holder = _holder(port) if error.errno == errno.EADDRINUSE else None
        if not holder and not asked_again:  # it may have ended between the two questions
            asked_again = True
            time.sleep(0.2)
            continue
        if holder and holder.of_folder(home) and time.monotonic() < deadline:
            time.sleep(0.2)
            continue
        way_out = "choose another port, such as make up PORT=8081"
        if error.errno != errno.EADDRINUSE:
            raise PortTaken(f"port {port} of 127.0.0.1 cannot be used ({error.strerror}); {way_out}")
        who = f"by {holder.described}" if holder else "by a process of another user"
        raise PortTaken(f"port {port} of 127.0.0.1 is taken {who}; stop it, or {way_out}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class _Holder:
    """The process that listens on a port. folder: its working folder, "" where that cannot be read."""

    pid: int
    command: str
    folder: str

    @property
    def described(self) -> str:
        where = f", started in {self.folder}" if self.folder else ""
        return f"process {self.pid} ({' '.join(self.command.split())[:80]}{where})"

    def of_folder(self, home: Path) -> bool:
        """Whether it is a service that deploy.local.services has started in that folder: it works in `home`."""
        return self.folder == str(home.resolve())


def _refusal(port: int) -> OSError | None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: old connections do not count
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return error
        return None


def _holder(port: int) -> _Holder | None:
    """Who listens on the port, on 127.0.0.1 or on every address; None where the system does not tell."""
    import psutil  # needed only when something is in the way

    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                process = psutil.Process(connection.pid)
                command, folder = " ".join(process.cmdline()).strip() or process.name(), ""
                with contextlib.suppress(psutil.Error):
                    folder = process.cwd()
                return _Holder(connection.pid, command, folder)
    return None


def _owner(home: Path) -> Owner:
    """What the file says of the process that holds the folder. It writes the file as soon as it holds it."""
    for _ in range(20):
        with contextlib.suppress(OSError, ValueError, KeyError):
            state = json.loads((home / "running.json").read_text(encoding="utf-8"))
            return Owner(state["pid"], state["port"])
        time.sleep(0.05)
    raise ImageFeaturesError(f"another process holds {home / 'running.json'}, and does not say who it is")
