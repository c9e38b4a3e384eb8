"""Batches for training: every row once, shared among workers, in an order that a seed settles."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Callable
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagefeatures import read, storage
from imagefeatures.catalog import tables
from imagefeatures.errors import InputError
from imagefeatures.readers import parquet, stream
from imagefeatures.readers.stream import Stream
from imagefeatures.settings import Settings
from support.publishing import DAY, delete_rows
from support.reading import photos_table
from support.training import numbers, publish, publish_files, rows_of

SIZES = [500, 3, 1500, 70, 1, 300, 2100]

Opened = Callable[..., Stream]


@pytest.fixture
def opened(settings: Settings, tmp_path: Path) -> Opened:
    """opened(batch, seed): the stream of a table of files of SIZES rows; without a seed in the table's order."""
    publish_files(settings, tmp_path, SIZES)
    photos = read.open("photos", settings=settings)
    return lambda batch=256, seed=None: photos._stream(batch, seed is not None, seed)


@pytest.mark.parametrize("batch", [1, 7, 256, 1024, 5000])
def test_batches_are_full_but_for_the_last_and_hold_the_rows_in_order(opened: Opened, batch: int) -> None:
    found = [(features.copy(), labels.copy()) for features, labels in opened(batch).batches()]
    assert numbers(iter(found)) == list(range(sum(SIZES)))
    assert [len(labels) for _, labels in found] == [batch] * (sum(SIZES) // batch) + (
        [sum(SIZES) % batch] if sum(SIZES) % batch else []
    )


def test_a_batch_inside_one_that_was_read_is_not_copied(opened: Opened) -> None:
    features, _ = next(opened(256).batches())
    assert not features.flags.owndata
    assert not features.flags.writeable


def test_an_order_is_settled_by_seed_and_pass(opened: Opened) -> None:
    every = list(range(sum(SIZES)))
    first = numbers(opened(64, 1).batches(0))
    assert sorted(first) == every != first
    assert first == numbers(opened(64, 1).batches(0))
    others = [numbers(opened(64, seed).batches(epoch)) for seed, epoch in ((1, 1), (2, 0), (1, 2))]
    assert all(sorted(other) == every for other in others)
    assert len({tuple(order) for order in (first, *others)}) == 4


def test_rows_of_a_large_table_are_mixed_across_files_window_by_window(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = publish_files(settings, tmp_path, [300] * 40)
    monkeypatch.setattr(stream, "WINDOW_BYTES", 2000 * 4 * 4)
    monkeypatch.setattr(parquet, "SMALL_FILE", 0)
    monkeypatch.setattr(parquet, "BATCH_ROWS", 100)
    found = numbers(read.open("photos", settings=settings)._stream(50, True, 0).batches())
    assert sorted(found) == list(range(count))
    first = np.array(found[:2000]) // 300
    assert len(set(first)) >= stream.MIXED_FILES
    assert len(set(first[:50])) >= stream.MIXED_FILES - 1  # also within a batch
    assert abs(np.corrcoef(found[:2000], range(2000))[0, 1]) < 0.1


@pytest.mark.parametrize("seed", [None, 5])
@pytest.mark.parametrize("workers", [2, 3, 10])
def test_workers_share_the_rows_whatever_pass_each_of_them_is_in(
    opened: Opened, workers: int, seed: int | None
) -> None:
    shared = opened(64, seed)
    for epochs in ([0] * workers, list(range(workers))):
        found = [numbers(shared.batches(epochs[worker], worker, workers)) for worker in range(workers)]
        assert sorted(number for own in found for number in own) == list(range(sum(SIZES)))


def test_a_stream_with_a_condition_and_deleted_rows_can_be_pickled(settings: Settings, tmp_path: Path) -> None:
    publish_files(settings, tmp_path, [40, 60])
    delete_rows(photos_table(settings), read.files(settings, "photos")[0], [1, 2])
    chosen = read.open("photos", where="uri < 's3://b/0000050'", split="train")._stream(8, True, 3)
    expected = numbers(chosen.batches())
    assert 20 < len(expected) < 48
    assert not {1, 2} & set(expected)
    assert numbers(pickle.loads(pickle.dumps(chosen)).batches()) == expected


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((0, False, None), "batch is 0; it must be a number of rows from 1 to 1048576"),
        (("8", False, None), "batch is '8'; it must be a number of rows from 1 to 1048576"),
        ((2.5, False, None), "batch is 2.5; it must be a number of rows from 1 to 1048576"),
        ((8, True, 1.5), "seed is 1.5; it must be a whole number from 0 to 18446744073709551615"),
        ((8, False, 3), "seed= has no effect without shuffle=True"),
        ((8, True, -1), "seed is -1; it must be a whole number from 0 to 18446744073709551615"),
    ],
)
def test_what_cannot_be_a_batch_or_a_seed_is_refused(
    settings: Settings, tmp_path: Path, given: tuple[Any, ...], words: str
) -> None:
    publish_files(settings, tmp_path, [3])
    with pytest.raises(InputError, match=f"^{words}$"):
        read.open("photos")._stream(*given)


def test_without_a_seed_every_order_is_new(settings: Settings, tmp_path: Path) -> None:
    publish_files(settings, tmp_path, [200])
    photos = read.open("photos")
    orders = [numbers(photos._stream(50, True, None).batches()) for _ in range(2)]
    assert orders[0] != orders[1]


# Processes


def own_rows(shared: Stream, worker: int, results: Queue[Any]) -> None:
    try:
        results.put([numbers(shared.batches(epoch, worker, 2)) for epoch in range(3)])
    except BaseException as error:
        results.put(repr(error))


def rows_by_processes(shared: Stream) -> list[list[int]]:
    """The rows that two processes read at the same time, pass by pass. They are forked, as a DataLoader does it."""
    context = multiprocessing.get_context("fork")
    results: Queue[Any] = context.Queue()
    workers = [context.Process(target=own_rows, args=(shared, worker, results)) for worker in range(2)]
    for process in workers:
        process.start()
    found = [results.get(timeout=120) for _ in workers]
    for process in workers:
        process.join()
    assert all(isinstance(own, list) for own in found), found
    return [sorted(passes[0] + passes[1]) for passes in zip(*found, strict=True)]


def test_two_processes_read_every_row_once_in_each_pass(opened: Opened) -> None:
    assert rows_by_processes(opened(64, 1)) == [list(range(sum(SIZES)))] * 3


def test_forked_processes_read_an_object_store_by_connections_of_their_own(
    s3: Any, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGEFEATURES_LAKE", "s3://images/lake")
    on_s3 = Settings.from_env()
    publish(settings, tmp_path, [rows_of(start, 50) for start in range(0, 1000, 50)])
    files = []
    for file in read.files(settings, "photos"):
        path = Path(file.removeprefix("file://"))
        files.append(f"s3://images/lake/warehouse/features/others/data/{path.name}")
        storage.write(files[-1], path.read_bytes())
    others = tables.open_table(tables.open_catalog(on_s3), on_s3, "others")
    tables.replace_files(others, DAY, files, "run")
    shared = read.open("others")._stream(16, True, 1)  # this process has connections by now
    assert rows_by_processes(shared) == [list(range(1000))] * 3
