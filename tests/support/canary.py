"""A module that must never be imported, and a REST catalog server that names it wherever it can."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

SECRET = "canary-of-the-canary"
CLASS = "canary_of_the_tests.Anything"


def canary(folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """Make an importable module. Returns the file that it would write the secret to, once it is imported or called."""
    (folder / "importable").mkdir()
    marks = folder / "marks"
    (folder / "importable" / "canary_of_the_tests.py").write_text(
        f"import os, pathlib\n"
        f"def mark(): pathlib.Path({str(marks)!r}).write_text(os.environ['CANARY'])\n"
        f"mark()\n"
        f"class Anything:\n"
        f"    def __init__(self, *args, **options): mark()\n"
    )
    patch.syspath_prepend(folder / "importable")
    patch.setenv("CANARY", SECRET)
    return marks


@dataclass
class RestAnswers:
    """What a scripted REST catalog answers. table: about features.photos. listed: about the list of tables."""

    config: dict[str, Any] = field(default_factory=lambda: {"defaults": {}, "overrides": {}})
    table: dict[str, Any] = field(default_factory=dict)
    listed: dict[str, Any] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)


@contextlib.contextmanager
def rest_catalog(answers: RestAnswers) -> Iterator[str]:
    """The address of a server that gives these answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answers.seen.append(f"{self.command} {self.path}")
            if self.path.startswith("/v1/config"):
                self._send(200, answers.config)
            elif self.path.split("?")[0].endswith("/features/tables") and answers.listed:
                self._send(200, answers.listed)
            elif "/tables/" in self.path and answers.table:
                self._send(200, answers.table)
            else:
                self._send(404, {"error": {"message": "none", "type": "NoSuchTableException", "code": 404}})

        def do_POST(self) -> None:
            answers.seen.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers["Content-Length"]))
            if self.path.endswith("/tables/photos"):  # a commit
                self._send(200, {key: answers.table[key] for key in ("metadata-location", "metadata")})
            else:
                self._send(409, {"error": {"message": "there", "type": "AlreadyExistsException", "code": 409}})

        def do_HEAD(self) -> None:
            self._send(200, {})

        def _send(self, status: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
