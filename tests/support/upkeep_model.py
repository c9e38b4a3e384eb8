"""What must hold of a lake after upkeep, worked out from the tables and the folders alone."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import os
import time
from collections import Counter
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path

from pyiceberg.table import Table

from imagefeatures.settings import Settings
from imagefeatures.upkeep import work
from support.growing import folder_of, named_files
from support.histories import TABLES, History

DAY = 86_400.0

PROCESSES = multiprocessing.get_context("forkserver")
"""Its processes have all modules from the beginning: what is killed is the work."""
PROCESSES.set_forkserver_preload(["imagefeatures.upkeep.work", "imagefeatures.catalog.sweep"])


def named(table: Table) -> set[str]:
    """The paths of all files that the table's metadata and snapshots name, however their URIs are written."""
    metadata = {table.metadata_location, *(entry.metadata_file for entry in table.metadata.metadata_log)}
    return {"/" + uri.removeprefix("file:").lstrip("/") for uri in named_files(table) | metadata}


def live_runs(history: History) -> set[str]:
    """Runs with a run.json, and those whose publication is written down."""
    runs = {path.parent.name for path in history.lake.glob("staging/*/*/*/run.json")}
    return runs | publishing(history)


def publishing(history: History) -> set[str]:
    return {path.name for path in history.lake.glob("publishing/*") if any(path.iterdir())}


def stored(table: Table) -> dict[str, float]:
    """Path and last write of each file in the table's folder."""
    return {str(path): path.stat().st_mtime for path in folder_of(table).rglob("*") if path.is_file()}


def upkeep_and_check(history: History, expected: Counter[str]) -> None:
    """Run upkeep, and compare what is there with what has to be. expected: counts what was examined."""
    settings, now = history.settings, history.now.timestamp()
    of = {name: history.table(name) for name in TABLES}
    ages, before = settings.ages, {name: stored(table) for name, table in of.items()}
    rows = {name: table.scan().to_arrow().sort_by("run_id") for name, table in of.items()}
    staging = {path: path.stat().st_mtime for path in history.lake.glob("staging/*/*/*/*")}
    runs_before = live_runs(history)
    report = work.upkeep(settings, dry_run=False, now=history.now)
    assert report.refused == []
    history.date_files()
    for path, modified in staging.items():
        finishes = path.parent.name in publishing(history)  # whoever comes next publishes it, and removes this
        assert path.exists() == (finishes or modified >= now - ages.staging * DAY), path
    live = live_runs(history)
    for name, table in of.items():
        table.refresh()
        assert table.scan().to_arrow().sort_by("run_id").equals(rows[name])
        kept, left = named(table), stored(table)
        assert kept <= left.keys()
        expected["snapshots"] += len(table.metadata.snapshots)
        _check_ages(table, history)
        for path, modified in before[name].items():
            protected = any(Path(path).name.startswith(f"{run}-") for run in live)
            young = modified >= now - ages.strays * DAY
            if protected or path in kept:
                assert path in left, path
                expected["named or live"] += 1
            elif young:
                expected["young"] += 1
            else:
                assert path not in left, path
                expected["gone"] += 1
    assert live <= runs_before


def _check_ages(table: Table, history: History) -> None:
    """No snapshot is kept that was replaced longer ago than the days, but for heads of branches and tags."""
    log = table.metadata.snapshot_log
    heads = {ref.snapshot_id for ref in table.metadata.refs.values()}
    horizon = (history.now.timestamp() - history.settings.retention.days * DAY) * 1000
    for entry, after in pairwise(log):
        assert entry.snapshot_id in heads or after.timestamp_ms >= horizon


def upkeep_killed(history: History) -> str:
    """Run upkeep in a process that is killed by SIGKILL at a random moment. Returns when that was, in words."""
    ours, theirs = PROCESSES.Pipe()
    process = PROCESSES.Process(target=_upkeep, args=(theirs, dict(os.environ), history.now))
    process.start()
    try:
        looked = ours.recv()
        before = _files(history)
        ours.send("begin")
        time.sleep(history.random.uniform(0, looked))  # it looks again, and removes
    finally:
        process.kill()
        process.join()
    history.date_files()
    if process.exitcode == 0:
        return "after its end"
    return "in the middle" if before - _files(history) else "before a deletion"


def _upkeep(parent: Connection, environment: dict[str, str], now: dt.datetime) -> None:
    os.environ.update(environment)  # the server of processes may have been started for another lake
    settings, begun = Settings.from_env(), time.monotonic()
    work.upkeep(settings, dry_run=True, now=now)
    parent.send(time.monotonic() - begun)
    parent.recv()
    work.upkeep(settings, dry_run=False, now=now)


def _files(history: History) -> set[Path]:
    return {path for path in history.lake.rglob("*") if path.is_file()}
