"""exports.rows: the order of URI in bounded memory, the rows that are asked for, and tables that are refused."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from imagefeatures import read
from imagefeatures.catalog.snapshots import SnapshotFile
from imagefeatures.errors import InputError
from imagefeatures.exports import content, reading, rows
from imagefeatures.exports.rows import Rows
from imagefeatures.settings import Settings
from support.exporting import WIDTH, expected, publish, rows_of, scattered
from support.publishing import DAY, delete_rows
from support.reading import NEXT_DAY, photos_table
from support.shared import until

COLUMNS = ("uri", "label", "etag")


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of 100 rows, two in a window at most; one where the files are in order."""
    monkeypatch.setattr(rows, "BATCH_ROWS", 100)
    monkeypatch.setattr(rows, "WINDOW_BYTES", 2 * 100 * 4 * WIDTH)


def read_all(found: Rows) -> tuple[list[str], np.ndarray, list[int]]:
    batches = list(found.batches(COLUMNS))
    assert all(len(batch.values) == len(batch.labels) == batch.facts.num_rows for batch in batches)
    facts = pa.Table.from_batches([batch.facts for batch in batches])
    assert facts.column_names == list(COLUMNS)
    values = np.concatenate([batch.values for batch in batches])
    return facts["uri"].to_pylist(), values, [len(batch.values) for batch in batches]


@pytest.mark.usefixtures("small_windows")
def test_scattered_rows_come_in_order_in_whole_batches(settings: Settings, tmp_path: Path) -> None:
    scattered(settings, tmp_path, 1050, files=7)
    found = rows.find(settings, "photos", {})
    uris, values, lengths = read_all(found)
    table = expected(settings)
    assert uris == table["uri"].to_pylist()
    np.testing.assert_array_equal(values, read.vectors(table.combine_chunks()))
    assert lengths == [*[100] * 10, 50]
    assert found.window_rows == 200
    assert len(found) == 1050


@pytest.mark.usefixtures("small_windows")
def test_a_file_in_order_is_read_once(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = [0, 90, 190, 250, 340, 420, 500]  # so that some are in two windows
    publish(settings, tmp_path, [rows_of(range(*pair)[::-1]) for pair in itertools.pairwise(ends)])
    found = rows.find(settings, "photos", {})
    opened = []
    real = read.file_batches

    def counted(uri: str, *rest: Any, **named: Any) -> Iterator[tuple[int, pa.RecordBatch]]:
        opened.append(uri)
        return real(uri, *rest, **named)

    monkeypatch.setattr(read, "file_batches", counted)
    uris = read_all(found)[0]
    assert found.window_rows == 100
    assert sorted(opened) == sorted(set(opened))
    assert len(opened) == 6
    assert uris == expected(settings)["uri"].to_pylist()


@pytest.mark.usefixtures("small_windows")
def test_a_large_file_of_many_row_groups_is_read_in_turn(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "SMALL_FILE", 0)
    scattered(settings, tmp_path, 900, files=2, row_group_size=60)
    uris, values, _ = read_all(rows.find(settings, "photos", {}))
    table = expected(settings)
    assert uris == table["uri"].to_pylist()
    np.testing.assert_array_equal(values, read.vectors(table.combine_chunks()))


@pytest.mark.parametrize(("scheme", "count"), [("file", 1), ("s3", 4)])
def test_of_local_files_one_is_read_ahead_and_of_a_store_four(scheme: str, count: int) -> None:
    files = [SnapshotFile(f"{scheme}://photos/{number}", 1) for number in range(9)]
    begun: list[SnapshotFile] = []

    def read_file(file: SnapshotFile) -> Iterator[pa.RecordBatch]:
        begun.append(file)
        return iter(())

    found = reading.ahead(files, lambda file: file, read_file)
    assert next(found)[0] is files[0]
    until(lambda: len(begun) > count, timeout_seconds=30)
    found.close()
    assert begun == files[: count + 1]


def test_only_the_rows_that_are_asked_for(settings: Settings, tmp_path: Path) -> None:
    scattered(settings, tmp_path, 300)
    publish(settings, tmp_path, [rows_of(range(50), NEXT_DAY)], NEXT_DAY)
    asked: dict[str, Any] = {"partitions": [DAY], "labels": ["pear", "Äpfel, grün"]}
    found = rows.find(settings, "photos", asked)
    assert read_all(found)[0] == expected(settings, **asked)["uri"].to_pylist()
    assert len(found) == 150
    assert found.label_names == ("apple", "pear", "Äpfel, grün")  # those of the snapshot: numbers stay the same
    assert {label for batch in found.batches(COLUMNS) for label in batch.labels.tolist()} == {1, 2}


def test_rows_that_were_deleted_from_a_file_are_not_exported(settings: Settings, tmp_path: Path) -> None:
    publish(settings, tmp_path, [rows_of(range(40))])
    table = photos_table(settings)
    (file,) = read.files(settings, "photos")
    delete_rows(table, file, [0, 7])
    assert (
        read_all(rows.find(settings, "photos", {}))[0]
        == rows_of([n for n in range(40) if n not in (0, 7)])["uri"].to_pylist()
    )


def test_the_same_uri_in_two_partitions_is_two_rows_in_an_order_that_stays(settings: Settings, tmp_path: Path) -> None:
    for partition in (NEXT_DAY, DAY):
        publish(settings, tmp_path, [rows_of([5, 3], uri="s3://photos/same", partition_key=partition)], partition)
    first, second = (list(rows.find(settings, "photos", {}).batches(COLUMNS)) for _ in range(2))
    assert [batch.facts.num_rows for batch in first] == [4]
    np.testing.assert_array_equal(first[0].values, second[0].values)


def test_what_is_published_meanwhile_changes_nothing(settings: Settings, tmp_path: Path) -> None:
    scattered(settings, tmp_path, 60)
    found = rows.find(settings, "photos", {})
    before = expected(settings)["uri"].to_pylist()
    publish(settings, tmp_path, [rows_of([999])])
    assert read_all(found)[0] == before


def test_vectors_of_two_fingerprints_are_refused_and_a_partition_of_one_is_not(
    settings: Settings, tmp_path: Path
) -> None:
    publish(settings, tmp_path, [rows_of(range(9))])
    publish(settings, tmp_path, [rows_of(range(9), NEXT_DAY, fingerprint="e" * 32)], NEXT_DAY)
    with pytest.raises(InputError, match=rf"fingerprints \(mobilenet_v2 {'e' * 32} and mobilenet_v2 {'f' * 32}\)"):
        rows.find(settings, "photos", {})
    assert rows.find(settings, "photos", {"partitions": [NEXT_DAY]}).fingerprint == "e" * 32


def test_vectors_of_two_widths_are_refused(settings: Settings, tmp_path: Path) -> None:
    publish(settings, tmp_path, [rows_of(range(9)), rows_of(range(9, 12), width=WIDTH + 1)])
    with pytest.raises(InputError, match=r"features\.photos: vectors of 24 and of 25 values"):
        list(rows.find(settings, "photos", {}).batches(COLUMNS))


def test_nothing_to_export_is_told(settings: Settings, tmp_path: Path) -> None:
    publish(settings, tmp_path, [rows_of(range(3))])
    with pytest.raises(InputError, match=r"features\.photos: no row is asked for that it has"):
        rows.find(settings, "photos", {"labels": ["plum"]})
    with pytest.raises(InputError, match=r"features\.plum: no such dataset is published; there are: photos"):
        rows.find(settings, "plum", {})
    with pytest.raises(InputError, match=r"features\.runs: has no vectors"):
        rows.find(settings, "runs", {})


def test_a_batch_of_an_export_is_not_larger_than_one_that_is_read() -> None:
    assert content.BATCH_ROWS == read.BATCH_ROWS
