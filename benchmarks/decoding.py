"""`python -m benchmarks.decoding`: what decoding and resizing a JPEG costs, by size of the photo.

Larger photos are the demo's, laid side by side: the same content, as dense in bytes, at every size. All ways take
turns. It prints the rows of the table in docs/performance.md.
"""

from __future__ import annotations

import io
import os
import random
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from benchmarks import photos
from benchmarks.model import MODEL
from imagefeatures import images
from imagefeatures.limits import Limits
from imagefeatures.settings import Settings

TILE, QUALITY, ORIENTATION = 348, 90, 0x0112
SIZES = {
    "348 × 348": (348, 348, 60),
    "640 × 480": (640, 480, 30),
    "1024 × 768": (1024, 768, 15),
    "4000 × 3000": (4000, 3000, 2),
}
"""Width, height, and how many photos."""


@dataclass(frozen=True)
class WholePicture:
    """The default chain as a rule of its own: what is not known to be that chain is not streamed."""

    shape: tuple[int, ...] = MODEL.preprocessing.shape
    dtype: str = MODEL.preprocessing.dtype

    def __call__(self, image: Any) -> Any:
        return MODEL.preprocessing(image)


def by_pillow(data: bytes) -> np.ndarray:
    """As a loop over files does it."""
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    return np.asarray(upright.convert("RGB").resize(MODEL.preprocessing.shape[1::-1], Image.Resampling.BICUBIC))


WAYS: dict[str, Callable[[bytes], Any]] = {
    "Pillow": by_pillow,
    "the whole picture, resized by compiled code": lambda data: images.decode(data, Limits(), WholePicture()).pixels,
    "streamed": lambda data: images.decode(data, Limits(), MODEL.preprocessing).pixels,
    "Pillow's decoder alone": lambda data: Image.open(io.BytesIO(data)).load(),
}


def mosaic(tiles: list[Image.Image], width: int, height: int, orientation: int) -> bytes:
    """A JPEG of this size, of random tiles."""
    canvas, sink, exif = Image.new("RGB", (width, height)), io.BytesIO(), Image.Exif()
    exif[ORIENTATION] = orientation
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            canvas.paste(random.choice(tiles), (left, top))  # noqa: S311
    canvas.save(sink, "JPEG", quality=QUALITY, exif=exif)
    return sink.getvalue()


def main() -> None:
    from benchmarks.bench import machine

    random.seed(5)
    images.configure_pillow()
    blobs = random.sample([data for _, data in photos.read_demo_photos(Settings.from_env().cache)], 250)
    tiles = [Image.open(io.BytesIO(data)).convert("RGB") for data in blobs]
    sets = {
        f"{name}, orientation {orientation}": [mosaic(tiles, width, height, orientation) for _ in range(count)]
        for name, (width, height, count) in SIZES.items()
        for orientation in (1, 6)
    }
    spent: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 7):
        for name, files in sets.items():
            made = {way: work(files[0]) for way, work in WAYS.items()}
            assert all(np.array_equal(made["Pillow"], made[way]) for way in list(WAYS)[:3]), name  # noqa: S101
            for way, work in WAYS.items():
                started = time.process_time()
                for data in files:
                    work(data)
                spent[name, way].append((time.process_time() - started) * 1000 / len(files))
    print(
        f"{machine(1)['cpu']}, load {os.getloadavg()[0]:.0f}; milliseconds of processor time a photo, median (smallest)"
    )
    print(f"| | kB | {' | '.join(WAYS)} |")
    for name, files in sets.items():
        cells = [f"{statistics.median(spent[name, way]):.2f} ({min(spent[name, way]):.2f})" for way in WAYS]
        print(f"| {name} | {sum(map(len, files)) / len(files) / 1000:.0f} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
