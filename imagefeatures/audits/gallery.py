"""The photos of one snapshot in memory, each image once, and the nearest others of each."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from imagefeatures import names, read, similarity
from imagefeatures.audits import index
from imagefeatures.audits.index import Nearest, Stored
from imagefeatures.errors import InputError
from imagefeatures.readers.vectors import vectors
from imagefeatures.settings import Settings

if TYPE_CHECKING:
    from imagefeatures.readers.dataset import Features

MOST_COMPARED = 100_000
"""So many photos are compared with each other: each with each, which takes five minutes of a core. Of more an index
finds the nearest."""

COLUMNS = ("uri", "image_id", "partition_key", "label")


@dataclass(frozen=True)
class Gallery:
    """The photos of a dataset, in the order of their URIs, and among them the images: files of equal bytes are one.

    photos: COLUMNS. image: int [n], of each photo, the row of `first`, `near` and `cosines` that it is. first: int [m],
    the first photo of each image. near: int [m, k], the k nearest other images of each, best first. cosines: float32
    [m, k]. fingerprint: of the vectors. snapshot: the id; None where nothing was ever published. recall: where an index
    has found the neighbours, the share of the true k nearest that it found, 0 to 1, measured on `sampled` images; None
    where each image was compared with each other one.
    """

    photos: pa.Table
    image: np.ndarray
    first: np.ndarray
    near: np.ndarray
    cosines: np.ndarray
    fingerprint: str | None
    snapshot: int | None
    recall: float | None = None
    sampled: int = 0

    def column(self, name: str) -> list[str | None]:
        """A column of the photos."""
        found: list[str | None] = self.photos[name].to_pylist()
        return found

    @property
    def search(self) -> str:
        """How the neighbours were found, in words."""
        if self.recall is None:
            return "each image was compared with each other one"
        return (
            f"found by an index; of {self.sampled:,} images, which were compared with all, it found {self.recall:.2%} "
            f"of the {self.near.shape[1]} nearest"
        )


def load(settings: Settings, dataset: str, neighbours: int, partitions: Sequence[str] | None = None) -> Gallery:
    """Read a dataset's current snapshot. partitions: these alone; None: all of them.

    Up to MOST_COMPARED photos are held in memory. The vectors of more lie in a temporary file meanwhile (TMPDIR names
    its folder): 5 KB a photo of 1,280 values.

    Raises InputError where its vectors were computed in several ways, where it has more photos than MOST_COMPARED and
    `index` is not installed, and what `read.open` raises; OSError where the temporary file cannot be written.
    """
    opened = read.open(dataset, settings=settings, partitions=partitions, copies=False)
    fingerprint, count = opened.fingerprint, len(opened)
    if count <= MOST_COMPARED:
        parts: list[np.ndarray] = []
        listed = _listed(opened, parts.append)
        whole = np.concatenate(parts)
        parts.clear()
        chosen = whole[listed.rows]
        del whole
        unit = similarity.unit_length(chosen)
        del chosen
        found = Nearest(*similarity.nearest(unit, min(neighbours, len(unit) - 1)), recall=None, sampled=0)
    elif not index.is_installed():
        raise InputError(
            f"{names.table_name(dataset)} has {count:,} photos here, and up to {MOST_COMPARED:,} are compared with "
            "each other. Of more an index finds the neighbours, by faiss, which is not installed here: "
            "pip install 'imagefeatures[index]', or choose partitions"
        )
    else:
        with tempfile.TemporaryFile(prefix="imagefeatures-") as file:
            listed = _listed(opened, partial(index.write, file))
            stored = Stored.of_file(file, listed.photos.num_rows, listed.rows)
            found = index.nearest(stored, min(neighbours, len(listed.rows) - 1))
    return Gallery(
        photos=listed.photos,
        image=listed.image,
        first=listed.first,
        near=found.near,
        cosines=found.cosines,
        fingerprint=fingerprint,
        snapshot=opened.snapshot,
        recall=found.recall,
        sampled=found.sampled,
    )


class _Listed(NamedTuple):
    """photos, image, first: as Gallery has them. rows: int [m], the place of each image in the order of the table."""

    photos: pa.Table
    image: np.ndarray
    first: np.ndarray
    rows: np.ndarray


def _listed(opened: Features, keep: Callable[[np.ndarray], object]) -> _Listed:
    """Read all photos. keep: is given their vectors, in the order of the table."""
    facts: list[pa.RecordBatch] = []
    for batch in opened.batches([*COLUMNS, "features"]):
        facts.append(batch.select(COLUMNS))
        keep(vectors(batch))
    if not facts:
        raise InputError(f"{names.table_name(opened.dataset)} has no photos here")
    photos = pa.Table.from_batches(facts)
    order = pc.sort_indices(photos, [("uri", "ascending")]).to_numpy()
    photos = photos.take(order)
    ids = photos["image_id"].combine_chunks().dictionary_encode()
    image = ids.indices.to_numpy().astype(np.int64)
    _, first = np.unique(image, return_index=True)
    return _Listed(photos, image, first, order[first])
