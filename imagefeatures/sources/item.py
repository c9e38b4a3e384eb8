"""One object of a source, as it is listed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Item:
    """One row of the manifest.

    uri: unique in a partition; what the tables show. size: in bytes; None when it is known only once the bytes are
    read. etag: the store's mark of this version. label: where the source says one; None leaves it to the dataset's
    rule. key: joins back to the table that the item came from. locator: for the source alone, such as an offset.
    """

    uri: str
    size: int | None = None
    etag: str | None = None
    label: str | None = None
    key: str | None = None
    locator: str | None = None
