"""How the HTTP client treats hosts: how often it asks, when it waits, and when it leaves off."""

from __future__ import annotations

import datetime as dt
import itertools
import time
from collections.abc import Iterator
from email.utils import format_datetime

import pytest
from pydantic import ValidationError

from imagefeatures.errors import Rejected
from imagefeatures.reasons import Reason
from imagefeatures.sources import Item
from imagefeatures.sources.http import HttpOptions, Response, fetch_all
from imagefeatures.sources.http import fetch as http_fetch
from support.hostile_http import Site, after, dripping, in_turn, response, site

X = response(body=b"x")
GOT = Response(b"x", None)

pytestmark = pytest.mark.long  # they wait, as a host has asked for


@pytest.fixture
def other() -> Iterator[Site]:
    with site("127.0.0.3", {"/": X}) as made:
        yield made


def options(**fields: object) -> HttpOptions:
    return HttpOptions.model_validate({"requests_per_second": None, "deadline_seconds": 3} | fields)


def fetch(urls: list[str], how: HttpOptions, **more: object) -> list[Response | Rejected]:
    return list(fetch_all([Item(url) for url in urls], 2**20, how, **more))


def test_a_host_gets_no_more_requests_at_a_time_than_it_may(host: Site) -> None:
    host.behaviours |= {f"/{n}": after(0.02, X) for n in range(30)}
    assert fetch([host.url(f"/{n}") for n in range(30)], options(connections_per_host=3)) == [GOT] * 30
    assert (host.most_open, host.connections) == (3, 3)


def test_a_host_gets_no_more_requests_a_second_than_it_may(host: Site, other: Site) -> None:
    host.behaviours |= {f"/{n}": X for n in range(6)}
    begun = time.monotonic()
    fetch([*(host.url(f"/{n}") for n in range(6)), other.url()], options(requests_per_second=10))
    assert 0.5 <= time.monotonic() - begun < 2
    assert len(host.requests) == 6


def test_the_first_request_waits_as_if_the_shard_before_had_just_asked(host: Site, other: Site) -> None:
    host.behaviours |= {f"/{n}": X for n in range(4)}
    targets = [host.url(f"/{n}") for n in range(4)]
    for part in (targets[:2], targets[2:]):
        assert fetch(part, options(requests_per_second=2.5)) == [GOT] * 2
    moments = [request.at for request in host.requests]
    assert min(later - earlier for earlier, later in itertools.pairwise(moments)) > 0.25
    host.behaviours["/moved"] = response(302, headers={"Location": other.url()})
    begun = time.monotonic()
    assert fetch([host.url("/moved")], options(requests_per_second=2)) == [GOT]
    assert time.monotonic() - begun < 0.9  # where a redirect leads nobody has asked


def test_a_crawl_delay_holds_from_one_shard_to_the_next(host: Site) -> None:
    host.behaviours |= {"/robots.txt": response(body=b"User-agent: *\nCrawl-delay: 0.3\n"), "/1": X, "/2": X}
    for path in ("/1", "/2"):
        assert fetch([host.url(path)], options(robots_txt=True)) == [GOT]
    moments = {request.target: request.at for request in host.requests}
    assert moments["/2"] - moments["/1"] >= 0.3


def test_retry_after_in_seconds_is_waited_for_by_the_whole_host(host: Site) -> None:
    host.behaviours |= {
        "/1": in_turn(response(429, headers={"Retry-After": "1"}), X),
        **{f"/{n}": X for n in range(2, 6)},
    }
    assert fetch([host.url(f"/{n}") for n in range(1, 6)], options(connections_per_host=1)) == [GOT] * 5
    first, *others = host.requests
    assert first.target == "/1"
    assert all(request.at - first.at >= 0.99 for request in others)
    assert len(host.asked("/1")) == 2


def test_retry_after_may_be_a_date(host: Site) -> None:
    date = format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1.5), usegmt=True)
    host.behaviours["/"] = in_turn(response(503, headers={"Retry-After": date}), X)
    begun = time.monotonic()
    assert fetch([host.url()], options(deadline_seconds=5)) == [GOT]
    assert time.monotonic() - begun >= 0.4


def test_a_host_that_asks_for_longer_than_the_deadline_is_left_alone(host: Site, other: Site) -> None:
    host.behaviours |= {f"/{n}": response(429, headers={"Retry-After": "3600"}) for n in range(5)}
    begun = time.monotonic()
    urls = [*(host.url(f"/{n}") for n in range(5)), other.url()]
    *limited, last = fetch(urls, options(connections_per_host=1))
    assert time.monotonic() - begun < 2
    assert [result.reason for result in limited] == [Reason.RATE_LIMITED] * 5
    assert limited[0].detail == (
        "127.0.0.1 answered HTTP 429 and asks for 3,600 s without requests; http.deadline_seconds is 3"
    )
    assert limited[4].detail.startswith("not asked for: 127.0.0.1 answered HTTP 429")
    assert len(host.requests) == 1
    assert last == GOT


def test_429_without_a_time_is_tried_four_times(host: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_fetch, "FIRST_WAIT_SECONDS", 0.05)
    host.behaviours["/"] = response(429)
    (result,) = fetch([host.url()], options(deadline_seconds=10))
    assert (result.reason, result.detail) == (Reason.RATE_LIMITED, "127.0.0.1 answered HTTP 429 (4 tries)")
    assert len(host.requests) == 4


def test_a_wait_of_ours_that_is_longer_than_the_deadline_gives_no_host_up(host: Site) -> None:
    host.behaviours |= {"/1": response(429), "/2": X}
    limited, got = fetch([host.url("/1"), host.url("/2")], options(deadline_seconds=0.1, connections_per_host=1))
    assert isinstance(limited, Rejected)
    assert (limited.reason, limited.detail) == (Reason.RATE_LIMITED, "127.0.0.1 answered HTTP 429")
    assert got == GOT


def test_a_try_that_could_not_be_waited_for_is_not_made(host: Site) -> None:
    host.behaviours["/"] = response(503, headers={"Retry-After": "1"})
    begun = time.monotonic()
    (result,) = fetch([host.url()], options(deadline_seconds=1.5))
    assert result.reason == Reason.RATE_LIMITED
    assert time.monotonic() - begun < 1.45
    assert len(host.requests) == 2


def test_a_host_without_answers_costs_few_deadlines(host: Site, other: Site) -> None:
    host.behaviours |= {f"/{n}": dripping(b"", b"", 0.1) for n in range(100)}
    begun = time.monotonic()
    how = options(deadline_seconds=0.4, connections_per_host=10)
    *lost, last = fetch([*(host.url(f"/{n}") for n in range(100)), other.url()], how)
    assert time.monotonic() - begun < 3
    assert {result.reason for result in lost} == {Reason.FETCH_TIMEOUT}
    assert lost[-1].detail.startswith("not asked for: the last 20 URLs of 127.0.0.1 failed. The last one: ")
    assert len(host.requests) <= 40
    assert last == GOT


def test_a_host_of_any_number_of_urls_is_given_up(host: Site) -> None:
    with site("127.0.0.3") as closed:
        gone = closed.url("/")
    found = fetch([f"{gone}{n}" for n in range(3000)], options())
    assert {result.reason for result in found} == {Reason.FETCH_FAILED}


def test_a_redirect_to_a_busy_host_waits_no_longer_than_its_deadline(host: Site, other: Site) -> None:
    other.behaviours |= {"/busy": dripping(b"", b"", 0.1), "/next": X}
    host.behaviours["/"] = response(302, headers={"Location": other.url("/next")})
    how = options(connections_per_host=1, deadline_seconds=0.6)
    busy, moved, last = fetch([other.url("/busy"), host.url(), other.url()], how)
    assert (busy.reason, moved.reason) == (Reason.FETCH_TIMEOUT, Reason.FETCH_TIMEOUT)
    assert moved.detail == "127.0.0.3: not its turn within http.deadline_seconds = 0.6"
    assert (other.asked("/next"), other.connections) == ([], 2)
    assert last == GOT


def test_a_host_that_answers_now_and_then_is_not_given_up(host: Site) -> None:
    host.behaviours |= {f"/{n}": X if n % 19 == 0 else response(500) for n in range(40)}
    results = fetch([host.url(f"/{n}") for n in range(40)], options(connections_per_host=1, deadline_seconds=0.1))
    assert [n for n, result in enumerate(results) if result == GOT] == [0, 19, 38]
    assert not [result for result in results if "not asked" in str(result)]


@pytest.mark.parametrize(
    ("headers", "counted", "header"),
    [
        ({"X-Robots-Tag": "noai"}, None, "X-Robots-Tag: noai"),
        ({"X-Robots-Tag": "noindex"}, ["noindex"], "X-Robots-Tag: noindex"),
        ({"tdm-reservation": "1"}, ["tdm-reservation"], "tdm-reservation: 1"),
        ({"Content-Usage": "train-ai=n"}, ["content-usage"], "Content-Usage: train-ai=n"),
    ],
)
def test_a_host_that_opts_out_sends_no_body(
    host: Site, headers: dict[str, str], counted: list[str] | None, header: str
) -> None:
    body = dripping(response(headers=headers | {"Content-Length": "5000"}), b"x", 0.05)
    host.behaviours["/"] = body
    begun = time.monotonic()
    (result,) = fetch([host.url()], options(**({"opt_out": counted} if counted else {})))
    assert (result.reason, result.detail) == (Reason.OPTED_OUT, f"its host opts out of such use by {header}")
    assert time.monotonic() - begun < 2
    assert len(host.requests) == 1  # no second try
    host.behaviours["/"] = response(body=b"x", headers=headers)
    assert fetch([host.url()], options(opt_out=[])) == [GOT]


def test_a_host_may_opt_out_of_what_has_not_changed(host: Site) -> None:
    host.behaviours["/"] = response(304, headers={"X-Robots-Tag": "noai", "Content-Length": ""})
    (result,) = fetch_all([Item(host.url(), etag='"1"')], 2**20, options())
    assert result.reason == Reason.OPTED_OUT


def test_what_robots_txt_disallows_is_not_asked_for(host: Site, other: Site) -> None:
    rules = b"User-agent: *\nDisallow: /private/\n\nUser-agent: ImageFeatures\nDisallow: /not-us/\n"
    host.behaviours |= {
        "/robots.txt": response(301, headers={"Location": "/the-rules"}),
        "/the-rules": response(body=rules, headers={"X-Robots-Tag": "noai"}),
        "/private/1": X,
        "/not-us/2": X,
        "/3": X,
        "/away": response(302, headers={"Location": "/not-us/2"}),
    }
    paths = ("/private/1", "/not-us/2", "/3", "/away")
    results = fetch([*map(host.url, paths), other.url()], options(robots_txt=True))
    assert [results[0], results[2], results[4]] == [GOT, GOT, GOT]
    assert [results[1].reason, results[3].reason] == [Reason.OPTED_OUT] * 2
    assert results[1].detail == "the robots.txt of 127.0.0.1 disallows it"
    assert sorted(request.target for request in host.requests) == [
        "/3", "/away", "/private/1", "/robots.txt", "/the-rules",
    ]  # fmt: skip
    assert len(other.asked("/robots.txt")) == 1


@pytest.mark.parametrize("status", [500, 429])
def test_a_host_that_cannot_give_its_robots_txt_gives_nothing(host: Site, status: int) -> None:
    host.behaviours |= {"/robots.txt": response(status), "/1": X, "/2": X}
    results = fetch([host.url("/1"), host.url("/2")], options(robots_txt=True, deadline_seconds=1))
    assert [result.detail.partition(":")[0] for result in results] == ["its robots.txt cannot be read"] * 2
    assert {result.reason for result in results} == {Reason.FETCH_FAILED if status == 500 else Reason.RATE_LIMITED}
    assert {request.target for request in host.requests} == {"/robots.txt"}


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        (b"".join(b"User-agent: a%d\n" % n for n in range(15_000)) + b"Disallow: /x\n" * 15_000, Reason.FETCH_FAILED),
        (b"# " + b"x" * 600_000, Reason.TOO_LARGE),
        (b"User-agent: *\nCrawl-delay: 3600\n", Reason.RATE_LIMITED),
        (b"User-agent: *\nDisallow: /" + b"*a" * 2000 + b"*b$\n", None),
        (bytes(range(256)) * 40, None),
    ],
)
def test_a_hostile_robots_txt_costs_little(host: Site, rules: bytes, reason: Reason | None) -> None:
    host.behaviours |= {"/robots.txt": response(body=rules), "/" + "a" * 3000: X}
    begun = time.monotonic()
    (result,) = fetch([host.url("/" + "a" * 3000)], options(robots_txt=True))
    assert time.monotonic() - begun < 3
    assert (result.reason if isinstance(result, Rejected) else None) == reason


def test_a_crawl_delay_is_kept(host: Site) -> None:
    host.behaviours |= {"/robots.txt": response(body=b"User-agent: *\nCrawl-delay: 0.3\n"), "/1": X, "/2": X, "/3": X}
    begun = time.monotonic()
    assert fetch([host.url(f"/{n}") for n in (1, 2, 3)], options(robots_txt=True)) == [GOT] * 3
    assert time.monotonic() - begun >= 0.6


@pytest.mark.parametrize("contact", ["a\nb", "é@example.org", "x" * 201, "  "])
def test_a_contact_that_fits_no_header_is_refused(contact: str) -> None:
    with pytest.raises(ValidationError, match="must be 3 to 200 plain characters"):
        HttpOptions(contact=contact)
