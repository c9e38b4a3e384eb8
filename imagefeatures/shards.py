"""One shard's files: written data first and receipt last, read back only if they are what was written.

A receipt names the files that count. Two attempts of one shard may both finish; the first receipt
wins and the other attempt's files are never looked at.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from imagefeatures import schemas, storage
from imagefeatures.errors import AuditFailed, Rejected
from imagefeatures.layout import Layout, shard_of_receipt
from imagefeatures.reasons import for_people

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class StagedFile:
    """A Parquet file of a step: where it is, its rows, its size in bytes, the SHA-256 of its bytes."""

    uri: str
    rows: int
    size: int
    sha256: str


@dataclass(frozen=True)
class Receipt:
    """What a step did with one shard. rows_in = passed + the sum of reasons, always.

    reused: rows that passed without being worked on, their vectors taken from the table; resize alone has them.
    """

    step: str
    shard: int
    rows_in: int
    output: StagedFile
    rejected: StagedFile | None
    reasons: Mapping[str, int]
    started_at: float  # seconds since the epoch
    seconds: float
    reused: StagedFile | None = None

    @property
    def passed(self) -> int:
        """Rows handed on to the next step."""
        return self.output.rows + (self.reused.rows if self.reused else 0)


@dataclass
class ShardWork:
    """A step's work on one shard: collects what it turns away, then writes files and receipt.

    The clock of the receipt starts when this object is made.
    """

    layout: Layout
    step: str
    shard: int
    keep_rejected: bool = False
    started_at: float = field(default_factory=time.time)
    _rejected: list[dict[str, object]] = field(default_factory=list)
    _clock: float = field(default_factory=time.perf_counter)

    def reject(self, row: Mapping[str, object], why: Rejected, data: bytes | None = None) -> None:
        """Turn one object away.

        row: at least its uri; image_id, size, etag and label where known. data: its bytes where they are
        at hand; they are kept in the lake when the dataset says so.
        """
        known = {name: row.get(name) for name in ("uri", "image_id", "size", "etag", "label")}
        self._rejected.append({**known, "step": self.step, "reason": str(why.reason), "detail": for_people(why.detail)})
        if data and self.keep_rejected:
            storage.write(self.layout.rejected_bytes(str(why.reason), str(row["image_id"])), data)

    def finish(self, rows_in: int, output: pa.Table, reused: pa.Table | None = None, **parquet: object) -> Receipt:
        """Write the output, the rejected and reused rows, and then the receipt; return the receipt that counts."""
        written = _write_parquet(self.layout.new_output(self.step, self.shard), output, **parquet)
        name = written.uri.rsplit("/", 1)[-1].removesuffix(".parquet")
        beside = {"rejected": pa.Table.from_pylist(self._rejected, schema=schemas.REJECTED), "reused": reused}
        files = {
            what: _write_parquet(f"{self.layout.step(self.step)}/{name}-{what}.parquet", table, compression="zstd")
            for what, table in beside.items()
            if table is not None and table.num_rows
        }
        receipt = Receipt(
            step=self.step,
            shard=self.shard,
            rows_in=rows_in,
            output=written,
            rejected=files.get("rejected"),
            reasons=dict(Counter(str(row["reason"]) for row in self._rejected)),
            started_at=self.started_at,
            seconds=time.perf_counter() - self._clock,
            reused=files.get("reused"),
        )
        uri = self.layout.receipt(self.step, self.shard)
        if storage.write(uri, json.dumps(asdict(receipt)).encode(), only_if_absent=True):
            return receipt
        return read_receipt(uri)


def pending(layout: Layout, step: str, shards: int) -> list[int]:
    """The shards that the step still has to do: those without a receipt."""
    done = {shard_of_receipt(name) for name in storage.names(layout.step(step))}
    return [shard for shard in range(shards) if shard not in done]


def read_receipt(uri: str) -> Receipt:
    """Read one receipt. Raises storage.ObjectMissing when the shard is not done."""
    content = json.loads(storage.read(uri))
    content["output"] = StagedFile(**content["output"])
    for name in ("rejected", "reused"):
        content[name] = StagedFile(**content[name]) if content.get(name) else None
    return Receipt(**content)


def read_receipts(layout: Layout, step: str) -> list[Receipt]:
    """All receipts of a step, in order of shard."""
    shards = sorted(s for name in storage.names(layout.step(step)) if (s := shard_of_receipt(name)) is not None)
    with ThreadPoolExecutor(8) as pool:  # an object store answers each in milliseconds, one after the other
        return list(pool.map(lambda shard: read_receipt(layout.receipt(step, shard)), shards))


def read_output(layout: Layout, step: str, shard: int, columns: list[str] | None = None) -> pa.Table:
    """What a step made of one shard, checked. Raises storage.ObjectMissing when the shard is not done."""
    return read_staged(read_receipt(layout.receipt(step, shard)).output, columns)


def read_staged(file: StagedFile, columns: list[str] | None = None) -> pa.Table:
    """Read a staged file. Raises AuditFailed when its bytes are not those that were written."""
    data = storage.read(file.uri)
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise AuditFailed(f"{file.uri}: {len(data)} bytes are not the {file.size} that were written (SHA-256 differs)")
    # Not pq.read_table: it imports pyarrow's dataset machinery, a noticeable part of a short worker's life.
    table = pq.ParquetFile(pa.BufferReader(data)).read(columns=columns)
    if table.num_rows != file.rows:
        raise AuditFailed(f"{file.uri}: {table.num_rows} rows where the receipt says {file.rows}")
    return table


@dataclass(frozen=True)
class Totals:
    """A step over all its shards.

    seconds: time during which at least one worker was busy (overlaps counted once, waiting and
    start-up not at all). bytes: written for the next step. reused: of those passed, how many without
    being worked on.
    """

    images: int
    passed: int
    bytes: int
    seconds: float
    reused: int = 0

    @property
    def images_per_second(self) -> float:
        return self.images / self.seconds if self.seconds else 0.0


def totals(receipts: Iterable[Receipt]) -> Totals:
    """Sum up a step's receipts."""
    receipts = list(receipts)
    busy, until = 0.0, 0.0
    for start, seconds in sorted((r.started_at, r.seconds) for r in receipts):
        busy += max(0.0, start + seconds - max(start, until))
        until = max(until, start + seconds)
    return Totals(
        images=sum(r.rows_in for r in receipts),
        passed=sum(r.passed for r in receipts),
        bytes=sum(r.output.size + (r.reused.size if r.reused else 0) for r in receipts),
        seconds=busy,
        reused=sum(r.reused.rows for r in receipts if r.reused),
    )


def _write_parquet(uri: str, table: pa.Table, **options: object) -> StagedFile:
    # In memory, then one request: a shard is bounded, and a half-written file can never be seen.
    room = _room_for(table)
    with pa.FixedSizeBufferWriter(room) as sink:
        pq.write_table(table, sink, **options)
        size = sink.tell()
    data = memoryview(room)[:size]
    storage.write(uri, data)
    return StagedFile(uri, table.num_rows, size, hashlib.sha256(data).hexdigest())


_kept = threading.local()
"""room: what this thread wrote its last file into; new memory costs more than all of the writing into it."""


def _room_for(table: pa.Table) -> pa.Buffer:
    """Room for the table as Parquet, whatever the compression makes of it; this thread's, until it asks again."""
    most = table.nbytes + table.nbytes // 8 + 64 * table.num_rows * table.num_columns + (1 << 20)
    if not hasattr(_kept, "room") or _kept.room.size < most:
        _kept.room = pa.allocate_buffer(most)
    return _kept.room
