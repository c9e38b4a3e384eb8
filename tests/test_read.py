"""read: what the tables hold, in record batches of one snapshot."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.expressions import EqualTo
from pyiceberg.table import Table
from pyiceberg.types import StringType

from imagefeatures import read, schemas
from imagefeatures.catalog import tables
from imagefeatures.errors import InputError
from imagefeatures.readers import parquet
from imagefeatures.settings import Settings
from support.publishing import DAY, features_file
from support.reading import NEXT_DAY, Publish, counts, photos_table, publisher


@pytest.fixture
def photos(settings: Settings) -> Table:
    """The empty table features.photos."""
    return photos_table(settings)


@pytest.fixture
def publish(photos: Table, tmp_path: Path) -> Publish:
    """publish(run_id, rows, …, partition=…): a file for each count of rows takes the partition's place."""
    return publisher(photos, tmp_path)


# What a batch is


def test_a_batch_has_the_columns_of_the_schema_and_no_more_rows_than_it_may(
    settings: Settings, publish: Publish
) -> None:
    publish("first", 2500, 3)
    found = list(read.batches(settings, "photos"))
    assert all(batch.schema.equals(schemas.FEATURES, check_metadata=True) for batch in found)
    assert sorted(batch.num_rows for batch in found) == [3, 2500 - 2 * read.BATCH_ROWS, *[read.BATCH_ROWS] * 2]
    assert read.table(settings, "photos").equals(pa.Table.from_batches(found))


def test_the_same_snapshot_gives_the_same_rows_in_the_same_order(settings: Settings, publish: Publish) -> None:
    for partition in (NEXT_DAY, DAY):
        publish("first", *range(1, 25), partition=partition)
    rows = read.table(settings, "photos")
    assert rows.equals(read.table(settings, "photos"))
    files = read.files(settings, "photos")
    assert files == sorted(files)
    assert rows.equals(pa.concat_tables([pq.read_table(file.removeprefix("file://")) for file in files]))


def test_columns_come_in_the_order_of_the_schema_and_only_those_that_are_chosen(
    settings: Settings, publish: Publish
) -> None:
    publish("first", 3)
    rows = read.table(settings, "photos", columns=("run_id", "label", "uri"))
    assert rows.schema.names == ["uri", "label", "run_id"]
    assert rows.to_pylist() == [{"uri": f"s3://b/{at}", "label": "red", "run_id": "first"} for at in range(3)]
    with pytest.raises(
        InputError, match=r"^features\.photos: no column 'lable'; it has partition_key, uri, .*, key, copy$"
    ):
        read.batches(settings, "photos", columns=("uri", "lable"))
    with pytest.raises(InputError, match="no column is chosen"):
        read.batches(settings, "photos", columns=())


def test_files_that_are_read_in_parts_or_row_group_by_row_group_give_the_same_rows(
    settings: Settings, photos: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = features_file(tmp_path, "first", rows=3000)
    path = Path(file.removeprefix("file://"))
    written = pq.read_table(path)
    pq.write_table(written, path, row_group_size=700)
    tables.replace_files(photos, DAY, [file], "first")
    assert read.table(settings, "photos").equals(written)
    monkeypatch.setattr(parquet, "SMALL_FILE", 0)
    monkeypatch.setattr(parquet, "LARGE_FILE", 0)
    assert read.table(settings, "photos").equals(written)
    assert [batch.num_rows for batch in read.batches(settings, "photos")] == [700] * 4 + [200]


def test_whoever_breaks_off_leaves_no_thread_behind(settings: Settings, publish: Publish) -> None:
    publish("first", *[2] * 40)
    before = set(threading.enumerate())
    found = read.batches(settings, "photos")
    assert set(threading.enumerate()) == before
    next(found)
    found.close()  # type: ignore[attr-defined]
    assert set(threading.enumerate()) == before


# One snapshot


def test_what_is_published_while_batches_are_read_changes_nothing_in_them(settings: Settings, publish: Publish) -> None:
    publish("first", *[2] * 40)
    found = read.batches(settings, "photos")
    seen = [next(found)]
    publish("second", 5)
    publish("second", 5, partition=NEXT_DAY)
    seen += found
    assert counts(pa.Table.from_batches(seen), "run_id") == {"first": 80}
    assert counts(read.table(settings, "photos"), "run_id") == {"second": 10}


def test_the_snapshot_is_settled_by_the_call_and_not_by_the_first_batch(settings: Settings, publish: Publish) -> None:
    publish("first", 2)
    found = read.batches(settings, "photos")
    publish("second", 5)
    assert counts(pa.Table.from_batches(found), "run_id") == {"first": 2}


def test_an_earlier_snapshot_is_read_by_its_id(settings: Settings, photos: Table, publish: Publish) -> None:
    earlier = publish("first", 2)
    snapshot = photos.refresh().metadata.current_snapshot_id
    publish("second", 5)
    assert counts(read.table(settings, "photos", snapshot=snapshot), "run_id") == {"first": 2}
    assert read.files(settings, "photos", snapshot=snapshot) == earlier
    with pytest.raises(InputError, match=r"^features\.photos: no snapshot 7; it may have expired$"):
        read.batches(settings, "photos", snapshot=7)


def test_the_table_is_read_as_a_run_left_it(settings: Settings, publish: Publish) -> None:
    publish("first", 2)
    publish("second", 5)
    publish("third", 1, partition=NEXT_DAY)
    for run_id, expected in {
        "first": {"first": 2},
        "second": {"second": 5},
        "third": {"second": 5, "third": 1},
    }.items():
        assert counts(read.table(settings, "photos", run_id=run_id), "run_id") == expected
    assert len(read.files(settings, "photos", run_id="third", partitions=(NEXT_DAY,))) == 1
    with pytest.raises(InputError, match=r"^features\.photos: no snapshot of run other; it published nothing here, or"):
        read.batches(settings, "photos", run_id="other")
    with pytest.raises(InputError, match=r"^features\.photos: give a snapshot or a run_id, not both$"):
        read.batches(settings, "photos", run_id="first", snapshot=7)


# Which rows


def test_partitions_are_read_by_their_keys_and_one_that_never_was_has_no_rows(
    settings: Settings, publish: Publish
) -> None:
    first, second = publish("first", 2), publish("second", 5, partition=NEXT_DAY)
    for partitions, expected in {
        (DAY,): {DAY: 2},
        (NEXT_DAY, DAY): {DAY: 2, NEXT_DAY: 5},
        ("2026-11-04", NEXT_DAY): {NEXT_DAY: 5},
        ("2026-11-04",): {},
        (): {},
    }.items():
        assert counts(read.table(settings, "photos", partitions=partitions), "partition_key") == expected
    assert read.files(settings, "photos", partitions=(NEXT_DAY,)) == second
    assert read.files(settings, "photos") == sorted(first + second)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("label = 'green'", 4),
        ("label = 'green' and uri >= 's3://b/2'", 2),
        (EqualTo("label", "red"), 3),
        ("run_id in ('first', 'third') or width < 3", 3),
        ("etag is null", 7),
        ("etag is not null", 0),
        ("not label = 'green'", 3),
    ],
)
def test_a_condition_may_speak_of_columns_that_are_not_read(
    settings: Settings, publish: Publish, where: Any, expected: int
) -> None:
    publish("first", 3)
    publish("second", 4, partition=NEXT_DAY, label="green")
    rows = read.table(settings, "photos", columns=("uri", "features"), where=where)
    assert (rows.num_rows, rows.schema.names) == (expected, ["uri", "features"])
    of_a_day = read.table(settings, "photos", columns=("label",), where=where, partitions=(DAY,))
    assert set(of_a_day["label"].to_pylist()) <= {"red"}


def test_rows_are_read_by_their_labels_and_none_stands_for_rows_without_one(
    settings: Settings, photos: Table, tmp_path: Path
) -> None:
    for partition, label in ((DAY, "red"), (NEXT_DAY, None), ("2026-11-04", "green")):
        file = features_file(tmp_path, partition, partition, 2, label)
        tables.replace_files(photos, partition, [file], partition)
    for labels, expected in {
        ("red",): ["red"],
        ("red", None): ["red", None],
        (None,): [None],
        ("green", "blue", "red"): ["red", "green"],
        (): [],
    }.items():
        found = read.table(settings, "photos", columns=("uri", "label"), labels=labels)
        assert found["label"].to_pylist() == [label for label in expected for _ in range(2)]
    assert read.table(settings, "photos", labels=("red", "green"), where="label != 'red'").num_rows == 2
    assert read.table(settings, "photos", labels=("red",), partitions=(NEXT_DAY,)).num_rows == 0


def test_an_argument_that_does_not_exist_is_refused(settings: Settings, publish: Publish) -> None:
    publish("first", 1)
    with pytest.raises(TypeError, match="no argument 'label'; there are partitions, labels, where, snapshot, run_id"):
        read.batches(settings, "photos", label="red")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("label = ", "where is not a condition: Expected"),
        ("lable = 'red'", "where does not fit the table: .*lable"),
        ("LABEL = 'red'", "where does not fit the table: .*LABEL"),
        ("width = 'wide'", "where does not fit the table: .*wide"),
        ("label = 3", "where does not fit the table: "),
        ("features.element > 1", "where does not fit the table: "),
        ("added_by_hand = 'x'", "where speaks of added_by_hand, which is not read"),
    ],
)
def test_a_condition_that_is_wrong_is_refused_in_one_line(
    settings: Settings, photos: Table, publish: Publish, where: str, words: str
) -> None:
    publish("first", 3)
    with photos.refresh().update_schema() as change:
        change.add_column("added_by_hand", StringType())
    with pytest.raises(InputError, match=rf"^features\.photos: {words}") as refused:
        read.batches(settings, "photos", where=where)
    assert "\n" not in str(refused.value)


# Nothing there


def test_where_nothing_was_ever_published_the_shared_tables_are_empty_and_nothing_is_made(
    settings: Settings, tmp_path: Path
) -> None:
    assert read.runs(settings) == read.runs(settings, "photos") == read.files(settings, "quarantine") == []
    for name, schema in schemas.TABLES.items():
        assert list(read.batches(settings, name)) == []
        assert read.table(settings, name).equals(schema.empty_table())
    with pytest.raises(InputError, match=r"^features\.photos: no such dataset is published; nothing is published yet$"):
        read.batches(settings, "photos")
    assert list(Path(settings.lake.removeprefix("file://")).iterdir()) == []
    tables.open_catalog(settings)
    assert read.runs(settings) == []
    with pytest.raises(InputError, match="nothing is published yet"):
        read.table(settings, "photos")
    assert tables.open_catalog(settings).list_tables("features") == []


@pytest.mark.usefixtures("photos")
def test_a_table_without_a_snapshot_is_empty_and_an_unknown_dataset_is_told_of_those_there_are(
    settings: Settings,
) -> None:
    tables.open_table(tables.open_catalog(settings), settings, "runs")
    assert list(read.batches(settings, "photos")) == read.files(settings, "photos") == []
    assert read.table(settings, "photos", columns=("uri", "features")).schema.names == ["uri", "features"]
    for name, meant in {"photo": r" \(did you mean photos\?\)", "no.such": "", "": ""}.items():
        told = rf"^features\.{name}: no such dataset is published; there are: photos{meant}$"
        with pytest.raises(InputError, match=told):
            read.table(settings, name)
