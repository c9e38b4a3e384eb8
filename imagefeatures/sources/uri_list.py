"""A list of URIs: a text with one on each line, or a column of a Parquet file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from imagefeatures.sources import tables, uris
from imagefeatures.sources.containers import Container, readable
from imagefeatures.sources.item import Item
from imagefeatures.sources.passed_over import PassedOver

if TYPE_CHECKING:
    from imagefeatures.storage import StoredObject


class UriList(uris.NamesUris, Container):
    """Every object that a list names, once, wherever it lies: `{kind: uri_list, uri: s3://lists/{partition}.txt}`.

    A file whose name ends in .parquet is read by its columns, any other one by its lines.
    """

    kind: Literal["uri_list"]
    column: str = Field("uri", min_length=1, description="The column of a Parquet file that holds the URIs")
    key: str | None = Field(None, min_length=1, description="The column of a Parquet file that goes into `key`")

    endings: ClassVar[Sequence[str]] = ("*.txt", "*.parquet")

    @model_validator(mode="after")
    def _a_text_has_no_columns(self) -> Self:
        columns = {"column": self.column if self.column != "uri" else None, "key": self.key, "label": self.label}
        if self.uri.lower().endswith(".txt") and (named := [name for name, value in columns.items() if value]):
            raise ValueError(f"{named[0]}: is for Parquet; a text has no columns")
        return self

    def named(self, passed: PassedOver | None) -> Iterator[Item]:
        for file in readable(self.files(passed)):
            yield from self._items(file)

    def _items(self, file: StoredObject) -> Iterator[Item]:
        if file.uri.lower().endswith(tables.PARQUET):
            columns = tables.Columns(self.column, self.key, self.label.column if self.label else None)
            yield from uris.of_table(file, columns, self.access)
            return
        for number, line in tables.lines(file, self.access):
            yield uris.named(line, f"{file.uri}#{number}")
