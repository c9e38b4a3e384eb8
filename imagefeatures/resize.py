"""resize: decode what validate let through, and make the model's input of it. The only step that decodes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from imagefeatures import ingest, isolation, reuse, schemas, validate
from imagefeatures.isolation import Isolated
from imagefeatures.plan import Run
from imagefeatures.shards import Receipt, ShardWork, read_output

STEP = "resize"


def run_shard(run: Run, shard: int, decoder: Isolated | None = None) -> Receipt:
    """Decode one shard: schemas.PIXELS, in the order of the listing.

    Images whose vectors the table holds are not decoded: schemas.REUSED, in a file of their own.
    decoder: the process that decodes; by default this process's own.
    """
    work = ShardWork(run.layout, STEP, shard, run.dataset.keep_rejected)
    verdicts = read_output(run.layout, validate.STEP, shard)
    reused, unknown = reuse.part(verdicts, reuse.known_images(run, shard))
    rows = unknown.select(schemas.PIXELS.names[:-1]).to_pylist()
    data_of = _frozen_bytes(run, shard) if rows else {}
    batch = (decoder or isolation.decoder()).run([data_of[row["uri"]] for row in rows], run.dataset.limits)
    passed = []
    for row, record in zip(rows, batch.records, strict=True):
        if record["state"] == isolation.REJECTED:
            work.reject(row, isolation.rejection(record), data_of[row["uri"]])
        else:
            seen = {"width": int(record["width"]), "height": int(record["height"]), "mode": record["mode"].decode()}
            passed.append(row | seen)
    table = pa.Table.from_pylist(passed, schema=pa.schema(list(schemas.PIXELS)[:-1])).append_column(
        schemas.PIXELS.field("pixels"), as_binary(batch.decoded_pixels())
    )
    return work.finish(verdicts.num_rows, table, reused, compression="none", use_dictionary=False)


def as_binary(pixels: np.ndarray) -> pa.Array:
    """uint8 [n, 224, 224, 3] as an Arrow fixed-size binary array of n values; no copy."""
    return pa.Array.from_buffers(pa.binary(schemas.PIXELS_BYTES), len(pixels), [None, pa.py_buffer(pixels)])


def as_pixels(table: pa.Table) -> np.ndarray:
    """The pixels of a schemas.PIXELS table as uint8 [n, 224, 224, 3]; no copy when it is one chunk."""
    chunks = [
        np.frombuffer(
            chunk.buffers()[1], np.uint8, len(chunk) * schemas.PIXELS_BYTES, chunk.offset * schemas.PIXELS_BYTES
        )
        for chunk in table["pixels"].chunks
        if len(chunk)
    ]
    whole = chunks[0] if len(chunks) == 1 else np.concatenate([np.empty(0, np.uint8), *chunks])
    return whole.reshape(-1, *schemas.PIXELS_SHAPE)


def _frozen_bytes(run: Run, shard: int) -> dict[str, bytes]:
    raw = read_output(run.layout, ingest.STEP, shard, columns=["uri", "data"])
    return dict(zip(raw["uri"].to_pylist(), raw["data"].to_pylist(), strict=True))
