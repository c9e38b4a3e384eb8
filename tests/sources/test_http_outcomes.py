"""What a status, an error and the headers of a version mean; each by itself, without a host."""

from __future__ import annotations

import datetime as dt
from email.utils import format_datetime
from typing import Any

import pytest
from pydantic import ValidationError

from imagefeatures.errors import Rejected
from imagefeatures.reasons import Reason
from imagefeatures.sources.http import headers, jobs, outcomes, urls
from imagefeatures.sources.http.jobs import Again, Job, Memory, Moved, OtherVersion, Undecodable
from imagefeatures.sources.http.libcurl import pycurl
from imagefeatures.sources.http.options import HttpOptions, Response

URL = urls.parse("https://example.org/1.jpg")


def job(etag: str | None = None, **fields: Any) -> Job:
    return Job(0, URL, etag, **fields)


def told(outcome: object) -> tuple[Any, ...]:
    """What an outcome says: its kind, and the reason and the words of a rejection."""
    why = outcome.why if isinstance(outcome, Again) else outcome
    assert isinstance(why, Rejected)
    kind = "again" if isinstance(outcome, Again) else "rejected"
    return (kind, why.reason, why.detail, *([outcome.after] if isinstance(outcome, Again) else []))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_leads_to_its_last_location(status: int) -> None:
    assert outcomes.of_status(status, {"location": ["/a", "/b"]}, job()) == Moved("/b")
    refused = ("rejected", Reason.HTTP_REFUSED, f"example.org answered HTTP {status}")
    assert told(outcomes.of_status(status, {"location": []}, job())) == refused
    assert told(outcomes.of_status(status, {}, job())) == refused


@pytest.mark.parametrize("status", [300, 305, 306, 309, 400, 403, 404, 410])
def test_another_refusal_is_no_redirect_and_lasts(status: int) -> None:
    said = told(outcomes.of_status(status, {"location": ["/a"]}, job('"7"')))
    assert said == ("rejected", Reason.HTTP_REFUSED, f"example.org answered HTTP {status}")


@pytest.mark.parametrize("status", [204, 205])
def test_a_response_without_content_is_an_empty_object(status: int) -> None:
    said = told(outcomes.of_status(status, {}, job()))
    assert said == ("rejected", Reason.EMPTY_OBJECT, f"example.org answered HTTP {status}: there is nothing")


@pytest.mark.parametrize(
    ("status", "received", "reason", "after"),
    [
        (408, {}, Reason.HTTP_REFUSED, None),
        (425, {"retry-after": ["7"]}, Reason.HTTP_REFUSED, None),
        (429, {}, Reason.RATE_LIMITED, None),
        (429, {"retry-after": ["7"]}, Reason.RATE_LIMITED, 7),
        (503, {"retry-after": ["7"]}, Reason.RATE_LIMITED, 7),
        (503, {}, Reason.FETCH_FAILED, None),
        (500, {"retry-after": ["7"]}, Reason.FETCH_FAILED, None),
        (504, {"retry-after": ["7"]}, Reason.FETCH_FAILED, None),
    ],
)
def test_what_may_pass_is_tried_again(status: int, received: Any, reason: Reason, after: float | None) -> None:
    said = told(outcomes.of_status(status, received, job()))
    assert said == ("again", reason, f"example.org answered HTTP {status}", after)


@pytest.mark.parametrize("status", [409, 426, 430, 499])
def test_what_lies_beside_those_lasts(status: int) -> None:
    assert told(outcomes.of_status(status, {}, job()))[:2] == ("rejected", Reason.HTTP_REFUSED)


def test_a_304_answers_a_condition_of_the_version() -> None:
    same = outcomes.of_status(304, {"etag": ['W/"7"']}, job('"7"'))
    assert same == Response(b"", '"7"', not_modified=True)
    assert outcomes.of_status(304, {"etag": ['"8"']}, job('"7"')) == OtherVersion()
    for without in (None, "", "ü"):
        assert told(outcomes.of_status(304, {}, job(without)))[:2] == ("rejected", Reason.HTTP_REFUSED)
    assert told(outcomes.of_status(404, {}, job('"7"')))[:2] == ("rejected", Reason.HTTP_REFUSED)


WORDS = {
    100: "its headers are too many or too long",
    pycurl.E_COULDNT_RESOLVE_HOST: "its name cannot be resolved",
    pycurl.E_COULDNT_CONNECT: "it takes no connection",
    pycurl.E_PARTIAL_FILE: "the body was shorter than its Content-Length",
    pycurl.E_GOT_NOTHING: "it closed the connection without a response",
    pycurl.E_RECV_ERROR: "the connection broke",
    pycurl.E_SEND_ERROR: "the connection broke",
    pycurl.E_UNSUPPORTED_PROTOCOL: "its response is not HTTP/1 or HTTP/2",
    pycurl.E_PEER_FAILED_VERIFICATION: "its certificate is not trusted, or not for this name",
    pycurl.E_SSL_CONNECT_ERROR: "no TLS connection came about",
    pycurl.E_FTP_WEIRD_SERVER_REPLY: "libcurl's own\\n",
    pycurl.E_TOO_MANY_REDIRECTS: "libcurl's own\\n",
}
LASTING = {100, pycurl.E_UNSUPPORTED_PROTOCOL, pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_FTP_WEIRD_SERVER_REPLY}


@pytest.mark.parametrize("code", WORDS)
def test_an_error_of_libcurl_is_said_in_words_and_tried_again_unless_it_lasts(code: int) -> None:
    said = told(outcomes.of_error(code, "libcurl's own\n", job()))
    kind = "rejected" if code in LASTING else "again"
    assert said[:3] == (kind, Reason.FETCH_FAILED, f"example.org: {WORDS[code]} (libcurl {code})")
    assert len(told(outcomes.of_error(pycurl.E_TOO_MANY_REDIRECTS, "x" * 300, job()))[2]) < 240


def test_errors_that_mean_something_else() -> None:
    malformed = told(outcomes.of_error(pycurl.E_URL_MALFORMAT, "", job()))
    assert malformed == ("rejected", Reason.UNSUPPORTED_URL, "it is no URL: libcurl cannot read it")
    late = told(outcomes.of_error(pycurl.E_OPERATION_TIMEDOUT, "", job()))
    assert late == ("again", Reason.FETCH_TIMEOUT, "example.org: no connection in time", None)
    for code in (pycurl.E_BAD_CONTENT_ENCODING, pycurl.E_WRITE_ERROR):  # at what follows the end of a compressed body
        assert outcomes.of_error(code, "", job()) == Undecodable()
    rules = told(outcomes.of_error(pycurl.E_WRITE_ERROR, "", job(robots_of="https://example.org")))
    assert rules[:3] == ("again", Reason.FETCH_FAILED, "example.org: its compression cannot be undone (libcurl 23)")
    packed = told(outcomes.of_error(pycurl.E_BAD_CONTENT_ENCODING, "", job(decode=False)))
    assert packed[:2] == ("rejected", Reason.FETCH_FAILED)
    assert "its compression cannot be undone" in packed[2]
    assert outcomes.OK == (200, 203)


# The version of a response

NOW = dt.datetime(2026, 11, 2, 12, tzinfo=dt.UTC)


def date(seconds: int) -> str:
    return format_datetime(NOW + dt.timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("received", "version"),
    [
        ({"etag": [' "7" ', '"8"'], "last-modified": [date(0)]}, '"7"'),
        ({"etag": ["x" * 500]}, "x" * 500),
        ({"etag": ["x" * 501]}, None),
        ({"etag": ["ü"], "last-modified": [date(0)], "date": [date(1)]}, date(0)),
        ({"etag": ["a\x01"], "last-modified": [date(0)], "date": [date(0)]}, None),
        ({"last-modified": [date(0)], "date": [date(1)]}, date(0)),
        ({"last-modified": ["2026-11-02"], "date": [date(1)]}, None),
        ({"last-modified": ["Mon, 01 Jan 2001 00:00:00 GMT"]}, "Mon, 01 Jan 2001 00:00:00 GMT"),
        ({"last-modified": ["Mon, 01 Jan 2001 00:00:00 -0000"]}, "Mon, 01 Jan 2001 00:00:00 -0000"),
        ({"etag": []}, None),
        ({}, None),
    ],
)
def test_the_version_is_what_can_be_sent_back(received: Any, version: str | None) -> None:
    assert headers.version(received) == version


@pytest.mark.parametrize(
    ("version", "condition"),
    [
        ('"7"', 'If-None-Match: "7"'),
        (date(0), f"If-Modified-Since: {date(0)}"),
        (None, None),
        ("", None),
        ("a\nb", None),
        ("ü", None),
    ],
)
def test_a_condition_is_the_version(version: str | None, condition: str | None) -> None:
    assert headers.condition(version) == condition


@pytest.mark.parametrize(
    ("received", "version", "same"),
    [
        ({"last-modified": [date(0)], "etag": ['"8"']}, date(0), True),
        ({"last-modified": [date(1)]}, date(0), False),
        ({"etag": ['"7"'], "last-modified": [date(1)]}, 'W/"7"', True),
        ({"etag": ['"7"']}, None, False),
        ({"etag": [""]}, '"7"', True),
    ],
)
def test_a_304_confirms_by_the_header_of_the_version(received: Any, version: str | None, same: bool) -> None:
    assert headers.confirms(received, version) is same


# The field `http`, and what is held


def test_the_defaults_are_polite() -> None:
    assert HttpOptions().model_dump() == {
        "connections_per_host": 6, "requests_per_second": 50, "deadline_seconds": 30,
        "opt_out": ("noai", "noimageai"), "robots_txt": False, "contact": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "least", "most", "wrong"),
    [
        ("connections_per_host", 1, 64, (0, 65)),
        ("requests_per_second", 0.001, 10_000, (0, 10_000.5)),
        ("deadline_seconds", 0.1, 600, (0.09, 600.5)),
        ("contact", "a@b", "x" * 200, ("ab", "x" * 201, "bücher@b", "a\nb c")),
    ],
)
def test_each_option_has_its_bounds(name: str, least: Any, most: Any, wrong: tuple[Any, ...]) -> None:
    for value in (least, most):
        assert getattr(HttpOptions.model_validate({name: value}), name) == value
    for value in wrong:
        with pytest.raises(ValidationError, match=name):
            HttpOptions.model_validate({name: value})


def test_a_job_begins_without_a_try_and_a_response_is_of_another_version_unless_said() -> None:
    found = job()
    assert (found.needs, found.tries, found.redirects) == (0, 0, 0)
    assert (found.decode, found.done, found.elsewhere, found.robots_of) == (True, False, False, "")
    assert not Response(b"", None).not_modified


def test_bodies_far_from_the_next_item_wait_where_much_is_held() -> None:
    memory = Memory()
    assert not memory.is_full(jobs.NEAR, jobs.MOST_HELD_BYTES)
    assert memory.is_full(jobs.NEAR, jobs.MOST_HELD_BYTES + 1)
    assert not memory.is_full(jobs.NEAR - 1, jobs.MOST_HELD_BYTES + 1)
    memory.head, memory.held = 1, 1
    assert not memory.is_full(jobs.NEAR, jobs.MOST_HELD_BYTES + 1)
    assert memory.is_full(jobs.NEAR + 1, jobs.MOST_HELD_BYTES)
    assert jobs.MOST_HELD_BYTES == 134_217_728
