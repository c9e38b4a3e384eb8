"""A table of which one column holds the images' URLs, among any number of others: a table of the Iceberg catalog."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from imagefeatures.settings import Settings
from imagefeatures.sources import places, tables, uris, values
from imagefeatures.sources.item import Item
from imagefeatures.sources.passed_over import PassedOver

if TYPE_CHECKING:
    import pyarrow as pa

TABLE = re.compile(r"[^\s.{}/]+(\.[^\s.{}/]+)+")


class IcebergTable(uris.NamesUris):
    """The object that each row of a table names: `{kind: url_table, iceberg: shop.products, url: photo, key: id}`.

    The catalog is the one of the settings, which holds the service's own tables too. The environment says how it and
    its files are reached, as for those: `anonymous` and `requester_pays` are for the objects.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    kind: Literal["url_table"]
    uri: str = Field(alias="iceberg", min_length=1, description="The table's name in the catalog: namespace.table")
    filter: str | None = Field(None, min_length=1, description="A condition on the rows, as pyiceberg reads it")
    snapshot: int | None = Field(
        None, ge=0, le=2**63 - 1, description="The id of the snapshot; null: the newest at the start"
    )
    url: str = Field(min_length=1, description="The column with the URLs")
    key: str = Field(min_length=1, description="The column that goes into `key`, by which rows are joined back")

    def __str__(self) -> str:
        return f"{self.uri} where {self.filter}" if self.filter else self.uri

    @model_validator(mode="before")
    @classmethod
    def _it_is_one_table(cls, given: Any) -> Any:
        if isinstance(given, dict) and "table" in given:
            raise ValueError("has table and iceberg; leave one of them out")
        return given

    @field_validator("uri")
    @classmethod
    def _uri_is_known(cls, uri: str) -> str:
        if not TABLE.fullmatch(uri):
            raise ValueError("must be a namespace and a table, such as shop.products; {partition} goes into filter")
        return uri

    @field_validator("filter")
    @classmethod
    def _filter_has_no_other_field(cls, given: str | None) -> str | None:
        return given and places.check_fields(given)

    @model_validator(mode="after")
    def _only_a_bucket_is_public_or_paid(self) -> Self:
        if self.anonymous and self.requester_pays:
            raise ValueError("anonymous: whoever pays for requests must sign them; leave anonymous out")
        return self

    @property
    def by_partition(self) -> bool:
        return bool(self.filter and places.FIELD.search(self.filter))

    def for_partition(self, partition: str) -> Self:
        # Safe between quotes: a partition key has none (names.PARTITION).
        return self.model_copy(update={"filter": self.filter and places.for_partition(self.filter, partition)})

    def pinned(self) -> Self:
        from imagefeatures.catalog import source_tables

        if self.snapshot is not None:
            return self
        return self.model_copy(update={"snapshot": source_tables.newest_snapshot(Settings.from_env(), self.uri)})

    def beside(self, folder: Path) -> Self:
        return self

    def check_apart(self, lake: str) -> None:
        """Nothing to check: a table is no folder, and none of its files is taken for a photo."""

    def check(self) -> None:
        from imagefeatures.catalog import source_tables

        source_tables.check(Settings.from_env(), self.uri, self._columns.asked, self.filter, self.snapshot)

    def named(self, passed: PassedOver | None) -> Iterator[Item]:
        from imagefeatures.catalog import source_tables

        wanted = list(dict.fromkeys(self._columns.asked))
        files = source_tables.batches(Settings.from_env(), self.uri, wanted, self.filter, self.snapshot)
        for file, batches in files:
            yield from uris.of_rows(self._rows(batches), self._columns, file)

    def nothing_there(self) -> str:
        return f"{self.uri} has no row where {self.filter}" if self.filter else f"{self.uri} has no row"

    def partitions_there(self, partition: str) -> str:
        return ""

    @property
    def _columns(self) -> tables.Columns:
        return tables.Columns(self.url, self.key, self.label.column if self.label else None)

    def _rows(self, batches: Iterator[tuple[list[int], pa.RecordBatch]]) -> tables.Rows:
        for numbers, batch in batches:
            values.check_key(self.uri, self.key, batch.schema.field(self.key).type)
            yield numbers, tables.texts_of(batch, self._columns)
