"""The benchmark's photos: the demo's, repeated with a comment of their own, so that no two files are equal.

A JPEG comment changes the file and its SHA-256, and no pixel.
"""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow.parquet as pq

from demo.photos import fetch_photos

START_OF_IMAGE, COMMENT = b"\xff\xd8", b"\xff\xfe"


def with_comment(jpeg: bytes, text: str) -> bytes:
    """The same picture with a COM segment right behind its start. Raises ValueError when it is no JPEG.

    text: ASCII, at most 65 533 characters.
    """
    if not jpeg.startswith(START_OF_IMAGE):
        raise ValueError("not a JPEG file")
    content = text.encode("ascii")
    segment = COMMENT + (len(content) + 2).to_bytes(2, "big") + content  # the length counts itself
    return START_OF_IMAGE + segment + jpeg[len(START_OF_IMAGE) :]


def read_demo_photos(cache: Path) -> list[tuple[str, bytes]]:
    """(label, JPEG bytes) of the demo's 1 393 photos, in the order of the file; equal bytes count once."""
    table = pq.read_table(fetch_photos(cache), columns=["finegrained_cat", "image_data"])
    labels, datas = table.to_pydict().values()
    return [(label, data) for data, label in dict(zip(datas, labels, strict=True)).items()]


def lay_out(photos: list[tuple[str, bytes]], folder: Path, sizes: list[int]) -> dict[int, Path]:
    """Write as many distinct photos as the largest size wants; returns size to the folder that holds so many.

    Files are `<folder>/<size>/<label>/<number>.jpg`. The smaller folders hold hard links: the same files,
    in the page cache once.
    """
    made: dict[int, Path] = {}
    largest = max(sizes)
    for size in sorted(set(sizes), reverse=True):
        place = made[size] = folder / str(size)
        for label in {label for label, _ in photos}:
            (place / label).mkdir(parents=True, exist_ok=True)
        for number in range(size):
            label, data = photos[number % len(photos)]
            name = f"{label}/{number:06d}.jpg"
            if size == largest:
                (place / name).write_bytes(with_comment(data, f"copy {number}"))
            else:
                os.link(made[largest] / name, place / name)
        for label in {label for label, _ in photos}:
            if not any((place / label).iterdir()):
                (place / label).rmdir()
    return made
