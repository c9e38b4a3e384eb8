"""Upkeep: all that years of runs leave behind, found and removed.

Order: unfinished uploads and runs that were given up first, so that the files of those runs are nobody's any more; then
the tables, whose files are listed before it is asked which runs are still live; then what else has grown old. Whatever
interrupts it, the next upkeep finds what is left: it looks at what is there, and keeps no list of its own.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING

from imagefeatures import names, read, storage
from imagefeatures.catalog import connect, failures, lost, owners, repair, tables
from imagefeatures.catalog.sweep import TableSweep
from imagefeatures.errors import CatalogRefused, ImageFeaturesError, SettingsError
from imagefeatures.settings import Settings
from imagefeatures.upkeep import aged, caches, kept, live
from imagefeatures.upkeep.aged import Aged
from imagefeatures.upkeep.report import Line, Report

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

DAY = 86_400.0
"""In seconds."""


def upkeep(settings: Settings, *, dry_run: bool, now: dt.datetime | None = None) -> Report:
    """Remove what nothing needs any more; with dry_run only say what it is. now: None for the clock's.

    What cannot be proven this lake's own is left, and the report says why. Raises CatalogRefused where the lake has
    tables and the catalog none of them, and errors of catalog and store.
    """
    report = Report(done=not dry_run)
    if connect.exists(settings.catalog):
        with tables.open_catalog(settings) as catalog:
            lost.refuse(catalog)
            now = now or dt.datetime.now(dt.UTC)
            _Work(settings, catalog, report, now).do()
        if report.done:
            kept.keep(settings.lake, report, now)
    return report


class _Work:
    def __init__(self, settings: Settings, catalog: Catalog, report: Report, now: dt.datetime) -> None:
        self._settings, self._catalog, self._report, self._now = settings, catalog, report, now
        self._lake, self._remove = settings.lake, report.done

    def do(self) -> None:
        ages = self._settings.ages
        uploads = self._report.kind("unfinished uploads")
        uploads.count += storage.abort_old_uploads(self._lake, remove=self._remove)
        runs = self._report.kind("unfinished runs")
        with self._refused():
            given_up = self._known(aged.unfinished_runs(self._lake, self._before(ages.staging)))
            self._go(given_up, runs, self._before(ages.staging))
            # One that was removed has no run.json; one that was written to meanwhile goes on.
            self._tables(set() if self._remove else {run.uri for run in given_up})
        rejects, models = self._report.kind("kept rejects"), self._report.kind("prepared models")
        with self._refused():
            before = self._before(ages.rejects)
            self._go(self._known(aged.kept_rejects(self._lake, before)), rejects, before)
        with self._refused():
            before = self._before(ages.models)
            used = self._used_fingerprints(before) | aged.fingerprints_of_unfinished_runs(self._lake)
            self._go(aged.models(self._lake, before, used), models, before)
        shown = self._report.kind("feature maps")
        with self._refused():
            before = self._before(ages.caches)
            self._go(self._known(aged.feature_maps(self._settings, before)), shown, before)
        kept = self._report.kind("thumbnails and audits of this machine")
        caches.clean(self._settings.cache, self._before(ages.caches), kept, remove=self._remove)

    def _tables(self, given_up: set[str]) -> None:
        """Sweep the tables of this catalog. One that is damaged, or not proven to be its own, is left as it is."""
        snapshots = self._report.kind("snapshots")
        expired, strays = self._report.kind("files of these snapshots"), self._report.kind("files of no snapshot")
        sweeps, left = [], repair.gone_back(self._catalog)
        for identifier in owners.listed(self._catalog):
            with self._refused(), self._readable(identifier):
                table = self._catalog.load_table(identifier)
                if not owners.is_ours(table):
                    continue
                if before := left.get(identifier):  # whose files may be put back, and the table then too
                    raise CatalogRefused(
                        f"{'.'.join(identifier)}: `repair` has gone back from {before}; nothing is swept there until a "
                        "run publishes to it"
                    )
                sweep = TableSweep(table, self._lake, self._settings.retention)
                sweep.look(self._now, self._before(self._settings.ages.strays))
                if self._remove:
                    sweep.expire(self._now)
                sweeps.append(sweep)
        still = live.beginnings(self._lake, self._before(self._settings.ages.staging), given_up)
        for sweep in sweeps:
            with self._refused(), self._readable(sweep.table.name()):
                sweep.settle(still)
                if self._remove:
                    sweep.remove()
                snapshots.count += sweep.snapshots
                for line, files in ((expired, sweep.expired), (strays, sweep.strays)):
                    for stored in files:
                        line.add(stored.size, stored.modified)

    def _known(self, found: list[Aged]) -> list[Aged]:
        """Those of datasets that have a table in this catalog or a dataset file: another catalog may share the lake."""
        known = {dataset for _, table in owners.listed(self._catalog) for dataset in names.datasets_of(table)}
        with contextlib.suppress(SettingsError):  # a reader of the tables needs no dataset files
            known |= {path.stem for path in self._settings.datasets.glob("*.y*ml")}
        of = {one.uri: one.uri.removeprefix(f"{self._lake}/").split("/")[1] for one in found}
        self._report.unknown.update(set(of.values()) - known)
        return [one for one in found if of[one.uri] in known]

    def _go(self, found: list[Aged], line: Line, before: float) -> None:
        for one in found:
            if not self._remove or aged.remove(one, before):
                line.add(one.size, one.modified)

    def _used_fingerprints(self, since: float) -> set[str]:
        """Those of what was published since, and last of each dataset."""
        newest: dict[str, float] = {}
        rows = read.runs(self._settings)
        for row in rows:
            newest[row["dataset"]] = max(newest.get(row["dataset"], 0.0), row["started_at"].timestamp())
        used = set()
        for row in rows:
            if row["started_at"].timestamp() >= min(newest[row["dataset"]], since):
                used |= {row["fingerprint"], *dict(row["models"] or ()).values()}
        return used

    def _before(self, days: int) -> float:
        return self._now.timestamp() - days * DAY

    @contextlib.contextmanager
    def _refused(self) -> Iterator[None]:
        try:
            yield
        except ImageFeaturesError as error:
            self._report.refused.append(str(error))

    @contextlib.contextmanager
    def _readable(self, identifier: tuple[str, ...]) -> Iterator[None]:
        with failures.readable(".".join(identifier), self._settings.catalog):
            yield
