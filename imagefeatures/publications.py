"""Publications: what a run, or a withdrawal, puts into the tables, written down until all of them hold it.

Each table is swapped in one commit, and together they are not. A register that dies between two of them (killed, or
out of room on the disk) leaves tables of different runs. So what it is about to publish lies in the lake before the
first table is changed, as <lake>/publishing/<run>/publication.json, and the next plan or register of any dataset
finishes it.

Readers can tell meanwhile: the row of features.runs comes last, so until then it names the run before.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import random
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from imagefeatures import layout, names, precedence, schemas, sealed, storage
from imagefeatures.catalog import pixel_tables, records, room, statistics, tables, undo, unfit
from imagefeatures.errors import AuditFailed, OlderRun, StoreError, StoreRefused
from imagefeatures.forget import meanwhile
from imagefeatures.layout import Layout
from imagefeatures.maps import stored as maps
from imagefeatures.pixels import PixelFormat
from imagefeatures.settings import Settings
from imagefeatures.storage.locks import locked

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

    from imagefeatures.datasets import Dataset

ATTEMPTS = 8
LONGEST = dt.timedelta(minutes=15)
"""Where there are no locks, a publication that began this long ago is taken for an interrupted one."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Publication:
    """What a run publishes.

    files: URIs of its files, by the table of each output, the dataset's own first; of a withdrawal also by those tables
    of the dataset that no longer are one. quarantine, runs: rows of these tables, one of runs. replace_newer: publish
    it even where a later run is published. replaces: of a re-drive or a withdrawal, the run that the partition must
    hold until then. pixels: what those of its table of pixels are, where it has one. withdrawal: of one, its row of
    features.withdrawals; where nothing stays of the partition, neither does the row of features.runs.
    """

    layout: Layout
    files: Mapping[str, list[str]]
    quarantine: pa.Table
    runs: pa.Table
    replace_newer: bool = False
    replaces: str | None = None
    pixels: PixelFormat | None = None
    withdrawal: pa.Table | None = None

    @property
    def empties(self) -> bool:
        """Whether it takes back all that there is of the partition."""
        return self.withdrawal is not None and not self.runs["listed"][0].as_py()

    @property
    def begun_at(self) -> dt.datetime:
        """When it was written down, or a little earlier."""
        rows, column = (self.runs, "finished_at") if self.withdrawal is None else (self.withdrawal, "withdrawn_at")
        begun: dt.datetime = rows[column][0].as_py()
        return begun

    @property
    def started_at(self) -> dt.datetime:
        started: dt.datetime = self.runs["started_at"][0].as_py()
        return started


def publish(publication: Publication, catalog: Catalog, settings: Settings, forgotten: str | None = None) -> None:
    """Swap a run into its tables, until all of them hold one and the same run.

    Each swap is atomic, but all together are not: two runs that publish the same partition at the same time
    could leave the quarantine of one beside the features of the other. The run that checks last sees that, and
    publishes again. Raises OlderRun, with its rows taken back, when a later run's row is, or comes, into features.runs,
    or, of a re-drive, the row of any run but the one that it replaces; StoreRefused, with nothing changed, where a
    local lake has no room for it. forgotten: `deny.state` before its rows were looked at; where it has changed, or a
    file is gone, StoreError is raised, with nothing changed.
    """
    opened = _opened(publication, catalog, settings)
    room.check(opened.values(), publication.quarantine.nbytes, settings)
    begun = storage.exists(publication.layout.publication)  # by an earlier attempt: requests have seen it ever since
    storage.write(publication.layout.publication, _written_down(publication))
    with locked(publication.layout.publication):
        files = [uri for of_table in publication.files.values() for uri in of_table]
        if why := meanwhile.refusal(settings.lake, None if begun else forgotten, files):
            forget(publication.layout)
            raise StoreError(why)
        with taken_back(publication.layout, publication.files, catalog, settings, publication.replaces):
            _swap(publication, opened, catalog)
        forget(publication.layout)


def also_published(dataset: Dataset, partition: str, catalog: Catalog) -> str | None:
    """A warning that the objects of this partition are published as another one too; None where they are not.

    They are where the dataset's source is the same for all partitions.
    """
    if dataset.source.by_partition or not (others := tables.other_partitions(catalog, dataset.name, partition)):
        return None
    more = f" and {len(others) - 1:,} more" if len(others) > 1 else ""
    return (
        f"the same objects twice in {names.table_name(dataset.name)}: {dataset.source} is the source of every "
        f"partition, and partition {others[-1]}{more} is published besides {partition}; run the same one each time"
    )


@contextlib.contextmanager
def taken_back(
    run: Layout, features: Iterable[str], catalog: Catalog, settings: Settings, replaces: str | None
) -> Iterator[None]:
    """Where the run is refused because of another one, undo what it has published up to there.

    features: the tables of its outputs. replaces: of a re-drive, the run that it replaces. Its staging folder is
    removed, since nothing can publish it any more, and `--resume` would take it for the newest unfinished run.
    """
    try:
        yield
    except OlderRun:
        there = [table for table in features if pixel_tables.may_be_opened(catalog, table)]
        standing = tables.published(catalog, settings, run.dataset, run.partition)
        published = str(standing["run_id"]) if standing else None
        for name, dataset in ((names.QUARANTINE, run.dataset), *((table, None) for table in there)):
            undo.take_back(tables.open_table(catalog, settings, name), run.partition, run.run_id, dataset, published)
        records.drop(catalog, names.WITHDRAWALS, run.run_id)
        forget(run)
        if replaces:
            storage.delete_folder(run.run)
        raise


def forget(run: Layout) -> None:
    """Remove what was written down about a run's publication, if anything is."""
    storage.delete_folder(run.publication.rpartition("/")[0])


def finish_interrupted(catalog: Catalog, settings: Settings, but: str | None = None) -> None:
    """Finish the publications whose process is gone, of all datasets. but: the run_id of one that is left alone.

    One that cannot be finished (it is damaged, or its files or one of its tables are) is reported in the log and left:
    it must not stop other datasets. Raises StoreRefused where a local lake has no room for it.
    """
    folder = layout.publications_folder(settings.lake)
    for stored in list(storage.list_objects(folder)):
        run_id = stored.uri.removeprefix(f"{folder}/").partition("/")[0]
        if run_id != but and stored.uri.endswith("/publication.json"):
            _finish(stored.uri, run_id, catalog, settings)


def _finish(uri: str, run_id: str, catalog: Catalog, settings: Settings) -> None:
    with contextlib.suppress(storage.ObjectMissing), locked(uri) as free:  # missing: its register has ended well
        if free is False:  # another process publishes it; another user's is left to that user's own next run
            return
        try:
            publication = _read(uri, run_id, settings.lake)
        except (AuditFailed, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
            _log.warning("%s: not a publication: %s", uri, error)
            return
        if free is None and dt.datetime.now(dt.UTC) - publication.begun_at < LONGEST:
            return
        run = publication.layout
        try:
            opened = _opened(publication, catalog, settings)
            room.check(opened.values(), publication.quarantine.nbytes, settings)
        except (StoreError, StoreRefused):  # no room, or no store
            raise
        except Exception as error:  # one of its tables is damaged, which other datasets need not have
            _log.warning("%s: this publication cannot be finished: %s", uri, error)
            return
        try:
            with taken_back(run, publication.files, catalog, settings, publication.replaces):
                _swap(publication, opened, catalog)
        except OlderRun as error:  # the staging folder of a whole run stays: somebody may still say replace_newer
            _log.warning("%s: not finished: %s", uri, error)
            return
        except Exception as error:  # whatever it is, other datasets go on
            room.check(opened.values(), publication.quarantine.nbytes, settings)
            _log.warning("%s: this publication cannot be finished: %s", uri, error)
            return
        storage.delete_folder(run.run)
        forget(run)


def _opened(publication: Publication, catalog: Catalog, settings: Settings) -> dict[str, Table]:
    own = () if publication.withdrawal is None else (names.WITHDRAWALS,)
    # A table that was dropped has no rows to take back, and is not made anew for that.
    features = [name for name in publication.files if not own or catalog.table_exists((names.NAMESPACE, name))]
    shown = (names.QUARANTINE, *features, *own, names.RUNS)
    opened = {table: tables.open_table(catalog, settings, table, publication.pixels) for table in shown}
    for name, table in opened.items():
        filled = bool(publication.files.get(name, name not in features))
        unfit.refuse(
            table, pixel_tables.schema(table) if filled else None, publication.files[name] if name in features else ()
        )
    if own and (measured := statistics.existing(catalog)):
        unfit.refuse(measured)
    return opened


def _swap(publication: Publication, opened: dict[str, Table], catalog: Catalog) -> None:
    run, runs = publication.layout, publication.runs
    (row,) = runs.to_pylist()
    of_run = (names.QUARANTINE, *names.tables_of_run(row), names.RUNS)
    compared = {name: opened[name] for name in of_run if name in opened}

    def check(standing: dict[str, Any] | None) -> None:
        if publication.empties and standing is None:
            return  # it is taken back already
        if publication.replaces:
            precedence.refuse_other(run, publication.replaces, standing)
        elif publication.replace_newer:  # it was told to replace what there was then
            precedence.refuse_since(run, publication.begun_at, standing)
            precedence.refuse_withdrawn(run, publication.begun_at, catalog, "to be published")
        else:
            precedence.refuse_older(run, publication.started_at, standing)
            precedence.refuse_withdrawn(run, publication.started_at, catalog)

    for attempt in range(ATTEMPTS):
        check(tables.row_of_runs(opened[names.RUNS], run.dataset, run.partition))
        tables.replace_rows(opened[names.QUARANTINE], run.partition, run.dataset, publication.quarantine, run.run_id)
        for table, files in publication.files.items():
            if table in opened:
                tables.replace_files(opened[table], run.partition, files, run.run_id)
        if publication.withdrawal is not None:
            records.keep(opened[names.WITHDRAWALS], publication.withdrawal)
            statistics.remove(catalog, run.dataset, run.partition, run.run_id)
        # Last, because the row in features.runs says that this run is published.
        rows = runs.schema.empty_table() if publication.empties else runs
        tables.replace_rows(opened[names.RUNS], run.partition, run.dataset, rows, run.run_id, check)
        if tables.agree(compared, run.dataset, run.partition, publication.empties):
            if publication.withdrawal is not None:  # not before: a map may have been made meanwhile
                maps.remove(run.lake, run.dataset, run.partition)
            return
        time.sleep(random.uniform(0, 2**attempt / 10))  # noqa: S311 - random, so that two runs do not keep colliding
    raise StoreError(f"{run.partition} of {run.dataset} is being published by other runs over and over; try again")


def _written_down(publication: Publication) -> bytes:
    """The publication as JSON with its own digest; its tables are Parquet in it, as base64."""
    return sealed.encode(
        {
            "files": dict(publication.files),
            "replace_newer": publication.replace_newer,
            "replaces": publication.replaces,
            "pixels": publication.pixels and publication.pixels.as_text(),
            "runs": sealed.text_of_table(publication.runs),
            "quarantine": sealed.text_of_table(publication.quarantine),
            "withdrawal": None if publication.withdrawal is None else sealed.text_of_table(publication.withdrawal),
        }
    )


def _read(uri: str, run_id: str, lake: str) -> Publication:
    """What `_written_down` wrote. Raises AuditFailed, or what Python and pyarrow raise for other contents, if not."""
    content = sealed.decode(uri, storage.read(uri))
    runs = sealed.table_of_text(content["runs"], schemas.RUNS)
    (row,) = runs.select(["dataset", "partition_key", "run_id"]).to_pylist()
    run = Layout(lake, row["dataset"], row["partition_key"], run_id)
    # An earlier version had one output alone, and wrote down no run that is replaced.
    files = content["files"] if isinstance(content["files"], dict) else {run.dataset: content["files"]}
    if row["run_id"] != run_id or {"/", ".."} & {*run.dataset, *run.partition, run.dataset, run.partition}:
        raise ValueError(f"of run {row['run_id']}, dataset {run.dataset}, partition {run.partition}")
    for table, of_table in files.items():
        folder = run.of_table(table)
        strays = [file for file in of_table if not file.startswith(folder) or "/" in file.removeprefix(folder)]
        if strays or "/" in table or not names.may_be_table_of(table, run.dataset):
            raise ValueError(f"it names {[*strays, table][0]}, which is not of its run")
    quarantine = sealed.table_of_text(content["quarantine"], schemas.QUARANTINE)
    pixels = content.get("pixels") and PixelFormat.of_text(content["pixels"])
    withdrawal = content.get("withdrawal") and sealed.table_of_text(content["withdrawal"], schemas.WITHDRAWALS)
    return Publication(
        run, files, quarantine, runs, content["replace_newer"], content.get("replaces"), pixels, withdrawal
    )
