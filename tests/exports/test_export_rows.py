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
from imagefeatures.exports import content, order, reading, rows, windows
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


@pytest.mark.parametrize("count", [600, 1050])
def test_rows_of_short_vectors_are_bounded_by_their_number(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Of 2 values 128 MB hold 16 million rows, whose facts would take gigabytes."""
    monkeypatch.setattr(rows, "BATCH_ROWS", 100)
    monkeypatch.setattr(rows, "WINDOW_ROWS", 350)
    made: list[int] = []
    monkeypatch.setattr(rows, "Window", lambda first, values: made.append(len(values)) or windows.Window(first, values))
    scattered(settings, tmp_path, count, files=1 if count == 600 else 7, width=2)
    found = rows.find(settings, "photos", {})
    assert read_all(found)[0] == expected(settings)["uri"].to_pylist()
    assert found.window_rows == 300
    assert made == [300] * (count // 300) + [150] * (count % 300 > 0)


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


def columns_read(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The columns of each reading of a file from now on."""
    seen: list[tuple[str, ...]] = []
    real = read.file_batches

    def noted(uri: str, size: int, columns: list[str], **named: Any) -> Iterator[tuple[int, pa.RecordBatch]]:
        seen.append(tuple(columns))
        return real(uri, size, columns, **named)

    monkeypatch.setattr(read, "file_batches", noted)
    return seen


def test_footers_order_files_that_follow_each_other(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The later ones come first, and their rows are in no order; the first one has one label.
    publish(settings, tmp_path, [rows_of([9, 7, 8]), rows_of([4, 6, 5]), rows_of([0, 1, 2, 3], label="plum")])
    seen = columns_read(monkeypatch)
    found = rows.find(settings, "photos", {})
    assert seen == [("label",), ("label",), ("features",)]  # the last one for the width of the vectors
    assert found.label_names == ("apple", "pear", "plum", "Äpfel, grün")
    assert not found.augmented
    uris, values, _ = read_all(found)
    table = expected(settings)
    assert uris == table["uri"].to_pylist()
    np.testing.assert_array_equal(values, read.vectors(table.combine_chunks()))


@pytest.mark.parametrize("told", [True, False], ids=["by the footer", "by the rows"])
def test_what_a_footer_does_not_say_is_read(
    told: bool, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [rows_of([9, 7, 8]), rows_of([4, 6, 5]), rows_of([0, 1, 2, 3], label=None)]
    publish(settings, tmp_path, files, row_group_size=2)
    if not told:
        monkeypatch.setattr(order, "_bounds", lambda footer, place: None)
    found = rows.find(settings, "photos", {})
    assert found.label_names == ("apple", "pear", "Äpfel, grün")
    assert (found.model, found.fingerprint) == ("mobilenet_v2", "f" * 32)
    assert read_all(found)[0] == expected(settings)["uri"].to_pylist()


@pytest.mark.parametrize("last", [[4, 9], [5, 9], [6, 9]], ids=["overlapping", "meeting", "following"])
def test_files_that_overlap_or_do_not(last: list[int], settings: Settings, tmp_path: Path) -> None:
    publish(settings, tmp_path, [rows_of(last), rows_of([3, 5])])
    uris, values, _ = read_all(rows.find(settings, "photos", {}))
    wanted = read.vectors(rows_of(sorted([*last, 3, 5])))
    assert uris == expected(settings)["uri"].to_pylist()
    np.testing.assert_array_equal(values, wanted)


def test_copies_in_files_that_follow_each_other_come_after_their_picture(settings: Settings, tmp_path: Path) -> None:
    copied = [rows_of([2, 1], copy=copy) for copy in (2, 0, 1)]
    publish(settings, tmp_path, [rows_of([3, 4]), pa.concat_tables(copied).combine_chunks()])
    found = rows.find(settings, "photos", {})
    assert found.augmented
    facts = pa.Table.from_batches([batch.facts for batch in found.batches(("uri", "label", "copy"))])
    assert facts["copy"].to_pylist() == [0, 1, 2, 0, 1, 2, 0, 0]
    assert facts["uri"].to_pylist() == expected(settings)["uri"].to_pylist()


def test_two_fingerprints_in_one_file_are_seen(settings: Settings, tmp_path: Path) -> None:
    two = pa.concat_tables([rows_of([0, 1]), rows_of([2], fingerprint="e" * 32)]).combine_chunks()
    publish(settings, tmp_path, [two, rows_of([3, 4])])
    with pytest.raises(InputError, match="several fingerprints"):
        rows.find(settings, "photos", {})


def test_small_pieces_are_joined_and_others_handed_on() -> None:
    facts = pa.RecordBatch.from_pydict({"uri": [str(at) for at in range(30)]})
    values = np.arange(30.0).reshape(30, 1)
    ends = [0, 1, 2, 10, 11, 12, 13, 19, 30]
    pieces = [(values[a:b], facts.slice(a, b - a)) for a, b in itertools.pairwise(ends)]
    joined = list(windows.pieces_joined(pieces, 12))
    assert [len(of) for of, _ in joined] == [2, 8, 3, 6, 11]
    assert [row for of, _ in joined for row in of[:, 0].tolist()] == list(range(30))
    assert [uri for _, of in joined for uri in of["uri"].to_pylist()] == facts["uri"].to_pylist()
    assert np.shares_memory(joined[1][0], values)


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


def test_batches_are_cut_where_a_file_ends() -> None:
    facts = pa.RecordBatch.from_pydict({"uri": [str(at) for at in range(12)]})
    rows_in = content.Batch(np.arange(12.0).reshape(12, 1), np.arange(12), facts)
    batches = [content.Batch(*(part[a:b] for part in rows_in[:2]), facts.slice(a, b - a)) for a, b in ((0, 7), (7, 12))]
    cut = list(content.cut_at(iter(batches), 5))
    assert [batch.labels.tolist() for batch in cut] == [[0, 1, 2, 3, 4], [5, 6], [7, 8, 9], [10, 11]]
    assert [batch.facts["uri"].to_pylist() for batch in cut] == [[*map(str, batch.labels)] for batch in cut]
    assert all((batch.values[:, 0] == batch.labels).all() for batch in cut)


def test_a_batch_of_an_export_is_not_larger_than_one_that_is_read() -> None:
    assert content.BATCH_ROWS == read.BATCH_ROWS
