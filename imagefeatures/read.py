"""Reads the tables: record batches of one snapshot, and the vectors in them.

    for rows in read.batches(settings, "fruit", columns=("uri", "features"), partitions=("2026-11-02",)):
        vectors = read.vectors(rows)  # float32 [n, width]

With what="pixels" it is the table of the pixels, features.<dataset>_pixels, and `read.pixels(rows)` the array.

Every reader goes this way: the demo, the page in Airflow, the examples of docs/tables.md. It makes nothing and changes
nothing: no table, no column, no SQLite file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, Unpack, get_args, overload

import pyarrow as pa

from imagefeatures import names, schemas
from imagefeatures.errors import InputError
from imagefeatures.pixels import pixels, tensors
from imagefeatures.readers.parquet import BATCH_ROWS, file_batches, plan_batches, schema_of, with_schema
from imagefeatures.readers.vectors import vectors
from imagefeatures.reasons import printable
from imagefeatures.settings import Settings

if TYPE_CHECKING:
    from imagefeatures.catalog.snapshots import Selection
    from imagefeatures.readers.dataset import Features, Pixels

__all__ = [
    "BATCH_ROWS", "batches", "file_batches", "files", "open", "pixels", "runs", "table", "table_of", "table_with",
    "tensors", "vectors", "with_schema",
]  # fmt: skip

What = Literal["features", "pixels"]
"""What is read of a dataset: its vectors, or the pixels that they were computed from."""

WHAT: tuple[str, ...] = get_args(What)


@overload
def open(
    dataset: str,
    *,
    model: str | None = None,
    what: Literal["features"] = "features",
    settings: Settings | None = None,
    label_names: Sequence[str] | None = None,
    **selection: Unpack[Selection],
) -> Features: ...


@overload
def open(
    dataset: str,
    *,
    model: None = None,
    what: Literal["pixels"],
    settings: Settings | None = None,
    label_names: Sequence[str] | None = None,
    **selection: Unpack[Selection],
) -> Pixels: ...


def open(
    dataset: str,
    *,
    model: str | None = None,
    what: What = "features",
    settings: Settings | None = None,
    label_names: Sequence[str] | None = None,
    **selection: Unpack[Selection],
) -> Features | Pixels:
    """One snapshot of features.<dataset>, ready for NumPy, pandas, TensorFlow and PyTorch.

        features, labels, uris, label_names = read.open("fruit", split="train").to_numpy()
        pixels, labels, uris, label_names = read.open("fruit", what="pixels").to_numpy()

    model: of a dataset with several, the one whose vectors are read; by default the first. settings: by default those
    of the environment. label_names: the number of a label is its place among them; by default the labels of all rows of
    the snapshot, sorted. what, selection: as `batches` has them.

    What is published afterwards changes nothing in it. Raises as `batches` does.
    """
    from imagefeatures.readers.dataset import open_dataset  # pyiceberg takes a second

    settings = settings or Settings.from_env()
    table = table_with(dataset, what) if model is None else _of_model(settings, dataset, model, what)
    return open_dataset(settings, table, label_names, selection)


def table_of(settings: Settings, dataset: str, model: str) -> str:
    """The name of the table that holds a dataset's vectors of a model: `fruit`, or `fruit__resnet50`.

    Settled by what is published. Raises InputError, which names the models that there are, and as `batches`.
    """
    published: dict[str, str] = {}
    for row in sorted(runs(settings, dataset), key=lambda row: row["finished_at"]):
        published |= {row["model"]: dataset} if dataset in names.tables_of_run(row) else {}
        published |= {further: names.model_table(dataset, further) for further in dict(row["models"] or ())}
    if model not in published:
        there = f"there are: {', '.join(sorted(published))}" if published else "nothing of it is published"
        raise InputError(f"{names.table_name(dataset)}: no vectors of {printable(model)} are published; {there}")
    return published[model]


def batches(
    settings: Settings,
    dataset: str,
    *,
    what: What = "features",
    columns: Sequence[str] | None = None,
    **selection: Unpack[Selection],
) -> Iterator[pa.RecordBatch]:
    """The rows of features.<dataset>, at most BATCH_ROWS at a time. Memory does not grow with the table.

    The snapshot is settled by the call: what is published while the batches are read changes nothing in them.
    Every batch has the columns of this version's schema, in its order; a column that an older file lacks is null.
    The same snapshot gives the same rows in the same order each time: partition by partition, and in each shard by
    shard.

    dataset: or `quarantine` or `runs`, which are empty until something is published.
    what: "pixels" for the rows of features.<dataset>_pixels, of which a batch has at most 16 MiB.
    columns: these alone. selection: see imagefeatures/catalog/snapshots.py.
        partitions: rows of these partition keys alone; a key that was never published has none.
        labels: rows with one of these labels alone; None among them stands for rows without a label.
        where: a condition on the columns, "label = 'apple' and width > 100", or an expression of pyiceberg's.
        snapshot: the id of an earlier snapshot; by default the current one.
        run_id: the table as this run left it, with the rows of all other runs that it held then.

    Raises InputError (no such dataset is published, unknown column, snapshot or run, a condition that is wrong),
    CatalogError, StoreError.
    """
    return _read(settings, table_with(dataset, what), columns, selection)[1]


def table(
    settings: Settings,
    dataset: str,
    *,
    what: What = "features",
    columns: Sequence[str] | None = None,
    **selection: Unpack[Selection],
) -> pa.Table:
    """What `batches` reads, at once: a million vectors of 1280 values take 5 GB."""
    schema, rows = _read(settings, table_with(dataset, what), columns, selection)
    return pa.Table.from_batches(rows, schema=schema)


def files(
    settings: Settings,
    dataset: str,
    *,
    what: What = "features",
    partitions: Sequence[str] | None = None,
    snapshot: int | None = None,
    run_id: str | None = None,
) -> list[str]:
    """The URIs of the data files of features.<dataset>, for engines that read Parquet: DuckDB, Spark.

    They hold the rows that `batches` would read with the same arguments, and no others. Raises as it does; and
    InputError when rows of a file were deleted one by one, since the file itself still shows them.
    """
    from imagefeatures.catalog import snapshots

    plan = snapshots.plan(
        settings, table_with(dataset, what), {"partitions": partitions, "snapshot": snapshot, "run_id": run_id}
    )
    for file in plan.files:
        if file.by_iceberg is not None:
            raise InputError(f"{file.uri}: rows of it were deleted, or it is no plain Parquet file; use read.batches")
    return [file.uri for file in plan.files]


def runs(
    settings: Settings,
    dataset: str | None = None,
    *,
    partitions: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    snapshot: int | None = None,
) -> list[dict[str, Any]]:
    """The rows of features.runs, of all datasets or of one, in order of dataset and then newest partition first.

    partitions: of these partition keys alone. columns: these alone; dataset and partition_key are among them.
    snapshot: the id of an earlier one.
    """
    from imagefeatures.catalog.filters import equal

    where = None if dataset is None else equal("dataset", dataset)
    rows = table(settings, names.RUNS, columns=columns, where=where, partitions=partitions, snapshot=snapshot)
    ordered = rows.sort_by([("dataset", "ascending"), ("partition_key", "descending")])
    dicts: list[dict[str, Any]] = ordered.to_pylist()
    return dicts


def table_with(dataset: str, what: str) -> str:
    """The table that holds this of a dataset, without the namespace. Raises InputError for what there is not."""
    if not isinstance(dataset, str):
        raise InputError(f"the dataset is {printable(repr(dataset))}; it must be a name")
    if what not in WHAT:
        raise InputError(f"what is {what!r}; it may be {' or '.join(WHAT)}")
    if what == "features":
        return dataset
    if dataset in schemas.TABLES:
        raise InputError(f"{names.table_name(dataset)}: has no {what}; name a dataset")
    return names.pixels_table(dataset)


def _of_model(settings: Settings, dataset: str, model: str, what: str) -> str:
    if what != "features":
        raise InputError(f"model is {printable(model)!r}: {what} are of no model; leave it out")
    return table_of(settings, dataset, model)


def _read(
    settings: Settings, table: str, columns: Sequence[str] | None, selection: Selection
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    from imagefeatures.catalog import failures, snapshots  # pyiceberg takes a second

    schema_of(table, columns)  # refuses a column before a file is opened
    plan = snapshots.plan(settings, table, selection)
    rows = plan_batches(plan, table, columns)
    return schema_of(table, columns, plan.schema), failures.each(rows, names.table_name(table), settings.catalog)
