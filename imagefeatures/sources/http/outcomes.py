"""What a status, or an error of libcurl, means for a job."""

from __future__ import annotations

from imagefeatures.errors import Rejected
from imagefeatures.reasons import Reason, printable
from imagefeatures.sources.http import headers
from imagefeatures.sources.http.jobs import Again, Job, Moved, OtherVersion, Outcome, Undecodable
from imagefeatures.sources.http.libcurl import pycurl
from imagefeatures.sources.http.options import Response

OK = (200, 203)
"""The statuses of a whole body. 206 is none of them: no part was asked for."""

_REDIRECTS = (301, 302, 303, 307, 308)
_PASSING = (408, 425, 429)
_TOO_LARGE = 100  # CURLE_TOO_LARGE, for which pycurl has no name
_WORDS = {
    _TOO_LARGE: "its headers are too many or too long",
    pycurl.E_COULDNT_RESOLVE_HOST: "its name cannot be resolved",
    pycurl.E_COULDNT_CONNECT: "it takes no connection",
    pycurl.E_PARTIAL_FILE: "the body was shorter than its Content-Length",
    pycurl.E_GOT_NOTHING: "it closed the connection without a response",
    pycurl.E_RECV_ERROR: "the connection broke",
    pycurl.E_SEND_ERROR: "the connection broke",
    pycurl.E_BAD_CONTENT_ENCODING: "its compression cannot be undone",
    pycurl.E_WRITE_ERROR: "its compression cannot be undone",
    pycurl.E_UNSUPPORTED_PROTOCOL: "its response is not HTTP/1 or HTTP/2",
    pycurl.E_PEER_FAILED_VERIFICATION: "its certificate is not trusted, or not for this name",
    pycurl.E_SSL_CONNECT_ERROR: "no TLS connection came about",
}
_LASTING = (
    pycurl.E_BAD_CONTENT_ENCODING, pycurl.E_UNSUPPORTED_PROTOCOL, pycurl.E_FTP_WEIRD_SERVER_REPLY,
    pycurl.E_PEER_FAILED_VERIFICATION, _TOO_LARGE,
)  # fmt: skip
"""What another try would meet again."""


def of_status(status: int, received: headers.Headers, job: Job) -> Outcome:
    """What a whole response means whose status is not one of OK. received: its headers."""
    host = job.url.host
    if status == 304 and headers.condition(job.etag):
        return Response(b"", job.etag, not_modified=True) if headers.confirms(received, job.etag) else OtherVersion()
    if status in _REDIRECTS and received.get("location"):
        return Moved(received["location"][-1])
    if status in (204, 205):
        return Rejected(Reason.EMPTY_OBJECT, f"{host} answered HTTP {status}: there is nothing")
    after = headers.retry_after(received)
    if status == 429 or (status == 503 and after is not None):
        return Again(Rejected(Reason.RATE_LIMITED, f"{host} answered HTTP {status}"), after)
    if status >= 500:
        return Again(Rejected(Reason.FETCH_FAILED, f"{host} answered HTTP {status}"))
    why = Rejected(Reason.HTTP_REFUSED, f"{host} answered HTTP {status}")
    return Again(why) if status in _PASSING else why


def of_error(code: int, words: str, job: Job) -> Outcome:
    """What an error of libcurl means. code, words: libcurl's own."""
    host = job.url.host
    if code == pycurl.E_URL_MALFORMAT:
        return Rejected(Reason.UNSUPPORTED_URL, "it is no URL: libcurl cannot read it")
    # What this program did not want to have written was stopped: else it is libcurl's decoder that cannot go on, at
    # what follows the end of a compressed body. Rules that stay compressed would allow everything.
    at_its_end = code == pycurl.E_WRITE_ERROR and not job.robots_of
    if job.decode and (code == pycurl.E_BAD_CONTENT_ENCODING or at_its_end):
        return Undecodable()
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return Again(Rejected(Reason.FETCH_TIMEOUT, f"{host}: no connection in time"))
    why = Rejected(Reason.FETCH_FAILED, f"{host}: {_WORDS.get(code) or printable(words)[:200]} (libcurl {code})")
    return why if code in _LASTING else Again(why)
