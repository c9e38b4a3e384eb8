"""The table features.statistics: read without making it, and rows of a partition taken out of it again."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.expressions import And
from pyiceberg.table import Table

from imagefeatures import names, read, schemas, storage
from imagefeatures.catalog import attempts, guards, purge, retention, tables, tags
from imagefeatures.catalog.failures import in_one_line
from imagefeatures.catalog.file_io import plain_uri
from imagefeatures.catalog.filters import equal, one_of
from imagefeatures.catalog.transactions import Changes
from imagefeatures.forget.wanted import Wanted

COMMIT_SECONDS = 30.0
"""A file that no snapshot names is one that is being committed for so long. Afterwards its commit has failed."""

KEPT = ("run_id", "table", "alerts")
"""What of a row outlives it, where a partition is measured anew."""

Partition = tuple[str, str]
"""A dataset and a partition key."""


@in_one_line
def rows_of(
    catalog: Catalog, dataset: str, partitions: Collection[str], columns: Sequence[str] = ("*",)
) -> list[dict[str, Any]]:
    """The rows of these partitions of a dataset. Makes no table, and reads the files of these partitions alone."""
    if not partitions or not (table := existing(catalog)):
        return []
    where = And(equal("dataset", dataset), one_of("partition_key", partitions))
    found: list[dict[str, Any]] = table.scan(row_filter=where, selected_fields=tuple(columns)).to_arrow().to_pylist()
    return found


@in_one_line
def runs_of(catalog: Catalog) -> dict[Partition, set[str]]:
    """The runs whose statistics each partition has, of all datasets. Makes no table."""
    found: dict[Partition, set[str]] = {}
    if table := existing(catalog):
        for row in table.scan(selected_fields=("dataset", "partition_key", "run_id")).to_arrow().to_pylist():
            found.setdefault((row["dataset"], row["partition_key"]), set()).add(row["run_id"])
    return found


@in_one_line
def replace(table: Table, rows: pa.Table, check: Callable[[], object]) -> None:
    """Make these rows, of one run, the only ones of their partition, in one commit.

    check: is called at the moment of each attempt; what it raises ends it.
    """
    dataset, partition, run_id = (rows[name][0].as_py() for name in ("dataset", "partition_key", "run_id"))
    where = tables.rows_of(partition, dataset)

    def swap() -> None:
        table.refresh()
        check()
        standing = table.scan(row_filter=where, selected_fields=("run_id",)).to_arrow().num_rows
        with Changes(table) as change:
            if standing:
                change.delete(where, snapshot_properties=tags.signed(run_id))
            change.append(rows, snapshot_properties=tags.signed(run_id))
            retention.expire(table, change)

    attempts.until_committed(swap)


@in_one_line
def remove(catalog: Catalog, dataset: str, partition: str, run_id: str) -> bool:
    """Take the rows of a partition out, for a withdrawal. Returns whether there were any."""
    if not (table := existing(catalog)):
        return False
    return tables.replace_rows(table, partition, dataset, schemas.STATISTICS.empty_table(), run_id)


@in_one_line
def forget_past(catalog: Catalog, lake: str, partitions: Collection[Partition]) -> None:
    """Leave nothing of the table but its current rows: what was computed with an image gives it away beside what was
    computed without.

    partitions: of which files go that no snapshot names, too: of commits that failed. Waits for those that are younger
    than COMMIT_SECONDS.
    """
    if not (table := existing(catalog)):
        return
    current = {plain_uri(task.file.file_path) for task in table.scan().plan_files()}
    past = _named(table)
    found = purge.Found()
    for stored in purge.data_files(table, lake):
        if stored.uri not in current and (stored.uri in past or _is_left_of(stored, partitions)):
            found.files[stored.uri] = stored.size
    purge.purge(table, lake, Wanted(frozenset()), found)


def existing(catalog: Catalog) -> Table | None:
    """The table; None where it is not there, or is a dataset's own."""
    try:
        table = catalog.load_table((names.NAMESPACE, names.STATISTICS))
    except NoSuchTableError:
        return None
    return None if guards.is_datasets(table) else table


def _named(table: Table) -> set[str]:
    """The files that any snapshot names, as one of its own or as one that it has deleted."""
    manifests = {
        manifest.manifest_path: manifest for snapshot in table.snapshots() for manifest in snapshot.manifests(table.io)
    }  # most snapshots share most of theirs
    return {
        plain_uri(entry.data_file.file_path)
        for manifest in manifests.values()
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=False)
    }


def _is_left_of(stored: storage.StoredObject, partitions: Collection[Partition]) -> bool:
    """Whether a file that no snapshot names is of one of the partitions. Waits until no commit can name it any more."""
    try:
        batches = [batch for _, batch in read.file_batches(stored.uri, stored.size, _TELLING)]
    except storage.ObjectMissing:  # a clean-up was first
        return False
    rows = [row for batch in batches for row in batch.to_pylist()]
    if not any((row["dataset"], row["partition_key"]) in partitions for row in rows):
        return False
    newest = max(row["computed_at"] for row in rows)
    left = COMMIT_SECONDS - (dt.datetime.now(dt.UTC) - newest).total_seconds()
    time.sleep(min(max(0.0, left), COMMIT_SECONDS))  # the clock may have gone back since
    return True


_TELLING = ("dataset", "partition_key", "computed_at")
