"""A published dataset to train on: rows with a known number as their vector, in files of chosen sizes."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from imagefeatures import schemas
from imagefeatures.catalog import tables
from imagefeatures.settings import Settings
from support.publishing import DAY
from support.reading import photos_table

LABELS = ("pear", None, "apple", "plum")


def rows_of(start: int, count: int, width: int = 4, fingerprint: str = "f" * 32) -> pa.Table:
    """Rows start to start + count: the vector of row n is n, n + 1, …; its label is LABELS[n % 4]."""
    numbers = np.arange(start, start + count)
    values = (numbers[:, None] + np.arange(width)).astype(np.float32)
    offsets = np.arange(0, values.size + 1, width, dtype=np.int32)
    texts = {
        "uri": [f"s3://b/{number:07}" for number in numbers],
        "image_id": [hashlib.sha256(str(number).encode()).hexdigest() for number in numbers],
        "label": [LABELS[number % 4] for number in numbers],
    }
    same = {"partition_key": DAY, "mode": "RGB", "model": "m", "fingerprint": fingerprint, "run_id": "run"}
    columns: dict[str, Any] = texts | {name: pa.repeat(value, count) for name, value in same.items()}
    columns |= {name: np.full(count, 7, np.int32) for name in ("width", "height")} | {"size": np.full(count, 9)}
    columns["features"] = pa.ListArray.from_arrays(offsets, pa.array(values.ravel()))
    empty = pa.nulls(count, pa.string())
    return pa.table([columns.get(name, empty) for name in schemas.FEATURES.names], names=schemas.FEATURES.names).cast(
        schemas.FEATURES
    )


def publish(
    settings: Settings, folder: Path, files: Sequence[pa.Table], partition: str = DAY, run: str = "run"
) -> None:
    """The files' rows take the partition's place in features.photos. They keep the order in which they are given."""
    uris = []
    for at, rows in enumerate(files):
        path = folder / f"{run}-{at:05}-{uuid.uuid4()}.parquet"
        named = pa.array([partition] * rows.num_rows), pa.array([run] * rows.num_rows)
        for name, values in zip(("partition_key", "run_id"), named, strict=True):
            place = rows.schema.get_field_index(name)
            rows = rows.set_column(place, schemas.FEATURES.field(name), values)
        pq.write_table(rows, path)
        uris.append(f"file://{path}")
    tables.replace_files(photos_table(settings), partition, uris, run)


def publish_files(settings: Settings, folder: Path, sizes: Sequence[int], width: int = 4) -> int:
    """Publishes files of so many rows each. Returns how many rows there are."""
    starts = np.cumsum([0, *sizes])
    publish(settings, folder, [rows_of(int(start), size, width) for start, size in zip(starts, sizes, strict=False)])
    return int(starts[-1])


def numbers(batches: Iterator[tuple[Any, Any]]) -> list[int]:
    """The rows' numbers in the order in which they come; each vector and each label is its row's."""
    found: list[int] = []
    for features, labels in batches:
        features, labels = np.asarray(features), np.asarray(labels)
        assert (features.dtype, labels.dtype) == (np.float32, np.int64)
        assert len(features) == len(labels) > 0
        own = features[:, 0].astype(int)
        assert np.array_equal(features, own[:, None] + np.arange(features.shape[1]))
        assert np.array_equal(labels, np.array([1, -1, 0, 2])[own % 4])
        found += own.tolist()
    return found
