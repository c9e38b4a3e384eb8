"""One request and its response, by libcurl. The callbacks decide as the bytes arrive; none of them may raise."""

from __future__ import annotations

import io
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field

from imagefeatures.errors import Rejected
from imagefeatures.reasons import Reason, printable
from imagefeatures.sources.http import addresses, headers
from imagefeatures.sources.http.jobs import Evicted, Job, Memory, Outcome
from imagefeatures.sources.http.libcurl import pycurl
from imagefeatures.sources.http.options import HttpOptions, Response
from imagefeatures.sources.http.outcomes import OK, of_error, of_status
from imagefeatures.usage import traffic

MOST_HEADER_BYTES = 128 * 1024
"""Of one response with all its interim ones: a flood of `103 Early Hints` ends here as well."""

MOST_ROBOTS_BYTES = 512_000
"""Of a robots.txt; RFC 9309 asks for 500 KiB at least."""

MOST_IGNORED_BYTES = 64 * 1024
"""Of a body that nobody wants, such as a page for "not found": read so that the connection can be used again."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for every request. most_bytes: of one body. bundle: file of trusted certificates."""

    options: HttpOptions
    most_bytes: int
    memory: Memory
    allowed: Sequence[addresses.Network]
    bundle: str
    user_agent: str


@dataclass(slots=True)
class _Received:
    """What has come of one response."""

    status: int = 0
    whole_header: bool = False
    header_bytes: int = 0
    headers: dict[str, list[str]] = field(default_factory=dict)
    body: io.BytesIO = field(default_factory=io.BytesIO)
    body_bytes: int = 0
    reserved: int = 0
    blocked: str | None = None
    stopped: Outcome | None = None  # by a callback, which says here why
    enough: bool = False  # stopped too, and there is nothing wrong


class Transfer:
    """A handle of libcurl, which is used for one job after the other. job: of the last `begin`."""

    job: Job

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._received = _Received()
        self.handle = pycurl.Curl()
        for option, value in (
            (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
            (pycurl.NOPROXY, "*"),  # through a proxy of the environment its address would be judged
            (pycurl.FOLLOWLOCATION, 0),  # each hop is a request of its own: judged, counted and paced
            (pycurl.OPENSOCKETFUNCTION, self._open_socket),
            (pycurl.HEADERFUNCTION, self._take_header), (pycurl.WRITEFUNCTION, self._take_body),
            (pycurl.CAINFO, rules.bundle), (pycurl.SSL_VERIFYPEER, 1), (pycurl.SSL_VERIFYHOST, 2),
            (pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2),
            (pycurl.NETRC, pycurl.NETRC_IGNORED), (pycurl.HTTP09_ALLOWED, 0), (pycurl.NOSIGNAL, 1),
            (pycurl.TCP_NODELAY, 1), (pycurl.USERAGENT, rules.user_agent),
            # Images are compressed already, and an ETag is that of one encoding. What comes compressed is inflated.
            (pycurl.ACCEPT_ENCODING, "identity"),
        ):  # fmt: skip
            self.handle.setopt(option, value)

    def begin(self, job: Job, seconds: float) -> None:
        """Make the handle ready for a job. seconds: what is left to it; a third of it may pass while it connects."""
        self.job, self._received = job, _Received()
        self.handle.unsetopt(pycurl.HTTPHEADER)  # an empty list would leave the condition of the job before
        if condition := headers.condition(job.etag):
            self.handle.setopt(pycurl.HTTPHEADER, [condition])
        for option, value in (
            (pycurl.URL, job.url.text),
            (pycurl.HTTP_CONTENT_DECODING, int(job.decode)),
            (pycurl.FRESH_CONNECT, int(job.tries > 0)),  # what has failed once may have to do with the connection
            (pycurl.CONNECTTIMEOUT_MS, max(1, int(seconds * 1000 / 3))),
        ):
            self.handle.setopt(option, value)

    def end(self, outcome: Outcome) -> None:
        """Give back the memory that is not part of the outcome."""
        traffic.count(traffic.Traffic(bytes_read=self._received.body_bytes, http_requests=1))
        kept = len(outcome.data) if isinstance(outcome, Response) else 0
        self._rules.memory.held += kept - self._received.reserved
        self._received = _Received()

    @property
    def body_bytes(self) -> int:
        """How many bytes of the body have come."""
        return self._received.body_bytes

    def outcome(self, code: int, words: str) -> Outcome:
        """What became of the job. code, words: as libcurl says how the transfer ended."""
        received, host = self._received, self.job.url.host
        if received.stopped:
            return received.stopped
        if not code or received.enough:
            if received.status in OK:
                # The version of another resource would be compared with this one's.
                version = None if self.job.elsewhere else headers.version(received.headers)
                return Response(received.body.getvalue(), version)
            return of_status(received.status, received.headers, self.job)
        if received.blocked and not received.status:
            return Rejected(Reason.BLOCKED_ADDRESS, f"{host}: {received.blocked}")
        return of_error(code, words, self.job)

    def _open_socket(self, _purpose: int, wanted: tuple[int, int, int, tuple[str, int]]) -> object:
        """The socket for the very address that is dialled next, or none."""
        family, kind, protocol, address = wanted
        if family not in (socket.AF_INET, socket.AF_INET6):
            self._received.blocked = "it is reached by no internet address"
            return pycurl.SOCKET_BAD
        if why := addresses.refusal(address[0], self._rules.allowed):
            self._received.blocked = why
            return pycurl.SOCKET_BAD
        try:
            return socket.socket(family, kind, protocol)
        except OSError:  # no IPv6 here, or no descriptor left
            return pycurl.SOCKET_BAD

    def _take_header(self, line: bytes) -> int:
        received = self._received
        received.header_bytes += len(line)
        if received.header_bytes > MOST_HEADER_BYTES:
            return self._stop(Rejected(Reason.FETCH_FAILED, f"its headers have more than {MOST_HEADER_BYTES:,} bytes"))
        if received.whole_header:  # a trailer
            return len(line)
        if line.startswith(b"HTTP/"):
            status = line.split(None, 2)[1:2]
            received.status = int(status[0]) if status and status[0].isdigit() else 0
            received.headers = {}
        elif line.strip():
            name, _, value = line.partition(b":")
            key = name.decode("latin-1").strip().lower()
            if key in headers.WANTED:
                received.headers.setdefault(key, []).append(_text(value))
        elif received.status >= 200:
            received.whole_header = True
            return self._header_is_whole(len(line))
        return len(line)

    def _header_is_whole(self, taken: int) -> int:
        """Decide before the body whether it is wanted."""
        received = self._received
        if received.status not in (*OK, 304):
            return taken
        if not self.job.robots_of and (header := headers.opted_out(received.headers, self._rules.options.opt_out)):
            return self._stop(Rejected(Reason.OPTED_OUT, f"its host opts out of such use by {printable(header)}"))
        announced = next(iter(received.headers.get("content-length", ())), "").strip()
        size = int(announced[:19]) if announced.isdecimal() else 0
        if received.status != 304 and not self._reserve(size):
            return -1
        return taken

    def _take_body(self, chunk: bytes) -> int:
        received = self._received
        received.body_bytes += len(chunk)
        if received.status not in OK:
            received.enough = received.body_bytes > MOST_IGNORED_BYTES
            return -1 if received.enough else len(chunk)
        if not self._reserve(received.body_bytes):
            return -1
        received.body.write(chunk)
        return len(chunk)

    def _reserve(self, size: int) -> bool:
        """Whether the body may have so many bytes; they count as held then."""
        job, received, memory = self.job, self._received, self._rules.memory
        most = MOST_ROBOTS_BYTES if job.robots_of else self._rules.most_bytes
        if size > most:
            found = "it has more bytes" if received.body_bytes else f"it has {size:,} bytes"
            limit = "the most for a robots.txt is" if job.robots_of else "limits.max_bytes is"
            self._stop(Rejected(Reason.TOO_LARGE, f"{found}, {limit} {most:,}"))
            return False
        more = max(0, size - received.reserved)
        if memory.is_full(job.index, more):
            job.needs = max(job.needs, size)
            self._stop(Evicted())
            return False
        memory.held += more
        received.reserved += more
        return True

    def _stop(self, why: Outcome) -> int:
        self._received.stopped = why
        return -1


def _text(value: bytes) -> str:
    """A header's value. Browsers take UTF-8 in a Location, whatever the standard says."""
    try:
        return value.decode("utf-8").strip()
    except UnicodeDecodeError:
        return value.decode("latin-1").strip()
