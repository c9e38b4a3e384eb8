"""The photos of one snapshot in memory, each image once, and the nearest others of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from imagefeatures import names, read, similarity
from imagefeatures.errors import InputError
from imagefeatures.readers.vectors import vectors
from imagefeatures.settings import Settings

MOST = 100_000
"""So many images are compared with each other: each with each, which takes five minutes of a core."""

COLUMNS = ("uri", "image_id", "partition_key", "label")


@dataclass(frozen=True)
class Gallery:
    """The photos of a dataset, in the order of their URIs, and among them the images: files of equal bytes are one.

    photos: COLUMNS. image: int [n], of each photo, the row of `first`, `near` and `cosines` that it is. first: int [m],
    the first photo of each image. near: int [m, k], the k nearest other images of each, best first. cosines: float32
    [m, k]. fingerprint: of the vectors. snapshot: the id; None where nothing was ever published.
    """

    photos: pa.Table
    image: np.ndarray
    first: np.ndarray
    near: np.ndarray
    cosines: np.ndarray
    fingerprint: str | None
    snapshot: int | None

    def column(self, name: str) -> list[str | None]:
        """A column of the photos."""
        found: list[str | None] = self.photos[name].to_pylist()
        return found


def load(settings: Settings, dataset: str, neighbours: int, partitions: Sequence[str] | None = None) -> Gallery:
    """Read a dataset's current snapshot. partitions: these alone; None: all of them.

    Raises InputError where its vectors were computed in several ways, or where it has more than MOST images, and what
    `read.open` raises.
    """
    opened = read.open(dataset, settings=settings, partitions=partitions, copies=False)
    fingerprint = opened.fingerprint
    if len(opened) > MOST:
        raise InputError(
            f"{names.table_name(dataset)} has {len(opened):,} photos here; up to {MOST:,} can be compared with each "
            "other: choose partitions"
        )
    facts: list[pa.RecordBatch] = []
    parts: list[np.ndarray] = []
    for batch in opened.batches([*COLUMNS, "features"]):
        facts.append(batch.select(COLUMNS))
        parts.append(vectors(batch))
    if not facts:
        raise InputError(f"{names.table_name(dataset)} has no photos here")
    photos = pa.Table.from_batches(facts)
    order = pc.sort_indices(photos, [("uri", "ascending")]).to_numpy()
    photos = photos.take(order)
    ids = photos["image_id"].combine_chunks().dictionary_encode()
    image = ids.indices.to_numpy().astype(np.int64)
    _, first = np.unique(image, return_index=True)
    whole = np.concatenate(parts)
    parts.clear()
    chosen = whole[order[first]]
    del whole
    unit = similarity.unit_length(chosen)
    del chosen
    near, cosines = similarity.nearest(unit, min(neighbours, len(unit) - 1))
    return Gallery(photos, image, first, near, cosines, fingerprint, opened.snapshot)
