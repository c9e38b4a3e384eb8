"""A published table of pixels: pictures that are known by their number."""

from __future__ import annotations

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
from support.exporting import facts_of
from support.publishing import DAY

KIND = PixelFormat.of_shape((6, 5, 3))


def pictures(numbers: Sequence[int], kind: PixelFormat = KIND) -> np.ndarray:
    """uint8 [n, height, width, channels]: random pixels, the same for the same number."""
    return np.stack([np.random.default_rng(number).integers(0, 256, kind.shape, np.uint8) for number in numbers])


def rows_of(numbers: Sequence[int], partition: str = DAY, kind: PixelFormat = KIND, **other: Any) -> pa.Table:
    """Rows of features.photos_pixels, one for each number; the same number always gives the same row."""
    columns = facts_of(numbers, partition, **({"etag": None} | other))
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
