"""The size of an export before it is written: two samples are written in its format, and the rest is a straight line.

No table of sizes could know how long the texts are, how well vectors compress, or how many digits a number has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from imagefeatures.exports.content import Batch, Batches, Content
from imagefeatures.exports.targets import temporary_folder

Write = Callable[[Content, Batches, Path], None]
"""`write` or `write_folder` of a format."""


def estimate(content: Content, sample: Sequence[Batch], write: Write, name: str) -> int:
    """The bytes of all files of an export. sample: some rows of it. name: of the export's own file; "" for a folder.

    Raises StoreError or StoreRefused where the folder of temporary files cannot take the samples.
    """
    count = sum(len(batch.labels) for batch in sample)
    half = [_every_other(batch) for batch in sample]
    few = sum(len(batch.labels) for batch in half)
    whole, part = _written(content, sample, write, name), _written(content, half, write, name)
    each = (whole - part) / (count - few) if count > few else whole
    return max(0, round(whole + each * (content.rows - count)))


def _every_other(batch: Batch) -> Batch:
    facts = batch.facts.take(pa.array(range(0, len(batch.labels), 2)))
    return Batch(batch.values[::2], batch.labels[::2], facts)


def _written(content: Content, sample: Sequence[Batch], write: Write, name: str) -> int:
    with temporary_folder() as folder:
        write(replace(content, rows=sum(len(batch.labels) for batch in sample)), iter(sample), folder / name)
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
