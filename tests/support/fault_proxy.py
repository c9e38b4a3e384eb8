"""A proxy in front of a real S3 server that adds the faults of networks and busy stores to its responses.

The fault of a request depends only on the seed, the path and the number of earlier requests for that path. So it is
the same in every run, independent of the order of threads.
"""

from __future__ import annotations

import contextlib
import http.client
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

SLOW_DOWN = "503 SlowDown"
RESET = "connection reset"
CUT = "body cut short"
STALLED = "body stalls"
DRIPS = "body comes byte by byte"
FLIPPED = "a bit of the body flipped"
FAULTS = (SLOW_DOWN, RESET, CUT, STALLED, DRIPS, FLIPPED)
DRIP_SECONDS = 0.05
"""The time between two bytes of a body that comes byte by byte."""


@dataclass
class Plan:
    """The faults to add. share: the share of requests that get one of `faults`, 0 to 1.

    at: number of a request: an action to take when that request has arrived, before it is forwarded.
    """

    share: float = 0.0
    faults: tuple[str, ...] = FAULTS
    seed: int = 0
    at: dict[int, Callable[[], None]] = field(default_factory=dict)

    def fault(self, path: str, turn: int) -> str | None:
        draw = random.Random(f"{self.seed} {path} {turn}")
        return draw.choice(self.faults) if draw.random() < self.share else None


class FaultProxy(ThreadingHTTPServer):
    """Forwards every request to `upstream` (http://host:port), and adds faults to the responses as `plan` says."""

    daemon_threads = True

    def __init__(self, upstream: str, plan: Plan) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(upstream).netloc
        self.plan = plan
        self.requests = 0
        self.turns: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        """Fault: how often it was added."""
        self.lock = threading.Lock()
        self.closing = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def next_fault(self, path: str) -> str | None:
        with self.lock:
            self.requests += 1
            action = self.plan.at.get(self.requests)
            fault = self.plan.fault(path, self.turns[path])
            self.turns[path] += 1
            self.done[fault or "none"] += 1
        if action:
            action()
        return fault

    def handle_error(self, *_: object) -> None:
        """Ignore connections that the client or the store has closed: they are expected here."""


class _Handler(BaseHTTPRequestHandler):
    server: FaultProxy
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.next_fault(self.path)
        if fault == SLOW_DOWN:
            self._respond(503, [("Content-Type", "application/xml")], b"<Error><Code>SlowDown</Code></Error>")
        elif fault == RESET:
            self._reset()
        else:
            try:
                response, body = self._forward(sent)
            except (OSError, http.client.HTTPException):  # the store is down, or has closed the connection
                self._reset()
                return
            self._respond(response.status, response.getheaders(), body, fault)

    do_PUT = do_POST = do_HEAD = do_DELETE = do_GET

    def _forward(self, sent: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection(self.server.upstream, timeout=120)
        with contextlib.closing(connection):
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("expect", "connection"):  # hop-by-hop headers, which are not signed
                    connection.putheader(name, value)
            connection.endheaders(sent)
            response = connection.getresponse()
            return response, response.read()

    def _respond(self, status: int, headers: list[tuple[str, str]], body: bytes, fault: str | None = None) -> None:
        self.send_response_only(status)
        length = dict(headers).get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        half = len(body) // 2
        if fault in (CUT, STALLED, DRIPS):
            self.close_connection = True
            self.wfile.write(body[:half])
        if fault == STALLED:
            self.server.closing.wait(60)
        elif fault == DRIPS:
            for position in range(half, len(body)):
                self.wfile.write(body[position : position + 1])
                if self.server.closing.wait(DRIP_SECONDS):
                    return
        elif fault == FLIPPED and body:
            self.wfile.write(body[:half] + bytes([body[half] ^ 1]) + body[half + 1 :])
        elif fault is None:
            self.wfile.write(body)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # RST, not FIN
        self.connection.close()
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def fault_proxy(upstream: str, plan: Plan | None = None) -> Iterator[FaultProxy]:
    """A running proxy that stops when the context ends."""
    with FaultProxy(upstream, plan or Plan()) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.closing.set()
            proxy.shutdown()
            thread.join()
