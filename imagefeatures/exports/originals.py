"""The bytes of the images themselves, read again from where they lie, and held to the digest of those that were read.

What has changed or is gone since is left out, named and counted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from imagefeatures.errors import Rejected
from imagefeatures.formats.detect import detect_format
from imagefeatures.limits import BAND_FORMATS, FORMATS
from imagefeatures.reasons import Reason, printable, without_secrets
from imagefeatures.sources.item import Item
from imagefeatures.sources.uri_list import UriList
from imagefeatures.sources.uris import refusal

COLUMNS = ("uri", "image_id", "size")
"""The columns of a row that are needed to read its image again."""

MOST_NAMED = 5

SUFFIXES = {"JPEG": "jpg", "TIFF": "tiff", "JPEG2000": "jp2"}
"""Of formats whose file's suffix is not their name in small letters."""


@dataclass
class Originals:
    """Reads images again. left_out: how many could not be had. named: the first of them, a line each."""

    left_out: int = 0
    named: list[str] = field(default_factory=list)

    def of(self, rows: pa.RecordBatch) -> Iterator[tuple[str, bytes] | None]:
        """Of each row the suffix and the bytes of its image; None where they cannot be had any more.

        rows: with COLUMNS. Raises StoreRefused or StoreError where a store gives nothing.
        """
        wanted = rows.select(COLUMNS).to_pylist()
        items = [Item(row["uri"], row["size"]) for row in wanted if refusal(row["uri"]) is None]
        # A list of URIs is a source that reads whatever URI it is given, by the rules of a run.
        source = UriList(kind="uri_list", uri="file:///none.txt")
        fetched = source.fetch(items, max((item.size or 0 for item in items), default=0))
        for row in wanted:
            found = refusal(row["uri"]) or next(fetched)
            if isinstance(found, Rejected) and found.reason is not Reason.TOO_LARGE:
                self._leave_out(row["uri"], found.detail)
                yield None
            elif isinstance(found, Rejected) or _digest(data := found.data) != row["image_id"]:
                self._leave_out(row["uri"], "it has other bytes than those that the run has read")
                yield None
            else:
                kind = detect_format(data, (*FORMATS, *BAND_FORMATS))
                yield SUFFIXES.get(kind, kind.lower()), data

    def _leave_out(self, uri: str, why: str) -> None:
        self.left_out += 1
        if len(self.named) < MOST_NAMED:
            self.named.append(f"{printable(without_secrets(uri))}: {printable(why)}")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
