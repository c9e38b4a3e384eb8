"""Tables of the catalog that are a source: how their files are read, however they were written."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import Table
from pyiceberg.typedef import Record

from imagefeatures.catalog import source_tables
from imagefeatures.catalog.sql_catalog import LakeSqlCatalog
from imagefeatures.errors import InputError
from imagefeatures.settings import Settings
from support import shops

MAPPING = "schema.name-mapping.default"


def read(settings: Settings, *columns: str, where: str | None = None) -> list[tuple[list[int], dict[str, list]]]:
    """The batches of all files: the rows' numbers, and their columns."""
    return [
        (numbers, batch.to_pydict())
        for _, batches in source_tables.batches(settings, shops.NAME, columns, where, None)
        for numbers, batch in batches
    ]


def only_file(table: Table) -> Path:
    (file,) = (task.file.file_path for task in table.scan().plan_files())
    return Path(file.removeprefix("file://"))


def test_rows_are_numbered_through_all_batches_of_a_file(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_tables, "BATCH_ROWS", 2)
    table = shops.products(settings, tmp_path, shops.rows(5))
    shops.delete_rows(table, [1, 4])
    assert read(settings, "id") == [([0], {"id": [0]}), ([2, 3], {"id": [2, 3]}), ([], {"id": []})]
    assert read(settings, "id", where="day = '2026-11-02'") == [([], {"id": []}), ([3], {"id": [3]}), ([], {"id": []})]


def test_columns_come_in_the_order_in_which_they_were_asked_for(settings: Settings, tmp_path: Path) -> None:
    shops.products(settings, tmp_path, shops.rows(1))
    ((_, found),) = read(settings, "day", "id", where="noise is not null")
    assert list(found.items()) == [("day", ["2026-11-01"]), ("id", [0])]


def test_a_file_without_numbers_of_columns_is_read_by_the_tables_names(settings: Settings, tmp_path: Path) -> None:
    """As it is where a table says no other names, and as a table says that they were before."""
    table = shops.products(settings, tmp_path, shops.rows(1))
    assert MAPPING not in table.properties
    pq.write_table(pa.table({"id": [7], "photo": ["file:///7.jpg"], "unknown": [1]}), only_file(table))
    assert read(settings, "id", "photo", "day") == [([0], {"id": [7], "photo": ["file:///7.jpg"], "day": [None]})]
    number = table.schema().find_field("id").field_id
    with table.transaction() as change:
        change.set_properties({MAPPING: f'[{{"field-id": {number}, "names": ["id", "number"]}}]'})
    pq.write_table(pa.table({"number": [8], "photo": ["file:///8.jpg"]}), only_file(table))
    assert read(settings, "id", "photo") == [([0], {"id": [8], "photo": [None]})]


def test_a_file_that_is_no_parquet_is_refused_by_its_name(settings: Settings, tmp_path: Path) -> None:
    table = shops.products(settings, tmp_path, shops.rows(1))
    table.delete()
    file = DataFile.from_args(
        content=DataFileContent.DATA, file_path=f"file://{tmp_path}/1.orc", file_format=FileFormat.ORC,
        partition=Record(), record_count=1, file_size_in_bytes=9,
        column_sizes={}, value_counts={}, null_value_counts={}, nan_value_counts={}, lower_bounds={}, upper_bounds={},
    )  # fmt: skip
    file.spec_id = table.metadata.default_spec_id
    with table.transaction() as change, change.update_snapshot().fast_append() as append:
        append.append_data_file(file)
    with pytest.raises(InputError, match=rf"^file://{tmp_path}/1\.orc is ORC; only Parquet is read$"):
        read(settings, "id")


@pytest.mark.parametrize(
    ("columns", "where", "snapshot", "refusal"),
    [
        (["kind"], None, None, "there is no column 'kind'; there are id, photo, day, noise"),
        (["id"], "dai = 'x'", None, "filter does not fit the table: "),
        (["id"], "day =", None, "filter is no condition, such as: "),
        (["id"], None, 7, "there is no snapshot 7; it may have expired: start a new run"),
    ],
)
def test_what_cannot_be_read_is_refused_when_it_is_checked(
    settings: Settings, tmp_path: Path, columns: list[str], where: str | None, snapshot: int | None, refusal: str
) -> None:
    shops.products(settings, tmp_path, shops.rows(1))
    source_tables.check(settings, shops.NAME, ["id", "day"], "day = '2026-11-01'", None)
    with pytest.raises(InputError, match=rf"^shop\.products: {refusal}"):
        source_tables.check(settings, shops.NAME, columns, where, snapshot)


def test_ten_columns_are_all_named_and_of_more_the_first_ten(settings: Settings, tmp_path: Path) -> None:
    table = shops.products(settings, tmp_path, pa.table({f"c{number}": [1] for number in range(10)}))
    named = ", ".join(f"c{number}" for number in range(10))
    with pytest.raises(InputError, match=rf"there is no column 'id'; there are {named}$"):
        read(settings, "id")
    with table.update_schema() as update:
        update.union_by_name(pa.schema([("c10", pa.int64())]))
    with pytest.raises(InputError, match=rf"there is no column 'id'; there are {named}, …$"):
        read(settings, "id")


@pytest.mark.parametrize("error", [NoSuchTableError, NoSuchNamespaceError])
def test_a_catalog_may_say_the_table_or_the_namespace_that_is_not_there(
    error: type[Exception], settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shops.products(settings, tmp_path, shops.rows(1))

    def missing(*_: object) -> Table:
        raise error("it is not there")

    monkeypatch.setattr(LakeSqlCatalog, "load_table", missing)
    with pytest.raises(InputError, match=r"^there is no table products in .*: namespace shop has products$"):
        source_tables.newest_snapshot(settings, shops.NAME)


def test_the_newest_snapshot_is_the_current_one_or_none(settings: Settings, tmp_path: Path) -> None:
    table = shops.products(settings, tmp_path, shops.rows(1))
    snapshot = table.current_snapshot()
    assert snapshot
    assert source_tables.newest_snapshot(settings, shops.NAME) == snapshot.snapshot_id
    shops.catalog_of(settings, tmp_path).create_table("shop.new", table.schema())
    assert source_tables.newest_snapshot(settings, "shop.new") is None
