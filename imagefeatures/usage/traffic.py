"""The bytes and requests of this process, from its start on. Storage and the HTTP client count them as they happen."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass

FREE = ("Delete", "Abort")
"""How the names of S3's operations begin that no store charges for."""

READING = ("Get", "Head")
"""How the names of those begin that are charged as GET. All others are charged as PUT, COPY, POST or LIST."""


@dataclass(frozen=True)
class Traffic:
    """bytes_read, bytes_written: of objects, files and bodies, without headers and listings.

    get_requests, put_requests: to S3, by the class in which they are charged; each attempt counts. http_requests: to
    the hosts of URLs, with those for robots.txt and after redirects.
    """

    bytes_read: int = 0
    bytes_written: int = 0
    get_requests: int = 0
    put_requests: int = 0
    http_requests: int = 0

    def __add__(self, other: Traffic) -> Traffic:
        return self._by(other, 1)

    def __sub__(self, other: Traffic) -> Traffic:
        return self._by(other, -1)

    def _by(self, other: Traffic, times: int) -> Traffic:
        return Traffic(
            self.bytes_read + times * other.bytes_read,
            self.bytes_written + times * other.bytes_written,
            self.get_requests + times * other.get_requests,
            self.put_requests + times * other.put_requests,
            self.http_requests + times * other.http_requests,
        )


class _Counter:
    """Many threads count: sixteen fetch at a time."""

    def __init__(self) -> None:
        self.lock, self.sum = threading.Lock(), Traffic()


_counter = _Counter()


def _start_anew() -> None:
    global _counter
    _counter = _Counter()


os.register_at_fork(after_in_child=_start_anew)  # the counts are the parent's, and a thread of it may hold the lock


def count(more: Traffic) -> None:
    """Add to the counts of this process."""
    with _counter.lock:
        _counter.sum += more


def so_far() -> Traffic:
    """The counts of this process."""
    return _counter.sum


def read(size: int) -> None:
    """Count bytes that were read."""
    count(Traffic(bytes_read=size))


def written(size: int) -> None:
    """Count bytes that were written."""
    count(Traffic(bytes_written=size))


def s3_request(operation: str, sent: int = 0) -> None:
    """Count a request to S3. operation: by S3's name, such as PutObject. sent: bytes of an object.

    >>> before = so_far()
    >>> for operation in ("GetObject", "HeadObject", "ListObjectsV2", "UploadPart", "DeleteObjects"):
    ...     s3_request(operation)
    >>> found = so_far() - before
    >>> found.get_requests, found.put_requests
    (2, 2)
    """
    if operation.startswith(FREE):
        return
    is_get = operation.startswith(READING)
    count(Traffic(bytes_written=sent, get_requests=int(is_get), put_requests=int(not is_get)))
