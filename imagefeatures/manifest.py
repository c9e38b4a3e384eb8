"""The manifest: the listing of the source, made once and divided into shards.

The listing is streamed to a local temporary file, because the division into shards is known only at its end. It is
then written as one small file for each shard, and a summary that names them. Every reader begins at the summary, so a
run has one listing, whatever attempts there were. No listing is believed that holds a URI twice. Shards of URLs are
cut by host: see imagefeatures.lanes.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from imagefeatures import preview, schemas, storage
from imagefeatures.datasets import Dataset
from imagefeatures.errors import AuditFailed, NoInput, Rejected, StoreRefused
from imagefeatures.lanes import Hosts, sorted_rows
from imagefeatures.layout import Layout
from imagefeatures.plan import Run
from imagefeatures.reasons import Reason, printable
from imagefeatures.redrive import relisting
from imagefeatures.repeats import HashedTexts
from imagefeatures.shards import StagedFile, read_staged
from imagefeatures.sources import Item, PassedOver, Source
from imagefeatures.sources.passed_over import REPEATED, SAMPLE
from imagefeatures.storage.durable import write_failed
from imagefeatures.summaries import Summary, read_summary, write_shard_file, write_summary

SPOOL_ROWS = 10_000

UNKNOWN_BYTES = 256 << 10
"""What an object counts in a shard, in bytes, where only reading tells its size: that of a photo on a web page."""


@dataclass(frozen=True)
class Listing:
    """The totals of a run's listing: the number of objects, their size in bytes, and the number of shards.

    passed_over: how many objects are neither, by what passed them over (sources.passed_over). files: the manifest of
    each shard. lanes: the lane of each shard; empty where each shard is a lane of its own.
    """

    objects: int
    bytes: int
    shards: int
    passed_over: Mapping[str, int] = field(default_factory=dict)
    files: Mapping[int, StagedFile] = field(default_factory=dict)
    lanes: Sequence[int] = ()


def list_source(run: Run, workers: int) -> Listing:
    """List the source and write the manifest, or read the listing of an earlier attempt.

    workers: how many shards can be processed at the same time; a small run is cut into enough shards for all of them.
    Raises NoInput when nothing matches and the dataset's on_empty is "fail", StoreRefused when a URI comes twice, or
    when the folder of temporary files has no room for the listing.
    """
    if storage.exists(run.layout.listing_summary):
        return read_listing(run)
    passed = PassedOver()
    with tempfile.TemporaryDirectory(prefix="imagefeatures-") as folder:
        spool = Path(folder) / "listing.arrow"
        try:
            totals = _spool(run, spool, passed)
        except OSError as error:
            raise write_failed(str(spool), error) from error
        if not totals.objects and run.dataset.on_empty == "fail" and not run.redrive:
            raise NoInput(preview.explain(run.dataset, run.source, run.partition))
        wanted = shard_count(run, totals.objects, totals.weight, workers)
        lanes: list[int] = []
        if totals.hosts:
            cut = totals.hosts.cut(wanted, run.shard_images, run.shard_bytes)
            rows = _each_once(run, sorted_rows(_spooled(spool), cut.shards, Path(folder)), totals, passed)
            files = _write_by_host(run, rows, cut.lanes, lanes)
        else:
            listed = (row for batch in _spooled(spool) for row in batch.to_pylist())
            files = _write_manifest(run, _each_once(run, listed, totals, passed), wanted, totals)
    facts: dict[str, Any] = {
        "objects": sum(file.rows for file in files.values()), "bytes": totals.bytes, "shards": len(files),
        "passed_over": dict(passed.counts),
    }  # fmt: skip
    if len(set(lanes)) < len(lanes):
        facts["lanes"] = lanes
    write_summary(run.layout.listing_summary, Summary(facts, files))
    return read_listing(run)


def read_listing(run: Run) -> Listing:
    """The listing that `list_source` made for this run. Raises AuditFailed when it is gone, or has changed since."""
    try:
        return listing_of(run.layout)
    except storage.ObjectMissing:
        raise AuditFailed(f"{run.layout.listing_summary}: not written yet, or gone; start a new run") from None


def listing_of(layout: Layout) -> Listing:
    """The listing of a run. Raises storage.ObjectMissing before there is one, AuditFailed when it has changed since."""
    summary = read_summary(layout.listing_summary, layout.listing)
    return Listing(**summary.facts, files=summary.files)


def read_manifest(run: Run, shard: int, listing: Listing | None = None) -> pa.Table:
    """The objects of one shard: schemas.LISTING. listing: of the run, if the caller has it.

    Raises AuditFailed when it is not the manifest that was written.
    """
    files = (listing or read_listing(run)).files
    if shard not in files:
        raise AuditFailed(f"{run.layout.listing_summary}: it has no shard {shard}")
    return read_staged(files[shard])


def repeated_uri(run: Run, listing: Listing, hashes: set[int]) -> str | None:
    """A URI that the manifest holds more than once. hashes: those that HashedTexts found among all its URIs."""
    seen: set[str] = set()
    for shard in range(listing.shards) if hashes else ():
        for uri in read_manifest(run, shard, listing)["uri"].to_pylist():
            if uri in seen:
                return str(uri)
            if hash(uri) in hashes:
                seen.add(uri)
    return None


def item_of(row: dict[str, Any]) -> Item:
    """A row of the manifest as the Item that its source listed."""
    return Item(row["uri"], row["size"], row["etag"], row["label"], row["key"], row["locator"])


def shard_count(run: Run, objects: int, weight: int, workers: int) -> int:
    """The number of shards: enough to stay under both caps, and two for each worker if there are enough objects.

    While they are few, a multiple of the workers: of five shards, one of two workers would wait for the fifth.
    weight: of all objects, as `_weight` gives it.
    """
    by_cap = max(math.ceil(objects / run.shard_images), math.ceil(weight / run.shard_bytes))
    few = by_cap < 8 * workers
    return min(objects, max(2, math.ceil(by_cap / workers)) * workers) if few else by_cap


@dataclass
class _Totals:
    """Of a spooled listing: its objects, their bytes and their weight, and the hashes that more than one URI has.

    hosts: of the URLs; false where there are none.
    """

    objects: int = 0
    bytes: int = 0
    weight: int = 0
    repeated: set[int] = field(default_factory=set)
    hosts: Hosts = field(default_factory=Hosts)


def _weight(run: Run, row: dict[str, Any]) -> int:
    """The bytes of an object in a worker's memory: none of one that ingest will not download, however large it is."""
    if row["reason"]:
        return 0
    most = run.dataset.limits.max_bytes
    if row["size"] is None:  # what is estimated may be an average over large and small ones
        return min(row["weight"] or UNKNOWN_BYTES, most)
    size: int = row["size"]
    return size if size <= most else 0


def _spool(run: Run, spool: Path, passed: PassedOver) -> _Totals:
    """Write the listing to a file: schemas.LISTING. passed: gets the objects that are passed over."""
    totals = _Totals()
    uris = HashedTexts()
    with pa.OSFile(str(spool), "wb") as sink, pa.ipc.new_stream(sink, schemas.LISTING) as writer:
        rows: list[dict[str, Any]] = []
        listed = _sampled(run, passed)
        for row in relisting.only_chosen(run, listed) if run.redrive else listed:
            rows.append(row)
            totals.objects += 1
            totals.bytes += row["size"] or 0
            weight = _weight(run, row)
            totals.weight += weight
            uris.add((row["uri"],))
            if run.source.names_hosts:
                totals.hosts.add(None if row["reason"] else row["uri"], weight)
            if len(rows) == SPOOL_ROWS:
                writer.write_table(pa.Table.from_pylist(rows, schema=schemas.LISTING))
                rows.clear()
        writer.write_table(pa.Table.from_pylist(rows, schema=schemas.LISTING))
    totals.repeated = uris.repeated()
    return totals


def _sampled(run: Run, passed: PassedOver) -> Iterator[dict[str, Any]]:
    """The source's items that are in the sample, as rows of schemas.LISTING. passed: gets the others."""
    for item in run.source.items(passed):
        if preview.in_sample(run.dataset.sample, item.uri):
            yield row_of(run.dataset, run.source, item)
        else:
            passed.add(SAMPLE, item.uri)


def row_of(dataset: Dataset, source: Source, item: Item) -> dict[str, Any]:
    """An item that a source has listed, as a row of schemas.LISTING. dataset: its rule finds the label."""
    uri, rejected = item.uri, item.rejected
    try:
        uri.encode()
    except UnicodeEncodeError:
        rejected = Rejected(Reason.BAD_KEY, "its name is not UTF-8; it is shown with the invalid bytes escaped")
        uri = _escaped(uri)
    label = item.label if item.label or source.gives_labels else dataset.label_of(uri, source.path_of(item))
    return {
        **{name: getattr(item, name) for name in ("size", "etag", "locator", "weight")},
        "uri": uri,
        "label": label and _escaped(label),
        "key": item.key and _escaped(item.key),
        "reason": str(rejected.reason) if rejected else None,
        "detail": rejected.detail if rejected else None,
    }


def _escaped(text: str) -> str:
    """The text with what UTF-8 cannot write escaped: halves of surrogate pairs."""
    return text.encode("utf-8", "backslashreplace").decode()


def _each_once(
    run: Run, rows: Iterable[dict[str, Any]], totals: _Totals, passed: PassedOver
) -> Iterator[dict[str, Any]]:
    """The rows, each with a URI of its own. totals: of all rows. passed: gets the rows that are left out.

    A name that is not UTF-8 may look like another one once it is escaped. It then gets a number after two slashes,
    which no listed file has. Where a source may name an object twice, the first row counts. Raises StoreRefused when
    any other source lists a URI twice.
    """
    seen: set[str] = set()
    numbers = count(1)
    for row in rows:
        if hash(row["uri"]) in totals.repeated:
            if row["reason"] == Reason.BAD_KEY:
                row["uri"] += f"//{next(numbers)}"
            if row["uri"] in seen and run.source.may_repeat:
                passed.add(REPEATED, row["uri"])
                totals.bytes -= row["size"] or 0
                continue
            if row["uri"] in seen:
                raise StoreRefused(f"{run.source}: the listing holds {printable(row['uri'])} more than once")
            seen.add(row["uri"])
        yield row


def _write_manifest(run: Run, spooled: Iterable[dict[str, Any]], wanted: int, totals: _Totals) -> dict[int, StagedFile]:
    """Cut the spooled listing into `wanted` shards of similar weight and count, each under both caps.

    An object's part of the whole is its share of the weight plus its share of the count, so shards are similar in both.
    Returns the file of each shard. The caps may raise their number above `wanted`.
    """
    whole = 2 - 1e-9  # slightly less than the sum, so that rounding never cuts a shard one object late
    done, held = 0.0, 0
    files: dict[int, StagedFile] = {}
    rows: list[dict[str, Any]] = []
    for row in spooled:
        weight = _weight(run, row)
        full = len(rows) >= run.shard_images or held + weight > run.shard_bytes
        if rows and (full or done >= (len(files) + 1) * whole / wanted):
            files[len(files)] = _write_shard(run, len(files), rows)
            rows, held = [], 0
        rows.append(row)
        held += weight
        done += 1 / totals.objects + weight / max(totals.weight, 1)
    if rows:
        files[len(files)] = _write_shard(run, len(files), rows)
    return files


def _write_by_host(
    run: Run, ordered: Iterable[dict[str, Any]], cut: Sequence[int], lanes: list[int]
) -> dict[int, StagedFile]:
    """Write the shards that `lanes.Hosts` has cut. ordered: rows by `shard`. cut: the lane of each shard.

    A shard whose rows are all left out, as repeated, is none. lanes: gets the lane of each shard that is written.
    """
    files: dict[int, StagedFile] = {}
    for shard, rows in groupby(ordered, key=lambda row: row["shard"]):
        files[len(files)] = _write_shard(run, len(files), list(rows))
        lanes.append(cut[shard])
    return files


def _write_shard(run: Run, shard: int, rows: list[dict[str, Any]]) -> StagedFile:
    return write_shard_file(run.layout.listing, shard, pa.Table.from_pylist(rows, schema=schemas.LISTING))


def _spooled(spool: Path) -> Iterator[pa.RecordBatch]:
    with pa.OSFile(str(spool), "rb") as source:
        yield from pa.ipc.open_stream(source)
