"""The pixels of one image in a table of pixels, found without reading those of the others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from imagefeatures import names
from imagefeatures.catalog import snapshots
from imagefeatures.pixels import PixelFormat, as_pixels
from imagefeatures.readers.parquet import file_batches
from imagefeatures.settings import Settings

SHOWN_CHANNELS = (1, 3)
"""Greyscale and RGB. Pixels of other layouts, and bands, are no pictures for people."""


def pictures_beside(
    settings: Settings, dataset: str, partition: str, image_id: str
) -> Iterator[tuple[str, np.ndarray]]:
    """The image's pixels, and those of its row group: pairs of image_id and uint8 [height, width, 1 or 3].

    Of each file of the partition the image_ids are read, until one has the image; then the row group alone, 16 MiB or
    less. Nothing where no file has it, where pixels are no pictures for people, and of a file that pyiceberg must read:
    that would hold it whole. Raises as `read.batches`.
    """
    plan = snapshots.plan(settings, names.pixels_table(dataset), {"partitions": (partition,)})
    kind = PixelFormat.of_field(plan.schema.field("pixels"))
    if kind.dtype != "uint8" or kind.shape[2] not in SHOWN_CHANNELS:
        return
    for file in plan.files:
        if file.by_iceberg is not None:
            continue
        for first, ids in file_batches(file.uri, file.size, ["image_id", "copy"]):
            found = _as_they_are(ids).index(image_id) if image_id in _as_they_are(ids) else None
            if found is not None:
                columns = ["image_id", "copy", "pixels"]
                for _, batch in file_batches(file.uri, file.size, columns, [first + found]):
                    pairs = zip(_as_they_are(batch), as_pixels(batch, kind.shape), strict=True)
                    yield from ((one, pixels) for one, pixels in pairs if one is not None)
                return


def _as_they_are(rows: pa.RecordBatch) -> list[str | None]:
    """The image_id of each row; None of an augmented copy. A file that is older than `copy` has none."""
    ids: list[str | None] = rows.column("image_id").to_pylist()
    copies = rows.column("copy").to_pylist() if "copy" in rows.schema.names else [0] * len(ids)
    return [None if copy else one for one, copy in zip(ids, copies, strict=True)]
