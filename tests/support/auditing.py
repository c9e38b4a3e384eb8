"""Photos whose bytes lie in a folder, with vectors that a test chooses, as the table features.photos."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from imagefeatures import schemas
from imagefeatures.settings import Settings
from support.exporting import publish, rows_of

WIDTH = 8


def scene(seed: int, side: int = 240) -> Image.Image:
    """A picture with large shapes, as photos have them."""
    grains = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), np.uint8)
    return Image.fromarray(grains).resize((side, side), Image.Resampling.BICUBIC)


def jpeg_of(picture: Image.Image, quality: int = 90) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def direction(degrees: float) -> list[float]:
    """A vector of length 1. The cosine of two of them is that of the angle between them."""
    return [float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees))), *[0.0] * (WIDTH - 2)]


def photos(
    settings: Settings, folder: Path, rows: Sequence[tuple[str, bytes, str | None, list[float]]], **columns: object
) -> None:
    """Write files, and publish their rows: (name, bytes, label, vector). columns: instead of a row's own."""
    place = folder / "files"
    place.mkdir(exist_ok=True)
    for name, data, _, _ in rows:
        (place / name).write_bytes(data)
    own = {
        "uri": [f"file://{place}/{name}" for name, *_ in rows],
        "image_id": [hashlib.sha256(data).hexdigest() for _, data, *_ in rows],
        "label": [label for _, _, label, _ in rows],
        "features": [vector for *_, vector in rows],
    } | columns
    table = rows_of(range(len(rows)), width=WIDTH)
    for name, values in own.items():
        field = schemas.FEATURES.field(name)
        table = table.set_column(table.column_names.index(name), field, pa.array(values, field.type))
    publish(settings, folder, [table])
