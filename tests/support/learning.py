"""Published vectors that can be told apart, classifiers of them that no Spark has fitted, and one in Spark's place."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from imagefeatures import layout, schemas, storage
from imagefeatures.catalog import tables
from imagefeatures.learning.portable import Classifier
from imagefeatures.settings import Settings

FINGERPRINT = "63e4fab4295764c4c5a908f0aaaec921"
LABELS = ("apple", "fig", "pear")
WIDTH = 16


def rows(
    count: int = 300,
    labels: Sequence[str | None] = (*LABELS, None),
    partition: str = "2026-11-02",
    noise: float = 0.3,
    first: int = 0,
) -> list[dict[str, Any]]:
    """Rows of features.<dataset>, each label in turn; the vectors of a label lie around a corner of their own.

    A row without a label has the vector of an apple.
    """
    random = np.random.default_rng(first)
    found = []
    for number in range(first, first + count):
        label = labels[number % len(labels)]
        vector = random.normal(0, noise, WIDTH)
        vector[sorted({*labels} - {None}).index(label or "apple")] += 2
        row = {
                "partition_key": partition, "uri": f"s3://b/{partition}/{number:05d}.jpg",
                "image_id": hashlib.sha256(str(number).encode()).hexdigest(), "label": label, "width": 3, "height": 2,
                "mode": "RGB", "size": 9, "etag": None, "model": "mobilenet_v2", "fingerprint": FINGERPRINT,
                "features": vector.astype(np.float32), "run_id": "20261103T000000-0a1b2c3d", "key": None,
        }  # fmt: skip
        found.append(row)
    return found


def publish(settings: Settings, content: list[dict[str, Any]], name: str = "fruit", files: int = 3) -> None:
    """Make them the rows of their partition, in so many files."""
    partition = content[0]["partition_key"]
    uris = []
    for number in range(files):
        digest = hashlib.sha256(repr(content[number::files]).encode()).hexdigest()[:8]
        uris.append(f"{layout.table_folder(settings.lake, name)}/data/{partition}/{number}-{digest}.parquet")
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(content[number::files], schemas.FEATURES), sink)
        storage.write(uris[-1], sink.getvalue())
    with tables.open_catalog(settings) as catalog:
        tables.replace_files(tables.open_table(catalog, settings, name), partition, uris, "20261103T000000-0a1b2c3d")


def by_corners(labels: Sequence[str] = LABELS, sharpness: float = 4.0) -> Classifier:
    """A logistic regression that knows the corners. With a negative sharpness it is always wrong."""
    return Classifier(
        "logistic_regression",
        FINGERPRINT,
        WIDTH,
        tuple(labels),
        {
            "mean": np.zeros(WIDTH),
            "deviation": np.ones(WIDTH),
            "coefficients": np.eye(len(labels), WIDTH) * sharpness,
            "intercepts": np.zeros(len(labels)),
        },
    )


RIGHT, WRONG = by_corners(), by_corners(sharpness=-4)


class Inline:
    """A Spark that does everything at once, here."""

    def broadcast(self, value: Any) -> Any:
        return SimpleNamespace(value=value)

    def parallelize(self, parts: list[Any], _: int) -> Inline:
        self._parts = parts
        return self

    def mapPartitions(self, do: Callable[[Iterable[Any]], Iterator[Any]]) -> Any:
        return SimpleNamespace(collect=lambda: [found for part in self._parts for found in do([part])])
