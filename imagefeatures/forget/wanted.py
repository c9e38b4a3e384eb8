"""What is to be forgotten, and whether rows or bytes hold it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from imagefeatures import storage

PART = 16 << 20
"""So many bytes of a file are searched at a time."""

AFTER = 256
"""So many bytes after a URI tell whether it is the beginning of another one."""

_GOING_ON = re.compile(rb"[^\x00-\x20\x7f-\xff\"'`<>(){}\[\]|\\^,;]*")
_OF_PROSE = b".!?:*_~"


@dataclass(frozen=True)
class Wanted:
    """image_ids: of the images. uris: of objects whose rows are forgotten whatever image they are of."""

    image_ids: frozenset[str]
    uris: frozenset[str] = frozenset()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that tell whether a row is of one of them."""
        return ("image_id", "uri") if self.uris else ("image_id",)

    def mask(self, rows: pa.Table | pa.RecordBatch) -> pa.Array | pa.ChunkedArray:
        """Whether each row is of one of them: without nulls."""
        found = pc.is_in(rows["image_id"], value_set=pa.array(sorted(self.image_ids), pa.string()))
        if self.uris:
            found = pc.or_(found, pc.is_in(rows["uri"], value_set=pa.array(sorted(self.uris), pa.string())))
        return found

    def hold(self, batches: Iterable[pa.RecordBatch]) -> bool:
        """Whether one of the rows is of one of them."""
        return any(pc.any(self.mask(rows)).as_py() for rows in batches)


class Stored(NamedTuple):
    """What an object holds as it is stored. surely: an id, a vector or pixels.

    uris: that are in it, each as a whole or as the beginning of another one. Not looked for where `surely`.
    """

    surely: bool
    uris: frozenset[str] = frozenset()


class Needles:
    """Bytes by which a file gives an image away: its id, its URIs, its vectors and its pixels."""

    def __init__(self, image_ids: Iterable[str], uris: Iterable[str] = ()) -> None:
        self.image_ids, self.uris = set(image_ids), set(uris)
        self._values: set[bytes] = set()

    def add(self, rows: pa.Table) -> None:
        """Add what rows of a table say of the images."""
        self.uris.update(rows["uri"].to_pylist())
        if "features" in rows.column_names:
            for vector in rows["features"]:
                self._values.add(vector.values.to_numpy(zero_copy_only=False).tobytes())
        if "pixels" in rows.column_names:
            self._values.update(rows["pixels"].to_pylist())

    def in_object(self, uri: str, size: int, *, delimited: bool = False) -> Stored:
        """What an object of a store holds of them, as it is stored. size: in bytes.

        delimited: it is a text in which something stands between a URI and what follows it; a URI that goes on is then
        another one, and is not meant.
        """
        values = [*self._values, *(form for image_id in self.image_ids for form in _written(image_id))]
        forms = {form: text for text in self.uris for form in _written(text)}
        overlap = max(map(len, [*values, *forms]), default=1) - 1 + (AFTER if delimited else 0)
        rest, found = b"", set()
        for start in range(0, size, PART):
            part = rest + storage.read_part(uri, start, PART)
            if any(value in part for value in values):
                return Stored(True)
            last = start + PART >= size
            for form, text in forms.items():
                if text not in found and form in part and (not delimited or _has_whole(part, form, last)):
                    found.add(text)
            rest = part[-overlap:] if overlap else b""
        return Stored(False, frozenset(found))

    def in_rows(self, batches: Iterable[pa.RecordBatch], mentioned: Collection[str] = ()) -> bool:
        """Whether a column of texts, of vectors or of pixels holds one of them.

        mentioned: URIs that may also be a part of a text, or in a column of columns.
        """
        return any(
            self._in_column(column) or any(_mentioned_in(column, uri) for uri in mentioned)
            for rows in batches
            for column in rows.columns
        )

    def _in_column(self, column: pa.Array) -> bool:
        if pa.types.is_dictionary(column.type):
            column = column.dictionary
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            texts = pa.array(sorted(self.image_ids | self.uris), column.type)
            return bool(pc.any(pc.is_in(column, value_set=texts)).as_py())
        if _is_list(column.type) and not pa.types.is_primitive(column.type.value_type):
            return self._in_column(column.flatten())  # such as the URIs of neighbours
        if _is_list(column.type):
            lists = (value.values for value in column if value.is_valid)
            return any(values.to_numpy(zero_copy_only=False).tobytes() in self._values for values in lists)
        if pa.types.is_binary(column.type) or pa.types.is_fixed_size_binary(column.type):
            return any(value in self._values for value in column.to_pylist())
        return False


def mentions(text: bytes, uri: str) -> bool:
    """Whether a text has a URI in it, written as in CSV or JSON or as it is, and not only as the beginning of another.

    >>> mentions(b"see s3://b/1.", "s3://b/1"), mentions(b"s3://b/12 s3://b/1.jpg", "s3://b/1")
    (True, False)
    """
    return any(_has_whole(text, form) for form in _texts(uri))


def _has_whole(text: bytes, uri: bytes, last: bool = True) -> bool:
    """last: whether the text ends there; else a URI is not judged of which it cannot be told yet whether it goes on."""
    at = text.find(uri)
    while at >= 0:
        after = text[at + len(uri) : at + len(uri) + AFTER]
        if not last and len(after) < AFTER:
            return False
        goes_on = _GOING_ON.match(after)
        if not goes_on or not goes_on[0].rstrip(_OF_PROSE):
            return True
        at = text.find(uri, at + 1)
    return False


def _mentioned_in(column: pa.Array, uri: str) -> bool:
    """Whether a text of a column, or of the columns in it, mentions a URI. Of a column of an unknown kind it does."""
    kind = column.type
    if isinstance(column, pa.ExtensionArray):
        return _mentioned_in(column.storage, uri)
    if pa.types.is_dictionary(kind):
        return _mentioned_in(column.dictionary, uri)
    if pa.types.is_map(kind):
        return _mentioned_in(column.keys, uri) or _mentioned_in(column.items, uri)
    if pa.types.is_struct(kind):
        return any(_mentioned_in(child, uri) for child in column.flatten())
    if _is_list(kind):
        return _mentioned_in(column.flatten(), uri)
    if any(is_kind(kind) for is_kind in _TEXTS):
        cells = column.cast(pa.large_binary())
        near = (cells.filter(pc.match_substring(cells, form)).to_pylist() for form in _texts(uri))
        return any(mentions(cell, uri) for found in near for cell in found)
    return not any(is_kind(kind) for is_kind in _NO_TEXTS)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


_TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
_NO_TEXTS = (pa.types.is_primitive, pa.types.is_null, pa.types.is_decimal, pa.types.is_fixed_size_binary)


def _texts(text: str) -> set[bytes]:
    """A text as CSV and JSON have it."""
    forms = (
        text,
        text.replace('"', '""'),
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
    )
    return {form.encode("utf-8", "surrogateescape") for form in forms}


def _written(text: str) -> set[bytes]:
    """The same, and as NumPy has it."""
    return _texts(text) | {text.encode("utf-32-le", "surrogatepass")}
