"""Objects that a list or a table names by their URIs: which URIs are read, and how. s3, file, http and https."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING
from urllib.parse import unquote

from pydantic import Field

from imagefeatures.errors import Rejected
from imagefeatures.reasons import Reason
from imagefeatures.sources import http, tables
from imagefeatures.sources.containers import LabelColumn
from imagefeatures.sources.http import HttpOptions, Known
from imagefeatures.sources.item import Content, Item
from imagefeatures.sources.located import Located
from imagefeatures.sources.passed_over import PassedOver

if TYPE_CHECKING:
    from imagefeatures.storage import Access, StoredObject

OF_THE_WEB = ("http", "https")
LONGEST = 8192
"""The most characters of a URI."""

MOST_AT_ONCE = 64 * 2**20
"""Objects of a store are fetched together up to so many bytes, unless a single one has more."""

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,62}")


class NamesUris(Located):
    """A source that names its objects by their URIs."""

    label: LabelColumn | None = Field(None, description="The column with the labels")
    http: HttpOptions = Field(HttpOptions(), description="How http:// and https:// are fetched")

    @property
    def names_hosts(self) -> bool:
        return True

    @property
    def gives_labels(self) -> bool:
        return self.label is not None

    def named(self, passed: PassedOver | None) -> Iterator[Item]:
        """The item of each line or row."""
        raise NotImplementedError

    def everything(self) -> Iterator[Item]:
        return self.items()

    def items(self, passed: PassedOver | None = None) -> Iterator[Item]:
        checked = False
        for item in self.named(passed):
            if not checked and not item.rejected and _scheme(item) == "http":
                http.check_installed(self.http)  # before a worker needs it
                checked = True
            yield item

    def name_of(self, item: Item) -> str | None:
        if _scheme(item) != "http":
            return super().name_of(item)
        return unquote(self.path_of(item).partition("://")[2].partition("/")[2].rpartition("/")[2])

    def path_of(self, item: Item) -> str:
        return re.split("[?#]", item.uri, maxsplit=1)[0] if _scheme(item) == "http" else item.uri

    def fetch(self, items: Sequence[Item], most_bytes: int, known: Known | None = None) -> Iterator[Content | Rejected]:
        """The bytes of each item in order, or why it is rejected. Those of one scheme are read together.

        most_bytes: of an object. known: of the hosts, as of `http.fetch_all`. Raises StoreRefused or StoreError.
        """
        of_scheme: dict[str, list[Item]] = {}
        for item in items:
            of_scheme.setdefault(_scheme(item), []).append(item)
        fetched = {
            scheme: _from_the_web(wanted, most_bytes, self.http, known)
            if scheme == "http"
            else _from_the_store(wanted, most_bytes, self.access if scheme == "s3" else None)
            for scheme, wanted in of_scheme.items()
        }
        for item in items:
            yield next(fetched[_scheme(item)])


def of_table(file: StoredObject, columns: tables.Columns, access: Access | None = None) -> Iterator[Item]:
    """The item of each row of a table. Raises as tables.rows."""
    return of_rows(tables.rows(file, columns, access), columns, file.uri)


def of_rows(rows: tables.Rows, columns: tables.Columns, file: str) -> Iterator[Item]:
    """The item of each row of a file. rows: its `columns.asked`. file: its URI."""
    at = {what: place for place, what in enumerate(what for what, name in columns._asdict().items() if name)}
    for numbers, batch in rows:
        for number, row in zip(numbers, batch, strict=True):
            given = {what: row[at[what]] for what in ("key", "label") if what in at}
            yield named(row[0], f"{file}#{number}", **given)


def named(uri: str | None, place: str, *, key: str | None = None, label: str | None = None) -> Item:
    """The item of one line of a list, or of one row of a table.

    uri: as it stands there. Blanks around it are no part of it, unless they are at the end of one of s3 or file. place:
    the URI of the line or row itself, which stands for a URI that is missing.
    """
    text = "" if uri is None else uri.lstrip()
    if not text.startswith(("s3://", "file://")):  # "a.jpg" and "a.jpg " are two keys of a bucket, and two files
        text = text.rstrip()
    if not text:
        return Item(place, key=key, label=label, rejected=_unsupported("there is no URI in its place"))
    if len(text) > LONGEST:
        why = f"a URI of {len(text):,} characters; the longest that is read has {LONGEST:,}"
        return Item(place, key=key, label=label, rejected=_unsupported(why))
    return Item(text, key=key, label=label, rejected=refusal(text))


def refusal(uri: str) -> Rejected | None:
    """Why a URI is never read, whatever is there; None for one that is tried."""
    scheme, separator, rest = uri.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in ("file", "s3", *OF_THE_WEB):
        return _unsupported("it does not begin with s3://, file:///, https:// or http://")
    if "\0" in uri:
        return _unsupported("there is a NUL in it")
    if scheme not in OF_THE_WEB and not uri.startswith(scheme):
        return _unsupported(f"{scheme}:// is written in lower case")
    if scheme == "file" and not rest.startswith("/"):
        return _unsupported("file:// needs three slashes and the whole path")
    if scheme == "s3" and not (_BUCKET.fullmatch(rest.partition("/")[0]) and rest.partition("/")[2]):
        return _unsupported("s3:// needs a bucket and a key")
    return None


def _scheme(item: Item) -> str:
    """The scheme of an item's URI; http for https, whose URLs are fetched together."""
    scheme = item.uri.partition("://")[0].lower()
    return "http" if scheme in OF_THE_WEB else scheme


def _from_the_web(
    items: Sequence[Item], most_bytes: int, options: HttpOptions, known: Known | None
) -> Iterator[Content | Rejected]:
    for fetched in http.fetch_all(items, most_bytes, options, known):
        yield fetched if isinstance(fetched, Rejected) else Content(fetched.data, fetched.etag, fetched.not_modified)


def _from_the_store(items: Sequence[Item], most_bytes: int, access: Access | None) -> Iterator[Content | Rejected]:
    from imagefeatures import storage

    found = list(storage.stat_all([item.uri for item in items], access))
    # Without a byte there is nothing to read; and what is no file of a disk may say so, and give bytes without an end.
    small = [entry for entry in found if isinstance(entry, storage.StoredObject) and 0 < entry.size <= most_bytes]
    fetched = chain.from_iterable(storage.fetch_all(some, access=access) for some in _cut(small))
    for entry in found:
        if isinstance(entry, Rejected):
            yield entry
        elif isinstance(entry, storage.ObjectMissing):
            yield Rejected(Reason.NOT_FOUND, "there is no such object")
        elif not entry.size:
            yield Content(b"", entry.etag)
        elif entry.size > most_bytes:
            yield Rejected(Reason.TOO_LARGE, f"it has {entry.size:,} bytes, limits.max_bytes is {most_bytes:,}")
        else:
            data = next(fetched)
            if isinstance(data, storage.ObjectMissing):
                yield Rejected(Reason.NOT_FOUND, "it was there, and gone when it was read")
            elif isinstance(data, storage.ObjectChanged):
                detail = f"it had ETag {entry.etag}, and was read with {data.etag}"
                yield Rejected(Reason.CHANGED_DURING_RUN, detail)
            else:
                yield data if isinstance(data, Rejected) else Content(data, entry.etag)


def _cut(objects: Sequence[StoredObject]) -> Iterator[list[StoredObject]]:
    """The objects in lists that are fetched at once, and may be held at once: nobody knew their sizes before."""
    some: list[StoredObject] = []
    held = 0
    for entry in objects:
        if some and held + entry.size > MOST_AT_ONCE:
            yield some
            some, held = [], 0
        some.append(entry)
        held += entry.size
    if some:
        yield some


def _unsupported(why: str) -> Rejected:
    return Rejected(Reason.UNSUPPORTED_URL, why)
