"""validate: judge every frozen object by its container and header, without decoding a pixel."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator

import pyarrow as pa

from imagefeatures import ingest, isolation, schemas, storage
from imagefeatures.errors import Rejected, TooManyRejected
from imagefeatures.isolation import Isolated
from imagefeatures.plan import Run
from imagefeatures.reasons import Reason, for_people
from imagefeatures.shards import Receipt, ShardWork, read_output, read_receipts, read_staged

STEP = "validate"


def run_shard(run: Run, shard: int, inspector: Isolated | None = None) -> Receipt:
    """Judge one shard: schemas.VERDICT for what passes, a reason for what does not.

    inspector: the process that reads headers; by default this process's own.
    """
    work = ShardWork(run.layout, STEP, shard, run.dataset.keep_rejected)
    rows = read_output(run.layout, ingest.STEP, shard).to_pylist()
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
    """(image_id, (uri, shard)) of every frozen object: what a search for duplicates is made of."""
    table = read_output(run.layout, ingest.STEP, shard, columns=["image_id", "uri"])
    for image_id, uri in zip(*table.to_pydict().values(), strict=True):
        yield image_id, (uri, shard)


def duplicates_of(same: Iterable[tuple[str, int]]) -> Iterator[tuple[int, tuple[str, str]]]:
    """Of objects with the same bytes the first by URI is kept; (shard, (uri, kept uri)) for each other.

    >>> list(duplicates_of([("b", 7), ("a", 3)]))
    [(7, ('b', 'a'))]
    """
    (kept, _), *others = sorted(same)
    for uri, shard in others:
        yield shard, (uri, kept)


def write_duplicates(run: Run, shard: int, found: Iterable[tuple[str, str]]) -> None:
    """Write down a shard's duplicates for its `run_shard`. The same bytes however often it is done."""
    storage.write(run.layout.duplicates(shard), json.dumps(dict(sorted(found))).encode())


def check_budget(run: Run) -> None:
    """Hold what ingest and validate rejected against the failure budget. Raises TooManyRejected."""
    receipts = [*read_receipts(run.layout, ingest.STEP), *read_receipts(run.layout, STEP)]
    listed = sum(receipt.rows_in for receipt in receipts if receipt.step == ingest.STEP)
    refuse_if_spent(run, listed, [read_staged(r.rejected) for r in receipts if r.rejected])


def refuse_if_spent(run: Run, listed: int, rejected: list[pa.Table]) -> None:
    """Raises TooManyRejected, with the counts by reason and the first ten URIs, when the budget is spent.

    listed: objects of the run. rejected: schemas.REJECTED tables.
    """
    reasons = Counter(reason for table in rejected for reason in table["reason"].to_pylist())
    allowed = run.dataset.limits.max_rejected
    if reasons.total() <= allowed * listed:
        return
    counts = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
    first = [uri for table in rejected for uri in table["uri"].to_pylist()[:10]][:10]
    raise TooManyRejected(
        f"{reasons.total()} of {listed} objects rejected, limits.max_rejected allows {allowed:.1%}: {counts}; "
        f"first: {', '.join(for_people(uri) for uri in first)}"
    )


def _read_duplicates(run: Run, shard: int) -> dict[str, str]:
    if run.dataset.duplicates == "keep":
        return {}
    try:
        return json.loads(storage.read(run.layout.duplicates(shard)))
    except storage.ObjectMissing:
        return {}
