"""Hosts that do to an HTTP client whatever a host can do: raw sockets on the addresses of the loopback network."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Behaviour = bytes | Callable[["Request"], bytes | None]
"""A whole response; or what is done with the connection, which is closed then unless a response is returned."""

CLOSE = {"Connection": "close"}


@dataclass
class Request:
    """What was asked for. target: as it stood in the request. number: how often this target was asked for before.
    at: when, by time.monotonic."""

    target: str
    headers: dict[str, str]
    connection: socket.socket
    number: int
    at: float = field(default_factory=time.monotonic)


@dataclass
class Site:
    """A host at one address: by target what it does, and what was asked of it."""

    address: str
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    context: ssl.SSLContext | None = None
    connections: int = 0
    open_now: int = 0
    most_open: int = 0
    port: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def url(self, target: str = "/", host: str | None = None) -> str:
        return f"{'https' if self.context else 'http'}://{host or self.address}:{self.port}{target}"

    def asked(self, target: str) -> list[Request]:
        return [request for request in self.requests if request.target == target]

    def serve(self, connection: socket.socket) -> None:
        with self._lock:
            self.connections += 1
        with contextlib.suppress(OSError), connection:
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
                if connection.selected_alpn_protocol() == "h2":
                    _serve_http2(self, connection)
                    return
            stream = connection.makefile("rb")
            while request := self._take_request(stream, connection):
                with self._lock:
                    self.open_now += 1
                    self.most_open = max(self.most_open, self.open_now)
                try:
                    behaviour = self.behaviours.get(request.target, response(404, b"not here"))
                    answer = behaviour if isinstance(behaviour, bytes) else behaviour(request)
                finally:
                    with self._lock:
                        self.open_now -= 1
                if answer is None:
                    break
                connection.sendall(answer)
                if b"Connection: close" in answer.partition(b"\r\n\r\n")[0]:
                    break
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _take_request(self, stream: BufferedReader, connection: socket.socket) -> Request | None:
        if stream.peek(1)[:1] == b"\x16":  # TLS, which has lines or none
            return None
        first = stream.readline(65537).decode("latin-1").split()
        if len(first) != 3:
            return None
        headers = {}
        while line := stream.readline(65537).strip().decode("latin-1"):
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return self.note(first[1], headers, connection)

    def note(self, target: str, headers: dict[str, str], connection: socket.socket) -> Request:
        with self._lock:
            request = Request(target, headers, connection, len(self.asked(target)))
            self.requests.append(request)
        return request


@contextlib.contextmanager
def site(
    address: str, behaviours: dict[str, Behaviour] | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[Site]:
    """A host on a free port of this address, until the end of the block."""
    made = Site(address, behaviours or {}, context=tls)
    with socket.create_server((address, 0), backlog=200) as server:
        made.port = server.getsockname()[1]

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=made.serve, args=server.accept()[:1], daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield made
        server.shutdown(socket.SHUT_RDWR)


def response(status: int = 200, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
    """A whole HTTP/1.1 response. headers: win over the Content-Length of the body."""
    lines = {"Content-Length": str(len(body))} | (headers or {})
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
    return f"HTTP/1.1 {status} As It Is\r\n{head}\r\n".encode() + body


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """The first behaviour for the first request, and so on; the last one for all others."""

    def behave(request: Request) -> bytes | None:
        behaviour = behaviours[min(request.number, len(behaviours) - 1)]
        return behaviour if isinstance(behaviour, bytes) else behaviour(request)

    return behave


def after(seconds: float, answer: bytes) -> Behaviour:
    def behave(_: Request) -> bytes:
        time.sleep(seconds)
        return answer

    return behave


def dripping(first: bytes, drop: bytes, seconds: float) -> Behaviour:
    """Sends `first`, and then a drop at a time, for as long as anybody listens."""

    def behave(request: Request) -> None:
        request.connection.sendall(first)
        with contextlib.suppress(OSError):
            while True:
                time.sleep(seconds)
                request.connection.sendall(drop)

    return behave


def raw(data: bytes) -> Behaviour:
    """Sends these bytes, and closes the connection."""

    def behave(request: Request) -> None:
        request.connection.sendall(data)

    return behave


def reset(request: Request) -> None:
    """Breaks the connection off."""
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.connection.close()


def certificate(folder: Path, address: str, days: int = 2) -> tuple[ssl.SSLContext, Path]:
    """A server's side of TLS for this address, HTTP/2 included, and the file of the authority that vouches for it.

    days: how long it is valid; below 0 for one that has expired.
    """
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"a test at {address}")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=9))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    authority, both = folder / f"{address}.{days}.pem", folder / f"{address}.{days}.key"
    authority.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    both.write_bytes(
        authority.read_bytes()
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context, authority


def _serve_http2(site: Site, connection: socket.socket) -> None:
    """HTTP/2 without a dictionary: each request gets the behaviour "h2" as its body, or is reset."""
    stream = connection.makefile("rb")
    stream.read(24)  # the preface
    connection.sendall(_frame(4, 0, 0, b""))  # settings
    while head := stream.read(9):
        length, kind, flags, number = int.from_bytes(head[:3], "big"), head[3], head[4], int.from_bytes(head[5:], "big")
        stream.read(length)
        if kind == 4 and not flags:
            connection.sendall(_frame(4, 1, 0, b""))
        if kind == 1:
            site.note("h2", {}, connection)
            body = site.behaviours.get("h2")
            if isinstance(body, bytes):
                connection.sendall(_frame(1, 4, number, b"\x88") + _frame(0, 1, number, body))  # :status 200
            else:
                connection.sendall(_frame(3, 0, number, (2).to_bytes(4, "big")))  # RST_STREAM, internal error


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload
