"""The bytes of the images themselves, read again from where they lie, and held to the digest of those that were read.

What has changed or is gone since is left out, named and counted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from imagefeatures.errors import Rejected, SettingsError
from imagefeatures.formats.detect import detect_format
from imagefeatures.limits import BAND_FORMATS, FORMATS
from imagefeatures.reasons import Reason, printable, without_secrets
from imagefeatures.settings import Settings
from imagefeatures.sources.http import Known
from imagefeatures.sources.item import Item
from imagefeatures.sources.uri_list import UriList
from imagefeatures.sources.uris import NamesUris, refusal

COLUMNS = ("uri", "image_id", "size")
"""The columns of a row that are needed to read its image again."""

MOST_NAMED = 5

SUFFIXES = {"JPEG": "jpg", "TIFF": "tiff", "JPEG2000": "jp2"}
"""Of formats whose file's suffix is not their name in small letters."""


@dataclass
class Originals:
    """Reads images again. left_out: how many could not be had. named: the first of them, a line each.

    source: reads whatever URI it is given, by the rules of the dataset's own source. known: of the hosts so far.
    """

    source: UriList
    known: Known = field(default_factory=Known)
    left_out: int = 0
    named: list[str] = field(default_factory=list)

    @classmethod
    def of_dataset(cls, settings: Settings, name: str) -> Originals:
        """Those of a dataset, read as its file says; where it has none, as a source without further fields is read.

        Raises DatasetError for a file that cannot be read.
        """
        from imagefeatures.dataset_files import find_dataset

        fields: dict[str, object] = {}
        if _has_file(settings, name):
            source = find_dataset(settings.datasets, name).source
            fields = {said: getattr(source, said) for said in ("anonymous", "requester_pays")}
            fields |= {"http": source.http} if isinstance(source, NamesUris) else {}
        # The URI is never read: one of a bucket may go with any of the fields.
        return cls(UriList.model_validate({"kind": "uri_list", "uri": "s3://none/none.txt", **fields}))

    def uncounted(self) -> Originals:
        """The same, with nothing left out so far. What is known of the hosts is of both."""
        return Originals(self.source, self.known)

    def of(self, rows: pa.RecordBatch) -> Iterator[tuple[str, bytes] | None]:
        """Of each row the suffix and the bytes of its image; None where they cannot be had any more.

        rows: with COLUMNS. Raises StoreRefused or StoreError where a store gives nothing.
        """
        wanted = rows.select(COLUMNS).to_pylist()
        items = [Item(row["uri"], row["size"]) for row in wanted if refusal(row["uri"]) is None]
        fetched = self.source.fetch(items, max((item.size or 0 for item in items), default=0), self.known)
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


def _has_file(settings: Settings, name: str) -> bool:
    try:
        return any((settings.datasets / f"{name}{suffix}").is_file() for suffix in (".yaml", ".yml"))
    except SettingsError:  # no folder of dataset files: a reader of the tables needs none
        return False


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
