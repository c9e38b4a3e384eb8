"""Hosts that do whatever a host can do to a client: one that answers, redirects and floods, and its neighbours."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from imagefeatures.sources.http import fetch
from support.hostile_http import CLOSE, Site, certificate, dripping, in_turn, raw, reset, response, site

MOST = 100_000
PHOTO = bytes(range(256)) * 80
PACKED = gzip.compress(PHOTO)
HIDDEN = "a-secret"
BOMB = bytes(20_000_000)
UNTIL_CLOSED = {"Content-Length": "", **CLOSE}


def to(location: str) -> bytes:
    return response(302, b"over there", {"Location": location})


@dataclass
class Hosts:
    """usual: does what its targets say. other: a second host. slow: its targets take the whole deadline. forbidden: at
    an address that is not allowed. trusted, resetting, expired, misnamed: https."""

    usual: Site
    other: Site
    slow: Site
    forbidden: Site
    trusted: Site
    resetting: Site
    expired: Site
    misnamed: Site


@contextmanager
def hostile_hosts(folder: Path) -> Iterator[Hosts]:
    """All of them, and the addresses that are allowed. folder: for certificates."""
    tls, authority = certificate(folder, "127.0.0.1")
    expired, _ = certificate(folder, "127.0.0.1", days=-1)
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMAGEFEATURES_HTTP_ALLOW", "127.0.0.1, 127.0.0.3, 127.0.0.4")
        patch.setattr(fetch, "FIRST_WAIT_SECONDS", 0.1)
        patch.setenv("SSL_CERT_FILE", str(authority))
        patch.setenv("http_proxy", "http://127.0.0.9:9/")
        patch.setenv("all_proxy", "http://127.0.0.9:9/")

        def host(address: str, tls: object = None) -> Site:
            return stack.enter_context(site(address, tls=tls))  # type: ignore[arg-type]

        made = Hosts(
            host("127.0.0.1"), host("127.0.0.3"), host("127.0.0.4"), host("127.0.0.2"),
            host("127.0.0.1", tls), host("127.0.0.1", tls), host("127.0.0.1", expired), host("127.0.0.3", tls),
        )  # fmt: skip
        made.trusted.behaviours["h2"] = b"over HTTP/2"
        made.usual.behaviours |= usual(made)
        made.other.behaviours["/pong"] = to(made.usual.url("/ping"))
        made.slow.behaviours |= {
            "/drip": dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", b".", 0.2),
            "/header-drip": dripping(b"HTTP/1.1 200 OK\r\nX-A: ", b"a", 0.2),
            "/line-drip": dripping(b"HTTP/1.1 2", b"0", 0.2),
            "/silent": dripping(b"", b"", 0.2),
            "/interim-drip": dripping(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", 0.2),
            "/endless-redirect-body": dripping(
                b"HTTP/1.1 302 F\r\nLocation: /drip\r\nContent-Length: 9\r\n\r\n", b"", 1
            ),
        }
        yield made


def usual(hosts: Hosts) -> dict:
    """The behaviours of the usual host."""
    here, forbidden = hosts.usual, hosts.forbidden
    return {
        "/photo": response(body=PHOTO),
        "/html": response(body=b"<html>no photo</html>", headers={"Content-Type": "text/html"}),
        "/to-metadata": to("http://169.254.169.254/latest/meta-data/"),
        "/to-forbidden": to(forbidden.url("/inside")),
        "/to-file": to("file:///etc/passwd"),
        "/to-gopher": to(f"gopher://127.0.0.2:{forbidden.port}/_x"),
        "/to-userinfo": to(f"http://me:{HIDDEN}@127.0.0.1:{here.port}/photo"),
        "/to-nothing": to("http://[::1/"),
        "/to-bad-port": to("http://127.0.0.1:25/"),
        "/loop": to("/loop"),
        "/ping": to(hosts.other.url("/pong")),
        **{f"/hop{n}": to(f"/hop{n + 1}") for n in range(6)},
        "/hop6": response(body=PHOTO),
        "/no-location": response(302, b"where?"),
        "/too-large": response(headers={"Content-Length": str(MOST + 1)}),
        "/endless": dripping(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 60_000, 0),
        "/endless-chunks": dripping(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"2710\r\n" + b"x" * 10_000 + b"\r\n", 0
        ),
        "/endless-404": dripping(b"HTTP/1.1 404 Not Found\r\n\r\n", b"x" * 60_000, 0),
        "/gzip-bomb": response(body=gzip.compress(BOMB), headers={"Content-Encoding": "gzip"}),
        "/double-gzip-bomb": response(
            body=gzip.compress(gzip.compress(BOMB)), headers={"Content-Encoding": "gzip, gzip"}
        ),
        "/brotli-bomb": response(
            body=pa.compress(BOMB, codec="brotli", asbytes=True), headers={"Content-Encoding": "br"}
        ),
        "/gzip": response(body=PACKED, headers={"Content-Encoding": "gzip"}),
        "/many-gzips": response(body=PACKED, headers={"Content-Encoding": ", ".join(["gzip"] * 90)}),
        "/aws-chunked": response(body=PHOTO, headers={"Content-Encoding": "aws-chunked"}),
        "/short-body": response(body=PHOTO, headers={"Content-Length": str(len(PHOTO) + 9), **CLOSE}),
        "/long-body": response(body=PHOTO + b"more", headers={"Content-Length": str(len(PHOTO)), **CLOSE}),
        "/negative-length": response(body=PHOTO, headers={"Content-Length": "-5", **CLOSE}),
        "/huge-length": response(body=PHOTO, headers={"Content-Length": "9" * 40, **CLOSE}),
        "/two-lengths": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 900\r\n\r\nabc"),
        "/bad-chunk": response(body=b"zz\r\nabc\r\n", headers={"Transfer-Encoding": "chunked", **UNTIL_CLOSED}),
        "/until-closed": response(body=PHOTO, headers=UNTIL_CLOSED),
        "/empty": response(),
        "/201": response(201, b"made"),
        "/204": response(204, headers={"Content-Length": ""}),
        "/205": response(205),
        "/206": response(206, b"part", {"Content-Range": "bytes 0-3/9000"}),
        "/300": response(300, b"choose"),
        "/304": response(304, headers={"Content-Length": ""}),
        **{f"/{status}": response(status, b"no") for status in (400, 401, 403, 404, 407, 410, 418, 451)},
        "/408": response(408, b"late", CLOSE),
        "/999": response(999, b"what"),
        "/500": response(500, b"broken"),
        "/500-once": in_turn(response(500), response(body=PHOTO)),
        "/reset-once": in_turn(reset, response(body=PHOTO)),
        "/short-once": in_turn(
            response(body=PHOTO, headers={"Content-Length": "99999", **CLOSE}), response(body=PHOTO)
        ),
        "/reset": reset,
        "/closed": lambda _: None,
        "/http-0.9": raw(PHOTO),
        "/garbage": raw(b"HTTP/9.9 ??? \x00\xff\r\n\r\n"),
        "/header-bomb": dripping(b"HTTP/1.1 200 OK\r\n", b"X-A: " + b"a" * 5000 + b"\r\n", 0),
        "/line-bomb": dripping(b"HTTP/1.1 200 OK\r\nX-A: ", b"a" * 60_000, 0),
        "/small-header-flood": dripping(b"HTTP/1.1 200 OK\r\n", b"A:\r\n" * 5000, 0),
        "/interim-flood": dripping(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 1000, 0),
        "/trailer-flood": dripping(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n", b"A: b\r\n" * 1000, 0
        ),
        "/upgrade": raw(b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\nxxxx"),
        "/odd-location": to("//"),
    }
