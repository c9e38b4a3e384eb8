"""resize: decodes the images that validate passed, and makes the model's input. The only step that decodes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from imagefeatures import isolation, schemas
from imagefeatures.isolation import Isolated
from imagefeatures.pieces import read_pieces
from imagefeatures.pixels import as_binary
from imagefeatures.plan import Run
from imagefeatures.shards import Receipt, ShardWork, read_receipt, read_staged
from imagefeatures.steps import INGEST, RESIZE, VALIDATE, reuse


def run_shard(run: Run, shard: int, decoder: Isolated | None = None) -> Receipt:
    """Decode one shard: schemas.pixels, in the order of the listing.

    Images whose vectors the table holds are not decoded: their rows, schemas.REUSED, go to a file of their own, with
    those that ingest has found unchanged.
    decoder: the process that decodes; by default this process's own.
    """
    work = ShardWork(run.layout, RESIZE, shard, run.dataset.keep_rejected)
    validated = read_receipt(run.layout.receipt(VALIDATE, shard))
    verdicts = read_staged(validated.output)
    reused, unknown = reuse.split_known(verdicts, reuse.known_images(run, shard))
    rows = unknown.select(schemas.DECODED.names).to_pylist()
    decoder = decoder or isolation.decoder_of(run.preprocessing.channels)
    passed: list[dict[str, Any]] = []
    pixels: list[np.ndarray] = []
    for some, blobs in _frozen(run, shard, rows):
        if pixels:  # the next batch is decoded into the same memory
            pixels[-1] = pixels[-1].copy()
        batch = decoder.run(blobs, run.dataset.limits, run.preprocessing)
        for row, record, data in zip(some, batch.records, blobs, strict=True):
            if record["state"] == isolation.REJECTED:
                work.reject(row, isolation.rejection(record), data)
            else:
                seen = {"width": int(record["width"]), "height": int(record["height"]), "mode": record["mode"].decode()}
                passed.append(row | seen)
        pixels.append(batch.decoded_pixels())
    layout = "bands" if run.preprocessing.channels else "RGB"
    field = schemas.pixels(run.preprocessing.shape, run.preprocessing.dtype, layout).field("pixels")
    table = pa.Table.from_pylist(passed, schema=schemas.DECODED).append_column(
        field, pa.chunked_array(map(as_binary, pixels), field.type)
    )
    if validated.reused:
        reused = pa.concat_tables([read_staged(validated.reused), reused])
    return work.finish(validated.passed, table, reused, compression="none", use_dictionary=False)


def _frozen(run: Run, shard: int, rows: list[dict[str, Any]]) -> Iterator[tuple[list[dict[str, Any]], list[bytes]]]:
    """These rows with their bytes, in the order of the listing, by pieces. rows: some of what ingest froze."""
    if rows:
        ingested = read_receipt(run.layout.receipt(INGEST, shard))
        pieces = read_pieces(ingested.output, run.shard_bytes, columns=["uri", "data"])
        yield from map(partial(_chosen, {row["uri"]: row for row in rows}), pieces)


def _chosen(rows: dict[str, dict[str, Any]], piece: pa.Table) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Those of the rows that are in the piece, with their bytes. rows: by URI."""
    uris, data = piece["uri"].to_pylist(), piece["data"]
    chosen = [index for index, uri in enumerate(uris) if uri in rows]
    return [rows[uris[index]] for index in chosen], [data[index].as_py() for index in chosen]
