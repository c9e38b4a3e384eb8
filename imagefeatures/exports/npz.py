"""Several NumPy arrays in one file: features or images, labels, label_names, uris, and the other facts by their names.

Not compressed, as numpy.savez leaves it. NumPy writes arrays that are in memory; here they stream.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from imagefeatures.errors import InputError
from imagefeatures.exports import npy
from imagefeatures.exports.content import Batches, Content, texts
from imagefeatures.reasons import printable

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every member, so that the same rows give the same bytes."""

COLUMN_NAMES = {"uri": "uris"}
"""Facts whose array has another name; `label` is the labels' numbers."""


def write(content: Content, batches: Batches, path: Path) -> None:
    """Write float32 [rows, width], int64 [rows], and an array of texts or numbers [rows] for each other fact.

    In place of vectors it may be pixels, [rows, height, width, channels]. Raises InputError for a text that ends with
    the character 0: NumPy fills its texts up with it, and takes it for no part of them.
    """
    if lost := next((name for name in content.label_names if name.endswith("\0")), None):
        raise _ends_with_0(f"label {printable(lost)}:")
    labels: list[np.ndarray] = []
    facts: list[pa.RecordBatch] = []
    with zipfile.ZipFile(path, "x") as archive:
        with _member(archive, content.array_name) as sink:
            np.lib.format.write_array_header_1_0(sink, npy.header(content, content.rows))
            for batch in batches:
                sink.write(np.ascontiguousarray(batch.values, content.dtype).data)
                _check_texts(batch.facts)
                labels.append(batch.labels)
                facts.append(batch.facts)
        _array(archive, "labels", np.concatenate([np.zeros(0, np.int64), *labels]))
        _array(archive, "label_names", np.array(content.label_names, dtype=str))
        _array(archive, "about", np.array(json.dumps(content.about(), ensure_ascii=False)))
        rows = pa.Table.from_batches(facts, content.facts)
        for name in content.facts.names:
            if name != "label":
                _column(archive, COLUMN_NAMES.get(name, name), rows[name])


def _check_texts(facts: pa.RecordBatch) -> None:
    for field in facts.schema:
        if pa.types.is_string(field.type) and field.name != "label":
            lost = pc.ends_with(facts.column(field.name), "\0")
            if pc.any(lost).as_py():
                uri = facts.column("uri")[pc.index(lost, True).as_py()].as_py()
                raise _ends_with_0(f"{printable(uri)}: {field.name}")


def _ends_with_0(what: str) -> InputError:
    return InputError(f"{what} ends with the character 0, which NumPy's texts lose; choose another format")


def _column(archive: zipfile.ZipFile, name: str, column: pa.ChunkedArray) -> None:
    """A column of the facts: texts in NumPy's fixed width, which is that of the longest; a null is an empty text."""
    if not pa.types.is_string(column.type):
        _array(archive, name, column.to_numpy())
        return
    longest = max((len(text) for chunk in column.chunks for text in texts(chunk)), default=0)
    with _member(archive, name) as sink:
        kind = np.dtype(f"<U{max(longest, 1)}")
        np.lib.format.write_array_header_1_0(sink, {"descr": kind.str, "fortran_order": False, "shape": (len(column),)})
        for chunk in column.chunks:
            sink.write(np.array(texts(chunk), kind).tobytes())


def _array(archive: zipfile.ZipFile, name: str, values: np.ndarray) -> None:
    with _member(archive, name) as sink:
        np.lib.format.write_array(sink, values, version=(1, 0), allow_pickle=False)


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    return archive.open(zipfile.ZipInfo(f"{name}.npy", EPOCH), "w", force_zip64=True)
