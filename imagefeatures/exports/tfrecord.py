"""TFRecord: one tf.train.Example for each row, and the specification to parse them as JSON beside the file.

The examples are put together here: TensorFlow's own classes take ten times as long. TensorFlow writes the records.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from imagefeatures.exports.content import Batches, Content, texts
from imagefeatures.exports.formats import beside

FLOATS, INTEGERS, BYTES = 2, 3, 1
"""The fields of tf.train.Feature."""


def write(content: Content, batches: Batches, path: Path) -> None:
    """Write the rows as fruit.tfrecord, and the specification as fruit.json.

    A text is bytes of UTF-8, and a null one is empty; a label is a number, -1 where there is none. Pixels are bytes,
    row by row. Raises OSError where the file cannot be written.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported: no banner
    import tensorflow as tf

    (path.parent / beside(path.name, ".json")).write_text(specification(content), encoding="utf-8")
    try:
        with tf.io.TFRecordWriter(str(path)) as writer:
            for example in _examples(content, batches):
                writer.write(example)
    except tf.errors.OpError as error:  # TensorFlow has no errors of the system: what is known of one is its kind
        code = {tf.errors.RESOURCE_EXHAUSTED: errno.ENOSPC, tf.errors.OUT_OF_RANGE: errno.EFBIG}.get(
            error.error_code, errno.EIO
        )
        raise OSError(code, os.strerror(code), str(path)) from None


def specification(content: Content) -> str:
    """What tf.io.parse_example needs of each feature, and what the file says of itself, as JSON.

    Of pixels it gives bytes: decode_raw and decoded_shape are for tf.io.decode_raw and tf.reshape.
    """
    kinds: dict[str, object] = {
        field.name: {"dtype": "string" if pa.types.is_string(field.type) else "int64", "shape": []}
        for field in content.facts
    }
    vectors = {"dtype": "float32", "shape": [*content.shape]}
    raw = {"dtype": "string", "shape": [], "decode_raw": content.dtype.name, "decoded_shape": [*content.shape]}
    features = {content.values: vectors if content.kind is None else raw, **kinds}
    features["label"] = {"dtype": "int64", "shape": []}
    return json.dumps({"features": features, **{"about": content.about()}}, ensure_ascii=False, indent=1) + "\n"


def _examples(content: Content, batches: Batches) -> Iterator[bytes]:
    """Each row as a tf.train.Example."""
    numbers = [field.name for field in content.facts if not pa.types.is_string(field.type)]
    words = [field.name for field in content.facts if pa.types.is_string(field.type) and field.name != "label"]
    fixed = _entry_around(content.values, FLOATS if content.kind is None else BYTES, content.row_bytes)
    for batch in batches:
        rows = np.ascontiguousarray(batch.values, content.dtype)
        integers = {"label": batch.labels.tolist()} | {n: batch.facts.column(n).to_pylist() for n in numbers}
        strings = {name: texts(batch.facts.column(name)) for name in words}
        for at, row in enumerate(rows):
            parts = [fixed, row.tobytes()]
            parts += [_entry(name, INTEGERS, _varint(column[at])) for name, column in integers.items()]
            parts += [_entry(name, BYTES, column[at].encode()) for name, column in strings.items()]
            yield _field(1, b"".join(parts))


def _entry(name: str, kind: int, value: bytes) -> bytes:
    """One entry of the map of features, with one value: a packed list of numbers, or one text."""
    return _entry_around(name, kind, len(value)) + value


def _entry_around(name: str, kind: int, length: int) -> bytes:
    """All of an entry that stands before its value. The value is the last part of it, `length` bytes."""
    inner = _head(1, length)
    feature = _head(kind, len(inner) + length) + inner
    entry = _field(1, name.encode()) + _head(2, len(feature) + length) + feature
    return _head(1, len(entry) + length) + entry


def _field(number: int, value: bytes) -> bytes:
    return _head(number, len(value)) + value


def _head(number: int, length: int) -> bytes:
    """The tag and the length of a field with bytes in it."""
    return bytes([number << 3 | 2]) + _varint(length)


def _varint(number: int) -> bytes:
    """A whole number as protocol buffers write it; a negative one as 64 bits."""
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
