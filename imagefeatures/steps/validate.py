"""validate: checks the container and header of every frozen object, without decoding a pixel."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import pyarrow as pa

from imagefeatures import isolation, schemas, storage
from imagefeatures.errors import Rejected
from imagefeatures.isolation import Isolated
from imagefeatures.plan import Run
from imagefeatures.reasons import Reason
from imagefeatures.shards import Receipt, ShardWork, read_output
from imagefeatures.steps import INGEST, VALIDATE


def run_shard(run: Run, shard: int, inspector: Isolated | None = None) -> Receipt:
    """Check one shard: schemas.VERDICT for the objects that pass, a reason for each other.

    inspector: the process that reads headers; by default this process's own.
    """
    work = ShardWork(run.layout, VALIDATE, shard, run.dataset.keep_rejected)
    rows = read_output(run.layout, INGEST, shard).to_pylist()
    duplicates = _read_duplicates(run, shard)
    batch = (inspector or isolation.inspector()).run([row["data"] for row in rows], run.dataset.limits)
    passed = []
    for row, record in zip(rows, batch.records, strict=True):
        data = row.pop("data")
        if record["state"] == isolation.REJECTED:
            work.reject(row, isolation.rejection(record), data)
        elif kept := duplicates.get(row["uri"]):
            work.reject(row, Rejected(Reason.DUPLICATE, f"same bytes as {kept}"), data)
        else:
            seen = {"width": int(record["width"]), "height": int(record["height"])}
            passed.append(row | seen | {"format": record["format"].decode(), "mode": record["mode"].decode()})
    return work.finish(len(rows), pa.Table.from_pylist(passed, schema=schemas.VERDICT), compression="zstd")


def identities(run: Run, shard: int) -> Iterator[tuple[str, tuple[str, int]]]:
    """(image_id, (uri, shard)) of every frozen object: the input of the search for duplicates."""
    table = read_output(run.layout, INGEST, shard, columns=["image_id", "uri"])
    for image_id, uri in zip(*table.to_pydict().values(), strict=True):
        yield image_id, (uri, shard)


def duplicates_of(same: Iterable[tuple[str, int]]) -> Iterator[tuple[int, tuple[str, str]]]:
    """(shard, (uri, kept uri)) for each of the objects with the same bytes, except the first by URI, which is kept.

    >>> list(duplicates_of([("b", 7), ("a", 3)]))
    [(7, ('b', 'a'))]
    """
    (kept, _), *others = sorted(same)
    for uri, shard in others:
        yield shard, (uri, kept)


def write_duplicates(run: Run, shard: int, duplicates: Iterable[tuple[str, str]]) -> None:
    """Write down a shard's duplicates, for its `run_shard`. Each attempt writes the same bytes."""
    storage.write(run.layout.duplicates(shard), json.dumps(dict(sorted(duplicates))).encode())


def _read_duplicates(run: Run, shard: int) -> dict[str, str]:
    if run.dataset.duplicates == "keep":
        return {}
    try:
        duplicates: dict[str, str] = json.loads(storage.read(run.layout.duplicates(shard)))
    except storage.ObjectMissing:
        return {}
    return duplicates
