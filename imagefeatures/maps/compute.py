"""Which photos a map shows, where each lies, and which others are nearest to it.

Up to PROJECTED images are placed by t-SNE. More would take hours: then a sample is, and others are placed beside those
of the sample that are nearest to them. What is sampled follows from the image_ids alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from imagefeatures import names, read, similarity
from imagefeatures.errors import InputError
from imagefeatures.maps.choice import Choice
from imagefeatures.readers.vectors import vectors
from imagefeatures.settings import Settings

PROJECTED = 20_000
"""So many images are placed by t-SNE: some five minutes of a core."""

SHOWN = 100_000
"""So many images are on a map. Each is compared with each other one: seven minutes of a core."""

NEIGHBOURS = 8
"""How many nearest others of each image are kept."""

BESIDE = 3
"""An image outside the sample lies in the middle of so many of the sample, the nearest ones."""

SEED = b"feature map 1"
"""Of the order in which images are sampled. An image_id alone decides on which side of a split an image is
(`read.batches`): without a seed a sample would be of one side."""

COLUMNS = ("uri", "image_id", "partition_key", "label")

POINTS = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in COLUMNS),
        pa.field("x", pa.float32()),
        pa.field("y", pa.float32()),
        pa.field("near", pa.list_(pa.int32())),
        pa.field("cosines", pa.list_(pa.float32())),
    ]
)
"""near: the rows of the images that are nearest by cosine, the nearest first. cosines: theirs."""


@dataclass(frozen=True)
class FeatureMap:
    """points: POINTS, the projected ones first, in an order that follows from the image_ids. facts: see `compute`."""

    points: pa.Table
    facts: dict[str, Any]


def compute(settings: Settings, choice: Choice) -> FeatureMap:
    """The map of the partitions as their table holds them now; augmented copies are left out.

    Files of equal bytes are one point, with the label of the first row. facts: snapshot (id), fingerprint, photos (rows
    of the partitions), images (different ones), shown, projected (how many were placed by t-SNE, the first ones),
    method and sample in words.

    Memory for SHOWN vectors, and for the image_ids of all rows. Raises InputError where the vectors were computed in
    several ways, and what `read.open` raises.
    """
    opened = read.open(choice.dataset, settings=settings, partitions=choice.partitions, copies=False)
    fingerprint = opened.fingerprint
    every: dict[str, int] = {}  # image_id: its place in the seeded order
    photos = 0
    for batch in opened.batches(["image_id"]):
        photos += len(batch)
        every |= {image_id: _rank(image_id) for image_id in batch["image_id"].to_pylist()}
    if not every:
        raise InputError(f"{names.table_name(choice.dataset)} has no photos here")
    order = sorted(every, key=lambda image_id: (every[image_id], image_id))[:SHOWN]
    images, row_of = len(every), {image_id: row for row, image_id in enumerate(order)}
    every.clear()

    unit = np.empty((0, 0), np.float32)
    facts: list[tuple[str | None, ...]] = [()] * len(order)
    for row, fact, vector in _rows(opened.batches([*COLUMNS, "features"]), row_of):
        if not unit.size:
            unit = np.empty((len(order), len(vector)), np.float32)
        facts[row] = fact
        unit[row] = vector
    unit = similarity.unit_length(unit)

    positions = place(unit)
    near, cosines = similarity.nearest(unit, min(NEIGHBOURS, len(unit) - 1))
    columns: list[Any] = [list(column) for column in zip(*facts, strict=True)]
    columns += [positions[:, 0], positions[:, 1], list(near), list(cosines)]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, POINTS, strict=True)]
    projected = min(PROJECTED, len(order))
    return FeatureMap(
        pa.Table.from_arrays(arrays, schema=POINTS),
        {
            "snapshot": opened.snapshot,
            "fingerprint": fingerprint,
            "photos": photos,
            "images": images,
            "shown": len(order),
            "projected": projected,
            "method": _method(positions, projected),
            "sample": _sample(images, len(order)),
        },
    )


def place(unit: np.ndarray) -> np.ndarray:
    """Positions, float32 [n, 2]. unit: float32 [n, width], rows of length 1, in the order in which they are sampled."""
    sample, others = unit[:PROJECTED], unit[PROJECTED:]
    positions = np.empty((len(unit), 2), np.float32)
    positions[: len(sample)] = similarity.map_to_plane(sample)
    for start in range(0, len(others), similarity.BLOCK):
        cosines = others[start : start + similarity.BLOCK] @ sample.T
        nearest = np.argpartition(cosines, -BESIDE, axis=1)[:, -BESIDE:]
        weights = np.maximum(np.take_along_axis(cosines, nearest, axis=1), 1e-6)
        weights /= weights.sum(axis=1, keepdims=True)
        rows = len(sample) + start
        positions[rows : rows + len(cosines)] = np.einsum("ij,ijk->ik", weights, positions[nearest])
    return positions


def _rank(image_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(image_id.encode(), digest_size=8, key=SEED).digest())


def _rows(
    batches: Iterator[pa.RecordBatch], row_of: dict[str, int]
) -> Iterator[tuple[int, tuple[str | None, ...], np.ndarray]]:
    """Row, COLUMNS and vector of each image that is shown, once."""
    left = set(row_of)
    for batch in batches:
        facts = zip(*(batch[name].to_pylist() for name in COLUMNS), strict=True)
        for fact, vector in zip(facts, vectors(batch), strict=True):
            if (image_id := fact[1]) in left:
                left.remove(image_id)
                yield row_of[image_id], fact, vector


def _method(positions: np.ndarray, projected: int) -> str:
    shown = len(positions)
    if shown < similarity.LEAST_FOR_A_MAP:
        return "in a row: there are too few for t-SNE"
    if not positions[:, 1].any():
        return "in a row: their vectors are all equal"
    method = "t-SNE of the first 50 principal components of the vectors, scaled to length 1"
    if shown > projected:
        method += f", for {projected:,} of them; each other one in the middle of the {BESIDE} of these nearest to it"
    return method


def _sample(images: int, shown: int) -> str:
    if images == shown:
        return "all images"
    return f"{shown:,} of {images:,} images, by a seeded hash of their image_id"
