"""The files of tables: our own FileIO alone, whatever metadata, properties or a REST server name."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.io import load_file_io
from pyiceberg.table.locations import load_location_provider

from imagefeatures import read, schemas
from imagefeatures.catalog import tables
from imagefeatures.catalog.file_io import LAKE, LakeFileIO
from imagefeatures.errors import CatalogError, ImageFeaturesError, SettingsError, StoreRefused
from imagefeatures.settings import Settings
from support.canary import CLASS, RestAnswers, canary, rest_catalog
from support.publishing import DAY, features_file
from support.reading import photos_table

PROPERTIES = {
    "py-io-impl": CLASS,
    "write.py-location-provider.impl": CLASS,
    "py-catalog-impl": CLASS,
    "s3.retry-strategy-impl": CLASS,
    "s3.signer": CLASS,
    "s3.endpoint": "http://127.0.0.1:9",
    "auth": CLASS,
}
SERVER = {**PROPERTIES, "auth": {"type": "custom", "impl": CLASS, "custom": {}}, "type": CLASS}


@pytest.fixture
def marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return canary(tmp_path, monkeypatch)


def metadata_file(settings: Settings, name: str = "photos") -> Path:
    table = tables.open_catalog(settings).load_table(f"features.{name}")
    return Path(table.metadata_location.removeprefix("file://"))


def with_properties(file: Path, properties: dict[str, str]) -> dict[str, Any]:
    """Write properties into a table's metadata, as whoever can write the file may."""
    metadata: dict[str, Any] = json.loads(file.read_text())
    metadata["properties"] |= properties
    file.write_text(json.dumps(metadata))
    return metadata


def test_the_canary_would_sing(marks: Path, tmp_path: Path) -> None:
    with pytest.raises(Exception):  # noqa: B017 - it is no FileIO
        load_file_io({"py-io-impl": CLASS}).new_input("file:///x")
    assert marks.exists()
    marks.unlink()
    load_location_provider("file:///x", {"write.py-location-provider.impl": CLASS})
    assert marks.exists()


@pytest.mark.parametrize("name", PROPERTIES)
def test_no_property_of_a_table_imports_code(settings: Settings, tmp_path: Path, marks: Path, name: str) -> None:
    tables.replace_files(photos_table(settings), DAY, [features_file(tmp_path, "first")], "first")
    with_properties(metadata_file(settings), {name: PROPERTIES[name]})
    assert read.table(settings, "photos").num_rows == 3
    tables.replace_files(photos_table(settings), DAY, [features_file(tmp_path, "later", rows=2)], "later")
    assert read.table(settings, "photos").num_rows == 2
    assert not marks.exists()


@pytest.mark.parametrize("name", PROPERTIES)
def test_rows_are_written_without_code_that_a_property_names(settings: Settings, marks: Path, name: str) -> None:
    opened = tables.open_catalog(settings)
    row = {field.name: "x" if pa.types.is_string(field.type) else 0 for field in schemas.QUARANTINE}
    rows = pa.Table.from_pylist([row], schema=schemas.QUARANTINE)
    tables.replace_rows(tables.open_table(opened, settings, "quarantine"), "x", "x", rows, "x")
    with_properties(metadata_file(settings, "quarantine"), {name: PROPERTIES[name]})
    again = rows.set_column(rows.schema.get_field_index("run_id"), rows.schema.field("run_id"), pa.array(["y"]))
    tables.replace_rows(tables.open_table(opened, settings, "quarantine"), "x", "x", again, "y")
    assert read.table(settings, "quarantine")["run_id"].to_pylist() == ["y"]
    assert not marks.exists()
    kept = json.loads(metadata_file(settings, "quarantine").read_text())["properties"]
    assert (name in kept) == name.startswith(("s3.", "auth"))  # what names code to pyiceberg is gone with the commit


@pytest.fixture
def answers(settings: Settings, tmp_path: Path) -> RestAnswers:
    """Of a server that has one table, features.photos, with three rows."""
    tables.replace_files(photos_table(settings), DAY, [features_file(tmp_path, "first")], "first")
    file = metadata_file(settings)
    metadata = json.loads(file.read_text())
    return RestAnswers(table={"metadata-location": f"file://{file}", "metadata": metadata, "config": {}})


@pytest.fixture
def on_rest(settings: Settings, answers: RestAnswers, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    with rest_catalog(answers) as address:
        yield dataclasses.replace(settings, catalog=address)


@pytest.mark.parametrize("place", ["defaults", "overrides"])
def test_no_configuration_of_a_rest_server_imports_code(
    on_rest: Settings, answers: RestAnswers, marks: Path, place: str
) -> None:
    answers.config[place] = SERVER
    assert read.table(on_rest, "photos").num_rows == 3
    catalog = tables.open_catalog(on_rest)
    assert catalog.properties["type"] == "rest"
    assert "auth" not in catalog.properties
    assert catalog.properties["py-io-impl"].startswith("imagefeatures.")
    assert not marks.exists()


@pytest.mark.parametrize("name", PROPERTIES)
def test_no_answer_about_a_table_imports_code(
    on_rest: Settings, answers: RestAnswers, marks: Path, tmp_path: Path, name: str
) -> None:
    answers.table["metadata"]["properties"][name] = PROPERTIES[name]
    answers.table["config"][name] = PROPERTIES[name]
    answers.table["storage-credentials"] = [{"prefix": "file", "config": {name: PROPERTIES[name]}}]
    assert read.table(on_rest, "photos").num_rows == 3
    table = tables.open_table(tables.open_catalog(on_rest), on_rest, "photos")
    files = [features_file(tmp_path, "later")]
    assert tables.replace_files(table, DAY, files, "later")
    assert tables.replace_files(table, DAY, files, "later")  # the server answered with the old state
    assert not marks.exists()
    assert any(line.startswith("POST") and line.endswith("/tables/photos") for line in answers.seen)


def test_credentials_that_a_rest_server_lends_are_used_and_a_tables_own_are_not(
    on_rest: Settings, answers: RestAnswers
) -> None:
    answers.table["metadata"]["properties"] |= {"s3.endpoint": "http://elsewhere", "s3.region": "elsewhere"}
    answers.table["config"] |= {"s3.access-key-id": "lent"}
    table = tables.open_catalog(on_rest).load_table("features.photos")
    assert table.io.properties["s3.access-key-id"] == "lent"
    assert "elsewhere" not in str(table.io.properties)


@pytest.mark.parametrize("kind", ["custom", CLASS, "nothing"])
def test_no_class_for_the_authentication_is_imported(
    settings: Settings, marks: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    monkeypatch.setenv("PYICEBERG_HOME", str(tmp_path))
    (tmp_path / ".pyiceberg.yaml").write_text(
        f"catalog:\n  imagefeatures:\n    auth:\n      type: {kind}\n      impl: {CLASS}\n"
    )
    for catalog in (settings.catalog, "http://127.0.0.1:9"):
        with pytest.raises((SettingsError, CatalogError), match=r"auth\.type is |no answer"):
            tables.open_catalog(dataclasses.replace(settings, catalog=catalog))
    assert not marks.exists()


def test_no_file_of_the_current_folder_imports_code(
    settings: Settings, marks: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / ".pyiceberg.yaml").write_text(
        f"catalog:\n  imagefeatures:\n    py-catalog-impl: {CLASS}\n    py-io-impl: {CLASS}\n    type: {CLASS}\n"
    )
    monkeypatch.chdir(tmp_path)
    assert photos_table(settings).name() == ("features", "photos")
    assert not marks.exists()


def test_variables_of_pyiceberg_still_reach_the_catalog(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYICEBERG_CATALOG__IMAGEFEATURES__TOKEN", "given")
    assert tables.open_catalog(settings).properties["token"] == "given"


@pytest.mark.parametrize("uri", ["hdfs://host/a", "gs://bucket/a", "abfss://c@a/b", "hf://a/b", "http://host/a"])
def test_other_schemes_are_refused(settings: Settings, uri: str) -> None:
    files = LakeFileIO({LAKE: settings.lake})
    for use in (files.new_input, files.new_output, files.delete):
        with pytest.raises(StoreRefused, match=rf"^{uri}: .*only file:// and s3:// are opened$"):
            use(uri)


@pytest.mark.parametrize("place", ["{lake}/../elsewhere/a", "file:///elsewhere/a", "{lake}-2/warehouse/a", "{lake}/a",
                                   "{lake}/warehouse/../a", "s3://bucket/a"])  # fmt: skip
def test_nothing_outside_the_lakes_warehouse_is_written_or_deleted(settings: Settings, place: str) -> None:
    files = LakeFileIO({LAKE: settings.lake})
    for use in (files.new_output, files.delete):
        with pytest.raises(StoreRefused, match="are written to"):
            use(place.format(lake=settings.lake))


@pytest.mark.parametrize("name", ["write.data.path", "write.metadata.path"])
def test_a_tables_properties_cannot_lead_a_commit_out_of_the_lake(
    settings: Settings, tmp_path: Path, name: str
) -> None:
    tables.replace_files(photos_table(settings), DAY, [features_file(tmp_path, "first")], "first")
    with_properties(metadata_file(settings), {name: f"file://{tmp_path}/elsewhere"})
    try:
        tables.replace_files(photos_table(settings), DAY, [features_file(tmp_path, "later")], "later")
    except ImageFeaturesError as refused:
        assert str(refused).startswith(f"file://{tmp_path}/elsewhere/")
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_is_there_whole_or_not_at_all(settings: Settings) -> None:
    files = LakeFileIO({LAKE: settings.lake})
    uri = f"{settings.lake}/warehouse/features/x/metadata/a"
    path = Path(uri.removeprefix("file://"))

    class Stop(Exception):
        pass

    with pytest.raises(Stop), files.new_output(uri).create() as stream:
        stream.write(b"half")
        raise Stop
    assert not path.exists()
    with files.new_output(uri).create() as stream:
        stream.write(b"who")
        stream.write(b"le")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    with pytest.raises(FileExistsError):
        files.new_output(uri).create()
    assert len(files.new_output(uri)) == 5
    files.delete(uri)
    assert not path.exists()


def test_what_a_commit_names_is_on_the_disk_before_the_catalog_names_it(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = photos_table(settings)
    synced: set[str] = set()
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        synced.add(str(Path(f"/proc/self/fd/{descriptor}").readlink()))

    monkeypatch.setattr(os, "fsync", fsync)
    seen_at_commit: list[set[str]] = []
    from pyiceberg.catalog import sql

    update = sql.update

    def commit(*args: object) -> object:
        seen_at_commit.append(set(synced))
        return update(*args)

    monkeypatch.setattr(sql, "update", commit)
    tables.replace_files(table, DAY, [features_file(tmp_path, "first")], "first")
    (before,) = seen_at_commit
    folder = metadata_file(settings).parent
    assert str(folder) in before
    assert len([path for path in before if path.startswith(f"{folder}/.draft-")]) == 3  # manifest, list, metadata


def test_sqlite_waits_for_every_commit(settings: Settings) -> None:
    catalog: Any = tables.open_catalog(settings)
    assert isinstance(catalog, Catalog)
    with catalog.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 3  # EXTRA


def test_a_file_io_can_be_pickled(settings: Settings) -> None:
    files = pickle.loads(pickle.dumps(LakeFileIO({LAKE: settings.lake, "s3.region": "r", "py-io-impl": CLASS})))
    assert files.properties == {LAKE: settings.lake, "s3.region": "r"}
