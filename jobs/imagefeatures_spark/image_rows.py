"""What `imagefeatures.images` lists, and the record batches that it makes of it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import pyarrow as pa
from pyspark.sql.types import BinaryType, DataType, IntegerType, StringType, StructType

from imagefeatures import preview
from imagefeatures.bitmaps import Bitmap, read_bitmaps
from imagefeatures.errors import NoInput, ParamsError, Rejected
from imagefeatures.manifest import UNKNOWN_BYTES, row_of
from imagefeatures.names import IMAGES_FORMAT
from imagefeatures.reasons import printable
from imagefeatures.sources import Content, Folder, Item, Source, patterns
from imagefeatures.sources.passed_over import PassedOver
from imagefeatures.steps.ingest import fetch_rows
from imagefeatures_spark.image_options import Options

MOST_ROWS, MOST_BYTES = 256, 64 * 2**20
"""What a task reads by default, and what is fetched at a time: so many images, or so many bytes of files."""

IMAGE: dict[str, DataType] = {
    "origin": StringType(), "height": IntegerType(), "width": IntegerType(), "nChannels": IntegerType(),
    "mode": IntegerType(), "data": BinaryType(),
}  # fmt: skip
"""The fields of the column `image`."""

TEXTS = ("uri", "key", "label", "reason", "detail")
"""The other columns."""

ARROW: dict[DataType, pa.DataType] = {StringType(): pa.string(), IntegerType(): pa.int32(), BinaryType(): pa.binary()}

LEGAL = "_-!.~'()*,;:$&+=@/"
"""The signs that a path in a URI may hold as they are, for Java."""

NOT_LEGAL = ("Zs", "Zl", "Zp", "Cc")
"""Categories of the signs beyond ASCII that Java escapes: blanks and control characters. The others stay."""

OPENCV = {1: 0, 3: 16, 4: 24}
"""OpenCV's CV_8UC1, CV_8UC3 and CV_8UC4, by channels."""


def check_schema(schema: StructType, options: Options) -> None:
    """Raise ParamsError where the user's schema asks for what there is not."""
    for field in schema:
        if field.name == "image" and isinstance(field.dataType, StructType):
            for inner in field.dataType:
                if IMAGE.get(inner.name) != inner.dataType:
                    raise _wrong(f"image.{inner.name}", inner.dataType, ", ".join(IMAGE))
        elif field.name not in TEXTS or field.dataType != StringType():
            raise _wrong(field.name, field.dataType, f"image (a struct), {', '.join(TEXTS)} (strings)")
    if options.metadata_only and "data" in _image_fields(schema):
        raise ParamsError(f"{IMAGES_FORMAT}: metadataOnly: the schema asks for image.data; leave one of them out")


def listed(source: Source, options: Options) -> list[dict[str, Any]]:
    """The source's objects that the options let through, each URI once: rows of schemas.LISTING.

    Raises NoInput where nothing is there at all, StoreRefused or StoreError.
    """
    source.check()
    rows: dict[str, dict[str, Any]] = {}
    passed, some = PassedOver(), False
    for item in source.items(passed):
        some = True
        row = row_of(options.dataset, source, item)
        if _is_wanted(source, item, row, options):
            rows.setdefault(row["uri"], row)
    if not some and not passed.counts and not _is_there(source):
        raise NoInput(f"{IMAGES_FORMAT}: {source.nothing_there()}; name a folder, and files of it by pathGlobFilter")
    return list(rows.values())


def cut(rows: Sequence[dict[str, Any]], wanted: int | None) -> Iterator[list[dict[str, Any]]]:
    """The rows of each task. wanted: how many tasks; None: as many as MOST_ROWS and MOST_BYTES make.

    >>> [len(part) for part in cut([{"size": 5, "weight": None}] * 10, 4)]
    [2, 3, 2, 3]
    """
    if wanted is not None:
        ends = [len(rows) * at // wanted for at in range(wanted + 1)]
        yield from (list(rows[start:end]) for start, end in pairwise(ends) if end > start)
        return
    part: list[dict[str, Any]] = []
    held = 0
    for row in rows:
        size = row["size"] if row["size"] is not None else row["weight"] or UNKNOWN_BYTES
        if part and (len(part) == MOST_ROWS or held + size > MOST_BYTES):
            yield part
            part, held = [], 0
        part.append(row)
        held += size
    if part:
        yield part


def read(
    source: Source, rows: Sequence[dict[str, Any]], schema: StructType, options: Options
) -> Iterator[pa.RecordBatch]:
    """The rows with the columns of the schema. Nothing is decoded for columns that need no pixels."""
    limits = options.dataset.limits
    fields = _image_fields(schema)
    if not fields and not {"reason", "detail"} & set(schema.names) and not options.drop_invalid:
        yield _batch(rows, [None] * len(rows), schema, options)
        return
    fetched = (row for some in cut(rows, None) for row in zip(some, fetch_rows(source, limits, some), strict=True))
    for some, blobs in held_together(fetched):
        start = 0
        for results in read_bitmaps(blobs, limits, stored=options.raw, pixels="data" in fields):
            of_these = some[start : start + len(results)]
            start += len(results)
            kept = [at for at, found in enumerate(results) if isinstance(found, Bitmap) or not options.drop_invalid]
            if kept:
                yield _batch([of_these[at] for at in kept], [results[at] for at in kept], schema, options)


def held_together(
    fetched: Iterable[tuple[dict[str, Any], bytes | Content | Rejected]],
) -> Iterator[tuple[list[dict[str, Any]], list[bytes | Rejected]]]:
    """Rows with what was fetched of them, as many as MOST_ROWS and MOST_BYTES allow: sizes may be known only now.

    >>> [len(rows) for rows, _ in held_together(({}, bytes(30 * 2**20)) for _ in range(5))]
    [2, 2, 1]
    """
    rows: list[dict[str, Any]] = []
    blobs: list[bytes | Rejected] = []
    held = 0
    for row, found in fetched:
        blob = found.data if isinstance(found, Content) else found
        size = len(blob) if isinstance(blob, bytes) else 0
        if rows and (len(rows) == MOST_ROWS or held + size > MOST_BYTES):
            yield rows, blobs
            rows, blobs, held = [], [], 0
        rows.append(row)
        blobs.append(blob)
        held += size
    if rows:
        yield rows, blobs


def _batch(
    rows: Sequence[dict[str, Any]], results: Sequence[Bitmap | Rejected | None], schema: StructType, options: Options
) -> pa.RecordBatch:
    """Columns in the order of the schema: Spark takes them by position."""
    columns = []
    for field in schema:
        if isinstance(field.dataType, StructType):
            kind = pa.struct([(inner.name, ARROW[inner.dataType]) for inner in field.dataType])
            images = [_image(row["uri"], found, options.raw) for row, found in zip(rows, results, strict=True)]
            columns.append(pa.array(images, kind))
        elif field.name in ("reason", "detail"):
            why = [found if isinstance(found, Rejected) else None for found in results]
            columns.append(pa.array([getattr(one, field.name, None) for one in why], pa.string()))
        else:
            columns.append(pa.array([row[field.name] for row in rows], pa.string()))
    return pa.record_batch(columns, names=schema.names)


def _image(uri: str, found: Bitmap | Rejected | None, raw: bool) -> dict[str, Any] | None:
    """The column `image`: what Spark's own source has for the image by `raw`, null for one that is rejected by ours."""
    origin = _as_java(uri) if raw else uri
    if isinstance(found, Bitmap):
        mode = OPENCV[found.channels]
        return {
            "origin": origin, "height": found.height, "width": found.width, "nChannels": found.channels,
            "mode": mode, "data": found.data,
        }  # fmt: skip
    if not raw:
        return None
    return {"origin": origin, "height": -1, "width": -1, "nChannels": -1, "mode": -1, "data": b""}


def _as_java(uri: str) -> str:
    """The URI as Java's class of that name writes it: what may not stand in a URI is escaped, other letters are not.

    >>> _as_java("file:///a b/ü+100%#?[1].png")
    'file:///a%20b/ü+100%25%23%3F%5B1%5D.png'
    """
    scheme, separator, path = uri.partition("://")
    return scheme + separator + "".join(map(_escaped, path))


def _escaped(character: str) -> str:
    if character.isascii():
        legal = character.isalnum() or character in LEGAL
    else:
        legal = unicodedata.category(character) not in NOT_LEGAL
    return character if legal else "".join(f"%{byte:02X}" for byte in character.encode())


def _image_fields(schema: StructType) -> set[str]:
    return {inner.name for field in schema if isinstance(field.dataType, StructType) for inner in field.dataType}


def _is_wanted(source: Source, item: Item, row: dict[str, Any], options: Options) -> bool:
    """Whether the options let an item through. row: the same as a row of schemas.LISTING."""
    uri: str = row["uri"]
    sampled = uri if options.seed is None else f"{options.seed}:{uri}"
    if not preview.in_sample(options.dataset.sample, sampled):
        return False
    if isinstance(source, Folder):
        path = uri.removeprefix(source.uri.rstrip("/") + "/")
        if not options.recursive and "/" in path:
            return False
        if options.raw and (row["size"] == 0 or any(map(_is_hidden, path.split("/")))):  # as Spark does
            return False
    name = source.name_of(item) if options.globs else None
    return name is None or patterns.fits(name, options.globs)


def _is_hidden(name: str) -> bool:
    """Whether Spark passes over a file or folder of this name."""
    return name.startswith(".") or (name.startswith("_") and "=" not in name) or name.endswith("._COPYING_")


def _is_there(source: Source) -> bool:
    """Whether an empty source is there at all: an empty folder is a DataFrame without rows."""
    return isinstance(source, Folder) and source.nothing_there().endswith("is empty")


def _wrong(column: str, kind: DataType, known: str) -> ParamsError:
    return ParamsError(
        f"{IMAGES_FORMAT}: schema: there is no column {printable(column)} of type {kind.simpleString()}; "
        f"there are {known}"
    )
