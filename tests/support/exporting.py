"""Tables to export: random vectors, URIs in no order, labels that are missing or not ASCII."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from imagefeatures import read, schemas
from imagefeatures.catalog import tables
from imagefeatures.exports import export
from imagefeatures.settings import Settings
from support.publishing import DAY
from support.reading import photos_table

WIDTH = 24
LABELS = ("pear", "apple", None, "Äpfel, grün")

FULL = """
import resource, sys
from imagefeatures.errors import StoreError
from imagefeatures.exports import export
from imagefeatures.settings import Settings
request = export.Request("photos", sys.argv[1])
ready = export.prepare(Settings.from_env(), request)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
for work in (ready.write, lambda: export.prepare(Settings.from_env(), request)):
    try:
        work()
    except StoreError as error:
        print(error)
"""
"""A program that exports features.photos: no file may be longer than 20 kB once the export is prepared."""


def facts_of(numbers: Sequence[int], partition: str, **other: Any) -> dict[str, list[Any]]:
    """The columns of such rows but the vectors and the pixels. other: a value for all of them."""
    return {
        "partition_key": [partition] * len(numbers),
        "uri": [f"s3://photos/{partition}/ü {number:07d} 100%.jpg" for number in numbers],
        "image_id": [hashlib.sha256(str(number).encode()).hexdigest() for number in numbers],
        "label": [LABELS[number % len(LABELS)] for number in numbers],
        "width": [640 + number % 7 for number in numbers],
        "height": [480 + number % 5 for number in numbers],
        "mode": ["RGB"] * len(numbers),
        "size": [1000 + number for number in numbers],
        "etag": [None if number % 3 else f"etag-{number}" for number in numbers],
        "model": ["mobilenet_v2"] * len(numbers),
        "fingerprint": ["f" * 32] * len(numbers),
        "run_id": ["20261102T000000-00000000"] * len(numbers),
        "key": [None] * len(numbers),
        "copy": [0] * len(numbers),
    } | {name: [value] * len(numbers) for name, value in other.items()}  # fmt: skip


def rows_of(numbers: Sequence[int], partition: str = DAY, width: int = WIDTH, **other: Any) -> pa.Table:
    """Rows of features.photos, one for each number; the same number always gives the same row."""
    values = np.stack([np.random.default_rng(number).standard_normal(width) for number in numbers])
    columns = facts_of(numbers, partition, **other)
    kind = schemas.FEATURES.field("features").type
    ends = pa.array(np.arange(len(numbers) + 1, dtype=np.int32) * width)
    vectors = pa.ListArray.from_arrays(ends, pa.array(values.astype(np.float32).reshape(-1)), type=kind)
    arrays = [
        vectors if field.name == "features" else pa.array(columns[field.name], field.type) for field in schemas.FEATURES
    ]
    return pa.Table.from_arrays(arrays, schema=schemas.FEATURES)


def publish(settings: Settings, folder: Path, files: Sequence[pa.Table], partition: str = DAY, **how: Any) -> None:
    """Make these tables the files of a partition of features.photos, in this order of their names."""
    run_id, uris = str(uuid.uuid4()), []
    for at, rows in enumerate(files):
        path = folder / f"{partition}-{at:05d}-{run_id}.parquet"
        pq.write_table(rows, path, **how)
        uris.append(f"file://{path}")
    tables.replace_files(photos_table(settings), partition, uris, run_id)


def scattered(settings: Settings, folder: Path, count: int, files: int = 5, width: int = WIDTH, **how: Any) -> None:
    """A table of so many rows, whose URIs are scattered over its files."""
    order = np.random.default_rng(0).permutation(count)
    publish(settings, folder, [rows_of(part.tolist(), width=width) for part in np.array_split(order, files)], **how)


def expected(settings: Settings, **selection: Any) -> pa.Table:
    """The rows that an export must have, in its order."""
    return read.table(settings, "photos", **selection).sort_by("uri")


def exported(settings: Settings, target: Path | str, **request: Any) -> export.Export:
    """Export features.photos; returns what was exported."""
    ready = export.prepare(settings, export.Request("photos", str(target), **request))
    ready.write()
    return ready
