"""One item on its way to its result, what a request can come to, and the memory that all of them share."""

from __future__ import annotations

from dataclasses import dataclass

from imagefeatures.errors import Rejected
from imagefeatures.sources.http.options import Response
from imagefeatures.sources.http.urls import Url

MOST_HELD_BYTES = 128 * 2**20
NEAR = 4
"""So many of the next items may always go on, whatever the memory holds: the caller waits for the first of them."""


@dataclass(slots=True)
class Job:
    """One item on its way through its tries and redirects.

    deadline: by time.monotonic; None before its first request. needs: bytes, as far as they are known. decode: whether
    a compressed body is inflated. last: why it was tried again. done: it has its result. robots_of: the origin whose
    robots.txt it is; empty for an item. elsewhere: a redirect has led it to another resource.
    """

    index: int
    url: Url
    etag: str | None
    needs: int = 0
    deadline: float | None = None
    tries: int = 0
    redirects: int = 0
    decode: bool = True
    last: Rejected | None = None
    done: bool = False
    robots_of: str = ""
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Again:
    """A failure that may pass. after: for how many seconds the host asks not to be asked."""

    why: Rejected
    after: float | None = None


@dataclass(frozen=True, slots=True)
class Moved:
    """A redirect, to a URL that may be relative."""

    location: str


@dataclass(frozen=True, slots=True)
class Evicted:
    """There was no memory for the body: the job has to start again later."""


@dataclass(frozen=True, slots=True)
class Undecodable:
    """The body is compressed in a way that cannot be undone, or says so: it may be had as it is."""


@dataclass(frozen=True, slots=True)
class OtherVersion:
    """The answer to a condition is of another version than the condition: it has to be asked for in full."""


Outcome = Response | Rejected | Again | Moved | Evicted | Undecodable | OtherVersion


@dataclass(slots=True)
class Memory:
    """How many bytes of bodies are held, or announced by a Content-Length. head: index of the item that is next."""

    held: int = 0
    head: int = 0

    def is_full(self, index: int, more: int) -> bool:
        """Whether the body of this item may not have so many bytes more."""
        return self.held + more > MOST_HELD_BYTES and index >= self.head + NEAR
