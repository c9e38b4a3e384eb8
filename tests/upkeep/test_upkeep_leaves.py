"""Tables that upkeep leaves as they are: which `repair` took back, whose path Spark shortens, and somebody's own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from imagefeatures import read
from imagefeatures.catalog import owners, repair, retention, sweep, tables
from imagefeatures.errors import StoreRefused
from imagefeatures.settings import Settings
from imagefeatures.upkeep import work
from support.compacting import compact
from support.growing import folder_of
from support.histories import DAYS, History

Write = Callable[[str, float], Path]

STRAY = f"warehouse/features/photos/data/partition_key={DAYS[0]}/20261001T000000-0a1b2c3d-shard-00000-0a1b2c3d.parquet"


def refused(history: History) -> list[str]:
    """What upkeep says that it has left, a hundred days later."""
    history.date_files()
    history.now += dt.timedelta(days=100)
    return work.upkeep(history.settings, dry_run=False, now=history.now).refused


@pytest.mark.parametrize("path", ["{}//lake", "{}/./lake"])
def test_a_compacted_table_whose_path_spark_shortens_loses_nothing(
    path: str, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = replace(settings, lake=f"file://{path.format(tmp_path)}")
    history = History(settings, 0, monkeypatch)
    history.publish(DAYS[0])
    compacted = Path(compact(history.table(), DAYS[0]))
    assert compacted.is_relative_to(tmp_path / "lake")
    before = read.table(settings, "photos")
    (photos, *_) = refused(history)
    said = (
        f"Spark names this folder {tmp_path}/lake/warehouse/features/photos, so it is not known which files are named"
    )
    assert said in photos
    assert compacted.exists()
    assert read.table(settings, "photos").equals(before)


@pytest.mark.parametrize("folder", ["file:///a/b", "s3://b//c/./d"])
def test_a_path_that_is_the_same_for_everybody_is_swept(folder: str) -> None:
    sweep.refuse_ambiguous(folder)
    with pytest.raises(StoreRefused, match=r"Spark names this folder /a/b, so .*set IMAGEFEATURES_LAKE to the shorter"):
        sweep.refuse_ambiguous("file:///a/x/../b")


def test_a_table_that_repair_took_back_is_left_until_a_run_publishes_to_it(history: History, write: Write) -> None:
    history.publish(DAYS[1])
    (file,) = {task.file.file_path for task in history.table().scan(f"partition_key == '{DAYS[1]}'").plan_files()}
    lost = Path(file.removeprefix("file://"))
    away = lost.rename(lost.with_suffix(".away"))
    with tables.open_catalog(history.settings) as catalog:
        left = catalog.load_table(("features", "photos")).metadata_location
        (report,) = [report for report in repair.examine(catalog) if report.current.faults]
        repair.go_back(catalog, report)
        assert repair.gone_back(catalog) == {("features", "photos"): left}
    away.rename(lost)
    stray = write(STRAY, 90)
    (line,) = refused(history)
    assert line == (
        f"features.photos: `repair` has gone back from {left}; nothing is swept there until a run publishes to it"
    )
    assert lost.exists()
    assert stray.exists()
    history.publish(DAYS[1])
    assert refused(history) == []
    assert not stray.exists()
    history.read_everything()


@pytest.mark.long
def test_what_repair_would_lose_names_runs_alone(history: History) -> None:
    """Spark signs no snapshot, so what it has compacted is no run."""
    then = history.table()
    history.publish(DAYS[1])
    compact(history.table(), DAYS[1])
    now = history.table()
    states = [repair.State(table.metadata_location, (), metadata=table.metadata) for table in (now, then)]
    (run,) = repair.TableReport("features.photos", *states).lost
    assert run in history.table("runs").scan().to_arrow()["run_id"].to_pylist()


def test_a_table_of_somebodys_own_is_neither_expired_nor_given_properties(history: History) -> None:
    columns = pa.schema([("uri", pa.string())])
    with tables.open_catalog(history.settings) as catalog:
        own = catalog.create_table(("features", "my_labels"), schema=columns)
        for uri in "abc":
            own.overwrite(pa.table({"uri": [uri]}))
    left = folder_of(own) / "data" / "left.parquet"
    left.write_bytes(b"abc")
    version, snapshots = own.metadata_location, len(own.metadata.snapshots)
    assert refused(history) == []
    with tables.open_catalog(history.settings) as catalog:
        own = catalog.load_table(("features", "my_labels"))
    assert (own.metadata_location, len(own.metadata.snapshots)) == (version, snapshots)
    assert left.exists()


@pytest.mark.long
def test_a_table_that_an_earlier_version_has_filled_is_ours(history: History, write: Write) -> None:
    """It has none of the properties that this version gives a table which it opens."""
    stray, table = write(STRAY, 90), history.table()
    with table.transaction() as change:
        change.remove_properties(*(name for name in table.properties if name.startswith(owners.OWN_PROPERTIES)))
    assert retention.KEEP_SNAPSHOTS not in table.properties
    assert refused(history) == []
    assert not stray.exists()


@pytest.mark.long
def test_nothing_of_partitions_that_are_all_taken_back_is_left_in_the_lake(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = History(settings, 0, monkeypatch)
    for day in DAYS:
        history.publish(day)
    for day in DAYS:
        history.withdraw(day)
    assert refused(history) == []
    for name in ("photos", "quarantine", "runs"):
        table = history.table(name)
        assert list((folder_of(table) / "data").rglob("*.parquet")) == []
        assert set(table.metadata.refs) == {"main"}
