"""The benchmark's photos: those of the demo, repeated with a different comment each, so that no two files are equal.

A JPEG comment changes the file and its SHA-256, but no pixel.
"""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow.parquet as pq

from demo.photos import fetch_photos

START_OF_IMAGE, COMMENT = b"\xff\xd8", b"\xff\xfe"


def with_comment(jpeg: bytes, text: str) -> bytes:
    """The same photo with a COM segment after its first two bytes. Raises ValueError when it is not a JPEG file.

    text: ASCII, at most 65 533 characters.
    """
    if not jpeg.startswith(START_OF_IMAGE):
        raise ValueError("not a JPEG file")
    content = text.encode("ascii")
    segment = COMMENT + (len(content) + 2).to_bytes(2, "big") + content  # the length counts itself
    return START_OF_IMAGE + segment + jpeg[len(START_OF_IMAGE) :]


def read_demo_photos(cache: Path) -> list[tuple[str, bytes]]:
    """(label, JPEG bytes) of the demo's 1 393 photos, in the order of the file; of equal photos only one."""
    table = pq.read_table(fetch_photos(cache), columns=["finegrained_cat", "image_data"])
    labels, blobs = table.to_pydict().values()
    return [(label, data) for data, label in dict(zip(blobs, labels, strict=True)).items()]


def lay_out(photos: list[tuple[str, bytes]], folder: Path, sizes: list[int]) -> dict[int, Path]:
    """Write a folder of distinct photos for each size. Returns size: folder.

    Files are `<folder>/<size>/<label>/<number>.jpg`. The smaller folders hold hard links to the files of the
    largest, so that the page cache holds each file once.
    """
    folders: dict[int, Path] = {}
    largest = max(sizes)
    for size in sorted(set(sizes), reverse=True):
        size_folder = folders[size] = folder / str(size)
        for label in {label for label, _ in photos}:
            (size_folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(size):
            label, data = photos[number % len(photos)]
            name = f"{label}/{number:06d}.jpg"
            if size == largest:
                (size_folder / name).write_bytes(with_comment(data, f"copy {number}"))
            else:
                os.link(folders[largest] / name, size_folder / name)
        for label in {label for label, _ in photos}:
            if not any((size_folder / label).iterdir()):
                (size_folder / label).rmdir()
    return folders
