"""The columns of every file and table. A column's `doc` is what docs/tables.md says of it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from imagefeatures import names
from imagefeatures.pixels import PixelFormat
from imagefeatures.steps import MEASURED, SPARK_STEPS

VERSION = 1
"""The version of the tables' columns. A table keeps the one that made it; a newer one than this is refused."""


def _field(name: str, kind: pa.DataType, doc: str = "", *, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"doc": doc} if doc else None)


_URI = _field("uri", pa.string(), "Scheme, bucket and key exactly as the store lists it, never percent-encoded")
_IMAGE_ID = _field("image_id", pa.string(), "SHA-256 of the object's bytes, in hexadecimal")
_SIZE = _field("size", pa.int64(), "Size of the object, in bytes")
_ETAG = _field("etag", pa.string(), "The store's version mark of the bytes that were read", nullable=True)
_LABEL = _field("label", pa.string(), "The label that the source or the dataset's rule gives", nullable=True)
_KEY = _field(
    "key",
    pa.string(),
    "The key that the source has for the image; null where it has none, and in rows older than this column",
    nullable=True,
)
_WIDTH = _field("width", pa.int32(), "Width of the original after EXIF orientation, in pixels")
_HEIGHT = _field("height", pa.int32(), "Height of the original after EXIF orientation, in pixels")
_MODE = _field("mode", pa.string(), "Pillow mode as decoded, before the conversion to RGB")

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
        _field("locator", pa.string(), nullable=True),
        _field("weight", pa.int64(), nullable=True),
        _field("reason", pa.string(), nullable=True),
        _field("detail", pa.string(), nullable=True),
    ]
)
"""Manifest: every listed object of a shard, as sources.Item has it. reason, detail: of one that the listing rejects."""

RAW = pa.schema([*_IDENTITY, _field("data", pa.binary())])
"""What ingest froze: the bytes of one version of each object."""

VERDICT = pa.schema([*_IDENTITY, _field("format", pa.string()), _WIDTH, _HEIGHT, _MODE])
"""What validate let through, from headers alone."""

DECODED = pa.schema([*_IDENTITY, _WIDTH, _HEIGHT, _MODE])
"""What resize knows of an image besides its pixels."""


def pixels(kind: PixelFormat) -> pa.Schema:
    """What resize made: DECODED, and the column `pixels`: of the kind, row-major, in the machine's byte order."""
    return DECODED.append(pa.field("pixels", kind.storage, False, kind.metadata))


REJECTED = pa.schema(
    [
        _URI,
        _IMAGE_ID.with_nullable(True),
        _SIZE.with_nullable(True),
        _ETAG,
        _LABEL,
        _KEY,
        _field("step", pa.string(), "The step that rejected the object"),
        _field("reason", pa.string(), "Reason code; docs/troubleshooting.md lists them"),
        _field("detail", pa.string(), "For a person: what was found and what was expected (at most 500 characters)"),
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


_PARTITION = _field("partition_key", pa.string(), "Airflow's partition key, a day such as 2026-11-02")
_RUN_ID = _field("run_id", pa.string(), "The run that published the row; joins with features.runs")
_MODEL = _field("model", pa.string(), "Name of the model, such as mobilenet_v2")
_FINGERPRINT = _field("fingerprint", pa.string(), "Digest of preprocessing, model and weights: equal means comparable")
_DATASET = _field("dataset", pa.string(), "Name of the dataset")
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
    "fingerprint": _field("fingerprint", pa.string(), "Digest of the preprocessing: equal means made in the same way"),
    "features": _field(
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
        _field("quarantined_at", _INSTANT, "When the run that rejected it was registered"),
    ]
)
"""Table features.quarantine."""

_STEP_COLUMNS = [
    _field(f"{step}_{what}", kind, f"{step}: {doc}")
    for step in SPARK_STEPS
    for what, kind, doc in (
        ("seconds", pa.float64(), "time during which at least one worker was busy, in seconds"),
        ("images", pa.int64(), "images that came in"),
        ("bytes", pa.int64(), "bytes written for the next step"),
    )
]

_NOT_MEASURED = "null where it was not measured"

_COST_COLUMNS = [
    _field(f"{step}_{what}", kind, f"{step}: {doc}; {_NOT_MEASURED}", nullable=True)
    for step in MEASURED
    for what, kind, doc in (
        ("core_seconds", pa.float64(), "time of cores, of workers and driver, in seconds"),
        ("peak_memory", pa.int64(), "the most memory of one worker with its decode process, in bytes"),
    )
] + [
    _field(name, kind, f"{doc}; {_NOT_MEASURED}", nullable=True)
    for name, kind, doc in (
        ("bytes_read", pa.int64(), "Bytes that all steps read from sources and the lake"),
        ("bytes_written", pa.int64(), "Bytes that all steps wrote to the lake"),
        ("get_requests", pa.int64(), "GET and HEAD requests to object stores, each attempt"),
        ("put_requests", pa.int64(), "PUT, COPY, POST and LIST requests to object stores, each attempt"),
        ("http_requests", pa.int64(), "Requests to the hosts of URLs, each attempt"),
        ("images_per_core_second", pa.float64(), "Images that the run took, divided by the core_seconds of all steps"),
        ("joules", pa.float64(), "Energy of the machine during the steps on shards"),
    )
]

RUNS = pa.schema(
    [
        _PARTITION,
        _DATASET,
        _RUN_ID,
        _field("listed", pa.int64(), "Objects listed; always registered + quarantined"),
        _field("registered", pa.int64(), "Rows published in features.<dataset>"),
        _field(
            "reused",
            pa.int64(),
            "Registered rows whose vector an earlier run had computed; null in rows older than this column",
            nullable=True,
        ),
        _field("quarantined", pa.int64(), "Rows in features.quarantine"),
        _field("reasons", pa.map_(pa.string(), pa.int64()), "How many objects were quarantined for each reason"),
        _field(
            "passed_over",
            pa.map_(pa.string(), pa.int64()),
            "How many objects were not listed, by what passed them over; null in rows older than this column",
            nullable=True,
        ),
        _field(
            "redriven",
            pa.int64(),
            "Listed objects that a re-drive took again; 0 for a run of the whole partition; null in rows older than "
            "this column",
            nullable=True,
        ),
        _FINGERPRINT,
        _MODEL,
        _field("started_at", _INSTANT, "When plan settled the run"),
        _field("finished_at", _INSTANT, "When register began to publish it"),
        _field(
            "base_started_at",
            _INSTANT,
            "started_at of the run of the whole partition: of a re-drive, of the one that it was merged into; null in "
            "rows older than this column",
            nullable=True,
        ),
        *_STEP_COLUMNS,
        _field(
            "versions",
            pa.map_(pa.string(), pa.string()),
            "Software versions of the run; reused vectors were made by those of an earlier one",
        ),
        _field(
            "models",
            pa.map_(pa.string(), pa.string()),
            "The further models, each with a table features.<dataset>__<model>, and the fingerprint of each; null in "
            "rows older than this column",
            nullable=True,
        ),
        _field(
            "pixels",
            pa.string(),
            "Fingerprint of the rows in features.<dataset>_pixels; null where there are none, and in rows older than "
            "this column",
            nullable=True,
        ),
        _field(
            "models_reused",
            pa.map_(pa.string(), pa.int64()),
            "Registered rows of each further model whose vector an earlier run had computed; null in rows older than "
            "this column",
            nullable=True,
        ),
        *_COST_COLUMNS,
    ]
)
"""Table features.runs: one row for each (dataset, partition), of the run that is published now."""

TABLES = {names.QUARANTINE: QUARANTINE, names.RUNS: RUNS}
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
