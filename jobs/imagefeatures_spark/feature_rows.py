"""What `imagefeatures.features` reads: its options, its columns, and the record batches that it makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa
from pyspark.ml.linalg import VectorUDT
from pyspark.sql.pandas.types import from_arrow_type
from pyspark.sql.types import ArrayType, FloatType, StructField, StructType

from imagefeatures import schemas
from imagefeatures.errors import ParamsError
from imagefeatures.names import FEATURES_FORMAT
from imagefeatures.readers.parquet import plan_batches
from imagefeatures.readers.vectors import vectors
from imagefeatures.reasons import printable
from imagefeatures.settings import Settings
from imagefeatures.wording import meant

if TYPE_CHECKING:
    from imagefeatures.catalog.snapshots import Plan, Selection

NAMES = (
    "path", "dataset", "vector", "partitions", "where", "snapshot", "run_id", "fingerprint", "split", "test_share",
)  # fmt: skip
FEATURES = "features"
TASK_BYTES = 4 << 20
"""A task reads files of so many bytes together, or one file: 800 vectors of 1280 values."""

DENSE = 1
"""The type of a dense vector, as SparkML stores it."""


@dataclass(frozen=True)
class Options:
    """What the options mean. selection: as `imagefeatures.read.open` has it. vector: for SparkML."""

    dataset: str
    vector: bool
    selection: Selection

    @classmethod
    def parse(cls, given: Mapping[str, str]) -> Options:
        """given: the options as Spark has them; their names count in any case. Raises ParamsError."""
        options = _known(given)
        dataset = options.get("dataset") or options.get("path")
        if not dataset or ("dataset" in options and "path" in options):
            raise _wrong("path", 'is required once, the name of a dataset: load("fruit")')
        if (vector := options.get("vector", "false").lower()) not in ("true", "false"):
            raise _wrong("vector", f"must be true or false (got {printable(vector)!r})")
        selection: dict[str, Any] = {
            name: options[name] for name in ("where", "run_id", "fingerprint", "split") if name in options
        }
        if "partitions" in options:
            selection["partitions"] = [key.strip() for key in options["partitions"].split(",") if key.strip()]
        for name, kind in (("snapshot", int), ("test_share", float)):
            if name in options:
                try:
                    selection[name] = kind(options[name])
                except ValueError:
                    raise _wrong(name, f"must be a number (got {printable(options[name])!r})") from None
        return cls(dataset, vector == "true", cast("Selection", selection))


def schema(options: Options) -> StructType:
    """The columns of features.<dataset>; with vector=true `features` is SparkML's vector of doubles."""
    return StructType(
        [
            StructField(
                field.name,
                (VectorUDT() if options.vector else ArrayType(FloatType(), False))
                if field.name == FEATURES
                else from_arrow_type(field.type),
                field.nullable,
            )
            for field in schemas.FEATURES
        ]
    )


def check_schema(wanted: StructType) -> None:
    """Raise ParamsError where the user's schema asks for what there is not."""
    known = {field.name: [field.dataType] for field in schema(Options("", False, {}))}
    known[FEATURES] = [VectorUDT(), *(ArrayType(FloatType(), null) for null in (True, False))]
    for field in wanted:
        if field.name not in known:
            raise _wrong("schema", f"no column {printable(field.name)}{meant(field.name, list(known))}")
        if field.dataType not in known[field.name]:
            raise _wrong("schema", f"{field.name} is no {field.dataType.simpleString()}")


def planned(options: Options) -> Plan:
    """The files of the snapshot and the condition on their rows. Raises as `imagefeatures.read.open`."""
    from imagefeatures.catalog import snapshots  # pyiceberg takes a second

    if options.dataset in schemas.TABLES:
        raise _wrong("path", f"{options.dataset} is no dataset, it has no vectors; use imagefeatures.read.table")
    return snapshots.plan(Settings.from_env(), options.dataset, options.selection)


def cut(plan: Plan, task_bytes: int = TASK_BYTES) -> Iterator[Plan]:
    """The plan of each task: some files of the whole, in their order."""
    start = held = 0
    for at, file in enumerate(plan.files):
        if at > start and held + file.size > task_bytes:
            yield replace(plan, files=plan.files[start:at])
            start, held = at, 0
        held += file.size
    if plan.files:
        yield replace(plan, files=plan.files[start:])


def read(plan: Plan, wanted: StructType, dataset: str) -> Iterator[pa.RecordBatch]:
    """The rows of the plan with the columns of the schema, in its order."""
    names = [field.name for field in wanted]
    as_vectors = any(isinstance(field.dataType, VectorUDT) for field in wanted)  # no other column may be one
    # A query without columns, such as count(), still needs the rows.
    for batch in plan_batches(plan, dataset, names or ["uri"]):
        columns = [
            _dense(batch) if name == FEATURES and as_vectors else batch.column(batch.schema.get_field_index(name))
            for name in names
        ]
        yield pa.RecordBatch.from_arrays(columns, names) if names else batch.select([])


def _dense(batch: pa.RecordBatch) -> pa.StructArray:
    """The vectors of a batch as SparkML stores them: {type, size, indices, values}, of doubles."""
    rows = vectors(batch)
    count, width = rows.shape
    # pa.array makes a null of no NaN: SparkML shall see what the table has.
    values = pa.array(rows.ravel().astype(np.float64), from_pandas=False)
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * width)
    return pa.StructArray.from_arrays(
        [
            pa.array(np.full(count, DENSE, np.int8)),
            pa.nulls(count, pa.int32()),
            pa.nulls(count, pa.list_(pa.int32())),
            pa.ListArray.from_arrays(offsets, values),
        ],
        ["type", "size", "indices", "values"],
    )


def _known(given: Mapping[str, str]) -> dict[str, str]:
    options = {}
    for name, value in given.items():
        if name.lower() not in NAMES:
            raise _wrong(printable(name), f"is no option{meant(name, list(NAMES))}")
        options[name.lower()] = value
    return options


def _wrong(option: str, what: str) -> ParamsError:
    return ParamsError(f"{FEATURES_FORMAT}: {option}: {what}")
