"""resize: decodes the images that validate passed, and makes the models' inputs. The only step that decodes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from imagefeatures import isolation, schemas
from imagefeatures.batches import Batch, Sources
from imagefeatures.errors import AuditFailed, Rejected
from imagefeatures.isolation import Isolated
from imagefeatures.pieces import read_frozen
from imagefeatures.plan import Run
from imagefeatures.shards import Further, Receipt, ShardWork, StagedFile, read_receipt, read_staged
from imagefeatures.steps import INGEST, RESIZE, VALIDATE, equal_bytes, reuse
from imagefeatures.steps.pixel_files import PixelFiles

Rows = list[dict[str, Any]]


def run_shard(run: Run, shard: int, decoder: Isolated | None = None) -> Receipt:
    """Decode one shard: schemas.pixels for each output of the run, in the order of the listing.

    Rows with the same image_id come last, without pixels, but for the first of them; so do rows that the shard computes
    for others (`equal_bytes`). Images whose vectors all tables hold are not decoded. The others are decoded once, for
    the chains of all outputs that lack one (`pixel_files`). What a table holds, schemas.reused, goes to a file of its
    output, with what ingest has found unchanged. decoder: the process that decodes; by default this process's own.
    """
    work = ShardWork(run.layout, RESIZE, shard, run.dataset.keep_rejected)
    validated = read_receipt(run.layout.receipt(VALIDATE, shard))
    verdicts = equal_bytes.to_compute(run, shard, read_staged(validated.output))
    known = [reuse.known_images(run, shard, output) for output in run.outputs]
    lacked = np.array([reuse.lacked(verdicts, of_output) for of_output in known])
    needed = lacked.any(axis=0)
    rows = verdicts.filter(pa.array(needed)).select(schemas.DECODED.names).to_pylist()
    originals: dict[str, dict[str, Any]] = {}
    repeated = [row for row in rows if originals.setdefault(row["image_id"], row) is not row]
    decoder = decoder or isolation.decoder_of(run.dataset.channels)
    with PixelFiles(run, shard, rows, lacked[:, needed]) as files:
        decoded = _Decoded(files, work)
        for some, blobs in _frozen(run, shard, list(originals.values())):
            left = iter(some)
            for batch in decoder.run_in_parts(blobs, run.dataset.limits, files.rule, files.batch):
                decoded.add(list(islice(left, batch.count)), batch)
        decoded.repeat(repeated)
        first, *others = files.end()
    is_good = np.ones(verdicts.num_rows, bool)
    is_good[needed] = decoded.has(rows)
    good = verdicts if is_good.all() else verdicts.filter(pa.array(is_good))
    reused = [
        _with_unchanged(reuse.known_rows(good, of_output, output.kind), files.reused)
        for output, of_output, files in zip(run.outputs, known, validated.outputs, strict=True)
    ]
    further = [Further(*files) for files in zip(others, reused[1:], strict=True)]
    rows_in = verdicts.num_rows + validated.passed - validated.output.rows
    return work.finish(rows_in, first, reused[0], further)


class _Decoded:
    """The images of a shard that are decoded. files: take their pixels. work: takes those that are rejected."""

    def __init__(self, files: PixelFiles, work: ShardWork) -> None:
        self._files, self._work = files, work
        self._seen: dict[str, dict[str, Any]] = {}
        self._rejected: dict[str, Rejected] = {}

    def add(self, rows: Rows, batch: Batch) -> None:
        """Take what a batch has made of these rows: schemas.DECODED, with what validate has found."""
        pixels = self._files.split(batch.decoded_pixels())
        for index, (record, row) in enumerate(zip(batch.records, rows, strict=True)):
            if record["state"] == isolation.REJECTED:
                self._rejected[row["image_id"]] = isolation.rejection(record)
                self._work.reject(row, self._rejected[row["image_id"]], batch.original(index))
            else:
                seen = {"width": int(record["width"]), "height": int(record["height"]), "mode": record["mode"].decode()}
                self._seen[row["image_id"]] = seen
                self._files.add(row | seen, next(pixels))

    def repeat(self, rows: Rows) -> None:
        """Take further rows of images that were decoded or rejected before."""
        for row in rows:
            if seen := self._seen.get(row["image_id"]):
                self._files.add(row | seen, None)
            else:
                self._work.reject(row, self._rejected[row["image_id"]])

    def has(self, rows: Rows) -> list[bool]:
        """Which of these rows are of images that are decoded."""
        return [row["image_id"] in self._seen for row in rows]


def _with_unchanged(known: pa.Table, unchanged: StagedFile | None) -> pa.Table:
    """schemas.REUSED of what the table knows, after what ingest has found unchanged."""
    if unchanged is None:
        return known
    return pa.concat_tables([read_staged(unchanged).cast(known.schema), known])  # a version before wrote it otherwise


def _frozen(run: Run, shard: int, rows: Rows) -> Iterator[tuple[Rows, list[bytes] | Sources]]:
    """These rows with their bytes, in the order of the listing, by pieces. rows: some of what ingest froze.

    Raises AuditFailed where ingest has frozen other bytes since, or none: its file was lost, its source has changed.
    """
    if rows:
        ingested = read_receipt(run.layout.receipt(INGEST, shard))
        wanted = {row["uri"]: row for row in rows}
        count = 0
        for found, blobs in read_frozen(ingested.output, run.shard_bytes, wanted):
            if any(row["image_id"] != wanted[row["uri"]]["image_id"] for row in found):
                raise _done_again(ingested)
            count += len(found)
            yield [wanted[row["uri"]] for row in found], blobs
        if count < len(wanted):
            raise _done_again(ingested)


def _done_again(ingested: Receipt) -> AuditFailed:
    return AuditFailed(f"{ingested.output.uri}: ingest was done again since validate; start a new run")
