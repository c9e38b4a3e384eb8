"""What a dataset file says of a table of the catalog: what is refused before the run, and what a filter means."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from imagefeatures import names
from imagefeatures.datasets import Dataset
from imagefeatures.errors import InputError
from imagefeatures.settings import Settings
from imagefeatures.wording import one_line
from support import shops
from support.shared import MakeRun
from support.shops import GIVEN, rows, table_of


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"iceberg": "shop.product"}, "there is no table product in sqlite .*: namespace shop has products"),
        ({"iceberg": "shops.products"}, "there is no table products in .*: namespace shops has no table"),
        ({"url": "foto"}, "shop.products: there is no column 'foto'; there are id, photo, day, noise"),
        ({"label": {"column": "kind"}}, "there is no column 'kind'"),
        ({"filter": "day = "}, "filter is no condition, such as"),
        ({"filter": "dai = 'x'"}, "filter does not fit the table: .*dai"),
        ({"filter": "id = 'x'"}, "filter does not fit the table: "),
        ({"filter": "ID = 1"}, "filter does not fit the table: .*ID"),
        ({"filter": "day like '2%6'"}, r"filter is no condition, such as: day = '2026-11-01' and n > 3 \(LIKE "),
        ({"filter": "(id = 1 and " * 900 + "id = 1" + ")" * 900}, "filter is no condition, such as"),
        ({"snapshot": 7}, "there is no snapshot 7; it may have expired: start a new run"),
    ],
)
def test_what_is_not_there_is_refused_in_one_line_before_the_run(
    settings: Settings, make_run: MakeRun, tmp_path: Path, fields: dict[str, Any], refusal: str
) -> None:
    shops.products(settings, tmp_path, rows(2))
    with pytest.raises(InputError, match=refusal) as refused:
        make_run(GIVEN | fields)
    assert "\n" not in str(refused.value)
    assert not list(Path(settings.lake.removeprefix("file://")).rglob("run.json"))


UID = "00010203-0405-0607-0809-0a0b0c0d0e0f"
NESTED = {"id": [1, 2], "photo": ["file:///1.jpg", None], "meta": [{"day": "x"}, None], "a.b": ["fig", "pear"],
          "price": [Decimal("1.50"), None], "at": [dt.datetime(2026, 11, 2), None],
          "uid": pa.array([bytes(range(16)), None], pa.uuid())}  # fmt: skip


@pytest.mark.parametrize(
    ("where", "refusal"),
    [
        ("meta.day = 'x'", "filter names meta.day, which lies inside a column; only columns of the top level"),
        ("photo is null or meta.day is null", "filter names meta.day, which lies inside a column"),
        ("meta = 'x'", "filter does not fit the table: "),
        ("meta.dai = 'x'", "filter does not fit the table: "),
        ("price = 'x'", "filter does not fit the table: "),
        ("at > 99999999999999999999", "filter does not fit the table: "),
        (f"uid = '{UID}'", "filter does not fit the table: Function 'equal' has no kernel"),
        (f"uid in ('{UID}', '{UID[:-1]}0')", "filter does not fit the table: Function 'is_in' has no kernel"),
    ],
)
def test_a_filter_inside_a_column_or_of_another_type_is_refused_before_the_run(
    settings: Settings, make_run: MakeRun, tmp_path: Path, where: str, refusal: str
) -> None:
    shops.products(settings, tmp_path, pa.table(NESTED))
    with pytest.raises(InputError, match=refusal) as refused:
        make_run(GIVEN | {"filter": where})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "where", ["meta is not null", "photo is not null and id < 7", "a.b = 'fig'", "uid is not null"]
)
@pytest.mark.parametrize(("label", "text"), [("a.b", "fig"), ("meta", '{"day": "x"}')])
def test_columns_of_any_type_and_name_are_read(
    settings: Settings, tmp_path: Path, where: str, label: str, text: str
) -> None:
    shops.products(settings, tmp_path, pa.table(NESTED))
    source = table_of(filter=where, label={"column": label})
    source.check()
    assert [(item.key, item.label) for item in source.items()] == [("1", text)]


@pytest.mark.parametrize(
    ("where", "keys"),
    [
        ("kind not in ('fig', 'plum')", ["2"]),
        ("not (kind in ('fig', 'plum'))", ["2"]),
        ("kind != 'fig'", ["2"]),
        ("kind is null or kind not in ('fig', 'plum')", ["2", "3"]),
    ],
)
def test_a_null_meets_a_filter_as_it_does_in_sql(
    settings: Settings, tmp_path: Path, where: str, keys: list[str]
) -> None:
    photos = [f"file:///{number}.jpg" for number in range(1, 4)]
    shops.products(settings, tmp_path, pa.table({"id": [1, 2, 3], "photo": photos, "kind": ["fig", "pear", None]}))
    assert [item.key for item in table_of(filter=where).items()] == keys


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"table": "file:///t"}, "has table and iceberg; leave one of them out"),
        ({"iceberg": None, "table": "file:///t", "filter": "n > 3"}, "filter: is for a table of the catalog"),
        ({"iceberg": None}, "needs a table: files as table, or a table of the catalog as iceberg"),
        ({"iceberg": "products"}, "source.iceberg: must be a namespace and a table, such as shop.products"),
        ({"iceberg": "shop.{partition}"}, "must be a namespace and a table"),
        ({"filter": "day = '{day}'"}, "source.filter: only {partition} may be in braces"),
        ({"filtre": "n > 3"}, "source.filtre: unknown field (did you mean filter?)"),
        ({"anonymous": True, "requester_pays": True}, "whoever pays for requests must sign them"),
    ],
)
def test_a_dataset_file_gives_files_or_a_table_of_the_catalog(fields: dict[str, Any], refusal: str) -> None:
    given = {name: value for name, value in (GIVEN | fields).items() if value is not None}
    with pytest.raises(ValidationError) as refused:
        Dataset.model_validate({"name": "photos", "source": given})
    assert refusal in one_line(refused.value, Dataset)


def test_it_survives_json_and_says_whether_partitions_have_rows_of_their_own() -> None:
    source = Dataset.model_validate({"name": "d", "source": GIVEN | {"filter": "y = '{partition:%Y}'"}}).source
    assert Dataset.model_validate_json(Dataset(name="d", source=source).model_dump_json()).source == source
    assert source.by_partition
    assert str(source.for_partition("2026-11-02")) == "shop.products where y = '2026'"
    assert not table_of().by_partition
    assert str(table_of().for_partition("2026-11-02")) == "shop.products"


def test_no_partition_key_ends_a_text_of_the_filter() -> None:
    """The key is put between the quotes as it is: that is safe only while no key has a quote."""
    assert not [sign for sign in map(chr, range(0x3000)) if re.match(names.PARTITION, f"a{sign}b") and sign in "'\"\\"]
    assert not re.match(names.PARTITION, "x' or n > 0 or day = '")
