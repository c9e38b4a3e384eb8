"""Files of tables that are somebody's own, or were dropped: they are searched and named, and stay as they are."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from sqlalchemy.exc import OperationalError

from imagefeatures import read, storage
from imagefeatures.catalog import owners, purge, tables
from imagefeatures.catalog.sql_catalog import LakeSqlCatalog
from imagefeatures.errors import CatalogError, CatalogRefused
from imagefeatures.forget import pending, places, work
from imagefeatures.forget.wanted import Needles
from imagefeatures.settings import Settings
from imagefeatures.upkeep.work import upkeep
from support.forgetting import request
from support.redriving import Partition, names_of, small_partition


@pytest.fixture
def partition(tmp_path: Path, settings: Settings) -> Partition:
    return small_partition(tmp_path / "photos", settings, limits={"max_rejected": 1})


def image_of(partition: Partition, name: str) -> tuple[str, str]:
    """(image_id, URI) of a published photo."""
    (found,) = [(row["image_id"], uri) for uri, row in partition.features.items() if uri.endswith(f"/{name}")]
    return found


@pytest.mark.parametrize("namespace", ["features", "learning", "mine"])
@pytest.mark.parametrize("column", ["image_id", "photo"])
def test_a_file_of_somebodys_own_table_is_named_and_left(partition: Partition, namespace: str, column: str) -> None:
    settings = partition.settings
    image_id, uri = image_of(partition, "a.jpg")
    schema = pa.schema([(column, pa.string()), ("label", pa.string()), ("taken", pa.int64())])
    with tables.open_catalog(settings) as catalog:
        catalog.create_namespace_if_not_exists(namespace)
        own = catalog.create_table((namespace, "my_labels"), schema)
        files: list[set[str]] = []
        for wanted in ("f" * 64, image_id if column == "image_id" else uri):
            own.append(pa.table({column: [wanted], "label": ["x"], "taken": [1]}, schema))
            files.append({task.file.file_path for task in own.scan().plan_files()})
        version, (file,) = own.metadata_location, files[1] - files[0]
    (report,) = work.forget(request([image_id]), "ada", settings)
    assert report.foreign == {file}
    assert (report.unreadable, report.tables) == (set(), {"features.photos"})
    assert f"  {file}: holds one, and is no export and of no table of this service: " in "\n".join(report.lines())
    assert names_of(partition.features) == {"b.jpg"}
    assert list(pending.all_of(settings.lake)) == []
    with tables.open_catalog(settings) as catalog:
        assert catalog.load_table((namespace, "my_labels")).metadata_location == version
        assert catalog.load_table((namespace, "my_labels")).scan().to_arrow().num_rows == 2


def test_what_only_a_dropped_table_says_of_an_image_is_looked_for_too(partition: Partition) -> None:
    """Which URIs an image has, and which images a URI was."""
    settings = partition.settings
    image_id, uri = image_of(partition, "a.jpg")
    (file,) = read.files(settings, "photos")
    export = f"{settings.lake}/exports/uris.csv"
    storage.write(export, f'"uri"\n"{uri}"\n'.encode())
    with tables.open_catalog(settings) as catalog:
        catalog.drop_table(("features", "photos"))  # which leaves its files
    (by_id,) = work.forget(request([image_id], dry_run=True), "ada", settings)
    (by_uri,) = work.forget(request([], image_ids=None, uris=[uri], dry_run=True), "ada", settings)
    for report in (by_id, by_uri):
        assert (report.images, report.exports, report.foreign) == (1, {export}, {file})


def test_what_is_no_table_of_ours_and_cannot_be_read_is_named(partition: Partition) -> None:
    settings = partition.settings
    for name, data in {"cut.parquet": b"PAR1 cut", "data/_SUCCESS": b"", "metadata/v1.json": b"{"}.items():
        storage.write(f"{settings.lake}/warehouse/features/mine/{name}", data)
    (report,) = work.forget(request(["f" * 64]), "ada", settings)
    assert report.unreadable == {f"{settings.lake}/warehouse/features/mine/cut.parquet"}
    assert report.foreign == set()


def test_a_table_that_is_dropped_while_they_are_listed_stops_nothing(
    partition: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owners, "listed", lambda _: [("features", "gone"), ("features", "photos")])
    with tables.open_catalog(partition.settings) as catalog:
        assert [table.name() for table in purge.holding_tables(catalog)] == [("features", "photos")]


def test_a_table_of_an_earlier_version_is_one_of_ours(partition: Partition) -> None:
    """Before this version opens it, it has none of the properties of ours; and none of a run's snapshots stays."""
    settings = partition.settings
    with tables.open_catalog(settings) as catalog:
        table = catalog.load_table(("features", "photos"))
        with table.transaction() as change:
            change.remove_properties(*(name for name in table.properties if name.startswith(owners.OWN_PROPERTIES)))
    for name in ("a.jpg", "b.jpg"):
        (report,) = work.forget(request([image_of(partition, name)[0]]), "ada", settings)
        assert (report.rows, report.foreign) == (1, set())
    assert partition.features == {}


def test_a_catalog_that_knows_no_table_of_the_lake_is_refused(
    partition: Partition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGEFEATURES_CATALOG", f"sqlite:///{tmp_path}/other.db")
    for dry_run in (True, False):
        with pytest.raises(CatalogRefused, match=r"has tables that sqlite database .* does not know"):
            work.forget(request([image_of(partition, "a.jpg")[0]], dry_run=dry_run), "ada", Settings.from_env())
    assert not storage.names(f"{partition.settings.lake}/forgotten/pending")


def test_a_database_that_goes_away_is_one_line(partition: Partition, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> list[tuple[str, ...]]:
        raise OperationalError("SELECT", {}, Exception("server closed the connection\nunexpectedly"))

    monkeypatch.setattr(LakeSqlCatalog, "list_tables", gone)
    line = r"^sqlite database .*: server closed the connection unexpectedly$"
    with tables.open_catalog(partition.settings) as catalog, pytest.raises(CatalogError, match=line):
        purge.holding_tables(catalog)
    refused = upkeep(partition.settings, dry_run=True).refused
    assert refused
    assert all(one.endswith(": server closed the connection unexpectedly") for one in refused)


def test_objects_without_bytes_hold_nothing(s3: object, settings: Settings) -> None:
    lake = "s3://images/lake"
    for key in ("exports/", "exports/_SUCCESS", "exports/empty.csv", "warehouse/features/mine/data/"):
        s3.put_object(Bucket="images", Key=f"lake/{key}", Body=b"")
    needles = Needles(["f" * 64], ["s3://images/1.jpg"])
    assert places.exports(lake, needles) == places.Exports([], [], [])
    assert places.other_tables(lake, [], needles) == purge.Found()
