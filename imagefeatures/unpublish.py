"""Takes published rows back: of a partition, or of single objects of it, out of all tables of the dataset.

A withdrawal is a publication as a run's: it is written down before the first table is changed, each table is swapped in
one commit, features.runs last, and whatever interrupts it, the next plan or register of any dataset finishes it. What
stays of a partition is copied under the withdrawal's run_id, so that a partition is one run's as ever.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from imagefeatures import copies, names, precedence, publications, read, schemas
from imagefeatures.catalog import owners, pixel_tables, records, standing, statistics, tables
from imagefeatures.catalog.filters import equal
from imagefeatures.catalog.standing import Standing
from imagefeatures.columns import rows_of_image
from imagefeatures.errors import ParamsError
from imagefeatures.forget import deny
from imagefeatures.layout import Layout
from imagefeatures.plan import new_run_id
from imagefeatures.publications import Publication
from imagefeatures.quality import record
from imagefeatures.reasons import printable
from imagefeatures.redrive.selection import PublishedFile, published_rows
from imagefeatures.run_params import UnpublishParams, day_named
from imagefeatures.settings import Settings

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Withdrawal:
    """What leaves of a partition. row: of features.withdrawals. stay: rows of features.<dataset> that stay.

    done: whether it has been published; False for a dry run.
    """

    row: dict[str, Any]
    stay: int
    done: bool

    def __str__(self) -> str:
        row = self.row
        return (
            f"{'taken back' if self.done else 'would be taken back'}: {names.table_name(row['dataset'])} "
            f"{row['partition_key']}, run {row['replaced']}: {row['registered']} registered and {row['quarantined']} "
            f"quarantined rows; {self.stay} registered rows stay"
            + (f", as run {row['run_id']}" if self.done and self.stay else "")
        )


def partitions(dataset: str, params: UnpublishParams, settings: Settings) -> list[str]:
    """The published partitions that are asked for, in order. Raises ParamsError where there is none, nor ever was.

    None is left where the request was done before, as when a task is tried again.
    """
    published = sorted(row["partition_key"] for row in read.runs(settings, dataset))
    wanted = params.partition and day_named(params.partition, dt.datetime.now(dt.UTC))
    if wanted not in published if wanted else not published:
        with tables.open_catalog(settings) as catalog:
            where = tables.rows_of(wanted, dataset) if wanted else equal("dataset", dataset)
            if records.read(catalog, names.WITHDRAWALS, where):
                return []
    if not published:
        raise ParamsError(f"DATASET: no partition of {dataset!r} is published")
    if wanted and wanted not in published:
        raise ParamsError(f"partition: {wanted} of {dataset} is not published; there are {', '.join(published[-10:])}")
    return [wanted] if wanted else published


def withdraw(
    dataset: str, partition: str, params: UnpublishParams, asked_by: str, settings: Settings
) -> Withdrawal | None:
    """Take back what is asked for of one of `partitions`; with dry_run only say what it is.

    Returns None where the partition has no such object, or is no longer published. Raises OlderRun, with its rows as
    they were, when another run is published meanwhile; CatalogError where single objects are named and the tables do
    not hold one run; and as `publications.publish`.
    """
    now = dt.datetime.now(dt.UTC)
    with tables.open_catalog(settings) as catalog:
        publications.finish_interrupted(catalog, settings)
        row: dict[str, Any] | None = tables.published(catalog, settings, dataset, partition)
        if row is None:
            return None
        forgotten = deny.state(settings.lake)  # before the rows are read that stay
        layout = Layout(settings.lake, dataset, partition, new_run_id(now))
        part = _Part(catalog, settings, layout, params.uris)
        if params.uris is not None and not part.holds_any():
            return None
        stays = row | part.counts(row)
        told: dict[str, Any] = {
            "partition_key": partition,
            "dataset": dataset,
            "run_id": layout.run_id,
            "replaced": row["run_id"],
            "asked_by": printable(asked_by),
            "why": params.why,
            "withdrawn_at": now,
            "uris": None if params.uris is None else len(params.uris),
            "registered": row["registered"] - stays["registered"],
            "quarantined": row["quarantined"] - stays["quarantined"],
        }
        if not params.dry_run:
            publication = Publication(
                layout,
                part.copied(),
                copies.of_run(part.quarantine, layout.run_id),
                pa.Table.from_pylist([stays], schema=schemas.RUNS),
                replaces=told["replaced"],
                withdrawal=pa.Table.from_pylist([told], schema=schemas.WITHDRAWALS),
            )
            before = statistics.rows_of(catalog, dataset, [partition], statistics.KEPT)
            publications.publish(publication, catalog, settings, forgotten)
            try:
                record.renew(dataset, partition, before, settings)
            except Exception as error:  # the rows are taken back
                log.warning("%s %s: no statistics of what stays: %s", names.table_name(dataset), partition, error)
            swapped = (names.QUARANTINE, *publication.files, names.WITHDRAWALS, names.RUNS)
            swapped += (names.STATISTICS,) if before else ()
            tables.remove_expired(catalog, settings, swapped)
        return Withdrawal(told, stays["registered"], not params.dry_run)


class _Part:
    """What a withdrawal of these URIs leaves of a partition; without any, nothing.

    layout: of the withdrawal.
    """

    def __init__(self, catalog: Catalog, settings: Settings, layout: Layout, uris: tuple[str, ...] | None) -> None:
        self.layout = layout
        self._uris = None if uris is None else pa.array(sorted(set(uris)), pa.string())
        self._tables = {
            name: tables.open_table(catalog, settings, name) for name in owners.tables_of(catalog, layout.dataset)
        }
        self.quarantine = schemas.QUARANTINE.empty_table()
        self._standing: Standing | None = None
        if self._uris is not None:
            self._standing = standing.standing(catalog, settings, layout.dataset, layout.partition)
            if self._standing:
                rows = self._standing.quarantine
                self.quarantine = rows.filter(pc.invert(pc.is_in(rows["uri"], value_set=self._uris)))

    def holds_any(self) -> bool:
        """Whether one of the URIs is in the partition."""
        if self._standing is None:
            return False
        if self.quarantine.num_rows < self._standing.quarantine.num_rows:
            return True
        return any(
            pc.any(pc.is_in(rows["uri"], value_set=self._uris)).as_py()
            for table in self._tables.values()
            for rows in self._rows(table, ("uri",))
        )

    def counts(self, row: dict[str, Any]) -> dict[str, Any]:
        """The columns of features.runs that change. row: of the published run."""
        registered = 0
        if self._standing:
            first = self._tables[names.tables_of_run(row)[0]]
            rows = sum(kept.num_rows for kept in self._kept(first, ("uri",)))
            registered = rows // rows_of_image(row)
        reused, further = row["reused"], row["models_reused"]
        return {
            "run_id": self.layout.run_id,
            "listed": registered + self.quarantine.num_rows,
            "registered": registered,
            "quarantined": self.quarantine.num_rows,
            "reasons": sorted(Counter(self.quarantine["reason"].to_pylist()).items()),
            # Which of the rows that have left were reused is not known.
            "reused": None if reused is None else min(reused, registered),
            "models_reused": further and [(model, min(count, registered)) for model, count in dict(further).items()],
            "base_started_at": precedence.base_started_at(row),
        }

    def copied(self) -> dict[str, list[str]]:
        """The files of each table, with what stays."""
        return {name: self._copy(name, table) if self._standing else [] for name, table in self._tables.items()}

    def _copy(self, name: str, table: Table) -> list[str]:
        kind = pixel_tables.kind_of(table) if names.is_pixels_table(name) else None
        rows = self._kept(table, pixel_tables.whole_schema(table).names)
        return [file.uri for file in copies.write(self.layout, name, kind, rows)]

    def _kept(self, table: Table, columns: tuple[str, ...] | list[str]) -> Iterator[pa.RecordBatch]:
        for rows in self._rows(table, columns):
            kept = rows.filter(pc.invert(pc.is_in(rows["uri"], value_set=self._uris)))
            if kept.num_rows:
                yield kept

    def _rows(self, table: Table, columns: tuple[str, ...] | list[str]) -> Iterator[pa.RecordBatch]:
        files, own = standing.files(table, self.layout.partition), pixel_tables.schema(table)
        if not set(columns) <= set(own.names):  # somebody has added some, whose names in the files may be others
            yield from standing.rows(table, self.layout.partition, pixel_tables.whole_schema(table))
            return
        for file in files:
            yield from published_rows(PublishedFile(*file), columns, own)
