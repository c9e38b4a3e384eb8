"""What an index keeps: how files become segments, which of these are merged, and what is deleted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagefeatures import layout, sealed, storage
from imagefeatures.forget import deny
from imagefeatures.settings import Settings
from imagefeatures.steps import index_segments
from imagefeatures.steps.index_segments import LARGEST_GROUP, LARGEST_SEGMENT, VERSION, File, Wanted
from support.indexes import EACH, TABLE, holding, ids_of, offered, segments, written
from support.reusing import local


def summary(lake: str) -> Path:
    return local(layout.known(lake, "images", TABLE)) / "index.json"


def indexed(lake: str) -> list[list[int]]:
    """The numbers of the files of each segment, smallest segments first."""
    content = sealed.decode("", summary(lake).read_bytes())
    numbers = [[int(Path(entry[0][0]).stem) for entry in entries] for _, entries in content["segments"]]
    return sorted(map(sorted, numbers), key=lambda one: (len(one), one))


# What is looked for


def test_what_is_looked_for_is_sorted_and_keeps_what_each_key_is_of() -> None:
    of_two, of_one = [np.array([7, 3], "u8"), np.array([1, 2], "u8")], [np.array([5], "u8")]
    assert [array.tolist() for array in Wanted.of([of_two, of_one])] == [[1, 2, 3, 5, 7], [0, 1, 1, 2, 0]]
    assert [array.tolist() for array in Wanted.of([])] == [[], []]


# Groups


@pytest.mark.parametrize(
    ("sizes", "groups"),
    [
        ([], []),
        ([1], [[1]]),
        ([11], [[11]]),
        ([11, 1], [[11], [1]]),
        ([4, 6], [[4, 6]]),
        ([4, 7], [[4], [7]]),
        ([1] * 3, [[1] * 3]),
        ([1] * 7, [[1] * 3, [1] * 3, [1]]),
        ([9, 1, 1, 1, 8, 2], [[9, 1], [1, 1, 8], [2]]),
    ],
)
def test_files_are_grouped_by_number_and_size(
    monkeypatch: pytest.MonkeyPatch, sizes: list[int], groups: list[list[int]]
) -> None:
    monkeypatch.setattr(index_segments, "TOGETHER", 3)
    monkeypatch.setattr(index_segments, "LARGEST_GROUP", 10)
    found = index_segments._groups([File(f"{number}", size) for number, size in enumerate(sizes)])
    assert [[file.size for file in group] for group in found] == groups


def test_the_largest_group_and_segment_are_no_small_ones() -> None:
    assert LARGEST_GROUP > 1 << 20
    assert LARGEST_SEGMENT > 1 << 10


# Merging


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Segments of two files, of which any two small ones are merged. A file has five rows."""
    monkeypatch.setattr(index_segments, "TOGETHER", 2)
    monkeypatch.setattr(index_segments, "SEGMENTS", 1)
    return monkeypatch


def added(lake: str, batches: Sequence[Sequence[int]], live: Sequence[int] | None = None) -> list[File]:
    """Search after each batch of new files. live: the files that the last search is of; by default all."""
    files: dict[int, File] = {}
    for batch in batches:
        files |= {number: written(lake, number) for number in batch}
        last = batch is batches[-1] and live is not None
        holding(lake, [], [files[number] for number in (live if last and live else files)])
    return list(files.values())


@pytest.mark.parametrize(
    ("largest", "segments"),
    [
        (4 * EACH + 1, [[0, 1, 2, 3]]),
        (4 * EACH, [[0, 1], [2, 3]]),
        (4 * EACH + 9, [[0, 1, 2, 3]]),
    ],
)
def test_segments_of_less_than_half_of_the_largest_are_merged(
    settings: Settings, small: pytest.MonkeyPatch, largest: int, segments: list[list[int]]
) -> None:
    small.setattr(index_segments, "LARGEST_SEGMENT", largest)
    added(settings.lake, [[0, 1], [2, 3]])
    assert indexed(settings.lake) == segments


@pytest.mark.parametrize(
    ("together", "live", "stay"), [(3, [0], False), (3, [0, 1], True), (2, [0], True), (2, [], False), (5, [0], False)]
)
def test_a_segment_whose_files_are_mostly_replaced_is_merged_however_large_it_is(
    settings: Settings, small: pytest.MonkeyPatch, together: int, live: list[int], stay: bool
) -> None:
    small.setattr(index_segments, "TOGETHER", together)
    small.setattr(index_segments, "SEGMENTS", 0)
    small.setattr(index_segments, "LARGEST_SEGMENT", 1)
    first = list(range(together))
    added(settings.lake, [first, [9]], [*live, 9])
    assert [number for segment in indexed(settings.lake) for number in segment if number != 9] == (
        first if stay else live
    )


def test_as_many_small_segments_as_are_allowed_stay_and_so_does_what_nobody_knows(
    settings: Settings, small: pytest.MonkeyPatch, opened: list[str]
) -> None:
    small.setattr(index_segments, "SEGMENTS", 2)
    added(settings.lake, [[0]])
    stray = summary(settings.lake).with_name("0123.bin")
    stray.write_bytes(b"of another search that is under way")
    files = added(settings.lake, [[0], [1]])
    assert indexed(settings.lake) == [[0], [1]]
    assert stray.exists()
    files.append(written(settings.lake, 2))
    holding(settings.lake, [], files[1:])
    assert stray.exists() is False
    assert indexed(settings.lake) == [[1, 2]]
    assert len(segments(settings.lake)) == 1
    opened.clear()
    assert holding(settings.lake, [1, 2], files[1:]) == {files[1], files[2]}
    assert opened == [], "the list of segments is still there"


@pytest.mark.parametrize(("count", "sizes"), [(4, [4]), (6, [2, 4]), (8, [4, 4])])
def test_merged_segments_are_as_large_as_they_may_be(
    settings: Settings, small: pytest.MonkeyPatch, count: int, sizes: list[int]
) -> None:
    small.setattr(index_segments, "TOGETHER", 1)
    small.setattr(index_segments, "SEGMENTS", count - 1)
    small.setattr(index_segments, "LARGEST_SEGMENT", 4 * EACH)
    files = added(settings.lake, [range(count)])
    assert list(map(len, indexed(settings.lake))) == sizes
    assert holding(settings.lake, range(count), files) == set(files)


def test_a_segment_that_another_search_has_merged_meanwhile_is_left_out(
    settings: Settings, small: pytest.MonkeyPatch, opened: list[str]
) -> None:
    small.setattr(index_segments, "SEGMENTS", 5)
    daily = ids_of(5000)
    files = [written(settings.lake, number, [*ids_of(number), *daily]) for number in range(4)]
    offered(settings.lake, daily, files[:1])
    (oldest,) = segments(settings.lake)
    for until in (2, 3):
        offered(settings.lake, daily, files[:until])
    oldest.unlink()
    small.setattr(index_segments, "SEGMENTS", 1)
    assert offered(settings.lake, daily, files) == {files[3]}, "older segments are not looked at"
    assert indexed(settings.lake) == [[1, 2, 3]]
    opened.clear()
    assert offered(settings.lake, ids_of(0), files) == {files[0]}
    assert opened == [f"{settings.lake}/{files[0].path}"]


def test_a_file_that_is_in_two_segments_is_merged_once(settings: Settings, small: pytest.MonkeyPatch) -> None:
    files = added(settings.lake, [[0]])
    content = sealed.decode("", summary(settings.lake).read_bytes())
    summary(settings.lake).write_bytes(sealed.encode(content | {"segments": 3 * content["segments"]}))
    files.append(written(settings.lake, 1))
    holding(settings.lake, [], files)
    assert indexed(settings.lake) == [[0, 1]]


# What is not believed


@pytest.mark.parametrize("wrong", [7, [[1, 2, 3]], [["digest", [[["path", 1, 2], 1, "a", "b"]]]], [["digest", [[]]]]])
def test_a_list_of_segments_in_another_form_is_made_anew(settings: Settings, wrong: Any, opened: list[str]) -> None:
    files = [written(settings.lake, number) for number in range(3)]
    content = {"version": VERSION, "forgotten": deny.state(settings.lake), "segments": wrong}
    storage.write(f"file://{summary(settings.lake)}", sealed.encode(content))
    assert holding(settings.lake, [2], files) == {files[2]}
    assert len(opened) == 3
    assert indexed(settings.lake) == [[0, 1, 2]]


def test_only_files_that_are_searched_are_read_again_for_a_damaged_segment(
    settings: Settings, opened: list[str]
) -> None:
    files = [written(settings.lake, number) for number in range(3)]
    holding(settings.lake, [], files)
    (segment,) = segments(settings.lake)
    segment.write_bytes(b"damaged")
    opened.clear()
    assert holding(settings.lake, [1], files[1:]) == {files[1]}
    assert opened == [f"{settings.lake}/{file.path}" for file in files[1:]]
    opened.clear()
    assert holding(settings.lake, [2], files[1:]) == {files[2]}
    assert opened == []


def test_files_whose_segments_are_lost_again_and_again_are_left_to_the_search(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [written(settings.lake, number) for number in range(3)]
    real = storage.read

    def lost(uri: str) -> bytes:
        if uri.endswith(".bin"):
            raise storage.ObjectMissing(uri)
        return real(uri)

    with monkeypatch.context() as patched:
        patched.setattr(storage, "read", lost)
        assert holding(settings.lake, [1], files) == set(files)
    assert indexed(settings.lake) == []
    assert holding(settings.lake, [1], files) == {files[1]}


def test_files_of_one_run_in_two_segments_are_both_offered(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_segments, "TOGETHER", 1)
    daily = ids_of(5000)
    files = [written(settings.lake, number, daily, ["0007"] * EACH) for number in range(2)]
    assert offered(settings.lake, daily, files) == set(files)


def test_a_file_outside_the_lake_is_read_where_it_lies(settings: Settings, tmp_path: Path, opened: list[str]) -> None:
    inside = written(settings.lake, 1)
    shutil.copy(local(f"{settings.lake}/{inside.path}"), tmp_path / "elsewhere.parquet")
    outside = File(f"file://{tmp_path}/elsewhere.parquet", inside.size)
    assert holding(settings.lake, [2], [outside]) == set()
    assert holding(settings.lake, [1], [outside]) == {outside}
    assert opened == [outside.path]


def test_an_index_that_is_written_while_a_request_to_forget_ends_does_not_stay(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [written(settings.lake, number) for number in range(3)]
    real = index_segments._segment

    def meanwhile(*given: Any) -> Any:
        deny.add(settings.lake, "r1", ids_of(0), [])
        return real(*given)

    with monkeypatch.context() as patched:
        patched.setattr(index_segments, "_segment", meanwhile)
        assert holding(settings.lake, [1], files) == {files[1]}
    assert not deny.is_pending(settings.lake)
    assert not any(storage.list_objects(layout.known(settings.lake)))
    holding(settings.lake, [1], files)
    assert json.loads(summary(settings.lake).read_bytes())["forgotten"] == deny.state(settings.lake)
