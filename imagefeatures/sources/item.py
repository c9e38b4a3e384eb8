"""One object of a source: as it is listed, and as it is read."""

from __future__ import annotations

from dataclasses import dataclass

from imagefeatures.errors import Rejected


@dataclass(frozen=True, slots=True)
class Item:
    """One row of the manifest.

    uri: unique in a partition; the tables show it. size: in bytes; None when it is not known before the bytes are
    read. etag: the store's mark of this version. label: from the source; None applies the dataset's rule. key: joins
    back to the table that the item came from. locator: for the source's own use, such as an offset. rejected: why it
    can never be fetched, where the listing tells; it becomes a row of the quarantine table. weight: an estimate of the
    bytes, where the size is not known.
    """

    uri: str
    size: int | None = None
    etag: str | None = None
    label: str | None = None
    key: str | None = None
    locator: str | None = None
    rejected: Rejected | None = None
    weight: int | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of an item whose version only reading tells. etag: the store's mark of the version that was read.

    not_modified: the version is still that of the item's own `etag`, and the bytes were not sent: `data` is empty.
    """

    data: bytes
    etag: str | None = None
    not_modified: bool = False
