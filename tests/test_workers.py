"""Workers: shards handed out one by one, errors that say what happened, and nobody left behind."""

from __future__ import annotations

import errno
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from imagefeatures import workers
from imagefeatures.errors import StoreError, WorkerDied
from imagefeatures.plan import Run
from imagefeatures.workers import ThisProcess, WorkerProcesses
from support.disturbed_work import Scripted
from support.photos import fill, jpeg
from support.shared import MakeRun


@pytest.fixture
def run(make_run: MakeRun, tmp_path: Path) -> Run:
    """A planned run; what the workers of these tests do does not look at it."""
    return make_run(fill(tmp_path / "photos", {"a.jpg": jpeg()}))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcesses]:
    """Two workers for those tests that leave them alive."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OMP_NUM_THREADS", raising=False)
        pool = WorkerProcesses(2, Scripted(tmp_path_factory.mktemp("two")))
    yield pool
    pool.stop()


def alone(folder: Path) -> WorkerProcesses:
    """One worker, for a test that ends it."""
    return WorkerProcesses(1, Scripted(folder))


def children() -> set[psutil.Process]:
    below = psutil.Process().children(recursive=True)
    running = [process for process in below if process.status() != psutil.STATUS_ZOMBIE]
    return {process for process in running if "spawn_main" in " ".join(process.cmdline())}


def test_a_long_shard_holds_up_no_other(run: Run, two: WorkerProcesses) -> None:
    shards = [receipt.shard for receipt in two.run_shards(run, "wait for five others", range(6))]
    assert sorted(shards) == list(range(6))
    assert shards[-1] == 0


def test_workers_have_one_thread_each_and_leave_ctrl_c_to_their_parent(run: Run, two: WorkerProcesses) -> None:
    before = os.environ.get("OMP_NUM_THREADS"), signal.getsignal(signal.SIGINT)
    (receipt,) = two.run_shards(run, "nothing", [0])
    assert receipt.reasons == {"OMP_NUM_THREADS": 1, "SIGINT": 1}
    with workers._inherited_by_workers():
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    assert (os.environ.get("OMP_NUM_THREADS"), signal.getsignal(signal.SIGINT)) == before


def test_a_variable_that_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    with workers._inherited_by_workers():
        assert os.environ["OMP_NUM_THREADS"] == "3"
        assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "3"
    assert "TF_CPP_MIN_LOG_LEVEL" not in os.environ
    assert os.environ["OMP_NUM_THREADS"] == "3"


def test_an_error_in_a_worker_is_raised_here_with_its_class_and_place(run: Run, two: WorkerProcesses) -> None:
    with pytest.raises(StoreError) as raised:
        list(two.run_shards(run, "fail", [1]))
    assert str(raised.value) == "s3://nowhere: no answer in 60 s"
    (note,) = raised.value.__notes__
    assert "in fail\n" in note
    with pytest.raises(RuntimeError, match=r"^Unportable: this and that\n"):
        list(two.run_shards(run, "fail_unportably", [1]))
    assert len(list(two.run_shards(run, "nothing", [0, 1, 2]))) == 3  # the workers live on


@pytest.mark.parametrize(
    ("act", "text"),
    [
        ("die", "die shard 1: a worker process was killed (SIGKILL), most likely by the system for its memory"),
        ("crash", "crash shard 1: a worker process crashed (SIGSEGV)"),
        ("leave", "leave shard 1: a worker process ended by itself, with exit status 0"),
    ],
)
def test_a_worker_that_dies_is_one_line(run: Run, tmp_path: Path, act: str, text: str) -> None:
    pool = alone(tmp_path)
    try:
        with pytest.raises(WorkerDied, match=f"^{re.escape(text)}$"):
            list(pool.run_shards(run, act, [1]))
    finally:
        pool.stop()


def test_ctrl_c_is_heard_in_the_middle_of_a_shard_and_no_worker_is_left(run: Run, tmp_path: Path) -> None:
    before = children()
    pool = alone(tmp_path)
    assert len(children() - before) == 1
    list(pool.run_shards(run, "nothing", [0]))
    with pytest.raises(KeyboardInterrupt):
        interrupted(pool.run_shards(run, "hang", [0]))
    begun = time.monotonic()
    pool.stop()
    assert time.monotonic() - begun < workers.STOP_SECONDS + 1
    assert children() <= before


@pytest.mark.parametrize("error", [OSError(errno.EMFILE, "Too many open files"), KeyboardInterrupt()])
def test_workers_that_cannot_all_be_started_end(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, start = children(), WorkerProcesses._start

    def one_alone(pool: WorkerProcesses, work: Scripted) -> None:
        if pool._processes:
            raise error
        start(pool, work)

    monkeypatch.setattr(WorkerProcesses, "_start", one_alone)
    with pytest.raises((WorkerDied, KeyboardInterrupt)) as raised:
        WorkerProcesses(3, Scripted(tmp_path))
    assert children() <= before
    if isinstance(error, OSError):
        said = "only 1 of 3 workers can be started (Too many open files): use fewer --workers, or raise "
        assert str(raised.value).startswith(said)


def interrupted(shards: Iterator[object]) -> None:
    """Wait for a shard, and press Ctrl-C a second later."""
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.alarm(1)
    try:
        next(shards)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_this_process_does_a_shard_when_it_is_asked_for(run: Run, tmp_path: Path) -> None:
    shards = ThisProcess(Scripted(tmp_path)).run_shards(run, "nothing", [0, 1, 2])
    assert not list(tmp_path.glob("nothing-*"))
    assert next(shards).shard == 0
    assert [path.name for path in tmp_path.glob("nothing-*")] == ["nothing-0"]
