"""A published table of pixels: pictures that are known by their number."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from imagefeatures import schemas
from imagefeatures.catalog import tables
from imagefeatures.pixels import PixelFormat, as_binary
from imagefeatures.settings import Settings
from support.publishing import DAY

KIND = PixelFormat.of_shape((6, 5, 3))
LABELS = ("pear", "apple", None, "Äpfel, grün")


def pictures(numbers: Sequence[int], kind: PixelFormat = KIND) -> np.ndarray:
    """uint8 [n, height, width, channels]: random pixels, the same for the same number."""
    return np.stack([np.random.default_rng(number).integers(0, 256, kind.shape, np.uint8) for number in numbers])


def rows_of(numbers: Sequence[int], partition: str = DAY, kind: PixelFormat = KIND, **other: Any) -> pa.Table:
    """Rows of features.photos_pixels, one for each number; the same number always gives the same row."""
    columns = {
        "partition_key": [partition] * len(numbers),
        "uri": [f"s3://photos/{partition}/ü {number:07d} 100%.jpg" for number in numbers],
        "image_id": [hashlib.sha256(str(number).encode()).hexdigest() for number in numbers],
        "label": [LABELS[number % len(LABELS)] for number in numbers],
        "width": [640 + number % 7 for number in numbers],
        "height": [480 + number % 5 for number in numbers],
        "mode": ["RGB"] * len(numbers),
        "size": [1000 + number for number in numbers],
        "etag": [None] * len(numbers),
        "fingerprint": ["f" * 32] * len(numbers),
        "run_id": ["20261102T000000-00000000"] * len(numbers),
        "key": [None] * len(numbers),
    } | {name: [value] * len(numbers) for name, value in other.items()}  # fmt: skip
    schema = schemas.pixels_table(kind)
    arrays = [
        as_binary(pictures(numbers, kind)) if field.name == "pixels" else pa.array(columns[field.name], field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def publish(
    settings: Settings, folder: Path, files: Sequence[pa.Table], partition: str = DAY, kind: PixelFormat = KIND
) -> None:
    """Make these tables the files of a partition of features.photos_pixels, as register would publish them."""
    run_id, uris = str(uuid.uuid4()), []
    for at, rows in enumerate(files):
        path = folder / f"{partition}-{at:05d}-{run_id}.parquet"
        pq.write_table(rows, path, **schemas.pixels_file(kind.size))
        uris.append(f"file://{path}")
    table = tables.open_table(tables.open_catalog(settings), settings, "photos_pixels", kind)
    tables.replace_files(table, partition, uris, run_id)


def scattered(settings: Settings, folder: Path, count: int, files: int = 5, kind: PixelFormat = KIND) -> None:
    """A table of so many rows, whose URIs are scattered over its files."""
    order = np.random.default_rng(0).permutation(count)
    publish(settings, folder, [rows_of(part.tolist(), kind=kind) for part in np.array_split(order, files)], kind=kind)
