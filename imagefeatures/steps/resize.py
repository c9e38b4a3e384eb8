"""resize: decodes the images that validate passed, and makes the model's input. The only step that decodes."""

from __future__ import annotations

import pyarrow as pa

from imagefeatures import isolation, schemas
from imagefeatures.isolation import Isolated
from imagefeatures.pixels import as_binary
from imagefeatures.plan import Run
from imagefeatures.shards import Receipt, ShardWork, read_output, read_receipt, read_staged
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
    data_of = _frozen_bytes(run, shard) if rows else {}
    blobs = [data_of[row["uri"]] for row in rows]
    batch = (decoder or isolation.decoder()).run(blobs, run.dataset.limits, run.preprocessing)
    passed = []
    for row, record in zip(rows, batch.records, strict=True):
        if record["state"] == isolation.REJECTED:
            work.reject(row, isolation.rejection(record), data_of[row["uri"]])
        else:
            seen = {"width": int(record["width"]), "height": int(record["height"]), "mode": record["mode"].decode()}
            passed.append(row | seen)
    schema = schemas.pixels(run.preprocessing.shape)
    table = pa.Table.from_pylist(passed, schema=schemas.DECODED).append_column(
        schema.field("pixels"), as_binary(batch.decoded_pixels())
    )
    if validated.reused:
        reused = pa.concat_tables([read_staged(validated.reused), reused])
    return work.finish(validated.passed, table, reused, compression="none", use_dictionary=False)


def _frozen_bytes(run: Run, shard: int) -> dict[str, bytes]:
    raw = read_output(run.layout, INGEST, shard, columns=["uri", "data"])
    return dict(zip(raw["uri"].to_pylist(), raw["data"].to_pylist(), strict=True))
