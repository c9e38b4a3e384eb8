"""A real server whose responses are scripted."""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = tuple[int, dict[str, str], bytes]


class ScriptedStore(ThreadingHTTPServer):
    """Sends the next response of its script, (status, headers, body), or `always` once the script is used up.

    by_path: the responses of some paths, whatever the script says. A header without a value is not sent.
    asked, paths, headers, bodies: the method, path, headers and body of each request.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Scripted)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.script: list[Answer] = []
        self.always: Answer | None = None
        self.by_path: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.paths: list[str] = []
        self.headers: list[Mapping[str, str]] = []
        self.bodies: list[bytes] = []


class _Scripted(BaseHTTPRequestHandler):
    server: ScriptedStore
    protocol_version = "HTTP/1.1"  # supports `Expect: 100-continue`, for which boto3 would otherwise wait a second

    def do_GET(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        self.server.asked.append(self.command)
        self.server.paths.append(self.requestline.split(" ")[1])  # self.path drops a slash of `//` at its start
        self.server.headers.append(self.headers)
        script = self.server.script
        answer = self.server.by_path.get(self.server.paths[-1]) or (script.pop(0) if script else self.server.always)
        status, headers, body = answer or (500, {}, b"")
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "Connection": "close", **headers}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_HEAD = do_POST = do_DELETE = do_GET

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def scripted_store(tls: ssl.SSLContext | None = None) -> Iterator[ScriptedStore]:
    """A running server that stops when the context ends."""
    with ScriptedStore() as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
            server.address = server.address.replace("http", "https")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def no(status: int, code: str) -> Answer:
    """An error response as S3 sends it."""
    return status, {"Content-Type": "application/xml"}, f"<Error><Code>{code}</Code></Error>".encode()
