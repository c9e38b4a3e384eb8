"""Responses that nobody would write: whatever comes, every URL has a result within its deadline."""

from __future__ import annotations

import gzip
import random
import time

import pytest

from imagefeatures.errors import Rejected
from imagefeatures.sources import Item
from imagefeatures.sources.http import HttpOptions, Response, fetch_all
from support.hostile_http import Behaviour, raw, response, site

TARGETS = 1500
DEADLINE = 1.0
WHOLE = [
    response(body=b"a photo" * 300, headers={"ETag": '"1"', "X-Robots-Tag": "noindex, bot: noai", "Retry-After": "3"}),
    response(301, headers={"Location": "/0"}),
    response(429, headers={"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}),
    response(body=gzip.compress(bytes(10**6)), headers={"Content-Encoding": "gzip"}),
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + response(body=b"x"),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n5\r\nphoto\r\n0\r\nA: b\r\n\r\n",
    b"HTTP/1.0 401 No\r\nWWW-Authenticate: Basic realm=x\r\nSet-Cookie: a=b\r\nStrict-Transport-Security: 9\r\n\r\n",
]


def mutated(seed: int, inside: str) -> Behaviour:
    chance = random.Random(seed)
    data = bytearray(chance.choice([*WHOLE, response(302, headers={"Location": inside})]))
    for _ in range(chance.randint(1, 6)):
        place = chance.randrange(min(len(data), 200))
        change = chance.choice(["swap", "cut", "repeat", "insert"])
        if change == "swap":
            data[place] = chance.randrange(256)
        elif change == "cut":
            del data[place : place + chance.randint(1, 20)]
        elif change == "repeat":
            data[place:place] = data[place : place + chance.randint(1, 40)] * chance.choice([1, 3, 2000])
        else:
            data[place:place] = chance.choice(
                [b"\r\n", b"\n\n", b"\0", b"\xff\xfe", b":", b"-1", b"9" * 30, b"chunked"]
            )
    return raw(bytes(data))


@pytest.mark.long
def test_every_mutated_response_has_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEFEATURES_HTTP_ALLOW", "127.0.0.1")
    options = HttpOptions(
        connections_per_host=64, requests_per_second=None, deadline_seconds=DEADLINE, opt_out=("noai", "noindex")
    )
    with site("127.0.0.1") as host, site("127.0.0.2") as forbidden:
        host.behaviours |= {f"/{n}": mutated(n, forbidden.url("/inside")) for n in range(TARGETS)}
        begun = time.monotonic()
        results = []
        for first in range(0, TARGETS, 50):  # each with hosts that are not given up yet
            items = [Item(host.url(f"/{n}"), etag='"1"') for n in range(first, first + 50)]
            results += fetch_all(items, 10**5, options)
        assert time.monotonic() - begun < TARGETS / 50 * (DEADLINE + 1)
        assert forbidden.connections == 0
    reasons = {result.reason for result in results if isinstance(result, Rejected)}
    assert len(results) == TARGETS
    assert len(reasons) >= 6
    assert sum(isinstance(result, Response) for result in results) > 100
