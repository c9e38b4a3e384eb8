"""Several hosts on the loopback network, in a process of their own, that answer at little cost.

`/image/N` is 21 kB that differ for each N, `/tiny/N` a few bytes, `/photo/N` one of the photos in turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection

from benchmarks.http_clients import BODY, HOSTS

DIGITS = 12
"""So many bytes at the front of an image say which it is."""


class _Host(asyncio.Protocol):
    """Answers each request whose head has arrived as a whole."""

    transport: asyncio.Transport
    photos: Sequence[bytes] = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self.transport, self._rest = transport, b""

    def data_received(self, data: bytes) -> None:
        *heads, self._rest = (self._rest + data).split(b"\r\n\r\n")
        for head in heads:
            _, kind, number = head[: head.index(b" HTTP/")].rsplit(b"/", 2)
            name = number.rjust(DIGITS, b"0")
            body: tuple[bytes, ...]
            if kind == b"image":
                body = (name, BODY[DIGITS:])
            elif kind == b"photo":
                body = (self.photos[int(number) % len(self.photos)],)
            else:
                body = (name,)
            length = sum(map(len, body))
            self.transport.writelines(
                [b'HTTP/1.1 200 OK\r\nETag: "%s"\r\nContent-Length: %d\r\n\r\n' % (name, length), *body]
            )


@contextlib.contextmanager
def loopback_hosts(photos: Sequence[bytes]) -> Iterator[list[str]]:
    """The hosts while the block runs. Yields the beginnings of their URLs, such as http://127.0.0.1:4711."""
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("fork").Process(target=_serve, args=(there, photos), daemon=True)
    server.start()
    try:
        yield here.recv()
    finally:
        server.terminate()
        server.join()


def _serve(ready: Connection, photos: Sequence[bytes]) -> None:
    _Host.photos = photos

    async def run() -> None:
        loop = asyncio.get_running_loop()
        servers = [await loop.create_server(_Host, host, 0, backlog=500) for host in HOSTS]
        ports = [server.sockets[0].getsockname()[1] for server in servers]
        ready.send([f"http://{host}:{port}" for host, port in zip(HOSTS, ports, strict=True)])
        await asyncio.Event().wait()

    asyncio.run(run())
