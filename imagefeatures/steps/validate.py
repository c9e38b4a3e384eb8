"""validate: checks the container and header of every frozen object, without decoding a pixel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from imagefeatures import isolation, schemas, storage
from imagefeatures.errors import AuditFailed, Rejected
from imagefeatures.isolation import Isolated
from imagefeatures.pieces import read_frozen, read_pieces
from imagefeatures.plan import Run
from imagefeatures.reasons import Reason, without_secrets
from imagefeatures.redrive import relisting
from imagefeatures.redrive.selection import PublishedFile
from imagefeatures.shards import Further, Receipt, ShardWork, read_receipt, read_staged
from imagefeatures.steps import INGEST, VALIDATE
from imagefeatures.summaries import Search

DUPLICATES = pa.schema([pa.field("uri", pa.string(), False), pa.field("kept", pa.string(), False)])
"""The duplicates of a shard, and the object with the same bytes that is kept."""


PUBLISHED = -1
"""In the place of a shard: of an object that is published already, beside those that a re-drive takes again."""


def run_shard(run: Run, shard: int, inspector: Isolated | None = None) -> Receipt:
    """Check one shard: schemas.VERDICT for the objects that pass, a reason for each other.

    Unchanged objects, of which ingest has vectors in place of bytes, can only be duplicates.
    inspector: the process that reads headers; by default this process's own.
    """
    work = ShardWork(run.layout, VALIDATE, shard, run.dataset.keep_rejected)
    ingested = read_receipt(run.layout.receipt(INGEST, shard))
    duplicates = _read_duplicates(run, shard)
    passed: list[dict[str, Any]] = []
    inspector = inspector or isolation.inspector_of(run.preprocessing.channels)
    for rows, blobs in read_frozen(ingested.output, run.shard_bytes):
        batch = inspector.run(blobs, run.dataset.limits)
        for index, (row, record) in enumerate(zip(rows, batch.records, strict=True)):
            if record["state"] == isolation.REJECTED:
                work.reject(row, isolation.rejection(record), batch.original(index))
            elif kept := duplicates.get(row["uri"]):
                work.reject(row, _duplicate(kept), batch.original(index))
            else:
                seen = {"width": int(record["width"]), "height": int(record["height"])}
                passed.append(row | seen | {"format": record["format"].decode(), "mode": record["mode"].decode()})
    # The rows of one object are in the file of every output, or in none.
    reused = [read_staged(files.reused) if files.reused else None for files in ingested.outputs]
    if duplicates and reused[0]:
        known = reused[0].select(schemas.IDENTITY).to_pylist()
        for row in known:
            if kept := duplicates.get(row["uri"]):
                work.reject(row, _duplicate(kept))
        unique = pa.array([row["uri"] not in duplicates for row in known])
        reused = [table and table.filter(unique) for table in reused]
    verdicts = pa.Table.from_pylist(passed, schema=schemas.VERDICT)
    further = [Further(reused=table) for table in reused[1:]]
    return work.finish(ingested.passed, verdicts, reused[0], further, compression="zstd")


def identities(run: Run, shard: int) -> Iterator[tuple[str, tuple[str, int]]]:
    """(image_id, (uri, shard)) of every frozen object: the input of the search for duplicates."""
    ingested = read_receipt(run.layout.receipt(INGEST, shard))
    for file in (ingested.output, ingested.reused):
        if file:
            for table in read_pieces(file, run.shard_bytes, columns=["image_id", "uri"]):
                for image_id, uri in zip(table["image_id"].to_pylist(), table["uri"].to_pylist(), strict=True):
                    yield image_id, (uri, shard)


def published_identities(file: PublishedFile) -> Iterator[tuple[str, tuple[str, int]]]:
    """The same of what a partition holds that a re-drive is merged into. file: one of its data files."""
    for image_id, uri in relisting.published_images(file):
        yield image_id, (uri, PUBLISHED)


def duplicates_of(same: Iterable[tuple[str, int]]) -> Iterator[tuple[int, tuple[str, str]]]:
    """(shard, (uri, kept uri)) for each of the objects with the same bytes, except the one that is kept.

    That is the one that is published; else the first by URI.

    >>> list(duplicates_of([("b", 7), ("a", 3)]))
    [(7, ('b', 'a'))]
    >>> list(duplicates_of([("b", PUBLISHED), ("a", 3)]))
    [(3, ('a', 'b'))]
    """
    (kept, _), *others = sorted(same, key=lambda place: (place[1] != PUBLISHED, place))
    for uri, shard in others:
        if shard != PUBLISHED:
            yield shard, (uri, kept)


def search(run: Run) -> Search:
    """The search for duplicates: (uri, kept uri) of each."""
    return Search(run.layout.duplicates_summary, run.layout.duplicates, DUPLICATES)


def _duplicate(kept: str) -> Rejected:
    return Rejected(Reason.DUPLICATE, f"same bytes as {without_secrets(kept)}")


def _read_duplicates(run: Run, shard: int) -> dict[str, str]:
    if run.dataset.duplicates == "keep":
        return {}
    try:
        return dict(search(run).read(shard))
    except storage.ObjectMissing:
        raise AuditFailed(f"{run.layout.duplicates_summary}: not written yet, or gone; start a new run") from None
