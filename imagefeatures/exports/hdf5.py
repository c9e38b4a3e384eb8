"""HDF5, by h5py: features or images, labels, label_names, uris, and the other facts by their names.

Not compressed: a row is then read alone, and not its whole chunk. gzip would save a third of the file and write sixty
times as slowly.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from imagefeatures.errors import InputError
from imagefeatures.exports.content import Batch, Batches, Content, texts
from imagefeatures.reasons import printable
from imagefeatures.storage import durable

CHUNK_BYTES = 4 * 2**16 * 5
"""The bytes of a chunk of values, 1.3 MB: 256 vectors of 1,280, or 8 pictures of 224 × 224 × 3."""

CHUNK_ROWS = 4096
"""The rows of a chunk of labels, or of texts."""

LEAST_CHUNKS = 32
"""A dataset has at least so many chunks: the last one is stored whole, however few rows are in it."""

COLUMN_NAMES = {"uri": "uris"}
"""Facts whose dataset has another name; `label` is the labels' numbers."""

REMEDY = "choose another format"


def write(content: Content, batches: Batches, path: Path) -> None:
    """Write float32 [rows, width], int64 [rows], and a dataset of texts or numbers [rows] for each other fact.

    In place of vectors it may be pixels, [rows, height, width, channels]. Texts are UTF-8 of any length. Every
    dataset of rows can be made longer. The attributes say where rows come from.
    """
    import h5py

    with _File(path, "x+") as sink:
        try:
            _write(h5py, content, batches, sink)
        except (OSError, RuntimeError) as error:
            raise sink.failed or error from None
        if sink.failed:
            raise sink.failed


class _File(io.FileIO):
    """A file that notes the first write that fails, and takes all that follow.

    Where a write fails, HDF5 cannot close its file either, and ends the process some time later.
    """

    failed: OSError | None = None

    def write(self, data: Any) -> int:
        if self.failed is None:
            try:
                durable.write_all(self.fileno(), data)
            except OSError as error:
                self.failed = error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        if self.failed is None:
            try:
                return super().truncate(size)
            except OSError as error:
                self.failed = error
        return size or 0


def _write(h5py: Any, content: Content, batches: Batches, sink: _File) -> None:
    with h5py.File(sink, "w") as file:
        for name, value in content.about().items():
            file.attrs[name] = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
        file.attrs["compression"] = "none"
        file.attrs["h5py"] = h5py.__version__
        text = h5py.string_dtype("utf-8")
        for name in content.label_names:
            if "\0" in name:
                raise InputError(f"label {printable(name)}: holds the character 0, which HDF5 cannot; {REMEDY}")
        file.create_dataset(
            "label_names", data=list(content.label_names), dtype=text, shape=(len(content.label_names),)
        )
        shape = (content.rows, *content.shape)
        values = _dataset(file, content.array_name, shape, content.dtype, CHUNK_BYTES // content.row_bytes)
        labels = _dataset(file, "labels", (content.rows,), np.int64, CHUNK_ROWS)
        facts = {
            field.name: _dataset(
                file,
                COLUMN_NAMES.get(field.name, field.name),
                (content.rows,),
                text if pa.types.is_string(field.type) else field.type.to_pandas_dtype(),
                CHUNK_ROWS,
            )
            for field in content.facts
            if field.name != "label"
        }
        first = 0
        for batch in batches:
            after = first + len(batch.values)
            values[first:after] = batch.values
            labels[first:after] = batch.labels
            for name, dataset in facts.items():
                column = batch.facts.column(name)
                dataset[first:after] = _texts(batch, name) if pa.types.is_string(column.type) else column.to_numpy()
            if sink.failed:
                raise sink.failed
            first = after


def _texts(batch: Batch, name: str) -> list[str]:
    found = texts(batch.facts.column(name))
    if "\0" in "".join(found):  # looked for once: in each text it would take as long as to write them
        uris = texts(batch.facts.column("uri"))
        uri = next(uri for uri, text in zip(uris, found, strict=True) if "\0" in text)
        raise InputError(f"{printable(uri)}: {name} holds the character 0, which HDF5 cannot; {REMEDY}")
    return found


def _dataset(file: Any, name: str, shape: tuple[int, ...], dtype: Any, chunk_rows: int) -> Any:
    chunk = (max(1, min(chunk_rows, shape[0] // LEAST_CHUNKS)), *shape[1:])
    return file.create_dataset(name, shape, dtype, chunks=chunk, maxshape=(None, *shape[1:]))
