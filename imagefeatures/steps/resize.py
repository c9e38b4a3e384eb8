"""resize: decodes the images that validate passed, and makes the models' inputs. The only step that decodes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from imagefeatures import isolation, outputs, schemas
from imagefeatures.batches import Sources
from imagefeatures.blobs import write_blobs
from imagefeatures.errors import AuditFailed, Rejected
from imagefeatures.isolation import Isolated
from imagefeatures.limits import Limits
from imagefeatures.pieces import read_frozen
from imagefeatures.pixels import PixelFormat, as_binary
from imagefeatures.plan import Run
from imagefeatures.preprocessing import Chains, Preprocessing
from imagefeatures.shards import Further, Receipt, ShardWork, StagedFile, read_receipt, read_staged
from imagefeatures.steps import INGEST, RESIZE, VALIDATE, equal_bytes, reuse

Rows = list[dict[str, Any]]


def run_shard(run: Run, shard: int, decoder: Isolated | None = None) -> Receipt:
    """Decode one shard: schemas.pixels for each output of the run, in the order of the listing.

    Rows with the same image_id come last, without pixels, but for the first of them; so do rows that the shard computes
    for others (`equal_bytes`). Images whose vectors all tables hold are not decoded. The others are decoded once, for
    the chains of all outputs that lack one. The pixels of an image lie with the first output that lacks it, and serve
    the later ones of the same chain. What a table holds, schemas.reused, goes to a file of its output, with what ingest
    has found unchanged. decoder: the process that decodes; by default this process's own.
    """
    work = ShardWork(run.layout, RESIZE, shard, run.dataset.keep_rejected)
    validated = read_receipt(run.layout.receipt(VALIDATE, shard))
    verdicts = equal_bytes.to_compute(run, shard, read_staged(validated.output))
    known = [reuse.known_images(run, shard, output) for output in run.outputs]
    lacked = np.array([reuse.lacked(verdicts, of_output) for of_output in known])
    needed = lacked.any(axis=0)
    rows = verdicts.filter(pa.array(needed)).select(schemas.DECODED.names).to_pylist()
    groups = [group for group in outputs.by_input(run.outputs) if lacked[group].any()]
    decoded = _Decoded([run.outputs[group[0]].preprocessing for group in groups], work)
    decoder = decoder or isolation.decoder_of(run.dataset.channels)
    originals: dict[str, dict[str, Any]] = {}
    repeated = [row for row in rows if originals.setdefault(row["image_id"], row) is not row]
    for some, blobs in _frozen(run, shard, list(originals.values())):
        decoded.add(some, blobs, decoder, run.dataset.limits)
    decoded.repeat(repeated)
    is_good = np.ones(verdicts.num_rows, bool)
    is_good[needed] = decoded.has(rows)
    pixels = [schemas.pixels(PixelFormat.of_chain(output.preprocessing)).empty_table() for output in run.outputs]
    for table, group in zip(decoded.tables(), groups, strict=True):
        left = np.ones(table.num_rows, bool)
        for number in group:
            own = left & lacked[number][needed & is_good]
            pixels[number] = table if own.all() else table.filter(pa.array(own))
            left &= ~own
    good = verdicts if is_good.all() else verdicts.filter(pa.array(is_good))
    reused = [
        _with_unchanged(reuse.known_rows(good, of_output, output.kind), files.reused)
        for output, of_output, files in zip(run.outputs, known, validated.outputs, strict=True)
    ]
    first, *others = (write_blobs(run.layout.new_output(RESIZE, shard), table, "pixels") for table in pixels)
    further = [Further(*files) for files in zip(others, reused[1:], strict=True)]
    rows_in = verdicts.num_rows + validated.passed - validated.output.rows
    return work.finish(rows_in, first, reused[0], further)


class _Decoded:
    """The images of a shard that are decoded. chains: what is made of each. work: takes those that are rejected."""

    def __init__(self, chains: Sequence[Preprocessing], work: ShardWork) -> None:
        self._chains, self._work = chains, work
        self._rows: Rows = []
        self._rejected: dict[str, Rejected] = {}
        self._repeated = 0
        self._pixels: list[list[np.ndarray]] = [[] for _ in chains]

    def add(self, rows: Rows, blobs: list[bytes] | Sources, decoder: Isolated, limits: Limits) -> None:
        """Decode some images. rows: of schemas.DECODED, with what validate has found."""
        for batches in self._pixels:
            if batches:  # the next batch is decoded into the same memory
                batches[-1] = batches[-1].copy()
        rule = self._chains[0] if len(self._chains) == 1 else Chains(tuple(self._chains))
        batch = decoder.run(blobs, limits, rule)
        for index, (row, record) in enumerate(zip(rows, batch.records, strict=True)):
            if record["state"] == isolation.REJECTED:
                self._rejected[row["image_id"]] = isolation.rejection(record)
                self._work.reject(row, self._rejected[row["image_id"]], batch.original(index))
            else:
                seen = {"width": int(record["width"]), "height": int(record["height"]), "mode": record["mode"].decode()}
                self._rows.append(row | seen)
        pixels = batch.decoded_pixels()
        made = rule.split(pixels) if isinstance(rule, Chains) else [pixels]
        for batches, of_chain in zip(self._pixels, made, strict=True):
            batches.append(np.ascontiguousarray(of_chain))

    def repeat(self, rows: Rows) -> None:
        """Add further rows of images that were decoded or rejected before. Called once, after all `add`."""
        seen = {row["image_id"]: row for row in self._rows} if rows else {}
        for row in rows:
            if image := seen.get(row["image_id"]):
                self._rows.append(row | {name: image[name] for name in ("width", "height", "mode")})
                self._repeated += 1
            else:
                self._work.reject(row, self._rejected[row["image_id"]])

    def has(self, rows: Rows) -> list[bool]:
        """Which of these rows are of images that are decoded."""
        uris = {row["uri"] for row in self._rows}
        return [row["uri"] in uris for row in rows]

    def tables(self) -> Iterator[pa.Table]:
        """schemas.pixels of all images that are decoded, for each chain."""
        for chain, pixels in zip(self._chains, self._pixels, strict=True):
            field = schemas.pixels(PixelFormat.of_chain(chain)).field("pixels")
            chunks = [*map(as_binary, pixels), *([pa.nulls(self._repeated, field.type)] if self._repeated else [])]
            yield pa.Table.from_pylist(self._rows, schema=schemas.DECODED).append_column(
                field, pa.chunked_array(chunks, field.type)
            )


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
