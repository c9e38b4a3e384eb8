"""Whose a table is: this package's, or somebody's own in its namespaces.

A table of features is of one dataset: a dataset's name may be that of another one's further model.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.table import Table

from imagefeatures import names
from imagefeatures.catalog import tags
from imagefeatures.catalog.failures import in_one_line
from imagefeatures.catalog.filters import one_of
from imagefeatures.errors import DatasetError

OWN_PROPERTIES = "imagefeatures."
"""The beginning of the properties that a table gets when this package opens it."""


@in_one_line
def listed(catalog: Catalog) -> list[tuple[str, str]]:
    """(namespace, name) of each table in this package's namespaces, in order; somebody's own are among them."""
    found: list[tuple[str, str]] = []
    for namespace in names.NAMESPACES:
        with contextlib.suppress(NoSuchNamespaceError):
            found += sorted((namespace, table[-1]) for table in catalog.list_tables(namespace))
    return found


def is_ours(table: Table) -> bool:
    """Whether this package has opened a table or committed to it. Others in its namespaces are somebody's own."""
    signed = any(snapshot.summary and snapshot.summary[tags.SIGNATURE] for snapshot in table.snapshots())
    return signed or any(name.startswith(OWN_PROPERTIES) for name in table.properties)


@in_one_line
def refuse_taken(catalog: Catalog, dataset: str, tables: Sequence[str]) -> None:
    """Raise DatasetError where another dataset has published into one of a dataset's tables."""
    others = sorted({other for table in tables for other in names.datasets_of(table)} - {dataset})
    if not others:  # no name with __: nobody else's model can have it
        return
    for row in _runs_of(catalog, others):
        if both := [table for table in tables if table in names.tables_of_run(row)]:
            raise DatasetError(
                f"{names.table_name(both[0])} is published by the dataset {row['dataset']}; give "
                + (f"the dataset {dataset}" if both[0] == dataset else "the model or the dataset")
                + " another name"
            )


@in_one_line
def tables_of(catalog: Catalog, dataset: str) -> list[str]:
    """The tables of features of a dataset, sorted; also those of models and pixels that it no longer has."""
    there = sorted({table[-1] for table in catalog.list_tables(names.NAMESPACE)} - {*names.SHARED})
    own = [table for table in there if dataset in names.datasets_of(table)]
    others = {other for table in own for other in names.datasets_of(table)} - {dataset}
    taken = {table for row in _runs_of(catalog, sorted(others)) for table in names.tables_of_run(row)}
    return [table for table in own if table not in taken]


def _runs_of(catalog: Catalog, datasets: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of features.runs of these datasets, in the columns that say which tables they are of."""
    try:
        runs = catalog.load_table((names.NAMESPACE, names.RUNS))
    except NoSuchTableError:
        return []
    # A table of an earlier version lacks some.
    columns = {"dataset", "model", "models", "pixels"} & set(runs.schema().column_names)
    scan = runs.scan(row_filter=one_of("dataset", datasets), selected_fields=tuple(columns))
    rows: list[dict[str, Any]] = scan.to_arrow().to_pylist()
    return rows
