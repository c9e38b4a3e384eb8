"""Where a folder is not proven to be this catalog's table alone, nothing in it is removed, and one line says so."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pyiceberg.table import Table

from imagefeatures import storage
from imagefeatures.catalog import tables
from imagefeatures.errors import CatalogRefused
from imagefeatures.upkeep import work
from support.growing import folder_of, read_whole_past
from support.histories import DAYS, History, Killed, killed_before_commit

Write = Callable[[str, float], Path]

STRAY = f"warehouse/features/photos/data/partition_key={DAYS[0]}/20261001T000000-0a1b2c3d-shard-00000-0a1b2c3d.parquet"


def refused(history: History) -> list[str]:
    return work.upkeep(history.settings, dry_run=False, now=history.now).refused


@pytest.mark.long
def test_commits_of_a_copy_of_the_catalog_are_nobodys_strays(history: History, write: Write) -> None:
    """Somebody tries something with a copy of the database, and the same lake."""
    copied = replace(history.settings, catalog=f"sqlite:///{history.lake}/copy.db")
    shutil.copy(history.lake / "catalog.db", history.lake / "copy.db")
    own, history.settings = history.settings, copied
    for _ in range(3):
        history.publish()
    history.date_files()
    theirs = read_whole_past(history.table())
    history.settings, stray = own, write(STRAY, 90)
    history.now += dt.timedelta(days=90)
    lines = refused(history)
    assert [line.partition(":")[0] for line in lines] == ["features.photos", "features.quarantine", "features.runs"]
    assert all("that this catalog does not know: another catalog may share the lake" in line for line in lines)
    assert stray.exists()
    history.settings = copied
    assert read_whole_past(history.table()) == theirs


@pytest.mark.long
def test_a_catalog_that_is_an_older_copy_removes_nothing_of_what_came_after(history: History) -> None:
    shutil.copy(history.lake / "catalog.db", history.lake / "backup.db")
    for _ in range(3):
        history.publish()
    history.date_files()
    there = {path for path in history.lake.rglob("*") if path.is_file()}
    history.settings = replace(history.settings, catalog=f"sqlite:///{history.lake}/backup.db")
    history.now += dt.timedelta(days=20)
    assert len(refused(history)) == 3
    assert all(path.exists() for path in there)


@pytest.mark.long
def test_another_catalogs_table_in_the_same_folder_is_another_table(history: History, write: Write) -> None:
    stray, metadata = write(STRAY, 90), folder_of(history.table()) / "metadata"
    other = json.loads(Path(history.table().metadata_location.removeprefix("file://")).read_text())
    other["table-uuid"] = "00000000-0000-4000-8000-000000000000"
    storage.write(f"file://{metadata}/00001-other.metadata.json", json.dumps(other).encode())
    (line,) = refused(history)
    assert line.startswith(f"features.photos: file://{metadata}/00001-other.metadata.json is of a table, ")
    assert stray.exists()
    (metadata / "00001-other.metadata.json").write_text(json.dumps(other | {"snapshots": []}))
    assert refused(history) == []  # of a creation that lost a race
    assert (metadata / "00001-other.metadata.json").exists()
    assert not stray.exists()


@pytest.mark.long
def test_a_commit_that_was_killed_is_the_tables_own(history: History) -> None:
    for number in (0, 1, 2):
        run, files = history.ready()
        with killed_before_commit(number), pytest.raises(Killed):
            history.register(run, files)
        history.publish()
    history.date_files()
    history.now += dt.timedelta(days=90)
    assert refused(history) == []


def commit(table: Table, times: int) -> None:
    for number in range(times):
        with table.transaction() as change:
            change.set_properties({"number": str(number)})


@pytest.mark.long
def test_metadata_that_the_log_has_forgotten_is_the_tables_own(history: History) -> None:
    """Tables of other programs' making, and of versions without a bound, have never deleted any."""
    table = history.table()
    kept = {"write.metadata.delete-after-commit.enabled": "false", "write.metadata.previous-versions-max": "3"}
    with table.transaction() as change:
        change.set_properties(kept)
    commit(table, 12)
    files = set((folder_of(table) / "metadata").glob("*.metadata.json"))
    history.date_files()
    history.now += dt.timedelta(days=8)
    assert refused(history) == []
    left = set((folder_of(table) / "metadata").glob("*.metadata.json"))
    assert len(left) == 4
    assert left < files


@pytest.mark.long
def test_commits_of_a_copied_catalog_are_nobodys_past_however_old(history: History) -> None:
    copied, own = replace(history.settings, catalog=f"sqlite:///{history.lake}/copy.db"), history.settings
    shutil.copy(history.lake / "catalog.db", history.lake / "copy.db")
    history.settings = copied
    for _ in range(2):  # a single one looks like a commit that was killed
        history.publish(DAYS[0])
    theirs = read_whole_past(history.table())
    history.settings = own
    commit(history.table(), 25)  # more than a log has
    history.date_files()
    history.now += dt.timedelta(days=8)
    (photos, *_) = refused(history)
    assert photos.startswith("features.photos: ")
    assert "that this catalog does not know: another catalog may share the lake" in photos
    history.settings = copied
    assert read_whole_past(history.table()) == theirs


@pytest.mark.long
def test_a_publication_removes_no_commit_of_a_copied_catalog_however_old(history: History) -> None:
    copied, own = replace(history.settings, catalog=f"sqlite:///{history.lake}/copy.db"), history.settings
    shutil.copy(history.lake / "catalog.db", history.lake / "copy.db")
    history.settings = copied
    history.publish(DAYS[0])
    theirs, metadata = history.table().scan().to_arrow(), history.table().metadata_location
    history.settings = own
    commit(history.table(), 25)
    before = len(history.table().metadata.snapshots)
    history.now += dt.timedelta(days=40)
    history.publish(DAYS[1])
    assert len(history.table().metadata.snapshots) < before  # its clean-up had old versions to look for
    history.settings = copied
    assert history.table().metadata_location == metadata
    assert history.table().scan().to_arrow().equals(theirs)


@pytest.mark.long
def test_a_folder_behind_a_link_is_left(history: History, write: Write, tmp_path: Path) -> None:
    stray, photos = write(STRAY, 90), history.lake / "warehouse/features/photos"
    for folder in (photos, history.lake / "quarantine"):
        folder.mkdir(exist_ok=True)
        shutil.move(folder, tmp_path / folder.name)
        folder.symlink_to(tmp_path / folder.name)
    kept = tmp_path / "quarantine/photos" / DAYS[0] / "CORRUPT" / ("ab" * 32)
    storage.write(f"file://{kept}", b"abc")
    history.now += dt.timedelta(days=900)
    tables_line, rejects_line = refused(history)
    assert tables_line == f"file://{photos} leads to {tmp_path}/photos by a link; nothing is removed there"
    assert rejects_line.startswith(f"file://{history.lake}/quarantine leads to ")
    assert stray.exists()
    assert kept.exists()


@pytest.mark.long
def test_a_table_that_lies_elsewhere_is_left(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Table, "location", lambda table: f"{history.settings.lake}/warehouse/elsewhere")
    lines = refused(history)
    assert len(lines) == 3
    assert all("elsewhere, and not in file://" in line for line in lines)


@pytest.mark.long
def test_a_new_catalog_of_a_lake_with_tables_is_refused(history: History) -> None:
    history.settings = replace(history.settings, catalog=f"sqlite:///{history.lake}/new.db")
    tables.open_catalog(history.settings)
    with pytest.raises(CatalogRefused, match=r"has tables that sqlite database .*new\.db does not know"):
        work.upkeep(history.settings, dry_run=False)


@pytest.mark.long
def test_what_is_of_tables_and_datasets_that_nothing_here_knows_is_not_touched(history: History, write: Write) -> None:
    others = [
        write("warehouse/features/dropped/data/partition_key=x/a.parquet", 900),
        write(f"staging/theirs/{DAYS[0]}/20261001T000000-0a1b2c3d/run.json", 900),
        write(f"quarantine/theirs/{DAYS[0]}/CORRUPT/{'ab' * 32}", 900),
    ]
    report = work.upkeep(history.settings, dry_run=False, now=history.now)
    assert (report.refused, report.unknown) == ([], {"theirs"})
    assert all(other.exists() for other in others)
    (history.settings.datasets / "theirs.yaml").touch()
    assert work.upkeep(history.settings, dry_run=False, now=history.now).unknown == set()
    assert [other.exists() for other in others] == [True, False, False]


@pytest.mark.long
def test_the_checksums_that_spark_leaves_beside_metadata_are_no_other_tables(history: History) -> None:
    current = Path(history.table().metadata_location.removeprefix("file://"))
    checksums = current.with_name(f".{current.name}.crc")
    checksums.write_bytes(b"crc\x00\x00\x00\x02\x00\xff\xfe")
    history.date_files()
    history.now += dt.timedelta(days=8)
    assert refused(history) == []
    assert not checksums.exists()
    history.read_everything()
