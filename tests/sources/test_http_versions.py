"""The version that a URL had is asked against, and what counts as one."""

from __future__ import annotations

import pytest

from imagefeatures.errors import Rejected
from imagefeatures.sources import Item
from imagefeatures.sources.http import HttpOptions, Response, fetch_all
from imagefeatures.sources.http.fetch import Fetch
from imagefeatures.sources.http.jobs import Job
from imagefeatures.sources.http.urls import parse
from support.hostile_http import Request, Site, in_turn, response

QUICK = HttpOptions(requests_per_second=None, deadline_seconds=5)
MOST = 2**20


def fetch(*urls: str, options: HttpOptions = QUICK, etag: str | None = None) -> list[Response | Rejected]:
    return list(fetch_all([Item(url, etag=etag) for url in urls], MOST, options))


def test_the_version_of_a_response_is_kept_and_asked_against(host: Site) -> None:
    def behave(request: Request) -> bytes:
        same = request.headers.get("if-none-match") == 'W/"7"'
        return (
            response(304, headers={"Content-Length": "", "ETag": 'W/"7"'})
            if same
            else response(body=b"new", headers={"ETag": 'W/"7"', "Last-Modified": "Sun, 01 Nov 2026 08:00:00 GMT"})
        )

    host.behaviours["/"] = behave
    assert fetch(host.url("/")) == [Response(b"new", 'W/"7"')]
    assert fetch(host.url("/"), etag='W/"7"') == [Response(b"", 'W/"7"', not_modified=True)]
    assert fetch(host.url("/"), etag='"6"') == [Response(b"new", 'W/"7"')]
    assert "if-none-match" not in host.requests[0].headers


def test_a_date_is_the_version_where_there_is_no_etag(host: Site) -> None:
    date = "Sun, 01 Nov 2026 08:00:00 GMT"
    host.behaviours["/"] = in_turn(
        response(body=b"new", headers={"Last-Modified": date}), response(304, headers={"Content-Length": ""})
    )
    assert fetch(host.url("/")) == [Response(b"new", date)]
    assert fetch(host.url("/"), etag=date) == [Response(b"", date, not_modified=True)]
    assert host.requests[1].headers["if-modified-since"] == date


def test_a_304_of_another_version_is_not_believed(host: Site) -> None:
    date = "Sun, 01 Nov 2026 08:00:00 GMT"
    whole = response(body=b"whole", headers={"ETag": '"2"'})
    for said, asked in (({"ETag": '"2"'}, '"1"'), ({"Last-Modified": "Mon, 02 Nov 2026 08:00:00 GMT"}, date)):
        host.behaviours["/"] = in_turn(response(304, headers=said | {"Content-Length": ""}), whole)
        host.requests.clear()
        assert fetch(host.url("/"), etag=asked) == [Response(b"whole", '"2"')]
        conditions = [request.headers.keys() & {"if-none-match", "if-modified-since"} for request in host.requests]
        assert list(map(len, conditions)) == [1, 0]
    host.behaviours["/"] = response(304, headers={"ETag": 'W/"1"', "Content-Length": ""})
    assert fetch(host.url("/"), etag='"1"') == [Response(b"", '"1"', not_modified=True)]


def test_a_condition_is_that_of_its_own_item(host: Site) -> None:
    host.behaviours |= {f"/{n}": response(body=b"x") for n in range(4)}
    items = [Item(host.url(f"/{n}"), etag=f'"{n}"' if n % 2 == 0 else None) for n in range(4)]
    list(fetch_all(items, MOST, HttpOptions(connections_per_host=1, requests_per_second=None)))
    assert [request.headers.get("if-none-match") for request in host.requests] == ['"0"', None, '"2"', None]


def test_a_version_is_that_of_the_url_and_of_no_other_that_it_leads_to(host: Site) -> None:
    host.behaviours |= {
        "/moved": response(302, headers={"Location": "/"}),
        "/": response(body=b"x", headers={"ETag": '"1"'}),
    }
    assert fetch(host.url("/moved"), etag='"1"') == [Response(b"x", None)]
    first, second = host.requests
    assert (first.headers["if-none-match"], second.headers.get("if-none-match")) == ('"1"', None)


@pytest.mark.parametrize(("location", "same"), [("https://a.org/1?q", True), ("https://a.org/2", False)])
def test_a_redirect_to_the_same_url_by_tls_leaves_its_version(location: str, same: bool) -> None:
    job = Job(0, parse("http://a.org/1?q"), '"1"')
    Fetch([], MOST, QUICK)._follow(job, location)
    assert (job.etag, job.elsewhere) == (('"1"', False) if same else (None, True))


@pytest.mark.parametrize(("sent", "settled"), [("08:00:00", False), ("08:00:01", True)])
def test_a_date_of_the_very_second_of_the_response_marks_no_version(host: Site, sent: str, settled: bool) -> None:
    date = "Sun, 01 Nov 2026 08:00:00 GMT"
    marks = {"Last-Modified": date, "Date": f"Sun, 01 Nov 2026 {sent} GMT"}
    host.behaviours["/"] = response(body=b"x", headers=marks)
    assert fetch(host.url("/")) == [Response(b"x", date if settled else None)]


@pytest.mark.parametrize("etag", ['"a"\r\nX-Evil: 1', "", "é", "x" * 501])
def test_a_version_that_fits_no_header_is_not_sent(host: Site, etag: str) -> None:
    host.behaviours["/"] = response(body=b"x")
    assert fetch(host.url("/"), etag=etag) == [Response(b"x", None)]
    assert not {"if-none-match", "if-modified-since", "x-evil"} & set(host.requests[0].headers)
