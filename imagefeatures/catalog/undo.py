"""Takes a run out of the tables again that was refused after its first commit."""

from __future__ import annotations

from itertools import dropwhile, takewhile

from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot, ancestors_of

from imagefeatures.catalog import tags
from imagefeatures.catalog.attempts import until_committed
from imagefeatures.catalog.failures import in_one_line
from imagefeatures.catalog.filters import equal
from imagefeatures.catalog.tables import rows_of
from imagefeatures.catalog.tags import SIGNATURE, signed
from imagefeatures.catalog.transactions import Changes


@in_one_line
def take_back(
    table: Table, partition: str, run_id: str, dataset: str | None = None, published: str | None = None
) -> bool:
    """Give a partition the rows back that a run has replaced, if it still holds that run's. Returns whether it did.

    dataset: None for a dataset's own table, whose partition it is as a whole. published: the run that features.runs
    names; its rows are given back also where the partition holds none, as after a run that had none for this table.
    What was replaced is read from the table's own past; where that has expired, nothing is changed.
    """
    where = rows_of(partition, dataset) if dataset else equal("partition_key", partition)

    def run_ids(snapshot: int | None = None) -> list[str]:
        rows = table.scan(row_filter=where, selected_fields=("run_id",), snapshot_id=snapshot).to_arrow()
        found: list[str] = rows["run_id"].unique().to_pylist()
        return found

    def swap() -> bool:
        table.refresh()
        held = run_ids()
        known, before = _before(table, run_id)
        if held not in ([run_id], []) or not known:
            return False
        if not held and (before is None or run_ids(before) != [published]):  # nobody's, or another run's by now
            return False
        past = None if before is None else table.scan(row_filter=where, snapshot_id=before)
        with Changes(table) as change:
            if held:
                change.delete(where, snapshot_properties=signed(run_id))
            if past and dataset:
                if (rows := past.to_arrow()).num_rows:
                    change.append(rows, snapshot_properties=signed(run_id))
            elif past and (files := [task.file for task in past.plan_files()]):
                # As the table knows them: they are not read again, and may have columns that it has no more.
                with change.update_snapshot(snapshot_properties=signed(run_id)).fast_append() as append:
                    for file in files:
                        append.append_data_file(file)
            tags.drop(change, run_id)
        return True

    return until_committed(swap)


def _before(table: Table, run_id: str) -> tuple[bool, int | None]:
    """Whether the table still knows what was before a run's last commit; and that snapshot, None where none was."""
    past = dropwhile(
        lambda snapshot: not _is_signed(snapshot, run_id), ancestors_of(table.current_snapshot(), table.metadata)
    )
    commit = list(takewhile(lambda snapshot: _is_signed(snapshot, run_id), past))  # it has one snapshot or two
    if not commit:
        return False, None
    before = commit[-1].parent_snapshot_id  # removed with the parent: then only the very first snapshot had none
    return before is not None or commit[-1].sequence_number == 1, before


def _is_signed(snapshot: Snapshot, run_id: str) -> bool:
    return bool(snapshot.summary and snapshot.summary[SIGNATURE] == run_id)
