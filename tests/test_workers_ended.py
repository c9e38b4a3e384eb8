"""The end of a worker: it is given time to leave its shard, and takes its decode children with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from imagefeatures import isolation, workers
from imagefeatures.errors import StoreError, WorkerDied
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


def test_a_worker_that_dies_before_it_reads_its_order_is_one_line(run: Run, pool: WorkerProcesses) -> None:
    process = process_of(pool)
    assert process.pid is not None
    assert len(list(pool.run_shards(run, "nothing", [0]))) == 1
    os.kill(process.pid, signal.SIGSTOP)  # the order waits in its connection, which is reset when it dies
    threading.Timer(0.3, process.kill).start()
    with pytest.raises(WorkerDied, match=r"^nothing shard 1: a worker process was killed \(SIGKILL\), most likely "):
        list(pool.run_shards(run, "nothing", [1]))


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Connection, Connection]]:
    """The parent's end of a connection, and that of a worker, which is this process."""
    monkeypatch.setattr(meter, "_last_reading", None)
    before = signal.getsignal(signal.SIGTERM)
    parent, here = multiprocessing.Pipe()
    yield parent, here
    signal.signal(signal.SIGTERM, before)
    parent.close()
    here.close()


def test_a_worker_answers_each_order_and_leaves_when_there_are_no_more(
    tmp_path: Path, ends: tuple[Connection, Connection]
) -> None:
    parent, here = ends
    for act in ("fail", "nothing"):
        parent.send((None, act, 7))
    with socket.socket(fileno=os.dup(parent.fileno())) as half:
        half.shutdown(socket.SHUT_WR)
    workers._serve(here, Scripted(tmp_path))
    failed, done = parent.recv(), parent.recv()
    assert (type(failed), done.step, done.shard) == (StoreError, "nothing", 7)
    assert meter._last_reading is not None  # all that the process does counts


def test_a_worker_that_is_told_to_end_leaves_without_an_error(
    tmp_path: Path, ends: tuple[Connection, Connection]
) -> None:
    parent, here = ends
    parent.close()
    workers._serve(here, Scripted(tmp_path))
    with pytest.raises(SystemExit) as left:
        signal.raise_signal(signal.SIGTERM)
    assert left.value.code == 0


def test_a_worker_without_its_parent_ends_its_decode_children(
    tmp_path: Path, ends: tuple[Connection, Connection]
) -> None:
    inspector, decoder = isolation.inspector(), isolation.decoder()
    of_bands = isolation.inspector_of(Channels(count=12, dtype="uint16"))
    for child in (inspector, of_bands):
        child.run([], Limits())  # which makes the memory that it shares with its process, and starts none
    decoder.run([], Limits(), PREPROCESSING)
    parent, here = ends
    parent.send((None, "nothing", 7))
    parent.close()
    workers._serve(here, Scripted(tmp_path))  # it cannot answer
    assert (tmp_path / "nothing-7").exists()
    assert [child._buffer for child in (inspector, decoder, of_bands)] == [None] * 3
