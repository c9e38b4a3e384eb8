"""Columns of a table in files: Parquet, CSV, JSON Lines, or a text with a URI on each line. Read by batches.

Of Parquet only the columns that are asked for are fetched. Of the other forms every byte is read and a batch at a
time is held, so memory depends on no table's size, and hardly on its width.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from imagefeatures.errors import InputError, Rejected, StoreRefused
from imagefeatures.reasons import printable
from imagefeatures.sources import values
from imagefeatures.sources.containers import first_line
from imagefeatures.sources.parquet_footer import MARK

if TYPE_CHECKING:
    import pyarrow as pa

    from imagefeatures.storage import Access, StoredObject

BATCH_ROWS = 4096
BLOCK = 1 << 20
"""So many bytes of a text are read at a time, and so many of each column of a Parquet file."""

LONGEST_LINE = 16 << 20
"""The most bytes of a line. A longer one is no line of a table."""

CSV_BLOCK = 4 << 20
"""So many bytes of CSV are parsed at a time, and a row may have. Arrow holds several blocks at once."""

CSV, JSON_LINES, PARQUET = (".csv",), (".jsonl", ".ndjson"), (".parquet",)

LAST = "(the end of the table)"
"""The value of each column that is asked for in a row that is read behind the last one of CSV."""

Rows = Iterator[tuple[Sequence[int], list[list[str | None]]]]
"""(the numbers of the rows in their file from 0 on, the values of the columns that were asked for in each)."""


class Columns(NamedTuple):
    """The names of a table's columns: of the URIs, and where there are such columns, of keys and labels."""

    uri: str
    key: str | None = None
    label: str | None = None

    @property
    def asked(self) -> list[str]:
        """The names that are to be read, the URIs first."""
        return [name for name in self if name]


def rows(file: StoredObject, columns: Columns, access: Access | None = None) -> Rows:
    """The columns of a table, as texts. The file's ending says what it is. access: of its bucket.

    Raises InputError: no such column, keys that nothing joins by (values.check_key), not what its ending says, or
    changed while it was read; StoreRefused, StoreError.
    """
    name = file.uri.lower()
    if name.endswith(PARQUET):
        found = _parquet(file, columns, access)
    elif name.endswith(CSV):
        found = _csv(file, columns.asked, access)
    elif name.endswith(JSON_LINES):
        found = _json_lines(file, columns.asked, access)
    else:
        endings = ", ".join((*PARQUET, *CSV, *JSON_LINES))
        raise InputError(f"{printable(file.uri)}: a table's name ends in one of {endings}")
    with _there(file):
        try:
            yield from found
        except StoreRefused:
            raise
        except InputError:  # what is no table may be half of one
            check_same(file, access)
            raise
    check_same(file, access)


def lines(file: StoredObject, access: Access | None = None) -> Iterator[tuple[int, str]]:
    """(number from 1 on, text) of each line that says something: no blank ones, none that begin with #.

    Blanks before the text are left out, those behind it stand: they may belong to the name of an object. A byte that is
    not UTF-8 becomes half of a surrogate pair, as in file names. Raises as `rows`.
    """
    with _there(file):
        for number, line in enumerate(_lines(file, access)):
            text = line.decode("utf-8-sig" if not number else "utf-8", "surrogateescape").removesuffix("\r").lstrip()
            if text and not text.startswith("#"):
                yield number + 1, text
    check_same(file, access)


def check_same(file: StoredObject, access: Access | None = None) -> None:
    """Raise InputError when a file is not the version that was listed, or no longer one that may be read."""
    from imagefeatures import storage

    try:
        if storage.stat(file.uri, access).etag == file.etag:
            return
    except (storage.ObjectMissing, Rejected):
        pass
    raise _replaced(file)


def texts_of(batch: pa.RecordBatch, columns: Columns, names: list[str] | None = None) -> list[list[str | None]]:
    """The columns of each row of a batch, in the order of `columns.asked`. names: what whole numbers of labels mean."""
    of_each = [
        values.as_texts(batch[name], names if what == "label" else None)
        for what, name in columns._asdict().items()
        if name
    ]
    return [list(row) for row in zip(*of_each, strict=True)]


def open_parquet(
    file: StoredObject, access: Access | None = None, buffer: int = BLOCK, footer: bytes | None = None
) -> Any:
    """The file as pyarrow's ParquetFile, of which nothing but the footer is read.

    buffer: so many bytes of a column are fetched at a time. footer: as parquet_footer.fetch_footer, if the caller has
    it. Raises pa.ArrowException, OSError, storage.ObjectMissing.
    """
    import pyarrow.parquet as pq

    from imagefeatures.storage.object_reader import ObjectReader

    known = pq.read_metadata(io.BytesIO(MARK + footer)) if footer else None
    reader = ObjectReader(file.uri, file.size, access)
    return pq.ParquetFile(reader, metadata=known, pre_buffer=False, buffer_size=buffer)


def require(file: StoredObject, columns: Sequence[str], there: Sequence[str]) -> None:
    """Raise InputError when a table lacks a column, or has two of the name. there: the names of its columns."""
    if twice := [name for name in columns if there.count(name) > 1]:
        raise InputError(f"{printable(file.uri)}: there are {there.count(twice[0])} columns {twice[0]!r}; rename one")
    if missing := [name for name in columns if name not in there]:
        known = ", ".join(printable(name) for name in there[:20]) + ", …" * (len(there) > 20)
        near = difflib.get_close_matches(missing[0].lower(), {name.lower(): name for name in there}, 1)
        meant = next((name for name in there if near and name.lower() == near[0]), None)
        hint = f" (did you mean {printable(meant)}?)" if meant else ""
        raise InputError(f"{printable(file.uri)}: there is no column {missing[0]!r}{hint}; there are {known}")


def _parquet(file: StoredObject, columns: Columns, access: Access | None) -> Rows:
    import pyarrow as pa

    try:
        table = open_parquet(file, access)
        require(file, columns.asked, table.schema_arrow.names)
        if columns.key:
            values.check_key(file.uri, columns.key, table.schema_arrow.field(columns.key).type)
        names = values.label_names(table.schema_arrow, columns.label) if columns.label else None
        first = 0
        for batch in table.iter_batches(BATCH_ROWS, columns=list(dict.fromkeys(columns.asked)), use_threads=False):
            yield range(first, first + batch.num_rows), texts_of(batch, columns, names)
            first += batch.num_rows
        if first != table.metadata.num_rows:
            raise InputError(
                f"{printable(file.uri)}: it is no whole Parquet file (its footer claims {table.metadata.num_rows:,} "
                f"rows, and {first:,} are there)"
            )
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # the last: a column's name
        raise _unreadable(file, "Parquet file", error) from None


def _csv(file: StoredObject, columns: Sequence[str], access: Access | None) -> Rows:
    import pyarrow as pa
    from pyarrow import csv

    from imagefeatures.storage.object_reader import ObjectReader

    wanted = list(dict.fromkeys(columns))
    options = csv.ConvertOptions(
        include_columns=wanted, column_types=dict.fromkeys(wanted, pa.string()), strings_can_be_null=True,
        null_values=[""],
    )  # fmt: skip
    first = 0

    def opened(behind: bytes, options: csv.ConvertOptions | None = None) -> csv.CSVStreamingReader:
        return csv.open_csv(
            pa.PythonFile(_Followed(ObjectReader(file.uri, file.size, access), behind if file.size else b""), "r"),
            csv.ReadOptions(use_threads=False, block_size=CSV_BLOCK),
            csv.ParseOptions(newlines_in_values=True),
            options,
        )

    try:
        there = opened(b"\n").schema.names
        require(file, columns, there)  # a name that is there twice would be one of the two
        # A quote that nobody closes takes all that follows into its value, and Arrow says nothing: this row too then.
        held: list[list[str | None]] = []
        last = ",".join(LAST if name in wanted else "" for name in there)
        for batch in opened(f"\n{last}\n".encode(), options):
            found = held + [list(row) for row in zip(*(batch[name].to_pylist() for name in columns), strict=True)]
            found, held = found[:-1], found[-1:]
            if found:
                yield range(first, first + len(found)), found
                first += len(found)
        if held != [[LAST] * len(columns)]:
            raise InputError(
                f"{printable(file.uri)}: it is no whole CSV file (a quote is opened in row {first + 1:,}, "
                "and never closed)"
            )
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # the last: a column's name
        raise _unreadable(file, "CSV file with names in its first line", error) from None


def _json_lines(file: StoredObject, columns: Sequence[str], access: Access | None) -> Rows:
    batch: list[list[str | None]] = []
    first, seen = 0, set[str]()
    for number, line in enumerate(_lines(file, access)):
        if not line.strip():
            continue
        try:
            row = values.json_of(line)
            found = [None if value is None else values.as_text(value) for value in map(row.get, columns)]
        except (ValueError, AttributeError, RecursionError):
            raise InputError(f"{printable(file.uri)}: line {number + 1} is no JSON object") from None
        seen.update(name for name in columns if name in row)
        if isinstance(row, values.Repeating) and (twice := [name for name in columns if name in row.twice]):
            raise InputError(f"{printable(file.uri)}: line {number + 1} has {twice[0]!r} more than once")
        batch.append(found)
        if len(batch) == BATCH_ROWS:
            yield range(first, first + len(batch)), batch
            first, batch = first + len(batch), []
    if batch:
        yield range(first, first + len(batch)), batch
    if first + len(batch):
        require(file, columns, sorted(seen) or ["none of those that were asked for"])


def _lines(file: StoredObject, access: Access | None) -> Iterator[bytes]:
    from imagefeatures.storage.object_reader import ObjectReader

    reader, rest = ObjectReader(file.uri, file.size, access), b""
    while block := reader.read(BLOCK):
        *whole, rest = (rest + block).split(b"\n")
        yield from whole
        if len(rest) > LONGEST_LINE:
            raise InputError(f"{printable(file.uri)}: a line has more than {LONGEST_LINE:,} bytes")
    if rest:
        yield rest


class _Followed(io.RawIOBase):
    """The bytes of a file, and others behind them, to be read once from the start."""

    def __init__(self, file: io.RawIOBase, behind: bytes) -> None:
        super().__init__()
        self._file, self._behind = file, behind

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        # In one block with what is before it: Arrow refuses rows that a short block divides.
        data = self._file.read(size) or b""
        more = max(size - len(data), 0)
        data, self._behind = data + self._behind[:more], self._behind[more:]
        return data


@contextlib.contextmanager
def _there(file: StoredObject) -> Iterator[None]:
    """Raises InputError where the file is gone."""
    from imagefeatures import storage

    try:
        yield
    except storage.ObjectMissing:
        raise _replaced(file) from None


def _replaced(file: StoredObject) -> InputError:
    return InputError(f"{printable(file.uri)}: it was replaced while it was read; start a new run")


def _unreadable(file: StoredObject, what: str, error: Exception) -> InputError:
    why = re.sub(r"(got \d+): .*", r"\1", first_line(error))  # without the row, which may hold a secret URL
    return InputError(f"{printable(file.uri)}: it is no whole {what} ({why})")
