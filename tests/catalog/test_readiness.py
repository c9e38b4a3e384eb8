"""plan proves that tables can be read and written, in one line where they cannot, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from imagefeatures import read, storage
from imagefeatures.catalog import room, tables
from imagefeatures.datasets import Dataset
from imagefeatures.errors import CatalogError, CatalogRefused, ImageFeaturesError, StoreError, StoreRefused
from imagefeatures.plan import plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings, program
from support.photos import fill
from support.publishing import DAY, features_file, publish_older_run
from support.shared import BUCKET
from support.unprivileged import folder_of_nobody

Refusal = Callable[[type[ImageFeaturesError]], str]


def planned(settings: Settings, source: Path) -> str:
    return plan_run(Dataset(name="photos", source=f"file://{source}/"), RunParams(), DAY, settings)


def make_lake(folder: Path) -> Settings:
    """A lake in which something is published, and photos beside it."""
    (folder / "lake").mkdir()
    fill(folder / "photos", {"1.jpg": b"x"})
    settings = Settings(f"file://{folder}/lake", f"sqlite:///{folder}/lake/catalog.db?timeout=1", None, folder)
    publish_older_run(settings)
    table = tables.open_table(tables.open_catalog(settings), settings, "photos")
    tables.replace_files(table, DAY, [features_file(folder, "first")], "first")
    assert read.table(settings, "photos").num_rows == 3
    return settings


@pytest.fixture(scope="module")
def _imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever the tests use is imported before they become a user who may not read the interpreter's folder."""
    folder = tmp_path_factory.mktemp("imported")
    make_lake(folder)
    planned(Settings(f"file://{folder}/lake", f"sqlite:///{folder}/lake/catalog.db", None, folder), folder / "photos")


@pytest.fixture
def nobody(_imported: None) -> Iterator[Path]:
    with folder_of_nobody() as folder:
        yield folder


@pytest.fixture
def lake(nobody: Path) -> Settings:
    """A lake in which something is published already, of a user whom permissions bind."""
    return make_lake(nobody)


@pytest.fixture
def refused(lake: Settings, nobody: Path) -> Refusal:
    """refused(kind): the one line with which a plan is refused. No run is left in the lake, and no probe."""

    def line(kind: type[ImageFeaturesError]) -> str:
        with pytest.raises(kind) as error:
            planned(lake, nobody / "photos")
        assert type(error.value) is kind
        text = str(error.value)
        assert "\n" not in text
        assert "[SQL" not in text and "sqlalche" not in text and "iceberg_tables" not in text
        assert not list((nobody / "lake").rglob("run.json"))
        return text

    return line


def path_of(settings: Settings) -> Path:
    return Path(settings.lake.removeprefix("file://"))


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def rows_of(settings: Settings) -> list[object]:
    with contextlib.closing(sqlite3.connect(path_of(settings) / "catalog.db")) as connection:
        return connection.execute("select * from iceberg_tables order by table_name").fetchall()


def test_a_plan_leaves_its_own_run_and_what_it_keeps_of_the_tables_manifests(lake: Settings, nobody: Path) -> None:
    before, rows = files_of(path_of(lake)), rows_of(lake)
    run_file = planned(lake, nobody / "photos")
    storage.delete_folder(run_file.rpartition("/")[0])
    left = {name for name in files_of(path_of(lake)) - before if not name.startswith("staging")}
    assert left <= {"known", "known/photos.json"}
    assert rows_of(lake) == rows


def test_a_catalog_that_may_only_be_read(lake: Settings, refused: Refusal) -> None:
    file = path_of(lake) / "catalog.db"
    file.chmod(0o444)
    assert refused(CatalogRefused) == (
        f"sqlite database {file}: attempt to write a readonly database; give this process the right to write the file "
        "and its folder"
    )


def test_a_catalog_beside_which_no_journal_can_be_written(lake: Settings, nobody: Path, refused: Refusal) -> None:
    (nobody / "db").mkdir()
    shutil.move(path_of(lake) / "catalog.db", nobody / "db" / "catalog.db")
    (nobody / "db").chmod(0o555)
    apart = dataclasses.replace(lake, catalog=f"sqlite:///{nobody}/db/catalog.db")
    with pytest.raises(
        CatalogRefused, match=r"its folder must exist, and this process must be allowed to write|right to"
    ):
        planned(apart, nobody / "photos")


def test_a_catalog_that_another_program_holds_may_be_free_later(lake: Settings, refused: Refusal) -> None:
    with contextlib.closing(sqlite3.connect(path_of(lake) / "catalog.db")) as other:
        other.execute("begin exclusive")
        text = refused(CatalogError)
    assert text.endswith("catalog.db: database is locked; another program holds it: end that program, or try again")


def test_a_damaged_catalog(lake: Settings, refused: Refusal) -> None:
    file = path_of(lake) / "catalog.db"
    data = bytearray(file.read_bytes())
    data[200:] = b"\xff" * (len(data) - 200)
    file.write_bytes(data)
    assert "the database is damaged" in refused(CatalogRefused)


@pytest.mark.parametrize("table", ["photos", "runs"])
@pytest.mark.parametrize("folder", ["metadata", "data"])
def test_a_folder_of_a_table_that_takes_no_file(lake: Settings, refused: Refusal, table: str, folder: str) -> None:
    place = path_of(lake) / "warehouse" / "features" / table / folder
    place.mkdir(exist_ok=True)
    place.chmod(0o555)
    assert refused(StoreRefused) == (
        f"file://{place}: the tables could not be written there (Permission denied); give this process's user the "
        "right to write there"
    )


def test_a_warehouse_that_is_gone(lake: Settings, refused: Refusal) -> None:
    shutil.rmtree(path_of(lake) / "warehouse")
    text = refused(CatalogRefused)
    assert text.startswith(f"features.photos: its metadata, {lake.lake}/warehouse/features/photos/metadata/")
    assert text.endswith(f"is missing; `{program()} repair` shows what is left of it")


def test_a_manifest_list_that_is_gone(lake: Settings, refused: Refusal) -> None:
    (file,) = (path_of(lake) / "warehouse" / "features" / "photos" / "metadata").glob("snap-*.avro")
    file.unlink()
    text = refused(CatalogRefused)
    assert text.startswith("features.photos: a file of it is missing (") and file.name in text


def test_a_manifest_that_is_damaged(lake: Settings, refused: Refusal) -> None:
    (file,) = (path_of(lake) / "warehouse" / "features" / "photos" / "metadata").glob("*-m0.avro")
    file.write_bytes(file.read_bytes()[:100])
    assert refused(CatalogRefused).startswith("features.photos: a file of it cannot be read (")


@pytest.mark.parametrize(
    ("damage", "said"), [("gone", "is missing"), ("cut", "cannot be read"), ("denied", "no permiss")]
)
def test_a_data_file_that_cannot_be_read_is_one_line_for_readers(lake: Settings, damage: str, said: str) -> None:
    file = Path(read.files(lake, "photos")[0].removeprefix("file://"))
    if damage == "gone":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:50])
    else:
        file.chmod(0)
    with pytest.raises((CatalogRefused, StoreRefused)) as error:
        read.table(lake, "photos")
    text = str(error.value)
    assert "\n" not in text
    assert said in text or (damage == "denied" and "ermission" in text)
    assert file.name in text or damage == "cut"


def test_a_disk_without_room(lake: Settings, refused: Refusal, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: usage(10**9, 10**9, 1000))
    assert "free some space there, then try again" in refused(StoreRefused)


def test_a_full_disk_at_the_commit(lake: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tables.open_table(tables.open_catalog(lake), lake, "photos")

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28), "/lake/x.avro")

    monkeypatch.setattr("imagefeatures.storage.write", full)
    with pytest.raises(
        StoreError, match=r"^features\.photos: no space left for a file of it .*; free some space there"
    ):
        tables.replace_files(table, DAY, [], "second")


def test_commits_that_lose_every_race_end_in_one_line(lake: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyiceberg.exceptions import CommitFailedException

    table = tables.open_table(tables.open_catalog(lake), lake, "photos")

    def lost(*_: object) -> None:
        raise CommitFailedException("Requirement failed: branch main has changed")

    monkeypatch.setattr(tables, "until_committed", lambda swap: swap())
    monkeypatch.setattr(type(table.catalog), "commit_table", lost)
    with pytest.raises(CatalogError, match=r"^features\.photos: other runs commit to it over and over; try again$"):
        tables.replace_files(table, DAY, [], "second")


def test_a_store_whose_tables_may_not_be_written(
    settings: Settings, s3: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = dataclasses.replace(settings, lake=f"s3://{BUCKET}/lake")
    written = storage.write

    def write(uri: str, *rest: object, **given: object) -> bool:
        if "/warehouse/" in uri:
            raise StoreRefused(f"{uri}: the store refuses (AccessDenied)")
        return written(uri, *rest, **given)

    photos = fill(Path(settings.lake.removeprefix("file://")) / "photos", {"1.jpg": b"x"})
    run_file = planned(remote, photos)
    assert not [stored.uri for stored in storage.list_objects(f"{remote.lake}/warehouse")]
    storage.delete_folder(run_file.rpartition("/")[0])
    monkeypatch.setattr(storage, "write", write)
    with pytest.raises(StoreRefused, match=rf"^s3://{BUCKET}/lake/warehouse/probe-.*AccessDenied"):
        planned(remote, photos)
    assert not list(storage.list_objects(f"{remote.lake}/staging"))


def test_a_database_that_takes_no_writes(settings: Settings, make_database: Callable[..., str], tmp_path: Path) -> None:
    of = dataclasses.replace(settings, catalog=make_database())
    photos = fill(tmp_path / "photos", {"1.jpg": b"x"})
    planned(of, photos)  # which makes the catalog's tables
    with psycopg.connect(of.catalog.replace("+psycopg", ""), autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f'alter database "{name}" set default_transaction_read_only = on')
    with pytest.raises(CatalogRefused, match=r"read-only transaction; IMAGEFEATURES_CATALOG must name a server that"):
        planned(of, photos)


@pytest.mark.parametrize("state", ["read only", "locked"])
def test_a_catalog_that_takes_no_commit_any_more_is_one_line(lake: Settings, state: str) -> None:
    file = path_of(lake) / "catalog.db"
    if state == "read only":
        file.chmod(0o444)  # before it is opened
    table = tables.open_table(tables.open_catalog(lake), lake, "photos")
    with contextlib.closing(sqlite3.connect(file)) as other:
        if state == "locked":
            other.execute("begin exclusive")
        kind, said = {
            "locked": (CatalogError, "database is locked; another program holds it: end that program, or try again"),
            "read only": (CatalogRefused, "attempt to write a readonly database; give this process the right to write"),
        }[state]
        for use in (
            lambda: tables.replace_files(table, DAY, [], "second"),
            lambda: tables.open_table(tables.open_catalog(lake), lake, "new"),
        ):
            with pytest.raises(kind) as error:
                use()
            assert str(error.value).startswith(f"sqlite database {file}: {said}")
            assert "\n" not in str(error.value) and "[SQL" not in str(error.value)
