"""Parquet files that hold the images' bytes, as Spark jobs and Hugging Face's datasets write them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby, islice, repeat
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from imagefeatures.errors import InputError, Rejected, StoreError, StoreRefused
from imagefeatures.reasons import Reason, printable
from imagefeatures.sources import parquet_sizes, tables, values
from imagefeatures.sources.containers import Container, LabelColumn, first_line
from imagefeatures.sources.item import Item
from imagefeatures.sources.parquet_footer import fetch_footer, read_footer
from imagefeatures.sources.passed_over import PassedOver

if TYPE_CHECKING:
    from imagefeatures.sources.parquet_footer import Group
    from imagefeatures.storage import StoredObject
    from imagefeatures.storage.object_reader import ObjectReader

READ_ROWS = 16
"""So many images are decoded at a time from a row group."""

LOOKED_AT = 100
"""So many files are looked at before a run for one that has the columns."""

BUFFER = 8 << 20
"""So many bytes of the images' column are fetched at a time: one request to a store."""


class ParquetBytes(Container):
    """Every row of a Parquet file, or of those of a folder: `{kind: parquet_bytes, uri: s3://b/{partition}/}`.

    The column has bytes, or a struct with a field `bytes`. An image's URI is the file's, # and the row's number from 0
    on. A row group is read as a whole, up to the last row that a shard needs.
    """

    kind: Literal["parquet_bytes"]
    column: str = Field("image", min_length=1, description="The column with the bytes, or with a struct {bytes, path}")
    key: str | None = Field(None, min_length=1, description="The column that goes into `key`")
    label: LabelColumn | None = Field(None, description="The column with the labels")

    endings: ClassVar[Sequence[str]] = ("*.parquet",)
    holds_images: ClassVar[bool] = True

    @property
    def gives_labels(self) -> bool:
        return self.label is not None

    def check(self) -> None:
        """As every source; and that one of the first files at least has the columns. Raises InputError."""
        unfit: InputError | None = None
        for file in islice(self.files(), LOOKED_AT):
            if file.rejected:
                continue
            try:
                self._opened(file)
                return
            except (Rejected, StoreError):  # what becomes of it is for the listing to say
                return
            except StoreRefused:
                raise
            except InputError as error:
                unfit = unfit or error
        if unfit:
            raise unfit

    def items(self, passed: PassedOver | None = None) -> Iterator[Item]:
        """As every source. Raises InputError where none of the files has the columns: the dataset file is wrong."""
        unfit: InputError | None = None
        fits = False
        for file in self.files(passed):
            if file.rejected:
                yield Item(file.uri, rejected=file.rejected)
                continue
            try:
                opened = self._opened(file)
            except Rejected as why:
                yield Item(file.uri, file.size, file.etag, rejected=why)
            except StoreRefused:
                raise
            except InputError as error:
                unfit = unfit or error
                detail = f"{str(error).removeprefix(f'{printable(file.uri)}: ')}; none of its rows is read"
                yield Item(file.uri, file.size, file.etag, rejected=Rejected(Reason.CORRUPT, detail))
            else:
                fits = True
                yield from self._items(file, opened)
        if unfit and not fits:
            raise unfit

    def fetch(self, items: Sequence[Item], most_bytes: int) -> Iterator[bytes | Rejected]:
        for file, neighbours in groupby(items, _file_of):
            places = list(map(_Place.of, neighbours))
            yield from self.unchanged(file, len(places), partial(self._read, file, places, most_bytes))

    def name_of(self, item: Item) -> str | None:
        return super().name_of(Item(_file_of(item).uri) if item.locator else item)

    def _opened(self, file: StoredObject) -> _Opened:
        """A file whose columns are those that are asked for.

        Raises Rejected where it is no whole Parquet file or is not given, InputError where a column is none of them,
        and StoreRefused or StoreError where the store gives no other file either.
        """
        import pyarrow as pa

        from imagefeatures import storage
        from imagefeatures.storage.object_reader import ObjectReader

        reader = ObjectReader(file.uri, file.size, self.access)
        try:
            footer = fetch_footer(reader, file.size)
            claimed = read_footer(footer)
            table = tables.open_parquet(file, self.access, footer=footer)
            columns = table.schema_arrow.names
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self.damage(file, f"it is no whole Parquet file ({first_line(error)})") from None
        except storage.ObjectMissing:
            raise Rejected(Reason.NOT_FOUND, "it is gone") from None
        except (StoreError, StoreRefused) as error:
            raise self.lost(file, error) from None
        tables.require(file, [self.column, *self._asked], columns)
        if why_false := parquet_sizes.false_counts(claimed, table.schema, file.size):
            raise Rejected(Reason.CORRUPT, why_false)
        leaf = self._leaf(file, table)
        if self.key:
            values.check_key(file.uri, self.key, table.schema_arrow.field(self.key).type)
        return _Opened(reader, table, claimed[1], leaf)

    def _items(self, file: StoredObject, opened: _Opened) -> Iterator[Item]:
        """The item of each row."""
        first = 0
        for group, known in enumerate(opened.groups):
            weight = self._weight(opened.reader, known, opened.leaf)
            for row, (key, label, unread) in enumerate(self._facts(file, opened.table, group)):
                place = _Place(file.size, len(file.uri), group, row)
                yield Item(
                    f"{file.uri}#{first + row}", None, file.etag, label, key, str(place), rejected=unread, weight=weight
                )
            first += known.rows

    @property
    def _asked(self) -> list[str]:
        """The columns of keys and labels."""
        return [name for name in (self.key, self.label and self.label.column) if name]

    def _weight(self, reader: ObjectReader, group: Group, leaf: str) -> int | None:
        from imagefeatures import storage

        try:
            return parquet_sizes.mean_size(reader, group, leaf)
        except (storage.ObjectMissing, StoreError, StoreRefused):  # whoever reads the images meets it too
            return None

    def _facts(
        self, file: StoredObject, table: Any, group: int
    ) -> Iterator[tuple[str | None, str | None, Rejected | None]]:
        """(key, label, why it cannot be read) of each row of a row group."""
        import pyarrow as pa

        from imagefeatures import storage

        count, done, asked = table.metadata.row_group(group).num_rows, 0, self._asked
        why: Rejected | None = None
        names = values.label_names(table.schema_arrow, self.label.column) if self.label else None
        try:
            for batch in table.iter_batches(tables.BATCH_ROWS, [group], asked, use_threads=False) if asked else ():
                keys = values.as_texts(batch[self.key]) if self.key else repeat(None)
                labels = values.as_texts(batch[self.label.column], names) if self.label else repeat(None)
                for key, label in islice(zip(keys, labels, strict=False), batch.num_rows):
                    yield key, label, None
                    done += 1
        except (pa.ArrowException, OSError) as error:
            why = self.damage(file, f"row group {group} cannot be read ({first_line(error)})")
        except storage.ObjectMissing:
            why = Rejected(Reason.NOT_FOUND, "its file was listed, and gone when it was read")
        except (StoreError, StoreRefused) as error:
            why = self.lost(file, error)
        if asked and done < count and not why:  # Arrow takes a column that ends too soon for a shorter one
            why = self.damage(file, f"row group {group} has keys or labels of {done:,} of its {count:,} rows")
        for _ in range(done, count):
            yield None, None, why

    def _read(self, file: StoredObject, places: list[_Place], most_bytes: int) -> list[bytes | Rejected]:
        """The bytes at places of one file, in their order. Raises StoreError, storage.ObjectMissing."""
        import pyarrow as pa

        found: dict[_Place, bytes | Rejected] = {}
        try:
            table = tables.open_parquet(file, self.access, BUFFER)
            leaf = self._leaf(file, table)
        except StoreRefused:
            raise
        except (pa.ArrowException, OSError, InputError) as error:
            return [Rejected(Reason.CORRUPT, f"its file cannot be read ({first_line(error)})")] * len(places)
        for group, of_group in groupby(sorted(places, key=lambda place: place.group), lambda place: place.group):
            wanted = {place.row: place for place in of_group}
            try:
                for row, data in _images(table, group, (self.column, leaf), max(wanted)):
                    if row in wanted:
                        found[wanted[row]] = _judged(data, most_bytes)
            except (pa.ArrowException, OSError) as error:
                why = Rejected(Reason.CORRUPT, f"row group {group} cannot be read ({first_line(error)})")
                found |= {place: why for place in wanted.values() if place not in found}
        gone = Rejected(Reason.CORRUPT, "its file has no such row")
        return [found.get(place, gone) for place in places]

    def _leaf(self, file: StoredObject, table: Any) -> str:
        """The path of the column of bytes. Raises InputError: there is none, or it is neither bytes nor {bytes, …}."""
        import pyarrow as pa

        tables.require(file, [self.column], table.schema_arrow.names)
        kind = table.schema_arrow.field(self.column).type
        if _are_bytes(kind):
            return self.column
        if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0 and _are_bytes(kind.field("bytes").type):
            return f"{self.column}.bytes"
        raise InputError(f"{printable(file.uri)}: column {self.column!r} is {kind}, and neither bytes nor {{bytes, …}}")


class _Opened(NamedTuple):
    """A file of which the footer is read. groups: its row groups. leaf: the path of the column of bytes."""

    reader: ObjectReader
    table: Any
    groups: list[Group]
    leaf: str


class _Place(NamedTuple):
    """Where an image is: `locator` of its item. size: of the file, in bytes. length: of the file's URI."""

    size: int
    length: int
    group: int
    row: int

    @classmethod
    def of(cls, item: Item) -> _Place:
        return cls(*map(int, str(item.locator).split()))

    def __str__(self) -> str:
        return " ".join(map(str, self))


def _are_bytes(kind: Any) -> bool:
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    of = pa.types
    # A part of which each image is null has no type: some writers know none then.
    fit = (of.is_binary, of.is_large_binary, of.is_binary_view, of.is_fixed_size_binary, of.is_null)
    return any(fits(kind) for fits in fit)


def _file_of(item: Item) -> StoredObject:
    from imagefeatures import storage

    place = _Place.of(item)
    return storage.StoredObject(item.uri[: place.length], place.size, item.etag or "")


def _images(table: Any, group: int, names: tuple[str, str], last: int) -> Iterator[tuple[int, bytes | None]]:
    """(number in the row group, bytes) of its rows, up to the last one. names: of the column, and of its leaf."""
    name, leaf = names
    import pyarrow as pa

    first = 0
    for batch in table.iter_batches(READ_ROWS, [group], [leaf], use_threads=False):
        column = batch[name]  # of a flat column "image.bytes" the leaf is that of a field of "image"
        yield from enumerate((column.field("bytes") if pa.types.is_struct(column.type) else column).to_pylist(), first)
        if (first := first + batch.num_rows) > last:
            return


def _judged(data: bytes | None, most_bytes: int) -> bytes | Rejected:
    if data is None:
        return Rejected(Reason.EMPTY_OBJECT, "its row has no bytes (null)")
    if len(data) > most_bytes:
        return Rejected(Reason.TOO_LARGE, f"it has {len(data):,} bytes, limits.max_bytes is {most_bytes:,}")
    return data
