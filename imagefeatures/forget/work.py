"""One request that images be forgotten, from its beginning to its row in features.forgotten.

Order: what is asked for is written down; the list that ingest reads comes next, so that no run brings an image back;
then exports, for which the rows are still needed; then unfinished runs, kept rejects, feature maps, and table after
table. It is done when one whole search has found nothing. Whatever interrupts it, the next call of `forget` goes on
with it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import pyarrow as pa

from imagefeatures import layout, names, publications, read, schemas, storage
from imagefeatures.audits import kept
from imagefeatures.catalog import lost, purge, records, statistics, tables
from imagefeatures.errors import AuditFailed, CatalogRefused, ImageFeaturesError, InputError, ParamsError, StoreError
from imagefeatures.forget import deny, pending, places
from imagefeatures.forget.pending import Pending
from imagefeatures.forget.report import Report
from imagefeatures.forget.wanted import Needles, Wanted
from imagefeatures.learning import tables as learning_tables
from imagefeatures.maps import stored as maps
from imagefeatures.plan import new_run_id
from imagefeatures.quality import record
from imagefeatures.reasons import printable
from imagefeatures.run_params import ForgetParams
from imagefeatures.settings import Settings
from imagefeatures.steps import file_index
from imagefeatures.thumbnails.folder import ThumbnailFolder

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

SEARCHES = 5
"""So often is the lake searched: a run that had been audited before may still have been published meanwhile."""


def forget(
    params: ForgetParams, asked_by: str, settings: Settings, tell: Callable[[Report], object] = lambda report: None
) -> list[Report]:
    """Forget what is asked for, and before that what an interrupted request has left. Returns a report of each.

    tell: gets each report at once, as an error may follow. With dry_run only what is asked for is searched. Raises
    ParamsError where no image is named; StoreError where runs publish one all the time, or a publication that holds one
    does not end: try again. CatalogRefused as `purge.purge`, and where the lake has tables of which the catalog has
    none; errors of the catalog and of the store. What is in the way of one request, or table, stops no other.
    """
    if not params.image_ids and not params.uris:
        raise ParamsError("image_ids: name an image by its id or by its URI")
    image_ids, uris = frozenset(params.image_ids or ()), frozenset(params.uris or ())
    now = dt.datetime.now(dt.UTC)
    asked = Pending(new_run_id(now), image_ids, uris, printable(asked_by), params.why, now)
    with tables.open_catalog(settings) as catalog:
        lost.refuse(catalog)
        if params.dry_run:
            work = _Work(asked, catalog, settings, False)
            work.resolve()
            work.search()
            tell(work.report)
            return [work.report]
        publications.finish_interrupted(catalog, settings)
        waiting, damaged = [], None
        try:
            for one in pending.all_of(settings.lake):
                waiting.append(one)
        except AuditFailed as error:
            damaged = error
        if not any(image_ids <= one.image_ids and uris == one.uris for one in waiting):
            pending.keep(settings.lake, asked)
            waiting.append(asked)
        reports = _each(waiting, catalog, settings, tell)
        if damaged:
            raise damaged
        return reports


def _each(
    waiting: Collection[Pending], catalog: Catalog, settings: Settings, tell: Callable[[Report], object]
) -> list[Report]:
    reports, errors = [], {}
    for request in waiting:
        try:
            report = _Work(request, catalog, settings, True).finished()
        except ImageFeaturesError as error:
            errors[request.run_id] = error
        else:
            reports.append(report)
            tell(report)
    if not errors:
        return reports
    run_id, why = min(errors.items(), key=lambda item: isinstance(item[1], InputError))  # a retry helps the others
    if len(waiting) == 1:
        raise why
    done = ", ".join(report.run_id for report in reports) or "none"
    raise type(why)(f"request {run_id}: {why}; {len(errors)} requests wait for the next try, and done are: {done}")


class _Work:
    """A request that is worked at. done: whether it is carried out; False only searches."""

    def __init__(self, request: Pending, catalog: Catalog, settings: Settings, done: bool) -> None:
        self._request, self._catalog, self._settings, self._lake = request, catalog, settings, settings.lake
        versioned = self._lake if self._lake.startswith("s3://") else None
        self.report = Report(request.run_id, len(request.image_ids), len(request.uris), done, versioned=versioned)
        self.report.sources.update(request.uris)
        # Never made anew: what one search has taken out of the tables, the next one still finds in exports.
        self._needles = Needles(request.image_ids, request.uris)

    def finished(self) -> Report:
        """Carry it out to its end."""
        self.resolve()
        pending.keep(self._lake, self._request)
        hashes = deny.add(self._lake, self._request.run_id, self._request.image_ids, self._request.uris)
        for _ in range(SEARCHES):
            if not self.search():
                break
            publications.finish_interrupted(self._catalog, self._settings)
        else:
            raise StoreError(
                f"{self._lake}: an image that is to be forgotten is published again and again; stop the runs, and then "
                "try again"
            )
        self._clear_cache()
        self._count_anew()
        self._measure_anew()
        self._tell(hashes)
        pending.done(self._lake, self._request)
        return self.report

    @property
    def _wanted(self) -> Wanted:
        return Wanted(self._request.image_ids, self._request.uris)

    def resolve(self) -> None:
        """Find out which images the URIs are or were."""
        if not self._request.uris:
            return
        by_uri = Wanted(frozenset(), self._request.uris)
        there = purge.holding_tables(self._catalog)
        holding = [purge.find(table, self._lake, by_uri) for table in there]
        holding.append(self._runs_files(self._other_tables(there)))
        found = frozenset(
            image_id
            for of_table in holding
            for rows in of_table.rows(by_uri, ())
            for image_id in rows["image_id"].to_pylist()
            if image_id
        )
        self._request = self._request.with_images(found)
        self.report.images = len(self._request.image_ids)

    def search(self) -> bool:
        """Look for the images, and remove what holds one. Returns whether there was anything."""
        if self.report.done:
            # What a killed process had begun to write: an image's bytes, its rows, or a request with its id.
            storage.abort_old_uploads(self._lake, ended=True)
        there = purge.holding_tables(self._catalog)
        found = [(table, purge.find(table, self._lake, self._wanted)) for table in there]
        places.refuse_publications(self._lake, self._wanted, {uri for _, holding in found for uri in holding.files})
        self._needles.image_ids |= self._request.image_ids
        partitions: set[tuple[str, str]] = set()
        for table, holding in found:
            self.report.unreadable.update(holding.unreadable)
            partitions |= self._learn(holding, table)
        self.report.tables |= {".".join(table.name()) for table, holding in found if holding.files}
        self._request = self._request.with_partitions(frozenset(partitions))
        self._note_classifiers()
        of_others = self._other_tables(there)
        self.report.foreign.update(of_others.files)
        self._learn(self._runs_files(of_others))
        others = places.exports(self._lake, self._needles)
        self.report.unreadable.update([*others.unsearched, *of_others.unreadable])
        self.report.foreign.update(others.foreign)
        self.report.exports.update(others.holding)
        runs, rejects = places.unfinished_runs(self._lake, self._wanted), places.kept_rejects(self._lake, self._wanted)
        showing = maps.holding(self._lake, self._wanted)
        self.report.runs.update(runs)
        self.report.rejects.update(rejects)
        self.report.maps.update(showing)
        if self.report.done:
            pending.keep(self._lake, self._request)
            for kind in file_index.KINDS:
                storage.delete_folder(layout.known(self._lake, kind.name))
            self._remove([*others.holding, *rejects, *showing], runs)
            # Again: the search through the lake may have taken long.
            places.refuse_publications(self._lake, self._wanted, {uri for _, holding in found for uri in holding.files})
            self._purge_each([(table, holding) for table, holding in found if holding.files])
        return bool(others.holding or runs or rejects or showing or any(holding.files for _, holding in found))

    def _learn(self, holding: purge.Found, table: Table | None = None) -> set[tuple[str, str]]:
        """Note what the wanted rows of these files say of the images. Returns their partitions in the table, if any."""
        partitions: set[tuple[str, str]] = set()
        for rows in holding.rows(self._wanted, ("uri", "features", "pixels", "dataset", "partition_key")):
            self._needles.add(rows)
            self.report.sources.update(rows["uri"].to_pylist())
            partitions |= pending.partitions_of(table, rows) if table else set()
        return partitions

    def _other_tables(self, there: Collection[Table]) -> purge.Found:
        return places.other_tables(self._lake, [table.name() for table in there], self._needles)

    def _runs_files(self, found: purge.Found) -> purge.Found:
        """Those of the files that runs have written, whose columns are known: of tables that were dropped."""
        return purge.Found({uri: size for uri, size in found.files.items() if layout.run_files_of(uri, self._lake)})

    def _remove(self, uris: Collection[str], runs: Collection[str]) -> None:
        for uri in uris:
            if uri.endswith("/"):
                self.report.files_deleted += sum(1 for _ in storage.list_objects(uri))
                storage.delete_folder(uri)
            else:
                self.report.files_deleted += 1
                storage.delete(uri)
        for folder in runs:
            storage.delete_folder(folder)
        self.report.runs_removed += len(runs)

    def _purge_each(self, found: Collection[tuple[Table, purge.Found]]) -> None:
        refused: list[CatalogRefused] = []
        for table, holding in found:
            try:
                self._purge(table, holding)
            except CatalogRefused as error:  # of this table alone
                refused.append(error)
        if refused:
            raise refused[0]

    def _purge(self, table: Table, holding: purge.Found) -> None:
        purged = purge.purge(table, self._lake, self._wanted, holding)
        self.report.rows += purged.rows
        self.report.files_rewritten += purged.rewritten
        self.report.files_deleted += purged.deleted
        self.report.snapshots_expired += purged.snapshots

    def _clear_cache(self) -> None:
        """Delete what the page has kept on this machine."""
        thumbnails = ThumbnailFolder(self._settings.cache / "thumbnails").remove(self._request.image_ids)
        self.report.files_deleted += thumbnails + kept.remove(self._settings.cache, self._request.partitions)

    def _count_anew(self) -> None:
        changed: set[str] = set()
        for dataset, partition in sorted(self._request.partitions):
            row = tables.published(self._catalog, self._settings, dataset, partition)
            there = [(names.NAMESPACE, name) for name in names.tables_of_run(row)] if row else []
            there = [name for name in there if self._catalog.table_exists(name)]
            if row is None or not there:  # all tables that hold its rows were dropped: none can be counted
                continue
            first = self._catalog.load_table(there[0])  # each has the same rows
            runs, quarantine = (
                tables.open_table(self._catalog, self._settings, name) for name in (names.RUNS, names.QUARANTINE)
            )
            if purge.recount(first, runs, quarantine, row):
                changed = {names.RUNS}
        tables.remove_expired(self._catalog, self._settings, changed)

    def _measure_anew(self) -> None:
        computed = statistics.runs_of(self._catalog)  # first: those of a run that is published next are no stale ones
        published = {(row["dataset"], row["partition_key"]): row["run_id"] for row in read.runs(self._settings)}
        for place, run_ids in sorted(computed.items()):
            # Those of a run that is replaced may have been computed with an image that no table has any more.
            stale = run_ids != {published.get(place)}
            try:
                if not stale and place in self._request.partitions:
                    before = statistics.rows_of(self._catalog, place[0], [place[1]], statistics.KEPT)
                    record.renew(*place, before, self._settings)
            except InputError:  # such as a damaged file: rather none than those with the image
                stale = True
            if stale:
                statistics.remove(self._catalog, *place, self._request.run_id)
        statistics.forget_past(self._catalog, self._lake, self._request.partitions)

    def _note_classifiers(self) -> None:
        datasets = {dataset for dataset, _ in self._request.partitions}
        rows = learning_tables.evaluations(self._settings) if datasets else []
        folders = {row["folder"] for row in rows if row["dataset"] in datasets} - self.report.classifiers
        self.report.classifiers.update(folder for folder in folders if any(storage.list_objects(folder)))

    def _tell(self, hashes: list[str]) -> None:
        request = self._request
        row = {
            "run_id": request.run_id,
            "hashes": hashes,
            "asked_by": request.asked_by,
            "why": request.why,
            "requested_at": request.requested_at,
            "done_at": dt.datetime.now(dt.UTC),
            **self.report.counts,
        }
        table = tables.open_table(self._catalog, self._settings, names.FORGOTTEN)
        records.keep(table, pa.Table.from_pylist([row], schema=schemas.FORGOTTEN))
        tables.remove_expired(self._catalog, self._settings, (names.FORGOTTEN,))
