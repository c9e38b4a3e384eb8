"""A lake as it grows: what plan, register and readers cost at 10, 100 and 1,000 partitions of one dataset among 50.

    python -m benchmarks.growth [partitions …]     10, 100 and 1,000 by default; a quarter of an hour
    python -m benchmarks.growth report             writes the table and the curves again from results/growth.json

KEEP_LAKE names a folder in which the lakes stay; another call measures them again.

Each size has a lake of its own, a folder with SQLite. All partitions are published as register publishes a run; those
before the measured ones are copies of a first real run under other names, hashes and URLs, half of which are every
day's. Then, REPETITIONS times and in each lake in turn, a day is planned, computed, searched for known images and URLs,
registered and measured, run once more, and taken back. So all sizes are measured in the same minutes.
"""

from __future__ import annotations

import datetime as dt
import gc
import os
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from benchmarks import growth_copies, growth_report
from benchmarks.bench import machine
from benchmarks.growth_copies import FIRST, NAME
from benchmarks.model import MODEL
from benchmarks.pipeline import Deployment
from imagefeatures import local, manifest, names, read
from imagefeatures.catalog import statistics, tables
from imagefeatures.datasets import Dataset
from imagefeatures.plan import Run, load_run, plan_run
from imagefeatures.quality import record
from imagefeatures.run_params import RunParams, UnpublishParams
from imagefeatures.settings import REPOSITORY
from imagefeatures.step_runner import StepRunner
from imagefeatures.steps import INGEST, VALIDATE, unchanged
from imagefeatures.steps.register import register
from imagefeatures.unpublish import withdraw
from imagefeatures.workers import ThisProcess

if TYPE_CHECKING:
    from support.web import Site

SIZES = (10, 100, 1000)
DATASETS = 50
REPETITIONS = 40
PHOTOS = 50
"""In each partition: as many as its statistics need for a sketch of the vectors."""

ONE_BY_ONE, AT_ONCE = 20, 100
"""The last partitions before a measurement are a commit each, those before them so many in one: fewer files than the
manifests have into which a table merges those of single commits."""

MEASURED = dt.date(2030, 1, 1)


class Samples:
    """An engine that computes next to nothing: a vector is some of its image's pixels."""

    def features(self, pixels: np.ndarray) -> np.ndarray:
        """float32 [n, width]."""
        flat = pixels.reshape(len(pixels), -1)
        return flat[:, :: flat.shape[1] // MODEL.width][:, : MODEL.width].astype(np.float32) + 1


class Lake:
    """The deployment, and what is measured in it. spent: by size and operation, (CPU s, wall s, bytes read) a time."""

    def __init__(self, folder: Path) -> None:
        self.deployment = deployment = Deployment(folder)
        (folder / "lake").mkdir(parents=True, exist_ok=True)
        (folder / "datasets").mkdir(exist_ok=True)
        self.enter()
        self.settings = deployment.settings
        self.photos = folder / "photos"
        goes_on = (folder / "lake" / "warehouse").exists()
        self.published = len(read.runs(self.settings, NAME)) if goes_on else 0
        self.spent: dict[str, list[tuple[float, float, int]]] = defaultdict(list)

    def enter(self) -> None:
        """Make it the lake of this process, which steps find by the environment."""
        os.environ.update(self.deployment.variables)

    def dataset(self, name: str = NAME, source: object = None) -> Dataset:
        given = {"source": source, "label": "none"} if source else {"source": f"file://{self.photos}/{{partition}}/"}
        return Dataset.model_validate({"name": name, **given})

    def draw(self, partition: str, seed: int) -> None:
        """Write the photos of a day: small, and no two alike."""
        folder = self.photos / partition
        folder.mkdir(parents=True)
        random = np.random.default_rng(seed)
        for number in range(PHOTOS):
            Image.fromarray(random.integers(0, 256, (16, 16, 3), np.uint8)).save(folder / f"{number:02d}.png")

    def planned(self, partition: str, name: str = NAME, source: object = None) -> Run:
        uri = plan_run(self.dataset(name, source), RunParams.parse({}), partition, self.settings)
        return load_run(uri, self.settings.lake)

    def first_run(self, name: str) -> None:
        """A real run of the first day, from plan to statistics."""
        day = FIRST.isoformat()
        run = self.planned(day, name)
        local.run_steps(run, _workers())
        register(run.layout.run_file, self.settings)
        record.record(name, day, run.run_id, None, self.settings)

    def fill(self, partitions: int) -> None:
        """Publish copies of the first run until the dataset has so many partitions."""
        if not self.published:
            self.draw(FIRST.isoformat(), 0)
            for number in range(DATASETS - 1):
                self.first_run(f"other_{number:02d}")
            self.first_run(NAME)
            self.published = 1
        with tables.open_catalog(self.settings) as catalog:
            first = growth_copies.First(catalog, self.settings)
            while self.published < partitions:
                left = partitions - self.published
                count = 1 if left <= ONE_BY_ONE else min(AT_ONCE, left - ONE_BY_ONE)
                first.publish_copies(range(self.published, self.published + count))
                self.published += count

    @contextmanager
    def timed(self, operation: str) -> Iterator[None]:
        gc.collect()
        gc.freeze()  # what this process holds of other operations is not searched for garbage during this one
        before = time.process_time(), time.perf_counter(), _bytes_read()
        yield
        after = time.process_time(), time.perf_counter(), _bytes_read()
        self.spent[operation].append(tuple(b - a for a, b in zip(before, after, strict=True)))  # type: ignore[arg-type]

    def a_day(self, day: str, seed: int, site: Site) -> None:
        """Publish a day, look at it, publish it once more, and take it back."""
        self.draw(day, seed)
        self.one_run(day, "a new day")
        self.look(day, site)
        self.one_run(day, "the same day again")
        self.search_urls(day, "a new day", growth_copies.DAILY)
        self.search_urls((FIRST + dt.timedelta(days=5)).isoformat(), "an old day again", PHOTOS)
        with self.timed("unpublish"):
            withdraw(NAME, day, UnpublishParams(partition=day, why="measured", dry_run=False), "x", self.settings)

    def one_run(self, day: str, which: str) -> None:
        with self.timed(f"plan, {which}"):
            run = self.planned(day)
        workers = _workers()
        local.run_steps(run, workers, (INGEST, VALIDATE))
        with self.timed(f"search of known images, {which}"):
            local.find_known(run, range(manifest.read_listing(run).shards))
        local.run_steps(run, workers)
        with self.timed(f"register, {which}"):
            outcome = register(run.layout.run_file, self.settings)
        if (outcome.row["registered"], outcome.row["reused"]) != (PHOTOS, 0 if which == "a new day" else PHOTOS):
            raise AssertionError(str(outcome))  # what is measured is not what is said of it
        with self.timed(f"statistics, {which}"):
            record.record(NAME, day, run.run_id, None, self.settings)

    def search_urls(self, day: str, which: str, found: int) -> None:
        """Search for the URLs of a day, as a source that is a table of URLs has them: no host is asked."""
        table = self.photos / f"{day}.parquet"
        pq.write_table(pa.table({"url": [growth_copies.url(day, number) for number in range(PHOTOS)]}), table)
        source = {"kind": "url_table", "table": f"file://{table}", "url": "url", "key": "url"}
        run = self.planned(day, source=source)
        listing = manifest.list_source(run, 1)
        with self.timed(f"search of unchanged URLs, {which}"):
            local.find_unchanged(run, listing)
        if found != sum(len(unchanged.search(run).read(shard)) for shard in range(listing.shards)):
            raise AssertionError(f"{day}: other URLs were found than it has of those in the table")
        shutil.rmtree(run.layout.run.removeprefix("file://"))

    def look(self, day: str, site: Site) -> None:
        """What readers and pages read, and the pages that list partitions, in Airflow's own application."""
        with self.timed("read.open of one day, and its rows"):
            read.open(NAME, partitions=(day,), settings=self.settings).to_numpy()
        with self.timed("page: all runs"):
            read.runs(self.settings)
        with self.timed("page: rows of a day"):
            read.table(self.settings, NAME, columns=("uri", "label"), partitions=(day,))
        with self.timed("page: quarantine of a day"):
            read.table(self.settings, names.QUARANTINE, partitions=(day,))
        with self.timed("page: statistics of a day"), tables.open_catalog(self.settings) as catalog:
            statistics.rows_of(catalog, NAME, [day])
        for what, path in (("the list of datasets", "/"), ("the dataset", f"/datasets/{NAME}")):
            with self.timed(f"page: {what}, rendered"):
                site.page(path)

    def weight(self) -> dict[str, dict[str, int]]:
        """Of each table: files and bytes of metadata, manifests of the current snapshot, data files."""
        found = {}
        with tables.open_catalog(self.settings) as catalog:
            for name in (NAME, names.RUNS, names.QUARANTINE, names.STATISTICS):
                table = catalog.load_table((names.NAMESPACE, name))
                folder = Path(table.location().removeprefix("file://"))
                sizes = [path.stat().st_size for path in (folder / "metadata").iterdir()]
                snapshot = table.current_snapshot()
                found[name] = {
                    "files": len(sizes),
                    "bytes": sum(sizes),
                    "manifests": len(snapshot.manifests(table.io)) if snapshot else 0,
                    "data_files": len(list(table.scan().plan_files())),
                }
        return found


def _workers() -> ThisProcess:
    return ThisProcess(StepRunner(Samples()))


def _bytes_read() -> int:
    """What this process has read of files and sockets, by the kernel's count."""
    return int(Path("/proc/self/io").read_text().split()[1])


def measure(lakes: Sequence[Lake], site: Site) -> None:
    """Everything, REPETITIONS times, in each lake in turn. They have as many partitions afterwards as before."""
    from imagefeatures_airflow.web import looks, published

    published.FRESH_SECONDS = looks.FRESH_SECONDS = 0.0  # rows of one lake would be shown for another
    for number in range(REPETITIONS):
        for lake in lakes:
            lake.enter()
            lake.a_day((MEASURED + dt.timedelta(days=number)).isoformat(), 1 + number, site)


def main(sizes: Sequence[int]) -> None:
    sys.path.append(str(REPOSITORY / "tests"))
    kept = os.environ.get("KEEP_LAKE")
    folder = Path(kept or tempfile.mkdtemp(prefix="imagefeatures-growth-"))
    (airflow := folder / "airflow").mkdir(exist_ok=True)
    os.environ["AIRFLOW_HOME"] = str(airflow)  # read when Airflow is first imported
    try:
        from support.web import airflow_with_pages

        lakes = {size: Lake(folder / str(size)) for size in sizes}
        for size, lake in lakes.items():
            lake.enter()
            lake.fill(size)
        weights = {size: lake.weight() for size, lake in lakes.items()}
        before = os.getloadavg()[0]
        with airflow_with_pages(airflow) as site:
            measure(list(lakes.values()), site)
        load = [round(before, 1), round(os.getloadavg()[0], 1)]
        found = {str(size): {"weight": weights[size], "spent": lake.spent} for size, lake in lakes.items()}
        result = {"machine": machine(os.cpu_count() or 1), "load": load, "sizes": found}
        print(growth_report.write(result), flush=True)
        if found_beyond := growth_report.beyond(result):
            sys.exit("\n".join(found_beyond))
    finally:
        if not kept:
            shutil.rmtree(folder)


if __name__ == "__main__":
    if sys.argv[1:] == ["report"]:
        print(growth_report.write(growth_report.measured()))
    else:
        main([int(size) for size in sys.argv[1:]] or SIZES)
