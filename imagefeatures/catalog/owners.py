"""A table of features is of one dataset: a dataset's name may be that of another one's further model."""

from __future__ import annotations

from collections.abc import Sequence

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError

from imagefeatures import names
from imagefeatures.catalog.failures import in_one_line
from imagefeatures.catalog.filters import one_of
from imagefeatures.errors import DatasetError


@in_one_line
def refuse_taken(catalog: Catalog, dataset: str, tables: Sequence[str]) -> None:
    """Raise DatasetError where another dataset has published into one of a dataset's tables."""
    others = sorted({other for table in tables for other in names.datasets_of(table)} - {dataset})
    if not others:  # no name with __: nobody else's model can have it
        return
    try:
        runs = catalog.load_table((names.NAMESPACE, names.RUNS))
    except NoSuchTableError:
        return
    columns = {"dataset", "model", "models", "pixels"} & set(
        runs.schema().column_names
    )  # a table of an earlier version lacks some
    for row in runs.scan(row_filter=one_of("dataset", others), selected_fields=tuple(columns)).to_arrow().to_pylist():
        if both := [table for table in tables if table in names.tables_of_run(row)]:
            raise DatasetError(
                f"{names.table_name(both[0])} is published by the dataset {row['dataset']}; give "
                + (f"the dataset {dataset}" if both[0] == dataset else "the model or the dataset")
                + " another name"
            )
