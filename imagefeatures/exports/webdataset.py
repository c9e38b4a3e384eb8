"""WebDataset: a tar of samples, each a `.npy` with its values, a `.cls` with its label's number and a `.json` of facts.

A folder has files 00000.tar, 00001.tar, … for readers that share them out among their workers.
"""

from __future__ import annotations

import io
import json
import tarfile
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from imagefeatures.exports import npy
from imagefeatures.exports.content import BATCH_ROWS, Batch, Batches, Content

FILE_ROWS = 10 * BATCH_ROWS
"""The rows of a file in a folder: 10,240, 115 MB of vectors with 1,280 values."""


def write(content: Content, batches: Batches, path: Path) -> None:
    """Write the rows as one tar. A sample's key is its number in the order of the export, nine digits."""
    _write(content, batches, path, 0)


def write_folder(content: Content, batches: Batches, folder: Path) -> None:
    """Write tars of at most FILE_ROWS rows, numbered from 0."""
    for number, first in enumerate(range(0, max(content.rows, 1), FILE_ROWS)):
        some = islice(batches, FILE_ROWS // BATCH_ROWS)
        _write(content, some, folder / f"{number:05d}.tar", first)


def _write(content: Content, batches: Batches, path: Path, first: int) -> None:
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, npy.header(1, content.width) | {"shape": (content.width,)})
    # As tarfile itself has it, but its own list of all members would grow with the file.
    with path.open("xb") as sink:
        for batch in batches:
            for name, data in _members(batch, head.getvalue(), first):
                _add(sink, name, data)
            first += len(batch.values)
        sink.write(bytes(2 * tarfile.BLOCKSIZE))
        sink.write(bytes(-sink.tell() % tarfile.RECORDSIZE))


def _members(batch: Batch, head: bytes, first: int) -> Any:
    facts = batch.facts.to_pylist()
    for at, row in enumerate(np.ascontiguousarray(batch.values, "<f4")):
        key = f"{first + at:09d}"
        yield f"{key}.npy", head + row.tobytes()
        yield f"{key}.cls", str(batch.labels[at]).encode()
        yield f"{key}.json", json.dumps(facts[at], ensure_ascii=False).encode()


def _add(sink: IO[bytes], name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)  # its time is 0, so that the same rows give the same bytes
    info.size = len(data)
    sink.write(info.tobuf(tarfile.USTAR_FORMAT))
    sink.write(data)
    sink.write(bytes(-len(data) % tarfile.BLOCKSIZE))
