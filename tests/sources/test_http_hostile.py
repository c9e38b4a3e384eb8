"""Whatever a host does to the HTTP client becomes one row with its reason, within its deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from imagefeatures.errors import Rejected
from imagefeatures.reasons import Reason
from imagefeatures.sources import Item
from imagefeatures.sources.http import HttpOptions, Response, fetch_all
from support.hostile_hosts import HIDDEN, MOST, PACKED, PHOTO, Hosts, hostile_hosts

DEADLINE = 2.0


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    with hostile_hosts(tmp_path_factory.mktemp("tls")) as made:
        yield made


def at(target: str) -> Callable[[Hosts], str]:
    return lambda hosts: hosts.usual.url(target)


def inside(host: str) -> Callable[[Hosts], str]:
    """A URL of the forbidden host, by another name."""
    return lambda hosts: hosts.forbidden.url("/inside", host)


CASES: dict[str, tuple[Callable[[Hosts], str], Reason | bytes, str]] = {
    **{
        target: (at(target), PHOTO, "")
        for target in (
            "/photo", "/hop1", "/gzip", "/aws-chunked", "/long-body", "/until-closed", "/500-once", "/reset-once",
            "/short-once",
        )
    },
    "/html": (at("/html"), b"<html>no photo</html>", ""),
    "/empty": (at("/empty"), b"", ""),
    "the address itself": (inside("127.0.0.2"), Reason.BLOCKED_ADDRESS, "127.0.0.2 is not a public address"),
    "a decimal host": (inside("2130706434"), Reason.BLOCKED_ADDRESS, "127.0.0.2"),
    "an octal host": (inside("0177.0.0.2"), Reason.BLOCKED_ADDRESS, "127.0.0.2"),
    "a hexadecimal host": (inside("0x7f000002"), Reason.BLOCKED_ADDRESS, "127.0.0.2"),
    "a short host": (inside("127.2"), Reason.BLOCKED_ADDRESS, "127.0.0.2"),
    "the host that is none": (inside("0.0.0.0"), Reason.BLOCKED_ADDRESS, "0.0.0.0"),
    "an encoded host": (inside("127.0.0.%32"), Reason.UNSUPPORTED_URL, "host"),
    "a host in wide digits": (inside("１２７.0.0.2"), Reason.BLOCKED_ADDRESS, "127.0.0.2"),
    "a mapped address": (inside("[::ffff:127.0.0.2]"), Reason.BLOCKED_ADDRESS, "127.0.0.2"),
    "a compatible address": (inside("[::127.0.0.2]"), Reason.BLOCKED_ADDRESS, "::7f00:2"),
    "a NAT64 address": (inside("[64:ff9b::7f00:2]"), Reason.BLOCKED_ADDRESS, "127.0.0.2, inside 64:ff9b::7f00:2"),
    "a 6to4 address": (inside("[2002:7f00:2::1]"), Reason.BLOCKED_ADDRESS, "2002:7f00:2::1"),
    "IPv6 loopback": (inside("[::1]"), Reason.BLOCKED_ADDRESS, "::1"),
    "/to-metadata": (at("/to-metadata"), Reason.BLOCKED_ADDRESS, "169.254.169.254"),
    "/to-forbidden": (at("/to-forbidden"), Reason.BLOCKED_ADDRESS, "127.0.0.2"),
    "/to-file": (at("/to-file"), Reason.UNSUPPORTED_URL, "its scheme is file"),
    "/to-gopher": (at("/to-gopher"), Reason.UNSUPPORTED_URL, "its scheme is gopher"),
    "/to-userinfo": (at("/to-userinfo"), Reason.UNSUPPORTED_URL, "a user name or a password"),
    "/to-nothing": (at("/to-nothing"), Reason.UNSUPPORTED_URL, "redirects"),
    "/to-bad-port": (at("/to-bad-port"), Reason.UNSUPPORTED_URL, "port 25"),
    "/odd-location": (at("/odd-location"), Reason.TOO_MANY_REDIRECTS, "5 redirects"),
    "/loop": (at("/loop"), Reason.TOO_MANY_REDIRECTS, "5 redirects"),
    "/hop0": (at("/hop0"), Reason.TOO_MANY_REDIRECTS, "5 redirects"),
    "/ping": (at("/ping"), Reason.TOO_MANY_REDIRECTS, "5 redirects"),
    "/no-location": (at("/no-location"), Reason.HTTP_REFUSED, "HTTP 302"),
    "a file": (lambda _: "file:///etc/passwd", Reason.UNSUPPORTED_URL, "its scheme is file"),
    "userinfo": (
        lambda hosts: f"http://127.0.0.1:{HIDDEN}@127.0.0.2:{hosts.forbidden.port}/",
        Reason.UNSUPPORTED_URL,
        "a user name or a password",
    ),
    "port 0": (lambda _: "http://127.0.0.1:0/", Reason.UNSUPPORTED_URL, "port 0"),
    "the port of SSH": (lambda _: "http://127.0.0.1:22/", Reason.UNSUPPORTED_URL, "port 22"),
    "port 65536": (lambda _: "http://127.0.0.1:65536/", Reason.UNSUPPORTED_URL, "malformed"),
    "a closed port": (lambda _: "http://127.0.0.1:1026/", Reason.FETCH_FAILED, "it takes no connection"),
    "no such name": (lambda _: "http://nowhere.invalid/", Reason.FETCH_FAILED, "cannot be resolved"),
    **{
        target: (at(target), Reason.TOO_LARGE, "limits.max_bytes is 100,000")
        for target in (
            "/too-large", "/endless", "/endless-chunks", "/gzip-bomb", "/double-gzip-bomb", "/brotli-bomb",
        )
    },
    "/upgrade": (at("/upgrade"), Reason.HTTP_REFUSED, "HTTP 101"),
    "/many-gzips": (at("/many-gzips"), PACKED, ""),
    "/huge-length": (at("/huge-length"), Reason.TOO_LARGE, "limits.max_bytes"),
    "/short-body": (at("/short-body"), Reason.FETCH_FAILED, "shorter than its Content-Length"),
    "/204": (at("/204"), Reason.EMPTY_OBJECT, "HTTP 204"),
    "/205": (at("/205"), Reason.EMPTY_OBJECT, "HTTP 205"),
    **{
        f"/{status}": (at(f"/{status}"), Reason.HTTP_REFUSED, f"HTTP {status}")
        for status in (201, 206, 300, 304, 400, 401, 403, 404, 407, 408, 410, 418, 451)
    },
    "/endless-404": (at("/endless-404"), Reason.HTTP_REFUSED, "HTTP 404"),
    "/500": (at("/500"), Reason.FETCH_FAILED, "HTTP 500 (4 tries)"),
    "/999": (at("/999"), Reason.FETCH_FAILED, "HTTP 999"),
    "/reset": (at("/reset"), Reason.FETCH_FAILED, "(4 tries)"),
    "/closed": (at("/closed"), Reason.FETCH_FAILED, "without a response"),
    "/http-0.9": (at("/http-0.9"), Reason.FETCH_FAILED, "not HTTP/1 or HTTP/2"),
    **{
        target: (at(target), Reason.FETCH_FAILED, "")
        for target in ("/garbage", "/bad-chunk", "/negative-length", "/two-lengths")
    },
    **{
        target: (at(target), Reason.FETCH_FAILED, "its headers have more than 131,072 bytes")
        for target in ("/header-bomb", "/interim-flood")
    },
    **{
        target: (at(target), Reason.FETCH_FAILED, "its headers are too many or too long")
        for target in ("/line-bomb", "/small-header-flood", "/trailer-flood")
    },
    **{
        target: (lambda hosts, target=target: hosts.slow.url(target), Reason.FETCH_TIMEOUT, "http.deadline_seconds = 2")
        for target in ("/drip", "/header-drip", "/line-drip", "/silent", "/interim-drip", "/endless-redirect-body")
    },
    "HTTP/2": (lambda hosts: hosts.trusted.url("/over-2"), b"over HTTP/2", ""),
    "HTTP/2, reset": (lambda hosts: hosts.resetting.url("/"), Reason.FETCH_FAILED, "libcurl 92"),
    "a certificate that has expired": (lambda h: h.expired.url("/"), Reason.FETCH_FAILED, "its certificate"),
    "a certificate of another name": (lambda h: h.misnamed.url("/"), Reason.FETCH_FAILED, "its certificate"),
    "TLS to a host without": (
        lambda hosts: hosts.usual.url("/photo").replace("http:", "https:"), Reason.FETCH_FAILED, "TLS",
    ),
}  # fmt: skip


@dataclass
class Outcomes:
    results: dict[str, Response | Rejected]
    seconds: float


@pytest.fixture(scope="module")
def outcomes(hosts: Hosts) -> Outcomes:
    """All cases at once, as a shard has them."""
    options = HttpOptions(connections_per_host=64, requests_per_second=None, deadline_seconds=DEADLINE)
    begun = time.monotonic()
    results = list(fetch_all([Item(url(hosts)) for url, _, _ in CASES.values()], MOST, options))
    return Outcomes(dict(zip(CASES, results, strict=True)), time.monotonic() - begun)


@pytest.mark.parametrize("case", CASES)
def test_what_a_host_does_becomes_a_row_with_its_reason(outcomes: Outcomes, case: str) -> None:
    result, (_, expected, detail) = outcomes.results[case], CASES[case]
    if isinstance(expected, bytes):
        assert isinstance(result, Response), result
        assert result.data == expected
    else:
        assert isinstance(result, Rejected), case
        assert (result.reason, detail in result.detail) == (expected, True), result.detail


def test_every_deadline_was_kept(outcomes: Outcomes) -> None:
    assert outcomes.seconds < DEADLINE + 2


def test_nothing_reached_the_host_that_is_not_allowed(outcomes: Outcomes, hosts: Hosts) -> None:
    assert (hosts.forbidden.connections, hosts.forbidden.requests) == (0, [])
    assert len(hosts.usual.requests) > 60


def test_no_detail_shows_what_may_be_a_secret(outcomes: Outcomes) -> None:
    assert not [result for result in outcomes.results.values() if HIDDEN in str(result)]


def test_what_may_pass_was_tried_again_and_what_lasts_was_not(outcomes: Outcomes, hosts: Hosts) -> None:
    four, one = ("/500", "/408"), ("/404", "/401", "/too-large", "/http-0.9", "/small-header-flood", "/header-bomb")
    assert {target: len(hosts.usual.asked(target)) for target in four} == dict.fromkeys(four, 4)
    assert {target: len(hosts.usual.asked(target)) for target in one} == dict.fromkeys(one, 1)
    assert (
        4 <= len(hosts.usual.asked("/reset")) <= 9
    )  # libcurl asks anew by itself where a connection that was kept open turns out to be dead
    assert len(hosts.usual.asked("/500-once")) == 2
