"""The end of a worker: it is given time to leave its shard, and takes its decode children with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagefeatures import isolation, workers
from imagefeatures.errors import WorkerDied
from imagefeatures.limits import Limits
from imagefeatures.plan import Run
from imagefeatures.preprocessing.bands import Channels
from imagefeatures.usage import meter
from imagefeatures.workers import WorkerProcesses
from support.disturbed_work import Scripted
from support.photos import fill, jpeg
from support.shared import PREPROCESSING, MakeRun


@pytest.fixture
def run(make_run: MakeRun, tmp_path: Path) -> Run:
    """A planned run; what the workers of these tests do does not look at it."""
    return make_run(fill(tmp_path / "photos", {"a.jpg": jpeg()}))


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[WorkerProcesses]:
    """One worker."""
    pool = WorkerProcesses(1, Scripted(tmp_path))
    yield pool
    pool.stop()


def process_of(pool: WorkerProcesses) -> multiprocessing.process.BaseProcess:
    (process,) = pool._processes.values()
    return process


def test_a_worker_that_is_stopped_leaves_by_itself(run: Run, pool: WorkerProcesses) -> None:
    process = process_of(pool)
    assert len(list(pool.run_shards(run, "nothing", [0]))) == 1
    pool.stop()
    assert process.exitcode == 0


def test_a_worker_that_heeds_no_signal_is_killed(
    run: Run, pool: WorkerProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "STOP_SECONDS", 0.1)
    process = process_of(pool)
    assert len(list(pool.run_shards(run, "heed_no_sigterm", [0]))) == 1
    pool.stop()
    assert process.exitcode == -signal.SIGKILL


def test_a_worker_without_its_parent_leaves_by_itself(run: Run, pool: WorkerProcesses) -> None:
    process, connection = process_of(pool), next(iter(pool._processes))
    assert len(list(pool.run_shards(run, "nothing", [0]))) == 1
    connection.close()
    process.join(60)
    assert process.exitcode == 0


def test_a_worker_that_dies_before_it_reads_its_order_is_one_line(run: Run, pool: WorkerProcesses) -> None:
    process = process_of(pool)
    assert process.pid is not None
    assert len(list(pool.run_shards(run, "nothing", [0]))) == 1
    os.kill(process.pid, signal.SIGSTOP)  # the order waits in its connection, which is reset when it dies
    threading.Timer(0.3, process.kill).start()
    with pytest.raises(WorkerDied, match=r"^nothing shard 1: a worker process was killed \(SIGKILL\), most likely "):
        list(pool.run_shards(run, "nothing", [1]))


@pytest.mark.parametrize("order", [False, True], ids=["as it waits", "as it answers"])
def test_a_worker_without_its_parent_ends_its_decode_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: bool
) -> None:
    monkeypatch.setattr(meter, "_last_reading", None)
    inspector, decoder = isolation.inspector(), isolation.decoder()
    of_bands = isolation.inspector_of(Channels(count=12, dtype="uint16"))
    for child in (inspector, of_bands):
        child.run([], Limits())  # which makes the memory that it shares with its process, and starts none
    decoder.run([], Limits(), PREPROCESSING)
    parent, here = multiprocessing.Pipe()
    if order:
        parent.send((None, "nothing", 7))
    parent.close()
    before = signal.getsignal(signal.SIGTERM)
    try:
        workers._serve(here, Scripted(tmp_path))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert [child._buffer for child in (inspector, decoder, of_bands)] == [None] * 3
    assert (tmp_path / "nothing-7").exists() == order
    assert meter._last_reading is not None  # all that the process does counts
