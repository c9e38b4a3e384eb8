"""The pages of an S3 listing, held to what the S3 interface promises: each key once, in order, and an end.

Keys come in the order of their bytes, or folder by folder, as stores list them that keep folders (SeaweedFS). Both are
strictly increasing, so a key that comes twice is noticed without remembering the keys. Everything else is refused: a
store that repeats a key at the edge of a page, or loses its place, may as well have left a key out.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from imagefeatures.errors import StoreRefused
from imagefeatures.reasons import printable
from imagefeatures.storage.objects import Listed
from imagefeatures.storage.s3_responses import check_is_s3

EMPTY_PAGES = 1000
"""The most pages without a key in a row: a store may send some, but one that sends only such pages never ends."""

LARGEST = 2**63 - 1
"""The largest size in bytes that the tables can hold."""


def list_keys(get_page: Callable[..., Mapping[str, Any]], bucket: str, prefix: str) -> Iterator[Listed]:
    """Every key of a bucket that begins with the prefix.

    get_page: list_objects_v2 for this bucket and prefix; it takes a ContinuationToken. Raises StoreRefused.
    """
    listing = f"s3://{bucket}/{printable(prefix)}: the store's listing"
    order, token, empty_pages = _Order(listing), "", 0
    while True:
        page = get_page(**({"ContinuationToken": token} if token else {}))
        check_is_s3(f"s3://{bucket}", "Name" in page or "IsTruncated" in page)
        entries = page.get("Contents", [])
        for entry in entries:
            key, size, etag = entry.get("Key"), entry.get("Size"), entry.get("ETag")
            if not key or size is None or not 0 <= size <= LARGEST or etag is None:
                raise StoreRefused(f"{listing} has an entry without key, size or ETag, or with an impossible size")
            if not key.startswith(prefix):
                raise StoreRefused(f"{listing} has {printable(repr(key))}, which is not below it")
            order.check(key)
            yield Listed(f"{bucket}/{key}", size, etag.strip('"'), modified=_seconds(entry.get("LastModified")))
        if not page.get("IsTruncated"):
            return
        empty_pages = 0 if entries else empty_pages + 1
        before, token = token, page.get("NextContinuationToken") or ""
        if not token:
            raise StoreRefused(f"{listing} breaks off: a page says that more keys follow, and not where")
        if token == before or empty_pages > EMPTY_PAGES:
            raise StoreRefused(f"{listing} has no end: the store goes on from the same place again and again")


def _seconds(moment: object) -> float | None:
    """A moment as boto3 reads it, in seconds since 1970; None where the store's listing has none."""
    return moment.timestamp() if isinstance(moment, dt.datetime) else None


class _Order:
    """Whether keys increase strictly: by their bytes, or folder by folder. listing: for the error."""

    def __init__(self, listing: str) -> None:
        self._listing = listing
        self._last: tuple[str, str] | None = None
        self._by_bytes = self._by_folder = True

    def check(self, key: str) -> None:
        """Raise StoreRefused unless the key follows the one before it."""
        # Python compares texts by code points, which is the order of their UTF-8 bytes. With the slash before every
        # other character, all of `a/` comes before `a-b`.
        folders = key.replace("/", "\0")
        if self._last is not None:
            last_key, last_folders = self._last
            self._by_bytes = self._by_bytes and last_key < key
            self._by_folder = self._by_folder and last_folders < folders
            if not (self._by_bytes or self._by_folder):
                what = "repeats a key" if key == last_key else "is not in order, so it may repeat keys"
                raise StoreRefused(f"{self._listing} {what}: {printable(repr(key))} after {printable(repr(last_key))}")
        self._last = key, folders
