"""The pixels of one image in a table of pixels, found without reading those of the others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

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
        for first, ids in file_batches(file.uri, file.size, ["image_id"]):
            if image_id in (found := ids.column("image_id").to_pylist()):
                row = first + found.index(image_id)
                for _, batch in file_batches(file.uri, file.size, ["image_id", "pixels"], [row]):
                    yield from zip(batch.column("image_id").to_pylist(), as_pixels(batch, kind.shape), strict=True)
                return
