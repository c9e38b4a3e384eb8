"""The files of one shard: the data is written first and the receipt last; reading checks the SHA-256 of the data.

A receipt names the files that count. Two attempts at one shard may both finish; the first receipt
wins, and the other attempt's files are never read.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from imagefeatures import schemas, storage
from imagefeatures.blobs import read_staged
from imagefeatures.errors import AuditFailed, Rejected
from imagefeatures.forget import deny
from imagefeatures.layout import Layout, shard_of_receipt
from imagefeatures.reasons import printable
from imagefeatures.staged import StagedFile, write_parquet
from imagefeatures.usage import meter
from imagefeatures.usage.meter import Meter, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Further", "OutputFiles", "Receipt", "ShardWork", "StagedFile", "Totals", "pending", "read_output", "read_receipt",
    "read_receipts", "read_staged", "totals", "write_parquet",
]  # fmt: skip


@dataclass(frozen=True)
class OutputFiles:
    """A step's files for one output of the run. output: None of a step that has the same one for all outputs."""

    output: StagedFile | None
    reused: StagedFile | None = None

    def __iter__(self) -> Iterator[StagedFile]:
        return (file for file in (self.output, self.reused) if file)

    @property
    def own(self) -> StagedFile:
        if self.output is None:
            raise AuditFailed("a receipt names no file for one of the outputs of its run; start a new run")
        return self.output


@dataclass(frozen=True)
class Receipt:
    """The result of a step for one shard. rows_in = passed + the sum of reasons, always.

    output, reused: of the run's first output. reused: rows with vectors of the table, which pass without bytes and
    pixels: those that ingest was told are unchanged, and from resize on those of known bytes too. further: the files of
    the outputs after the first, in the order of the run. usage: what the work has used, this file left out; None in a
    receipt of a version that did not measure it.
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
    further: Sequence[OutputFiles] = ()
    usage: Usage | None = None

    @property
    def outputs(self) -> tuple[OutputFiles, ...]:
        """The files of each output, in the order of the run."""
        return (OutputFiles(self.output, self.reused), *self.further)

    @property
    def files(self) -> list[StagedFile]:
        """All files of the receipt."""
        return [*([self.rejected] if self.rejected else []), *(file for one in self.outputs for file in one)]

    @property
    def passed(self) -> int:
        """How many rows the next step gets."""
        return self.output.rows + (self.reused.rows if self.reused else 0)


class Further(NamedTuple):
    """What a step writes for an output after the first. table: in whose folder the output lies; None: the step's.

    output: a StagedFile is written already. options: of pyarrow's write_table, in place of those that `finish` gets.
    """

    output: pa.Table | StagedFile | None = None
    reused: pa.Table | None = None
    table: str | None = None
    options: Mapping[str, Any] | None = None


@dataclass
class ShardWork:
    """A step's work on one shard: collects the rejected rows, then writes the files and the receipt.

    The receipt's seconds and its usage are counted from the moment this object is made.
    """

    layout: Layout
    step: str
    shard: int
    keep_rejected: bool = False
    started_at: float = field(default_factory=time.time)
    _rejected: list[dict[str, object]] = field(default_factory=list)
    _clock: float = field(default_factory=time.perf_counter)
    _meter: Meter = field(default_factory=Meter)

    def reject(self, row: Mapping[str, object], why: Rejected, data: bytes | None = None) -> None:
        """Reject one object.

        row: at least its uri; the others of schemas.IDENTITY where known. data: its bytes, if the caller
        has them; they are kept in the lake when the dataset asks for that, unless they are forgotten.
        """
        rejected = {name: row.get(name) for name in schemas.IDENTITY}
        self._rejected.append(
            {**rejected, "step": self.step, "reason": str(why.reason), "detail": printable(why.detail)}
        )
        if data and self.keep_rejected:
            image_id = str(row["image_id"])
            uri = self.layout.rejected_bytes(str(why.reason), image_id)
            storage.write(uri, data)
            # Only now: `forget` puts an image on the list, and then looks for its bytes.
            if deny.read(self.layout.lake).has_image(image_id):
                storage.delete(uri)

    def finish(
        self,
        rows_in: int,
        output: pa.Table | StagedFile,
        reused: pa.Table | None = None,
        further: Sequence[Further] = (),
        **parquet: object,
    ) -> Receipt:
        """Write the output, the rejected and the reused rows, and then the receipt. Returns the receipt that counts.

        That is another attempt's receipt, if one was written before. output: a table, or a new output that is written
        already. further: of each output of the run after the first. parquet: options of pyarrow's write_table, for the
        tables that are outputs.
        """
        written = output
        if isinstance(output, pa.Table):
            written = write_parquet(self.layout.new_output(self.step, self.shard), output, **parquet)
        name = written.uri.rsplit("/", 1)[-1].removesuffix(".parquet")

        def beside(kind: str, table: pa.Table | None) -> StagedFile | None:
            if table is None or not table.num_rows:
                return None
            return write_parquet(f"{self.layout.step(self.step)}/{name}-{kind}.parquet", table, compression="zstd")

        def of_output(number: int, one: Further) -> OutputFiles:
            uri = self.layout.new_output(self.step, self.shard, one.table)
            file = one.output
            if isinstance(file, pa.Table):
                file = write_parquet(uri, file, **(parquet if one.options is None else one.options))
            return OutputFiles(file, beside(f"reused-{number}", one.reused))

        receipt = Receipt(
            step=self.step,
            shard=self.shard,
            rows_in=rows_in,
            output=written,
            rejected=beside("rejected", pa.Table.from_pylist(self._rejected, schema=schemas.REJECTED)),
            reasons=dict(Counter(str(row["reason"]) for row in self._rejected)),
            started_at=self.started_at,
            reused=beside("reused", reused),
            further=tuple(of_output(number, one) for number, one in enumerate(further, 1)),
            seconds=time.perf_counter() - self._clock,  # last: the writes above are part of the work
            usage=self._meter.usage(),
        )
        uri = self.layout.receipt(self.step, self.shard)
        content = json.dumps(asdict(receipt, dict_factory=_as_before)).encode()
        if storage.write(uri, content, only_if_absent=True):
            return receipt
        if (first := _whole(uri)) is not None:
            return first
        storage.write(uri, content)  # what is there counts for nothing: the shard was pending
        return receipt


def _as_before(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    """Fields of a receipt without what a version before would not know, where it says nothing."""
    return {name: value for name, value in fields if value or not name.startswith("blob_")}


def pending(layout: Layout, step: str, shards: int) -> list[int]:
    """The shards that are not done, in ascending order: no receipt of this step, an unreadable one, or lost files.

    A crash of the machine can leave a file empty or short. A local file is therefore compared with the size that its
    receipt names; a store has what it has confirmed.
    """
    return sorted(set(range(shards)) - {receipt.shard for receipt in _read_all(layout, step, _whole)})


def read_receipt(uri: str) -> Receipt:
    """Read one receipt. Raises storage.ObjectMissing when the shard is not done: there is none, or no readable one."""
    try:
        content = json.loads(storage.read(uri))
        content["output"] = StagedFile(**content["output"])
        for name in ("rejected", "reused"):
            content[name] = _file(content.get(name))
        further = content.get("further", ())  # an earlier version wrote none
        content["further"] = tuple(OutputFiles(_file(one["output"]), _file(one["reused"])) for one in further)
        content["usage"] = Usage.of_json(content.get("usage"))
        return Receipt(**content)
    except (ValueError, KeyError, TypeError):  # empty or cut
        raise storage.ObjectMissing(uri) from None


def _file(content: Mapping[str, Any] | None) -> StagedFile | None:
    return StagedFile(**content) if content else None


def read_receipts(layout: Layout, step: str, besides: Collection[int] = ()) -> list[Receipt]:
    """All receipts of a step, in ascending order of shards. Unreadable ones are left out, and those of `besides`."""
    return _read_all(layout, step, _readable, besides)


def _read_all(
    layout: Layout, step: str, read: Callable[[str], Receipt | None], besides: Collection[int] = ()
) -> list[Receipt]:
    found = {s for name in storage.names(layout.step(step)) if (s := shard_of_receipt(name)) is not None}
    with ThreadPoolExecutor(8) as pool:  # each request to an object store takes milliseconds
        receipts = list(pool.map(lambda shard: read(layout.receipt(step, shard)), sorted(found.difference(besides))))
    return [receipt for receipt in receipts if receipt is not None]


def _readable(uri: str) -> Receipt | None:
    with contextlib.suppress(storage.ObjectMissing):
        return read_receipt(uri)
    return None


def _whole(uri: str) -> Receipt | None:
    """The receipt, if it can be read and the files that it names are there."""
    receipt = _readable(uri)
    return receipt if receipt and all(_has_its_size(file) for file in receipt.files) else None


def _has_its_size(file: StagedFile) -> bool:
    try:
        return not file.uri.startswith("file://") or len(storage.read_part(file.uri, file.size - 1, 2)) == 1
    except storage.ObjectMissing:
        return False


def read_output(layout: Layout, step: str, shard: int, columns: list[str] | None = None) -> pa.Table:
    """A step's output for one shard. Raises storage.ObjectMissing without a receipt, AuditFailed as read_staged."""
    return read_staged(read_receipt(layout.receipt(step, shard)).output, columns)


@dataclass(frozen=True)
class Totals:
    """The sums over all shards of a step.

    seconds: time during which at least one worker was busy (overlaps counted once, waiting and
    start-up not at all). bytes: written for the next step. reused: how many of the passed images
    have their vectors from the table. usage: the sums, of the memory the largest; None if one shard's is not known.
    """

    images: int
    passed: int
    bytes: int
    seconds: float
    reused: int = 0
    usage: Usage | None = None

    @property
    def images_per_second(self) -> float:
        return self.images / self.seconds if self.seconds else 0.0


def totals(receipts: Iterable[Receipt]) -> Totals:
    """The sums over a step's receipts."""
    receipts = list(receipts)
    busy, until = 0.0, 0.0
    for start, seconds in sorted((r.started_at, r.seconds) for r in receipts):
        busy += max(0.0, start + seconds - max(start, until))
        until = max(until, start + seconds)
    return Totals(
        images=sum(r.rows_in for r in receipts),
        passed=sum(r.passed for r in receipts),
        bytes=sum(file.size for r in receipts for of_output in r.outputs for file in of_output),
        seconds=busy,
        reused=sum(r.reused.rows for r in receipts if r.reused),
        usage=meter.total(r.usage for r in receipts),
    )
