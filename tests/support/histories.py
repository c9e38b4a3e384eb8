"""Random histories of a lake over months, with a clock of their own: what upkeep has to tell apart.

Runs publish, replace, fail, wait, are killed and go on; rows are taken back and forgotten; files are compacted. The
model knows nothing of the code that it tests: which files are named is read from the tables, which runs can go on from
the staging folder.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import DataScan, Table

from imagefeatures import publications, schemas, storage, unpublish
from imagefeatures.catalog import retention, tables
from imagefeatures.forget import work as forgetting
from imagefeatures.layout import Layout
from imagefeatures.publications import Publication
from imagefeatures.run_params import ForgetParams, UnpublishParams
from imagefeatures.settings import Settings
from support.compacting import compact
from support.growing import read_whole_past, rejected_row, runs_row

TABLES = ("photos", "quarantine", "runs")
DAYS = ("2026-11-01", "2026-11-02", "2026-11-03")
ROWS = 3


class Killed(BaseException):
    """In place of a SIGKILL: nothing of the package catches it."""


class History:
    """One lake and its history. random: draws every step of it."""

    def __init__(self, settings: Settings, seed: int, patch: pytest.MonkeyPatch) -> None:
        self.settings, self.random = settings, random.Random(seed)
        self.lake = Path(settings.lake.removeprefix("file://"))
        self.now = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
        self.waiting: list[tuple[Layout, list[str]]] = []
        self.readers: list[tuple[dt.datetime, DataScan, int]] = []
        self._seen: dict[Path, float] = {}
        self._count = 0
        patch.setattr(time, "time", lambda: self.now.timestamp())
        clock = self

        class Clocked(dt.datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return clock.now

        patch.setattr(retention, "dt", SimpleNamespace(datetime=Clocked, timedelta=dt.timedelta, UTC=dt.UTC))

    def step(self) -> str:
        """One thing happens. Returns its name."""
        steps: dict[str, tuple[int, Callable[[], None]]] = {
            "publish": (6, self.publish), "fail": (2, self.fail), "wait": (2, self.wait), "resume": (2, self.resume),
            "kill": (3, self.kill), "unpublish": (1, self.unpublish), "forget": (1, self.forget),
            "compact": (2, self.compact), "read": (2, self.read), "pass": (4, self.days_pass),
        }  # fmt: skip
        names = list(steps)
        (name,) = self.random.choices(names, [steps[name][0] for name in names])
        steps[name][1]()
        self.date_files()
        return name

    def table(self, name: str = "photos") -> Table:
        return tables.open_table(tables.open_catalog(self.settings), self.settings, name)

    def read_everything(self) -> None:
        """Fails where a file is missing that a snapshot names."""
        for name in TABLES:
            assert read_whole_past(self.table(name))

    def publish(self, partition: str | None = None) -> None:
        run, files = self.ready(partition)
        self.register(run, files)

    def fail(self) -> None:
        """A run has computed its files, and nobody takes it up again."""
        self.ready()

    def wait(self) -> None:
        """The same of a run that goes on some day."""
        self.waiting.append(self.ready())

    def resume(self) -> None:
        while self.waiting:
            run, files = self.waiting.pop(0)
            if storage.exists(run.run_file):  # else it was given up meanwhile
                with contextlib.suppress(publications.OlderRun):
                    self.register(run, files)
                return

    def kill(self) -> None:
        """A register dies before a commit, or between two. The next register of any dataset finishes it, or not."""
        run, files = self.ready()
        with killed_before_commit(self.random.randrange(4)), contextlib.suppress(Killed):
            self.register(run, files)

    def unpublish(self) -> None:
        uris = (f"s3://b/{self.random.randrange(ROWS)}",) if self.random.random() < 0.5 else None
        with contextlib.suppress(publications.OlderRun):
            self.withdraw(self.random.choice(DAYS), uris)

    def withdraw(self, partition: str, uris: tuple[str, ...] | None = None) -> None:
        params = UnpublishParams(why="wrong", dry_run=False, uris=uris)
        unpublish.withdraw("photos", partition, params, "somebody", self.settings)

    def forget(self) -> None:
        rows = self.table().scan(selected_fields=("image_id",)).to_arrow()["image_id"].to_pylist()
        if rows:
            params = ForgetParams(image_ids=(self.random.choice(rows),), why="asked to", dry_run=False)
            forgetting.forget(params, "somebody", self.settings)
            self.readers.clear()  # forget takes files from readers, and says so

    def compact(self) -> None:
        table = self.table()
        partitions = table.scan(selected_fields=("partition_key",)).to_arrow()["partition_key"].unique().to_pylist()
        if partitions:
            compact(table, self.random.choice(partitions))

    def read(self) -> None:
        """Somebody begins to read the current snapshot, and takes up to the days that it is kept for."""
        table = self.table()
        if (snapshot := table.current_snapshot()) is not None:
            scan = table.scan(snapshot_id=snapshot.snapshot_id)
            until = self.now + dt.timedelta(days=self.settings.retention.days)
            self.readers.append((until, scan, scan.to_arrow().num_rows))

    def days_pass(self) -> None:
        self.now += dt.timedelta(days=self.random.choice((1, 3, 6, 8, 20, 31)))

    def date_files(self) -> None:
        """Give every file that is new or changed the history's time."""
        for path in self.lake.rglob("*"):
            if path.is_file() and self._seen.get(path) != path.stat().st_mtime:
                os.utime(path, (self.now.timestamp(), self.now.timestamp()))
                self._seen[path] = path.stat().st_mtime

    def ready(self, partition: str | None = None) -> tuple[Layout, list[str]]:
        """A run that has computed its files. partition: None for any."""
        self._count += 1
        self.now += dt.timedelta(minutes=1)
        day, run_id = partition or self.random.choice(DAYS), f"{self.now:%Y%m%dT%H%M%S}-{self._count:08x}"
        run = Layout(self.settings.lake, "photos", day, run_id)
        storage.write(run.run_file, b"{}")
        return run, [features_file(run, number) for number in range(self.random.randrange(1, 3))]

    def register(self, run: Layout, files: list[str]) -> None:
        """Publish it, as the task register does."""
        catalog = tables.open_catalog(self.settings)
        publications.finish_interrupted(catalog, self.settings, but=run.run_id)
        publications.publish(publication(run, files, self.now), catalog, self.settings)
        storage.delete_folder(run.run)
        for name in TABLES:
            retention.remove_expired(tables.open_table(catalog, self.settings, name), self.settings.lake)


def features_file(run: Layout, number: int) -> str:
    uri = run.new_output("featurize", number)
    rows = [
        {
            "partition_key": run.partition, "uri": f"s3://b/{number * ROWS + row}", "width": 3, "height": 2,
            "image_id": hashlib.sha256(f"{run.run_id} {number} {row}".encode()).hexdigest(), "mode": "RGB", "size": 9,
            "model": "mobilenet_v2", "fingerprint": "f", "features": [0.5] * 4, "run_id": run.run_id,
        }
        for row in range(ROWS)
    ]  # fmt: skip
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=schemas.FEATURES), sink)
    storage.write(uri, sink.getvalue())
    return uri


def publication(run: Layout, files: list[str], now: dt.datetime) -> Publication:
    """Of a run with one rejected object."""
    (row,) = runs_row("photos", run.run_id, run.partition).to_pylist()
    own = {
        "listed": len(files) * ROWS + 1, "registered": len(files) * ROWS, "quarantined": 1, "reasons": [("CORRUPT", 1)],
        "pixels": None, "copies": 0, "started_at": now, "finished_at": now, "base_started_at": now, "reused": 0,
    }  # fmt: skip
    runs = pa.Table.from_pylist([row | own], schema=schemas.RUNS)
    return Publication(run, {"photos": files}, rejected_row("photos", run.run_id, run.partition), runs)


@contextlib.contextmanager
def killed_before_commit(number: int) -> Iterator[None]:
    """The commit after so many others dies when its metadata file is written, and before the catalog knows of it."""
    write, left = SqlCatalog._write_metadata, iter(range(number))

    def die(*args: Any, **kwargs: Any) -> None:
        write(*args, **kwargs)
        if next(left, None) is None:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqlCatalog, "_write_metadata", staticmethod(die))
        yield


@contextlib.contextmanager
def killed_before_deletion(number: int) -> Iterator[None]:
    """The deletion after so many others dies."""
    left = iter(range(number))

    def dying(delete: Callable[..., Any]) -> Callable[..., Any]:
        def die(*args: Any) -> Any:
            if next(left, None) is None:
                raise Killed
            return delete(*args)

        return die

    from pyiceberg.io.pyarrow import PyArrowFileIO

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PyArrowFileIO, "delete", dying(PyArrowFileIO.delete))
        patch.setattr(storage, "delete", dying(storage.delete))
        patch.setattr(storage, "delete_folder", dying(storage.delete_folder))
        yield
