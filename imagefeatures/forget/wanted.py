"""What is to be forgotten, and whether rows or bytes hold it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from imagefeatures import storage

PART = 16 << 20
"""So many bytes of a file are searched at a time."""


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


class Needles:
    """Bytes by which a file gives an image away: its id, its URIs, its vectors and its pixels."""

    def __init__(self, image_ids: Iterable[str]) -> None:
        self.texts: set[str] = set(image_ids)
        self._values: set[bytes] = set()

    def add(self, rows: pa.Table) -> None:
        """Add what rows of a table say of the images."""
        self.texts.update(rows["uri"].to_pylist())
        if "features" in rows.column_names:
            for vector in rows["features"]:
                self._values.add(vector.values.to_numpy(zero_copy_only=False).tobytes())
        if "pixels" in rows.column_names:
            self._values.update(rows["pixels"].to_pylist())

    def in_object(self, uri: str, size: int) -> bool:
        """Whether an object of a store holds one of them, as it is stored. size: in bytes."""
        wanted = self._bytes()
        overlap = max(map(len, wanted), default=1) - 1
        rest = b""
        for start in range(0, size, PART):
            part = rest + storage.read_part(uri, start, PART)
            if any(needle in part for needle in wanted):
                return True
            rest = part[-overlap:] if overlap else b""
        return False

    def in_rows(self, batches: Iterable[pa.RecordBatch]) -> bool:
        """Whether a column of texts, of vectors or of pixels holds one of them."""
        return any(self._in_column(column) for rows in batches for column in rows.columns)

    def _in_column(self, column: pa.Array) -> bool:
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            return bool(pc.any(pc.is_in(column, value_set=pa.array(sorted(self.texts), column.type))).as_py())
        if pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type):
            return any(value.values.to_numpy(zero_copy_only=False).tobytes() in self._values for value in column)
        if pa.types.is_binary(column.type) or pa.types.is_fixed_size_binary(column.type):
            return any(value in self._values for value in column.to_pylist())
        return False

    def _bytes(self) -> list[bytes]:
        return [*self._values, *self._encoded()]

    def _encoded(self) -> Iterator[bytes]:
        for text in self.texts:
            written = (
                text,
                text.replace('"', '""'),
                json.dumps(text)[1:-1],
                json.dumps(text, ensure_ascii=False)[1:-1],
            )
            yield from {form.encode("utf-8", "surrogateescape") for form in written}  # as CSV and JSON have it
            yield text.encode("utf-32-le", "surrogatepass")  # as NumPy has it
