"""The window in which rows are mixed, the order of each worker, and the bounds of batches and seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagefeatures import read
from imagefeatures.errors import InputError
from imagefeatures.readers import stream
from imagefeatures.settings import Settings
from support.training import numbers, publish, publish_files, rows_of


def order(settings: Settings, batch: int = 50, **given: int) -> list[int]:
    return numbers(read.open("photos", settings=settings)._stream(batch, True, 1).batches(**given))


def test_rows_are_mixed_within_a_window_and_it_is_at_least_a_batch(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_files(settings, tmp_path, [300])
    assert max(order(settings)[:50]) > 250  # all of them are in the usual one
    for size, rows in ((109 * 16, 100), (1, 50)):
        monkeypatch.setattr(stream, "WINDOW_BYTES", size)
        found = order(settings)
        windows = [sorted(found[start : start + rows]) for start in range(0, 300, rows)]
        assert windows == [list(range(start, start + rows)) for start in range(0, 300, rows)]


def test_vectors_of_one_value_are_mixed_as_well(settings: Settings, tmp_path: Path) -> None:
    publish_files(settings, tmp_path, [300], width=1)
    assert sorted(order(settings)) == list(range(300))


def test_each_worker_has_an_order_of_its_own(settings: Settings, tmp_path: Path) -> None:
    publish_files(settings, tmp_path, [100, 100])
    first, second = (order(settings, worker=worker, workers=2) for worker in range(2))
    assert sorted(first) == list(range(100))
    assert sorted(second) == list(range(100, 200))
    assert [number - 100 for number in second] != first
    assert order(settings) == order(settings, epoch=0, worker=0, workers=1)


def test_a_batch_and_a_seed_are_taken_up_to_their_bounds() -> None:
    assert [stream.checked_batch(batch) for batch in (1, 1 << 20, np.int64(7))] == [1, 1 << 20, 7]
    for batch in (0, (1 << 20) + 1, 1.0):
        with pytest.raises(InputError):
            stream.checked_batch(batch)  # type: ignore[arg-type]
    seeds = (0, (1 << 64) - 1, np.uint64(7))
    assert [stream.settled_seed(True, seed) for seed in seeds] == [0, (1 << 64) - 1, 7]
    assert type(stream.checked_batch(np.int64(7))) is type(stream.settled_seed(True, np.uint64(7))) is int
    for seed in (-1, 1 << 64, 1.0):
        with pytest.raises(InputError):
            stream.settled_seed(True, seed)  # type: ignore[arg-type]
    assert stream.settled_seed(False, None) is None


def test_five_fingerprints_are_all_named_and_of_six_the_most_frequent(settings: Settings, tmp_path: Path) -> None:
    def told(count: int) -> str:
        publish(settings, tmp_path, [rows_of(at, 1 + at, fingerprint=f"{at:032x}") for at in range(count)])
        with pytest.raises(InputError) as refused:
            read.open("photos", settings=settings).to_numpy()
        return str(refused.value).partition("fingerprints ")[2]

    named: list[Any] = [f"{at:032x} ({1 + at} rows)" for at in range(6)]
    assert told(5) == f"{', '.join(named[4::-1])}; choose one with fingerprint="
    assert told(6) == f"{', '.join(named[5:0:-1])} and 1 more; choose one with fingerprint="


def test_rows_that_are_not_there_have_no_fingerprint(settings: Settings, tmp_path: Path) -> None:
    publish_files(settings, tmp_path, [3])
    nowhere = ("2020-01-01",)
    assert read.open("photos", partitions=nowhere).fingerprint is None
    assert read.open("photos", partitions=nowhere, fingerprint="f" * 32).fingerprint is None
    assert read.open("photos", fingerprint="f" * 32).fingerprint == "f" * 32


def test_labels_have_the_numbers_of_the_snapshot_that_is_asked_for(settings: Settings, tmp_path: Path) -> None:
    publish_files(settings, tmp_path, [4])
    before = read.open("photos")
    publish_files(settings, tmp_path, [1])  # a pear
    assert read.open("photos", labels=("plum",), snapshot=before.snapshot).label_names == ("apple", "pear", "plum")
    assert read.open("photos", labels=("pear",)).label_names == ("pear",)
