"""A proxy in front of a real S3 server that does to its answers what networks and busy stores do.

Which request suffers what is a hash of seed, path and how often that path was asked for before: the same in every run,
whatever the threads do.
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
STALLED = "body stands still"
DRIPS = "body drips"
FLIPPED = "a bit of the body flipped"
FAULTS = (SLOW_DOWN, RESET, CUT, STALLED, DRIPS, FLIPPED)
DRIP_SECONDS = 0.05
"""Between two bytes of a body that drips."""


@dataclass
class Plan:
    """What happens to requests. share: how many of them suffer one of `faults`, 0 to 1.

    at: what to do when the nth request has come in, before it is served.
    """

    share: float = 0.0
    faults: tuple[str, ...] = FAULTS
    seed: int = 0
    at: dict[int, Callable[[], None]] = field(default_factory=dict)

    def fault(self, path: str, turn: int) -> str | None:
        draw = random.Random(f"{self.seed} {path} {turn}")
        return draw.choice(self.faults) if draw.random() < self.share else None


class FaultProxy(ThreadingHTTPServer):
    """Forwards every request to `upstream` (http://host:port) and spoils answers as `plan` says."""

    daemon_threads = True

    def __init__(self, upstream: str, plan: Plan) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(upstream).netloc
        self.plan = plan
        self.requests = 0
        self.turns: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        """How often each fault was done."""
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
        """A client or the store hung up: that is what happens here."""


class _Handler(BaseHTTPRequestHandler):
    server: FaultProxy
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.next_fault(self.path)
        if fault == SLOW_DOWN:
            self._answer(503, [("Content-Type", "application/xml")], b"<Error><Code>SlowDown</Code></Error>")
        elif fault == RESET:
            self._reset()
        else:
            try:
                answer, body = self._forwarded(sent)
            except (OSError, http.client.HTTPException):  # the store is down, or hung up
                self._reset()
                return
            self._answer(answer.status, answer.getheaders(), body, fault)

    do_PUT = do_POST = do_HEAD = do_DELETE = do_GET

    def _forwarded(self, sent: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection(self.server.upstream, timeout=120)
        with contextlib.closing(connection):
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("expect", "connection"):  # hop by hop; neither is signed
                    connection.putheader(name, value)
            connection.endheaders(sent)
            answer = connection.getresponse()
            return answer, answer.read()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes, fault: str | None = None) -> None:
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
            for at in range(half, len(body)):
                self.wfile.write(body[at : at + 1])
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
    """The proxy, running, until the context ends."""
    with FaultProxy(upstream, plan or Plan()) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.closing.set()
            proxy.shutdown()
            thread.join()
