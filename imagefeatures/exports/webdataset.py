"""WebDataset: a tar of samples, each a `.npy` with its values, a `.cls` with its label's number and a `.json` of facts.

Pixels are a `.png`, which loses nothing, or the image's own bytes by the suffix of their format.

A folder has files 00000.tar, 00001.tar, … for readers that share them out among their workers.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

import numpy as np

from imagefeatures.errors import InputError
from imagefeatures.exports import npy
from imagefeatures.exports.content import BATCH_ROWS, Batch, Batches, Content, cut_at
from imagefeatures.pixels import LAYOUTS, PixelFormat

Member = tuple[str, bytes]
"""The suffix and the bytes of a sample's first member."""

FILE_ROWS = 10 * BATCH_ROWS
"""The rows of a file in a folder: 10,240, 115 MB of vectors with 1,280 values."""


def write(content: Content, batches: Batches, path: Path) -> None:
    """Write the rows as one tar. A sample's key is its number in the order of the export, nine digits."""
    _write(content, batches, path, range(content.rows))


def write_folder(content: Content, batches: Batches, folder: Path) -> None:
    """Write tars of at most FILE_ROWS rows, numbered from 0."""
    batches = cut_at(batches, FILE_ROWS)
    for number, first in enumerate(range(0, max(content.rows, 1), FILE_ROWS)):
        _write(content, batches, folder / f"{number:05d}.tar", range(first, min(first + FILE_ROWS, content.rows)))


def check_png(kind: PixelFormat) -> None:
    """Raise InputError for pixels that a PNG cannot hold."""
    if kind.dtype != "uint8" or kind.shape[2] not in LAYOUTS:
        raise InputError(f"pixels {kind}: a PNG holds 1 to 4 channels of 8 bits; choose another format, such as hdf5")


def _write(content: Content, batches: Batches, path: Path, rows: range) -> None:
    """Write the next rows. rows: their numbers."""
    encoded = _encoding(content)
    # As tarfile itself has it, but its own list of all members would grow with the file.
    with path.open("xb") as sink:
        while rows:
            batch = next(batches)
            facts = batch.facts.to_pylist()
            for at, image in enumerate(encoded(batch)):
                if image is None:
                    continue
                key = f"{rows[at]:09d}"
                _add(sink, f"{key}.{image[0]}", image[1])
                _add(sink, f"{key}.cls", str(batch.labels[at]).encode())
                _add(sink, f"{key}.json", json.dumps(facts[at], ensure_ascii=False).encode())
            rows = rows[len(facts) :]
        sink.write(bytes(2 * tarfile.BLOCKSIZE))
        sink.write(bytes(-sink.tell() % tarfile.RECORDSIZE))


def _encoding(content: Content) -> Callable[[Batch], Iterable[Member | None]]:
    """What makes of each row of a batch its member; None for a row that is left out."""
    if content.originals is not None:
        originals = content.originals
        return lambda batch: originals.of(batch.facts)
    if content.kind is not None:
        from imagefeatures import transforms  # Pillow, for pixels alone

        return lambda batch: (("png", transforms.as_png(row)) for row in batch.values)
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, npy.header(content))

    def as_npy(batch: Batch) -> Iterable[Member]:
        return (("npy", head.getvalue() + row.tobytes()) for row in np.ascontiguousarray(batch.values, content.dtype))

    return as_npy


def _add(sink: IO[bytes], name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)  # its time is 0, so that the same rows give the same bytes
    info.size = len(data)
    sink.write(info.tobuf(tarfile.USTAR_FORMAT))
    sink.write(data)
    sink.write(bytes(-len(data) % tarfile.BLOCKSIZE))
