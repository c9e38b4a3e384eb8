"""Tables of the catalog with a column of URLs: what is read of them, of which snapshot, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.types import LongType, StringType

from imagefeatures import local, manifest, read
from imagefeatures.catalog import tables
from imagefeatures.errors import CatalogRefused, InputError, NoInput
from imagefeatures.plan import load_run
from imagefeatures.settings import Settings
from imagefeatures.sources import IcebergTable, Item
from imagefeatures.step_runner import StepRunner
from imagefeatures.steps import register
from imagefeatures.workers import ThisProcess
from support import shops
from support.disturbed_work import Forbidden
from support.listing import WORKERS
from support.photos import fill, jpeg
from support.shared import THIS_PROCESS, MakeRun
from support.shops import GIVEN, rows, table_of


def keys(source: IcebergTable) -> list[str | None]:
    return [item.key for item in source.items()]


@pytest.fixture
def photos(tmp_path: Path) -> list[dict[str, Any]]:
    """Rows of products, of which three have an image on the first day, and one no URL on each."""
    folder = fill(tmp_path / "images", {f"{number}.jpg": jpeg(number) for number in range(6)})
    found = rows(6)
    for row in found:
        row["photo"] = f"file://{folder}/{row['id']}.jpg"
    return [*found, *({"id": 6 + at, "photo": None, "day": f"2026-11-0{1 + at}", "noise": ""} for at in range(2))]


def test_a_whole_run_takes_the_rows_of_its_partition_and_a_second_one_reuses_them(
    settings: Settings, make_run: MakeRun, tmp_path: Path, photos: list[dict[str, Any]]
) -> None:
    shops.products(settings, tmp_path / "shop", photos)
    source = GIVEN | {"filter": "day = '{partition}' and noise is not null", "label": {"column": "noise"}}
    for engine, reused in ((THIS_PROCESS, 0), (ThisProcess(StepRunner(Forbidden())), 3)):
        run = make_run(source, limits={"max_rejected": 0.3})
        local.run_steps(run, engine)
        assert register.register(run.layout.run_file, settings).summary["reused"] == reused
        found = read.table(settings, "photos").to_pylist()
        assert {(row["key"], row["uri"]) for row in found} == {
            (str(row["id"]), row["photo"]) for row in photos if row["day"] == "2026-11-02" and row["photo"]
        }
        assert {row["label"] for row in found} == {"x" * 50}
        (without,) = read.table(settings, "quarantine").to_pylist()
        assert (without["key"], without["reason"]) == ("7", "UNSUPPORTED_URL")
        assert without["uri"].startswith(f"file://{tmp_path}/shop/")
        assert without["uri"].endswith(".parquet#7")


def test_the_run_keeps_the_snapshot_that_plan_found(
    settings: Settings, make_run: MakeRun, tmp_path: Path, photos: list[dict[str, Any]]
) -> None:
    table = shops.products(settings, tmp_path / "shop", photos)
    run = make_run(GIVEN)
    pinned = table.current_snapshot()
    assert pinned is not None
    assert json.loads(run.model_dump_json())["source"]["snapshot"] == pinned.snapshot_id
    table.append(pa.Table.from_pylist(rows(3, 100)))
    again = load_run(run.layout.run_file)  # as the driver does, before it lists and when it lists again
    assert again == run
    assert manifest.list_source(again, WORKERS).objects == len(photos)
    assert manifest.list_source(make_run(GIVEN), WORKERS).objects == len(photos) + 3


def test_a_row_without_a_url_has_a_uri_of_its_own_which_stays(settings: Settings, tmp_path: Path) -> None:
    table = shops.products(settings, tmp_path, rows(3))
    for first in (10, 20):
        added = [row | {"photo": None} for row in rows(2, first)]
        table.append(pa.Table.from_pylist(added, schema=table.schema().as_arrow()))
    empty = [item for item in table_of().items() if item.rejected]
    assert {item.key for item in empty} == {"10", "11", "20", "21"}
    assert len({item.uri for item in empty}) == 4
    assert [item.uri for item in table_of().items() if item.rejected] == [item.uri for item in empty]


def test_deleted_rows_are_gone_and_columns_that_were_renamed_are_found(settings: Settings, tmp_path: Path) -> None:
    table = shops.products(settings, tmp_path, rows(6))
    before = table.current_snapshot()
    assert before is not None
    shops.delete_rows(table, [1, 4])
    assert keys(table_of()) == ["0", "2", "3", "5"]
    assert keys(table_of(filter="day = '2026-11-02'")) == ["3", "5"]
    with table.update_schema() as update:
        update.rename_column("id", "number")
    assert keys(table_of(key="number")) == ["0", "2", "3", "5"]
    assert keys(table_of(snapshot=before.snapshot_id)) == ["0", "1", "2", "3", "4", "5"]


def test_no_other_column_is_read(settings: Settings, tmp_path: Path) -> None:
    wide = pa.Table.from_pylist(rows(2000))
    for number in range(20):
        wide = wide.append_column(f"c{number}", pa.array([f"{number} {row}" * 9 for row in range(2000)]))
    table = shops.products(settings, tmp_path, wide)
    (file,) = (task.file for task in table.scan().plan_files())
    spoiled = Path(file.file_path.removeprefix("file://"))
    data = bytearray(spoiled.read_bytes())
    group = pq.ParquetFile(spoiled).metadata.row_group(0)
    for number in range(group.num_columns):
        column = group.column(number)
        if column.path_in_schema not in ("id", "photo"):
            start = column.dictionary_page_offset or column.data_page_offset
            data[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    spoiled.write_bytes(data)
    assert len(keys(table_of())) == 2000
    with pytest.raises(CatalogRefused, match=r"^shop\.products: a file of it cannot be read .*ask its owner"):
        keys(table_of(key="c3"))


def test_a_catalog_that_is_not_there_yet_is_not_made_for_it(settings: Settings) -> None:
    with pytest.raises(InputError, match=r"^there is no table shop\.products: sqlite .* is not there yet$"):
        list(table_of().items())
    assert not Path(settings.lake.removeprefix("file://"), "catalog.db").exists()


def test_a_partition_without_rows_and_a_table_without_any_are_no_input(
    settings: Settings, make_run: MakeRun, tmp_path: Path
) -> None:
    table = shops.products(settings, tmp_path, rows(2))
    with pytest.raises(NoInput, match=r"^NO_INPUT: shop\.products has no row where day = '2026-12-24'$"):
        make_run(GIVEN | {"filter": "day = '{partition}'"}, partition="2026-12-24")
    table.delete()
    with pytest.raises(NoInput, match=r"^NO_INPUT: shop\.products has no row$"):
        make_run(GIVEN)
    shops.catalog_of(settings, tmp_path).create_table("shop.new", table.schema())
    with pytest.raises(NoInput, match=r"^NO_INPUT: shop\.new has no row$"):
        make_run(GIVEN | {"iceberg": "shop.new"})


def test_the_services_own_tables_are_guarded_as_before_and_may_be_a_source(
    settings: Settings, make_run: MakeRun, tmp_path: Path, photos: list[dict[str, Any]]
) -> None:
    catalog = shops.catalog_of(settings, tmp_path / "elsewhere")
    catalog.create_namespace_if_not_exists("features")
    catalog.create_table("features.other", pa.schema([("uri", pa.string()), ("key", pa.string())]))
    with pytest.raises(CatalogRefused, match=r"^features\.other in .* lies in .*, which is not in this lake"):
        table_of(iceberg="features.other", url="uri", key="key").check()
    catalog.drop_table("features.other")
    shops.products(settings, tmp_path / "shop", photos[:2])
    run = make_run(GIVEN)
    local.run_steps(run, THIS_PROCESS)
    register.register(run.layout.run_file, settings)
    again = table_of(iceberg="features.photos", url="uri", key="image_id")
    assert [item.uri for item in again.items()] == [row["photo"] for row in photos[:2]]


def test_code_that_a_table_names_is_not_imported_and_nothing_is_written_to_it(
    settings: Settings, tmp_path: Path
) -> None:
    table = shops.products(settings, tmp_path / "shop", rows(2))
    metadata = Path(table.metadata_location.removeprefix("file://"))
    content = json.loads(metadata.read_text())
    content["properties"] = {"py-io-impl": "nothing.Here"}
    metadata.write_text(json.dumps(content))
    before = {file: file.read_bytes() for file in (tmp_path / "shop").rglob("*") if file.is_file()}
    assert keys(table_of()) == ["0", "1"]
    assert {file: file.read_bytes() for file in (tmp_path / "shop").rglob("*") if file.is_file()} == before
    with tables.open_catalog(settings) as catalog:
        assert "py-io-impl" not in catalog.load_table(shops.NAME).properties


def test_a_file_of_the_table_that_is_gone_is_one_line(settings: Settings, tmp_path: Path) -> None:
    table = shops.products(settings, tmp_path, rows(2))
    (file,) = (task.file.file_path for task in table.scan().plan_files())
    Path(file.removeprefix("file://")).unlink()
    with pytest.raises(CatalogRefused, match=r"^shop\.products: a file of it is missing \(.*ask its owner"):
        keys(table_of())
    Path(table.metadata_location.removeprefix("file://")).unlink()
    with pytest.raises(CatalogRefused, match=r"^shop\.products: its metadata, .*, is missing$"):
        keys(table_of())


def test_files_of_every_age_are_read_as_the_table_is_now(settings: Settings, tmp_path: Path) -> None:
    """Columns of other names and types, one that came later, one that only the partition has, files without numbers."""
    schema = pa.schema([("id", pa.int32()), ("photo", pa.string()), ("day", pa.string())])
    table = shops.products(settings, tmp_path, pa.Table.from_pylist(rows(2), schema=schema))
    with table.update_schema() as update:
        update.rename_column("photo", "image")
        update.update_column("id", LongType())
        update.add_column("kind", StringType())
    added = {"id": [2**40], "image": ["file:///7.jpg"], "day": ["2026-11-03"], "kind": ["fig"]}
    table.append(pa.table(added, schema=table.schema().as_arrow()))
    with table.update_spec() as spec:
        spec.add_identity("day")
    path = tmp_path / "day=2026-11-04" / "plain.parquet"
    path.parent.mkdir()
    pq.write_table(pa.table({"id": [8], "image": ["file:///8.jpg"], "day": ["2026-11-04"]}), path)
    table.add_files([f"file://{path}"])
    pq.write_table(pa.table({"id": [8], "image": ["file:///8.jpg"]}), path)  # as Hive does: the folder has the day
    found = {item.key: (item.uri, item.label) for item in table_of(url="image", label={"column": "kind"}).items()}
    assert found == {
        "0": ("file:///0.jpg", None),
        "1": ("file:///1.jpg", None),
        str(2**40): ("file:///7.jpg", "fig"),
        "8": ("file:///8.jpg", None),
    }
    assert set(keys(table_of(url="image", filter="day = '2026-11-04' or kind = 'fig'"))) == {str(2**40), "8"}


def test_items_stream(settings: Settings, tmp_path: Path) -> None:
    shops.products(settings, tmp_path, rows(5000))
    items = table_of().items()
    assert isinstance(next(items), Item)
    assert sum(1 for _ in items) == 4999


def test_a_column_that_ends_too_soon_is_refused_in_one_line(settings: Settings, tmp_path: Path) -> None:
    table = shops.products(settings, tmp_path, rows(3))
    (path,) = (Path(task.file.file_path.removeprefix("file://")) for task in table.scan().plan_files())
    named = pq.ParquetFile(path).read()
    pq.write_table(named, path, use_dictionary=False, compression="none", write_statistics=False)
    data, refused = path.read_bytes(), 0
    assert keys(table_of(key="photo")) == ["file:///0.jpg", "file:///1.jpg", "file:///2.jpg"]
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    for at in (at for at, byte in enumerate(data[:footer]) if byte == 6):  # three rows, as Thrift writes the number
        path.write_bytes(data[:at] + b"\4" + data[at + 1 :])
        try:
            assert len(keys(table_of(key="photo"))) == 3
        except CatalogRefused as error:
            assert "\n" not in str(error)
            refused += "its footer claims 3 rows, and 2 are there" in str(error)
    assert refused
