"""A table of which one column holds the images' URLs, among any number of others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

from pydantic import ConfigDict, Field

from imagefeatures.sources import uris
from imagefeatures.sources.containers import readable
from imagefeatures.sources.item import Item
from imagefeatures.sources.passed_over import PassedOver


class UrlTable(uris.NamesUris):
    """The object that each row of a table names: `{kind: url_table, table: s3://b/{partition}/, url: photo, key: id}`.

    Of Parquet no other column is read than the three that are named here.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    kind: Literal["url_table"]
    uri: str = Field(alias="table", min_length=1, description="The table: s3://…, file:///… or relative")
    url: str = Field(min_length=1, description="The column with the URLs")
    key: str = Field(min_length=1, description="The column that goes into `key`, by which rows are joined back")

    endings: ClassVar[Sequence[str]] = ("*.parquet", "*.csv", "*.jsonl", "*.ndjson")

    def named(self, passed: PassedOver | None) -> Iterator[Item]:
        columns = uris.Columns(self.url, self.key, self.label.column if self.label else None)
        for file in readable(self.files(passed)):
            yield from uris.of_table(file, columns, self.access)
