"""The manifest: the listing of the source, made once and divided into shards.

The listing is streamed to a local temporary file, because the division into shards is known only at its end. It is
then written as one small file for each shard.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from imagefeatures import schemas, storage
from imagefeatures.errors import NoInput
from imagefeatures.plan import Run
from imagefeatures.sources import Item

SPOOL_ROWS = 10_000


@dataclass(frozen=True)
class Listing:
    """The totals of a run's listing: the number of objects, their size in bytes, and the number of shards."""

    objects: int
    bytes: int
    shards: int


def list_source(run: Run, workers: int) -> Listing:
    """List the source and write the manifest, or read the listing of an earlier attempt.

    workers: how many shards can be processed at the same time; a small run is cut into enough shards for all of them.
    Raises NoInput when nothing matches and the dataset's on_empty is "fail".
    """
    summary = run.layout.listing_summary
    if storage.exists(summary):
        return read_listing(run)
    with tempfile.TemporaryDirectory(prefix="imagefeatures-") as folder:
        spool = Path(folder) / "listing.arrow"
        objects, size = _spool(run, spool)
        if not objects and run.dataset.on_empty == "fail":
            raise NoInput(f"NO_INPUT: nothing at {run.source} matches {list(run.source.pattern)}")
        shards = _write_manifest(run, spool, shard_count(run, objects, size, workers), objects, size)
    listing = Listing(objects, size, shards)
    storage.write(summary, json.dumps(listing.__dict__).encode(), only_if_absent=True)
    return read_listing(run)


def read_listing(run: Run) -> Listing:
    """The totals of the listing that `list_source` made for this run. Raises storage.ObjectMissing before that."""
    return Listing(**json.loads(storage.read(run.layout.listing_summary)))


def read_manifest(run: Run, shard: int) -> pa.Table:
    """The objects of one shard: schemas.LISTING."""
    return pq.ParquetFile(pa.BufferReader(storage.read(run.layout.listing(shard)))).read()


def item_of(row: dict[str, Any]) -> Item:
    """A row of the manifest as the Item that its source listed."""
    return Item(row["uri"], row["size"], row["etag"], row["label"], row["key"], row["locator"])


def shard_count(run: Run, objects: int, size: int, workers: int) -> int:
    """The number of shards: enough to stay under both caps, and two for each worker if there are enough objects."""
    by_cap = max(math.ceil(objects / run.shard_images), math.ceil(size / run.shard_bytes))
    return max(by_cap, min(objects, 2 * workers))


def _spool(run: Run, spool: Path) -> tuple[int, int]:
    objects = size = 0
    with pa.OSFile(str(spool), "wb") as sink, pa.ipc.new_stream(sink, schemas.LISTING) as writer:
        rows: list[dict[str, Any]] = []
        for item in run.source.items():
            if not _sampled(run, item.uri):
                continue
            rows.append(_listed(run, item))
            objects, size = objects + 1, size + (item.size or 0)
            if len(rows) == SPOOL_ROWS:
                writer.write_table(pa.Table.from_pylist(rows, schema=schemas.LISTING))
                rows.clear()
        writer.write_table(pa.Table.from_pylist(rows, schema=schemas.LISTING))
    return objects, size


def _listed(run: Run, item: Item) -> dict[str, Any]:
    """The item as a row of schemas.LISTING."""
    uri, bad_key = item.uri, None
    try:
        uri.encode()
    except UnicodeEncodeError:
        bad_key = "its name is not UTF-8; it is shown with the invalid bytes escaped"
        uri = uri.encode("utf-8", "backslashreplace").decode()
    label = run.dataset.label_of(uri) if item.label is None else item.label
    return dataclasses.asdict(item) | {"uri": uri, "label": label, "bad_key": bad_key}


def _sampled(run: Run, uri: str) -> bool:
    """Whether the key's hash falls into the sample: the same keys on every machine and day."""
    if run.dataset.sample >= 1:
        return True
    digest = hashlib.sha256(uri.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8]) < run.dataset.sample * 2**64


def _write_manifest(run: Run, spool: Path, wanted: int, objects: int, size: int) -> int:
    """Cut the spooled listing into `wanted` shards of similar size and count, each under both caps.

    The weight of an object is its share of all bytes plus its share of the count, so shards are similar in both.
    Returns the number of shards, which the caps may raise above `wanted`.
    """
    weight_of_all = 2 - 1e-9  # slightly less than the sum, so that rounding never cuts a shard one object late
    done, shard = 0.0, 0
    rows: list[dict[str, Any]] = []
    held = 0

    def cut() -> None:
        nonlocal shard, held
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, schema=schemas.LISTING), sink, compression="zstd")
        storage.write(run.layout.listing(shard), sink.getvalue())
        shard, held = shard + 1, 0
        rows.clear()

    for row in _spooled(spool):
        size_of_row = row["size"] or 0
        # An object that ingest will not download takes no memory in a worker.
        weight = size_of_row if size_of_row <= run.dataset.limits.max_bytes else 0
        full = len(rows) >= run.shard_images or held + weight > run.shard_bytes
        if rows and (full or done >= (shard + 1) * weight_of_all / wanted):
            cut()
        rows.append(row)
        held += weight
        done += 1 / objects + size_of_row / max(size, 1)
    if rows:
        cut()
    return shard


def _spooled(spool: Path) -> Iterator[dict[str, Any]]:
    with pa.OSFile(str(spool), "rb") as source:
        for batch in pa.ipc.open_stream(source):
            yield from batch.to_pylist()
