"""The statistics of a published run, into features.statistics: a row for each table of features that it has filled.

It comes after the publication, and changes nothing of it.
"""

from __future__ import annotations

import datetime as dt
import logging
import zlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from imagefeatures import names, read, schemas
from imagefeatures.catalog import retention, statistics, tables
from imagefeatures.columns import images_per_second
from imagefeatures.dataset_files import find_dataset
from imagefeatures.errors import CatalogError, DatasetError, SettingsError
from imagefeatures.quality import judge
from imagefeatures.quality.declared import LEVEL, Alerts
from imagefeatures.quality.drift import drift
from imagefeatures.quality.measure import measure
from imagefeatures.quality.sketch import DIMENSIONS, Sketch
from imagefeatures.settings import Settings

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

Row = dict[str, Any]
"""A row of features.statistics, or of features.runs."""

COUNTED = ("run_id", "registered", "quarantined")
"""What tells of a row of features.runs whether the partition is as it was."""

OF_OTHERS = ("partition_key", "dataset", "run_id", "listed", "model", "fingerprint", "models", "pixels")
"""What is read of features.runs of the partitions that a run is compared with."""

log = logging.getLogger(__name__)


def record(dataset: str, partition: str, run_id: str, alerts: Alerts | None, settings: Settings) -> list[Row] | None:
    """Compute and write the statistics of a run that is published. Returns its rows of features.statistics.

    alerts: those of the dataset file. A second call computes nothing, and returns the same rows. Returns None where the
    partition holds another run by now, or is taken back. Raises CatalogError where it changes meanwhile; CatalogRefused
    where features.statistics is a dataset's own table; and as `read.batches`.
    """
    with tables.open_catalog(settings) as catalog:
        run = next(iter(read.runs(settings, dataset, partitions=[partition])), None)
        if run is None or run["run_id"] != run_id:
            return None
        table = tables.open_table(catalog, settings, names.STATISTICS)  # before the work: it may be refused
        standing = statistics.rows_of(catalog, dataset, [partition])
        if {(row["table"], row["run_id"]) for row in standing} == {(name, run_id) for name in names.tables_of_run(run)}:
            return standing
        rows = _computed(catalog, settings, run, alerts or Alerts())
        _write(catalog, settings, table, run, rows)
        return rows


def renew(dataset: str, partition: str, before: Sequence[Row], settings: Settings) -> None:
    """Compute the statistics of a partition anew whose rows have changed without a run. Alerts stay as they were.

    before: its rows of features.statistics until then; where there were none, nothing is done. Raises as `record`.
    """
    if not before:
        return
    with tables.open_catalog(settings) as catalog:
        run = next(iter(read.runs(settings, dataset, partitions=[partition])), None)
        if run is None:
            statistics.remove(catalog, dataset, partition, before[0]["run_id"])
            return
        said = {row["table"]: row["alerts"] for row in before}
        rows = _computed(catalog, settings, run, _declared(dataset, settings))
        table = tables.open_table(catalog, settings, names.STATISTICS)
        _write(catalog, settings, table, run, [row | {"alerts": said.get(row["table"], [])} for row in rows])


def outputs_of(run: Row) -> Iterator[tuple[str, str, str]]:
    """(Table, model, fingerprint) of each table of features that a run has filled. run: its row of features.runs."""
    models = dict(run["models"] or ())
    further = {names.model_table(run["dataset"], model): model for model in models}
    for table in names.tables_of_run(run):
        if names.is_pixels_table(table):
            yield table, names.NO_MODEL, run["pixels"]
        elif table in further:
            yield table, further[table], models[further[table]]
        else:
            yield table, run["model"], run["fingerprint"]


def _declared(dataset: str, settings: Settings) -> Alerts:
    """The alerts of the dataset file, by which drift is measured; the usual ones where no such file can be read."""
    try:
        return find_dataset(settings.datasets, dataset).alerts or Alerts()
    except (DatasetError, SettingsError):  # rows leave the tables of a dataset whose file is gone, too
        return Alerts()


def _computed(catalog: Catalog, settings: Settings, run: Row, alerts: Alerts) -> list[Row]:
    runs = read.runs(settings, run["dataset"], columns=OF_OTHERS)
    others = [row for row in runs if row["partition_key"] != run["partition_key"]]
    said = judge.of_run(alerts, run, others)  # of the whole run, so it stands in the row of its first table alone
    seed = zlib.crc32(run["run_id"].encode())
    rows = []
    for table, model, fingerprint in outputs_of(run):
        measured = measure(settings, table, run, seed)
        row = {
            **{name: run[name] for name in ("partition_key", "dataset", "run_id", "listed", "quarantined", "reasons")},
            "table": table,
            "model": model,
            "fingerprint": fingerprint,
            "computed_at": dt.datetime.now(dt.UTC),
            "images_per_second": images_per_second(run),
            "reference": [],
            **measured.columns,
        }
        if sketch := measured.sums.sketch:
            row |= {"mean": sketch.mean.tolist(), "covariance": sketch.covariance.ravel().tolist()}
            if reference := _reference(catalog, row, others, alerts.window):
                pooled = Sketch.pooled([*reference.values()])
                drifted = drift(sketch, measured.sums.sample, pooled, alerts.drift or LEVEL, seed)
                row |= {"drift": drifted.score, "drift_probability": drifted.probability, "drift_bound": drifted.bound}
                row["reference"] = [*reference]
                said |= judge.of_vectors(alerts, drifted, row["reference"])
        rows.append(row | {"alerts": sorted(said.items())})
        said = {}
    return rows


def _reference(catalog: Catalog, row: Row, others: Sequence[Row], window: int) -> dict[str, Sketch]:
    """The sketches of the last `window` partitions before the row's whose vectors are made in the same way, by key.

    Those without a sketch are left out: of a run that has no statistics yet, or has few pictures.
    """
    alike = {
        one["partition_key"]: one["run_id"]
        for one in others
        if one["partition_key"] < row["partition_key"]
        and (row["table"], row["model"], row["fingerprint"]) in outputs_of(one)
    }
    latest = sorted(alike)[-window:]
    columns = ("partition_key", "run_id", "table", "pictures", "mean", "covariance")
    found = {
        one["partition_key"]: Sketch(
            one["pictures"], np.array(one["mean"]), np.array(one["covariance"]).reshape(DIMENSIONS, DIMENSIONS)
        )
        for one in statistics.rows_of(catalog, row["dataset"], latest, columns)
        if one["table"] == row["table"] and one["run_id"] == alike[one["partition_key"]] and one["mean"] is not None
    }
    return dict(sorted(found.items()))


def _write(catalog: Catalog, settings: Settings, table: Table, run: Row, rows: Sequence[Row]) -> None:
    dataset, partition = run["dataset"], run["partition_key"]

    def refuse_changed() -> None:
        now = tables.published(catalog, settings, dataset, partition)
        if now is None or any(now[name] != run[name] for name in COUNTED):
            raise CatalogError(
                f"{names.table_name(dataset)} {partition}: has changed while its statistics were computed; try again"
            )

    statistics.replace(table, pa.Table.from_pylist(rows, schema=schemas.STATISTICS), refuse_changed)
    try:
        retention.remove_expired(table, settings.lake)
    except Exception as error:  # the rows are there
        log.warning(
            "%s: the files of expired snapshots stay until the next statistics (%s)",
            names.table_name(names.STATISTICS), type(error).__name__,
        )  # fmt: skip
