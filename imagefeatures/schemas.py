"""The columns of every file and table. A column's `doc` is what docs/tables.md says of it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from imagefeatures import names
from imagefeatures.columns import (
    COPIES_COLUMN,
    COST_COLUMNS,
    FORGOTTEN_COLUMNS,
    OUTPUT_COLUMNS,
    SLOWEST_COLUMN,
    STATISTICS_COLUMNS,
    STEP_COLUMNS,
    column,
)
from imagefeatures.pixels import PixelFormat

VERSION = 1
"""The version of the tables' columns. A table keeps the one that made it; a newer one than this is refused."""


_URI = column("uri", pa.string(), "Scheme, bucket and key exactly as the store lists it, never percent-encoded")
_IMAGE_ID = column("image_id", pa.string(), "SHA-256 of the object's bytes, in hexadecimal")
_SIZE = column("size", pa.int64(), "Size of the object, in bytes")
_ETAG = column("etag", pa.string(), "The store's version mark of the bytes that were read", nullable=True)
_LABEL = column("label", pa.string(), "The label that the source or the dataset's rule gives", nullable=True)
_KEY = column(
    "key",
    pa.string(),
    "The key that the source has for the image; null where it has none, and in rows older than this column",
    nullable=True,
)
_COPY = column(
    "copy",
    pa.int32(),
    "0: the picture as it is; from 1 on: its augmented copies; null, which means 0, in rows older than this column",
    nullable=True,
)
_WIDTH = column("width", pa.int32(), "Width of the original after EXIF orientation, in pixels")
_HEIGHT = column("height", pa.int32(), "Height of the original after EXIF orientation, in pixels")
_MODE = column("mode", pa.string(), "Pillow mode as decoded, before the conversion to RGB")

_IDENTITY = [_URI, _IMAGE_ID, _SIZE, _ETAG, _LABEL, _KEY]
IDENTITY = [field.name for field in _IDENTITY]
"""The columns that say which image a row is of."""

LISTING = pa.schema(
    [
        _URI,
        _SIZE.with_nullable(True),
        _ETAG,
        _LABEL,
        _KEY,
        column("locator", pa.string(), nullable=True),
        column("weight", pa.int64(), nullable=True),
        column("reason", pa.string(), nullable=True),
        column("detail", pa.string(), nullable=True),
    ]
)
"""Manifest: every listed object of a shard, as sources.Item has it. reason, detail: of one that the listing rejects."""

RAW = pa.schema([*_IDENTITY, column("data", pa.binary())])
"""What ingest froze: the bytes of one version of each object."""

VERDICT = pa.schema([*_IDENTITY, column("format", pa.string()), _WIDTH, _HEIGHT, _MODE])
"""What validate let through, from headers alone."""

DECODED = pa.schema([*_IDENTITY, _WIDTH, _HEIGHT, _MODE])
"""What resize knows of an image besides its pixels."""


def pixels(kind: PixelFormat) -> pa.Schema:
    """What resize made: DECODED, and the column `pixels`: of the kind, row-major, in the machine's byte order.

    Null in a row of an image that an earlier row has.
    """
    return DECODED.append(pa.field("pixels", kind.storage, True, kind.metadata))


REJECTED = pa.schema(
    [
        _URI,
        _IMAGE_ID.with_nullable(True),
        _SIZE.with_nullable(True),
        _ETAG,
        _LABEL,
        _KEY,
        column("step", pa.string(), "The step that rejected the object"),
        column("reason", pa.string(), "Reason code; docs/troubleshooting.md lists them"),
        column("detail", pa.string(), "For a person: what was found and what was expected (at most 500 characters)"),
    ]
)
"""What a step turned away, in the same shape for every step."""

_FEATURES = pa.field(
    "features",
    pa.list_(pa.field("element", pa.float32(), nullable=False)),
    nullable=False,
    metadata={"doc": "The model's vector: as many floats as the model is wide"},
)

REUSED = pa.schema([*_IDENTITY, _WIDTH, _HEIGHT, _MODE, _FEATURES])
"""What resize took from the table in place of pixels: vectors that an earlier run has computed."""


def reused(kind: PixelFormat | None) -> pa.Schema:
    """What resize took from a table: vectors (REUSED), or pixels of this kind."""
    return REUSED if kind is None else pixels(kind)


_PARTITION = column("partition_key", pa.string(), "Airflow's partition key, a day such as 2026-11-02")
_RUN_ID = column("run_id", pa.string(), "The run that published the row; joins with features.runs")
_MODEL = column("model", pa.string(), "Name of the model, such as mobilenet_v2")
_FINGERPRINT = column("fingerprint", pa.string(), "Digest of preprocessing, model and weights: equal means comparable")
_DATASET = column("dataset", pa.string(), "Name of the dataset")
_INSTANT = pa.timestamp("us", tz="UTC")

FEATURES = pa.schema(
    [
        _PARTITION,
        _URI,
        _IMAGE_ID,
        _LABEL,
        _WIDTH,
        _HEIGHT,
        _MODE,
        _SIZE,
        _ETAG,
        _MODEL,
        _FINGERPRINT,
        _FEATURES,
        _RUN_ID,
        _KEY,
        _COPY,
    ]
)
"""Table features.<dataset>."""

FEATURES_FILE: dict[str, Any] = {
    "compression": "zstd",
    "write_page_checksum": True,  # for later runs that reuse the vectors
    # A dictionary of floats that never repeat costs a quarter of the file.
    "use_dictionary": ["partition_key", "label", "mode", "model", "fingerprint", "run_id"],
}
"""How its files are written: options of pyarrow's write_table."""

_OF_PIXELS = {
    "fingerprint": column("fingerprint", pa.string(), "Digest of the preprocessing: equal means made in the same way"),
    "features": column(
        "pixels", pa.binary(), "The model's input, row by row; the property imagefeatures.pixels says its shape"
    ),
}
_PIXEL_COLUMNS = tuple(_OF_PIXELS.get(field.name, field) for field in FEATURES if field.name != "model")
PIXEL_COLUMNS = tuple(field.name for field in _PIXEL_COLUMNS)
"""The columns of a table features.<dataset>_pixels."""


PIXEL_PAGE = 1 << 20
"""The bytes of pixels in a page of a file: 6 pictures of 224 × 224 × 3."""

PIXEL_GROUP = 16 << 20
"""The same of a row group, which a reader holds at a time: 111 pictures."""


def pixels_table(kind: PixelFormat) -> pa.Schema:
    """Table features.<dataset>_pixels, whose pictures are of this kind."""

    def typed(field: pa.Field) -> pa.Field:
        return field.with_type(kind.storage).with_metadata({**field.metadata, **kind.metadata})

    return pa.schema([typed(field) if field.name == "pixels" else field for field in _PIXEL_COLUMNS])


def pixels_file(row_bytes: int) -> dict[str, Any]:
    """How its files are written: options of pyarrow's write_table. row_bytes: of a picture."""
    return {
        "compression": "zstd",
        "compression_level": 1,  # photos become half as large; a higher level takes thrice the time for a twentieth
        "write_page_checksum": True,  # for later runs that reuse the pixels
        "use_dictionary": ["partition_key", "label", "mode", "fingerprint", "run_id"],
        "write_statistics": [name for name in PIXEL_COLUMNS if name != "pixels"],  # they would be two whole pictures
        # A page is closed only after so many rows, however large they are.
        "write_batch_size": max(1, PIXEL_PAGE // row_bytes),
        "row_group_size": max(1, PIXEL_GROUP // row_bytes),
    }


def file_options(kind: PixelFormat | None) -> dict[str, Any]:
    """How a file of features, or of pixels of this kind, is written."""
    return FEATURES_FILE if kind is None else pixels_file(kind.size)


QUARANTINE = pa.schema(
    [
        _PARTITION,
        _DATASET,
        *REJECTED,
        _RUN_ID,
        column("quarantined_at", _INSTANT, "When the run that rejected it was registered"),
    ]
)
"""Table features.quarantine."""

RUNS = pa.schema(
    [
        _PARTITION,
        _DATASET,
        _RUN_ID,
        column("listed", pa.int64(), "Objects listed; always registered + quarantined"),
        column("registered", pa.int64(), "Images published in features.<dataset>: its rows, but for augmented copies"),
        column(
            "reused",
            pa.int64(),
            "Registered rows whose vector an earlier run had computed; null in rows older than this column",
            nullable=True,
        ),
        column("quarantined", pa.int64(), "Rows in features.quarantine"),
        column("reasons", pa.map_(pa.string(), pa.int64()), "How many objects were quarantined for each reason"),
        column(
            "passed_over",
            pa.map_(pa.string(), pa.int64()),
            "How many objects were not listed, by what passed them over; null in rows older than this column",
            nullable=True,
        ),
        column(
            "redriven",
            pa.int64(),
            "Listed objects that a re-drive took again; 0 for a run of the whole partition; null in rows older than "
            "this column",
            nullable=True,
        ),
        _FINGERPRINT,
        _MODEL,
        column("started_at", _INSTANT, "When plan settled the run"),
        column("finished_at", _INSTANT, "When register began to publish it"),
        column(
            "base_started_at",
            _INSTANT,
            "started_at of the run of the whole partition: of a re-drive, of the one that it was merged into; null in "
            "rows older than this column",
            nullable=True,
        ),
        *STEP_COLUMNS,
        column(
            "versions",
            pa.map_(pa.string(), pa.string()),
            "Software versions of the run; reused vectors were made by those of an earlier one",
        ),
        *OUTPUT_COLUMNS,
        *COST_COLUMNS,
        COPIES_COLUMN,
        SLOWEST_COLUMN,
    ]
)
"""Table features.runs: one row for each (dataset, partition), of the run that is published now."""

WITHDRAWALS = pa.schema(
    [
        _PARTITION,
        _DATASET,
        column("run_id", pa.string(), "The withdrawal; rows of the partition that have stayed have it as their run_id"),
        column("replaced", pa.string(), "The run whose rows left"),
        column("asked_by", pa.string(), "Who asked for it"),
        column("why", pa.string(), "Why, in the words of whoever asked"),
        column("withdrawn_at", _INSTANT, "When it was asked for"),
        column("uris", pa.int64(), "How many objects were named; null where the whole partition was", nullable=True),
        column("registered", pa.int64(), "Rows that left features.<dataset>"),
        column("quarantined", pa.int64(), "Rows that left features.quarantine"),
    ]
)
"""Table features.withdrawals: one row for each time that rows of a partition were taken back."""

FORGOTTEN = pa.schema(FORGOTTEN_COLUMNS)
"""Table features.forgotten: one row for each request that images be forgotten."""

STATISTICS = pa.schema([_PARTITION, _DATASET, *STATISTICS_COLUMNS])
"""Table features.statistics: one row for each table of features that a partition has."""

TABLES = dict(zip(names.SHARED, (QUARANTINE, RUNS, WITHDRAWALS, FORGOTTEN, STATISTICS), strict=True))
"""The tables that all datasets share; the others are of one dataset: its FEATURES, and its pixels."""


def columns_of(table: str) -> tuple[str, ...]:
    """The names of a table's columns."""
    if names.is_pixels_table(table):
        return PIXEL_COLUMNS
    return tuple(TABLES.get(table, FEATURES).names)


def of_table(table: str, kind: PixelFormat | None = None) -> pa.Schema:
    """The columns of a table. kind: of its pixels, for a table of pixels; where it is unknown, they are bytes."""
    if names.is_pixels_table(table):
        return pa.schema(_PIXEL_COLUMNS) if kind is None else pixels_table(kind)
    return TABLES.get(table, FEATURES)
