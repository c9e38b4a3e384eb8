"""What the HTTP client sends, in which order it returns, and what it holds."""

from __future__ import annotations

import gzip
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pycurl
import pytest

from imagefeatures.errors import Rejected, SettingsError
from imagefeatures.reasons import Reason
from imagefeatures.sources import Item
from imagefeatures.sources.http import HttpOptions, Response, fetch_all, jobs
from imagefeatures.sources.http.fetch import Fetch
from imagefeatures.usage import traffic
from support.hostile_http import CLOSE, Site, after, dripping, response, site

QUICK = HttpOptions(requests_per_second=None, deadline_seconds=5)
MOST = 2**20


@pytest.fixture
def other() -> Iterator[Site]:
    with site("127.0.0.3") as made:
        yield made


def fetch(*urls: str, options: HttpOptions = QUICK, etag: str | None = None) -> list[Response | Rejected]:
    return list(fetch_all([Item(url, etag=etag) for url in urls], MOST, options))


def test_results_come_in_the_order_of_the_items(host: Site, other: Site) -> None:
    host.behaviours["/slow"] = after(0.3, response(body=b"slow"))
    other.behaviours |= {f"/{n}": response(body=b"%d" % n) for n in range(30)}
    results = fetch(host.url("/slow"), *(other.url(f"/{n}") for n in range(30)), "nonsense")
    assert [result.data for result in results[:-1]] == [b"slow", *(b"%d" % n for n in range(30))]
    assert results[-1].reason == Reason.UNSUPPORTED_URL


def test_requests_and_the_bytes_of_bodies_are_counted(host: Site) -> None:
    host.behaviours["/whole"] = response(body=b"x" * 1000)
    host.behaviours["/moved"] = response(302, headers={"Location": "/whole"})
    host.behaviours["/gone"] = response(404, body=b"not here")
    before = traffic.so_far()
    fetch(host.url("/whole"), host.url("/moved"), host.url("/gone"))
    used = traffic.so_far() - before
    assert (used.http_requests, used.bytes_read) == (4, 2008)
    assert (used.get_requests, used.put_requests, used.bytes_written) == (0, 0, 0)


def test_no_items_are_no_results(host: Site) -> None:
    assert fetch() == []


def test_what_was_rejected_before_is_not_asked_for(host: Site) -> None:
    rejected = Rejected(Reason.BAD_KEY, "its name")
    assert list(fetch_all([Item(host.url("/"), rejected=rejected)], MOST, QUICK)) == [rejected]
    assert host.requests == []


def test_a_request_says_who_asks_and_nothing_else(host: Site) -> None:
    host.behaviours["/"] = response(body=b"x")
    fetch(host.url("/"), options=HttpOptions(contact="https://example.org/bot"))
    (request,) = host.requests
    assert request.headers["user-agent"].startswith("imagefeatures")
    assert request.headers["user-agent"].endswith(" (+https://example.org/bot)")
    assert set(request.headers) == {"host", "user-agent", "accept", "accept-encoding"}
    assert request.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("", "/"),
        ("/a b", "/a%20b"),
        ("/ü.jpg", "/%C3%BC.jpg"),
        ("/%C3%BC%2F.jpg", "/%C3%BC%2F.jpg"),
        ("/100%", "/100%"),
        ("/a?q=ü b&r=[1]#top", "/a?q=%C3%BC%20b&r=[1]"),
        ("?q", "/?q"),
        ("#top", "/"),
        ("/a/../b/./c", "/b/c"),
        ("/a/%2E%2e/b/%2e/c/.%2e/d/..", "/b/"),
        ("/../.../a..", "/.../a.."),
        ("//a/./", "//a/"),
        ("/a\\b", "/a/b"),
        (" \n", "/"),
        ("/a\nb\tc", "/abc"),
        ("/<>\"'`{}", "/%3C%3E%22'%60%7B%7D"),
    ],
)
def test_a_url_is_sent_as_a_browser_sends_it(host: Site, written: str, sent: str) -> None:
    host.behaviours[sent] = response(body=b"x")
    assert fetch(f"http://127.0.0.1:{host.port}{written}") == [Response(b"x", None)]
    assert [request.target for request in host.requests] == [sent]


@pytest.mark.parametrize("behind", [bytes(20), gzip.compress(b"more"), b"x"])
def test_what_libcurl_cannot_inflate_to_its_end_is_taken_as_it_is_and_asked_for_once_more(
    host: Site, behind: bytes
) -> None:
    sent = gzip.compress(b"a photo") + behind
    host.behaviours["/"] = response(body=sent, headers={"Content-Encoding": "gzip"})
    assert fetch(host.url("/")) == [Response(sent, None)]
    assert len(host.requests) == 2


def test_a_redirect_may_be_relative_and_is_encoded(host: Site) -> None:
    host.behaviours |= {
        "/a/b": response(301, headers={"Location": "../c d/é"}).replace("é".encode(), "é".encode("latin-1")),
        "/c%20d/%C3%A9": response(303, headers={"Location": "?q=ü"}),
        "/c%20d/%C3%A9?q=%C3%BC": response(308, headers={"Location": host.url("/end")}),
        "/end": response(body=b"end"),
    }
    assert fetch(host.url("/a/b")) == [Response(b"end", None)]


def test_the_headers_of_interim_responses_count_for_nothing(host: Site) -> None:
    early = b'HTTP/1.1 103 Early\r\nX-Robots-Tag: noai\r\nETag: "0"\r\nContent-Length: 99999999\r\n\r\n'
    host.behaviours["/"] = early + early + response(body=b"x", headers={"ETag": '"1"'})
    assert fetch(host.url("/")) == [Response(b"x", '"1"')]


def test_trailers_count_for_nothing(host: Site) -> None:
    host.behaviours["/"] = (
        b'HTTP/1.1 200 OK\r\nETag: "1"\r\nTransfer-Encoding: chunked\r\n\r\n'
        b'1\r\nx\r\n0\r\nETag: "2"\r\nX-Robots-Tag: noai\r\n\r\n'
    )
    assert fetch(host.url("/")) == [Response(b"x", '"1"')]


def test_a_name_that_resolves_to_another_address_the_second_time_is_judged_again(
    host: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with site("127.0.0.2") as forbidden:
        addresses = iter([f"127.0.0.1:{host.port}", f"127.0.0.2:{forbidden.port}"])

        class Rebinding(pycurl.Curl):
            """Every request finds the next address behind the name."""

            def setopt(self, option: int, value: object) -> None:
                super().setopt(option, value)
                if option == pycurl.URL:
                    super().setopt(pycurl.CONNECT_TO, [f"rebound.test:80:{next(addresses)}"])

        monkeypatch.setattr(pycurl, "Curl", Rebinding)
        host.behaviours["/"] = response(302, headers={"Location": "http://rebound.test/inside", **CLOSE})
        (result,) = fetch("http://rebound.test/")
        assert result.reason == Reason.BLOCKED_ADDRESS
        assert "127.0.0.2" in result.detail
        assert (len(host.requests), forbidden.connections) == (1, 0)


def test_without_the_operators_word_no_private_host_is_dialled(host: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMAGEFEATURES_HTTP_ALLOW")
    (result,) = fetch(host.url("/"))
    assert result.reason == Reason.BLOCKED_ADDRESS
    assert host.connections == 0


def test_a_variable_that_is_wrong_is_named(host: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere.pem")
    with pytest.raises(SettingsError, match=r"^SSL_CERT_FILE: there is no file '/nowhere.pem'$"):
        fetch(host.url("/"))
    monkeypatch.setenv("IMAGEFEATURES_HTTP_ALLOW", "127.0.0.1/8")
    with pytest.raises(SettingsError, match=r"^IMAGEFEATURES_HTTP_ALLOW: 127.0.0.1/8 has host bits set"):
        fetch(host.url("/"))


def test_bodies_beyond_what_may_be_held_are_asked_for_again_later(
    host: Site, other: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "MOST_HELD_BYTES", 300_000)
    host.behaviours["/slow"] = after(0.5, response(body=b"slow"))
    bodies = [bytes([n]) * 100_000 for n in range(12)]
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n%s\r\n0\r\n\r\n"
    other.behaviours |= {f"/{n}": chunked % body if n % 2 else response(body=body) for n, body in enumerate(bodies)}
    other.behaviours["/6"] = after(0.8, response(body=bodies[6]))  # those behind it have filled the memory by then
    held, taken = [], []
    items = [Item(host.url("/slow")), *(Item(other.url(f"/{n}")) for n in range(12))]
    fetching = Fetch(items, MOST, QUICK)
    for result in fetching.run():
        held.append(fetching._memory.held)
        taken.append(result.data)
    assert taken == [b"slow", *bodies]
    assert max(held) <= 300_000 + jobs.NEAR * 100_000
    assert held[-1] == 0
    assert len(other.requests) > 12  # some were broken off


def test_the_time_that_the_caller_takes_counts_for_no_host(host: Site) -> None:
    host.behaviours |= {"/1": response(body=b"1"), "/2": after(0.9, response(body=b"2"))}
    options = HttpOptions(deadline_seconds=0.5, requests_per_second=None)
    results = fetch_all([Item(host.url("/1")), Item(host.url("/2"))], MOST, options)
    assert next(results) == Response(b"1", None)
    time.sleep(0.6)
    assert next(results) == Response(b"2", None)


def test_a_caller_that_stops_leaves_no_connection_open(host: Site) -> None:
    host.behaviours |= {"/1": response(body=b"1"), "/2": dripping(b"HTTP/1.1 200 OK\r\n\r\n", b".", 0.05)}
    results = fetch_all([Item(host.url("/1")), Item(host.url("/2"))], MOST, QUICK)
    next(results)
    results.close()  # type: ignore[attr-defined]
    ends = time.monotonic() + 5
    while host.open_now and time.monotonic() < ends:
        time.sleep(0.02)
    assert host.open_now == 0


def test_descriptors_above_a_thousand_are_watched(host: Site) -> None:
    host.behaviours["/"] = response(body=b"x")
    taken = []
    try:
        for _ in range(1100):
            taken.append(socket.socket())
    except OSError:
        pytest.skip("this user may not open so many descriptors")
    finally:
        result = fetch(host.url("/")) if len(taken) == 1100 else None
        for opened in taken:
            opened.close()
    assert result == [Response(b"x", None)]


def test_where_the_client_is_missing_one_line_names_the_extra() -> None:
    program = (
        "import sys; sys.modules['pycurl'] = None\n"
        "from imagefeatures.errors import SettingsError\n"
        "from imagefeatures.sources import http\n"
        "try: http.check_installed()\n"
        "except SettingsError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    line = "the HTTP client needs pycurl, not installed here: pip install 'imagefeatures[http]'\n"
    assert done.stdout == line


def test_a_dataset_file_is_parsed_without_the_client() -> None:
    program = (
        "import sys\nfrom imagefeatures.sources import http\nhttp.HttpOptions()\nhttp.check_installed()\n"
        "print(sorted({'pycurl', 'certifi', 'idna', 'socket'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("[]", "['socket']")
