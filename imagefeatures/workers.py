"""The workers of a local run: this process, or processes that it starts and keeps.

Workers are given shards one by one, so that a long shard delays no other. Processes are spawned, never forked: a fork
would inherit locks and threads of libraries that are loaded already. All finished work is in the lake, so a worker
may be stopped at any moment: receipts stay, and a shard without one is done again.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Protocol

from imagefeatures import isolation
from imagefeatures.errors import WorkerDied
from imagefeatures.lanes import in_lanes
from imagefeatures.plan import Run
from imagefeatures.shards import Receipt
from imagefeatures.usage import meter

Work = Callable[[Run, str, int], Receipt]
"""Does one shard of one step: (run, step, shard)."""

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",  # each core has a worker already; more threads would compete for it
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
"""Environment variables of every worker process, unless the user has set them."""

STOP_SECONDS = 3.0
"""How long a worker may take to leave its shard and end its decode children. After that it is killed."""


class Workers(Protocol):
    """Workers that process shards. count: how many work at the same time."""

    count: int

    def run_shards(self, run: Run, step: str, shards: Sequence[int], lanes: Sequence[int] = ()) -> Iterator[Receipt]:
        """Do these shards of a step. Yields each receipt as it comes, in any order. Raises the first error.

        lanes: the lane of each shard of the run, if two of the same lane may not be done at the same time.
        """
        ...


class ThisProcess:
    """This process alone, one shard after another: breakpoints in the steps work, and errors keep their stack."""

    count = 1

    def __init__(self, work: Work) -> None:
        self._work = work

    def run_shards(self, run: Run, step: str, shards: Sequence[int], lanes: Sequence[int] = ()) -> Iterator[Receipt]:
        for shard in shards:
            yield self._work(run, step, shard)


class WorkerProcesses:
    """Processes that are kept for all steps, so that each loads the engine and starts its decode children once.

    work: must be picklable. Call `stop` when done.
    """

    def __init__(self, count: int, work: Work) -> None:
        self.count = count
        self._processes: dict[Connection, multiprocessing.process.BaseProcess] = {}
        try:
            with _inherited_by_workers():
                for _ in range(count):
                    self._start(work)
        except OSError as error:
            started = len(self._processes)
            self.stop()
            raise WorkerDied(
                f"only {started} of {count} workers can be started ({error.strerror}): use fewer --workers, or raise "
                "the limits of this machine (ulimit -u, ulimit -n)"
            ) from None
        except BaseException:  # such as Ctrl-C
            self.stop()
            raise

    def _start(self, work: Work) -> None:
        context = multiprocessing.get_context("spawn")
        connection, worker_end = context.Pipe()
        process = context.Process(target=_serve, args=(worker_end, work), name="imagefeatures-worker")
        process.start()
        worker_end.close()  # else the pipe would stay open after the process has ended
        self._processes[connection] = process

    def run_shards(self, run: Run, step: str, shards: Sequence[int], lanes: Sequence[int] = ()) -> Iterator[Receipt]:
        """Raises WorkerDied, naming the shard, when a process ends in the middle of one."""
        todo, idle, at_work = deque(map(deque, in_lanes(lanes, shards))), list(self._processes), dict[Connection, int]()
        lane_of: dict[Connection, deque[int]] = {}
        while todo or at_work:
            while todo and idle:
                worker, lane = idle.pop(), todo.popleft()
                shard, lane_of[worker] = lane.popleft(), lane
                at_work[worker] = shard
                with contextlib.suppress(OSError):  # the worker has died: `_answer` will raise WorkerDied
                    worker.send((run, step, shard))
            ready = wait(list(at_work))
            for worker in [worker for worker in at_work if worker in ready]:
                receipt = self._answer(worker, step, at_work.pop(worker))
                idle.append(worker)
                if lane := lane_of.pop(worker):
                    todo.appendleft(lane)
                yield receipt

    def stop(self) -> None:
        """End the processes at once, even in the middle of a shard."""
        for process in self._processes.values():
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for connection, process in self._processes.items():
            process.join(max(0.0, deadline - time.monotonic()))
            process.kill()
            process.join()
            connection.close()

    def _answer(self, worker: Connection, step: str, shard: int) -> Receipt:
        answer: Receipt | Exception
        try:
            answer = worker.recv()
        except (EOFError, OSError):
            process = self._processes[worker]
            process.join()
            raise WorkerDied(f"{step} shard {shard}: a worker process {_end_of(process.exitcode)}") from None
        if isinstance(answer, Exception):
            raise answer
        return answer


def _serve(connection: Connection, work: Work) -> None:
    """The loop of a worker process: do the shards that the parent sends, until the parent ends it or is gone."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # unlike the default handler, this lets drafts be removed
    meter.count_everything()
    try:
        while True:
            run, step, shard = connection.recv()
            answer: Receipt | Exception
            try:
                answer = work(run, step, shard)
            except Exception as error:
                answer = _portable(error)
            connection.send(answer)
    except (EOFError, OSError):
        pass
    finally:  # else a child that is just starting would report on standard error that its parent is gone
        for child in (isolation.inspector, isolation.decoder):
            if child.cache_info().currsize:
                child().stop()
        isolation.stop_those_of_bands()


def _portable(error: Exception) -> Exception:
    """The error in a form that the parent can raise, with this process's stack as a note."""
    stack = "".join(traceback.format_exception(error))
    error.add_note(f"In a worker process:\n{stack}")
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - what was pickled on the same line
    except Exception:  # its class cannot be built from the arguments that it keeps
        return RuntimeError(f"{type(error).__name__}: {error}\nIn a worker process:\n{stack}")
    return error


def _end_of(status: int | None) -> str:
    if status == -signal.SIGKILL:
        return "was killed (SIGKILL), most likely by the system for its memory"
    if status is not None and status < 0:
        return f"crashed ({signal.Signals(-status).name})"
    return f"ended by itself, with exit status {status}"


@contextlib.contextmanager
def _inherited_by_workers() -> Iterator[None]:
    """While workers are started, set ENVIRONMENT and ignore Ctrl-C: the workers inherit both.

    A terminal sends Ctrl-C to every process. Only the parent may react to it: it stops the workers.
    """
    added = {name: value for name, value in ENVIRONMENT.items() if name not in os.environ}
    os.environ.update(added)
    in_main_thread = threading.current_thread() is threading.main_thread()  # no other may set signal handlers
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if in_main_thread else None
    try:
        yield
    finally:
        if in_main_thread:
            signal.signal(signal.SIGINT, handler)
        for name in added:
            os.environ.pop(name, None)
