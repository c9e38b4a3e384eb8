"""Tables that keep what was done: a row is added once, by its run_id, and is there for good.

It is taken out again only where what it tells of was refused in the end.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.expressions import BooleanExpression
from pyiceberg.table import Table

from imagefeatures import names
from imagefeatures.catalog import attempts, retention, tables, tags
from imagefeatures.catalog.failures import in_one_line
from imagefeatures.catalog.filters import equal
from imagefeatures.catalog.transactions import Changes


@in_one_line
def keep(table: Table, row: pa.Table) -> bool:
    """Add a row, in one commit. Returns False where the table has one of the same run_id already."""
    run_id = row["run_id"][0].as_py()

    def add() -> bool:
        table.refresh()
        if table.scan(row_filter=equal("run_id", run_id), selected_fields=("run_id",)).to_arrow().num_rows:
            return False
        with Changes(table) as change:
            if tables.has_many_small_files(table):
                rows = pa.concat_tables([table.scan().to_arrow(), row], promote_options="permissive")
                change.overwrite(rows, snapshot_properties=tags.signed(run_id))
            else:
                change.append(row, snapshot_properties=tags.signed(run_id))
            retention.expire(table, change)
        return True

    return attempts.until_committed(add)


@in_one_line
def drop(catalog: Catalog, name: str, run_id: str) -> bool:
    """Take the row of this run_id out of features.<name>. Returns False where there is none."""
    try:
        table = catalog.load_table((names.NAMESPACE, name))
    except NoSuchTableError:
        return False
    where = equal("run_id", run_id)

    def remove() -> bool:
        table.refresh()
        if not table.scan(row_filter=where, selected_fields=("run_id",)).to_arrow().num_rows:
            return False
        with Changes(table) as change:
            change.delete(where, snapshot_properties=tags.signed(run_id))
            retention.expire(table, change)
        return True

    return attempts.until_committed(remove)


@in_one_line
def read(catalog: Catalog, name: str, where: BooleanExpression) -> list[dict[str, Any]]:
    """The rows of features.<name> that meet the condition. Makes no table."""
    try:
        table = catalog.load_table((names.NAMESPACE, name))
    except NoSuchTableError:
        return []
    rows: list[dict[str, Any]] = table.scan(row_filter=where).to_arrow().to_pylist()
    return rows
