"""A table of which one column holds the images' URLs, among any number of others: in files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from imagefeatures.sources import tables, uris
from imagefeatures.sources.containers import Container, readable
from imagefeatures.sources.item import Item
from imagefeatures.sources.passed_over import EMPTY_FILE, PassedOver


class UrlTable(uris.NamesUris, Container):
    """The object that each row of a table names: `{kind: url_table, table: s3://b/{partition}/, url: photo, key: id}`.

    Of Parquet no other column is read than the three that are named here. A table of the catalog is an IcebergTable.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    kind: Literal["url_table"]
    uri: str = Field(alias="table", min_length=1, description="The table: s3://…, file:///… or relative")
    url: str = Field(min_length=1, description="The column with the URLs")
    key: str = Field(min_length=1, description="The column that goes into `key`, by which rows are joined back")

    endings: ClassVar[Sequence[str]] = ("*.parquet", "*.csv", "*.jsonl", "*.ndjson")

    @model_validator(mode="before")
    @classmethod
    def _it_is_a_table_of_files(cls, given: Any) -> Any:
        if isinstance(given, dict) and "table" not in given:
            raise ValueError("needs a table: files as table, or a table of the catalog as iceberg")
        if isinstance(given, dict) and "filter" in given:
            raise ValueError("filter: is for a table of the catalog (iceberg); of files every row is read")
        return given

    def named(self, passed: PassedOver | None) -> Iterator[Item]:
        columns = tables.Columns(self.url, self.key, self.label.column if self.label else None)
        for file in readable(self.files(passed)):
            if not file.size and file.uri != self.uri and not file.uri.lower().endswith(tables.PARQUET):
                if passed:
                    passed.add(EMPTY_FILE, file.uri)
                continue
            yield from uris.of_table(file, columns, self.access)
