"""What does the shards of a local run: this process, or processes that it starts and keeps.

Either is handed shards one by one, so that a long shard holds up no other. Processes are spawned, never forked: a fork
would inherit locks and threads of libraries that are loaded already. All that a worker has finished lies in the lake,
so it may be stopped at any moment: receipts stay, and a shard without one is done again.
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
from imagefeatures.plan import Run
from imagefeatures.shards import Receipt

Work = Callable[[Run, str, int], Receipt]
"""Does one shard of one step: (run, step, shard)."""

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",  # one worker a core already; threads of their own would fight over it
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
"""Variables of every worker process, where the user has not set them."""

STOP_SECONDS = 3.0
"""How long a worker that is asked to end may take to leave its shard and end its decode children; then it is killed."""


class Workers(Protocol):
    """Workers that shards can be given to. count: how many work at the same time."""

    count: int

    def run_shards(self, run: Run, step: str, shards: Sequence[int]) -> Iterator[Receipt]:
        """Do these shards of a step. Yields each receipt as it comes, in any order. Raises the first error."""
        ...


class ThisProcess:
    """This process alone, one shard after another: a breakpoint in any step is reached, and errors keep their stack."""

    count = 1

    def __init__(self, work: Work) -> None:
        self._work = work

    def run_shards(self, run: Run, step: str, shards: Sequence[int]) -> Iterator[Receipt]:
        for shard in shards:
            yield self._work(run, step, shard)


class WorkerProcesses:
    """Processes that are kept over all steps, so that each loads the engine and starts its decode children once.

    work: can be pickled. Call `stop` when done.
    """

    def __init__(self, count: int, work: Work) -> None:
        self.count = count
        self._processes: dict[Connection, multiprocessing.process.BaseProcess] = {}
        context = multiprocessing.get_context("spawn")
        with _inherited_by_workers():
            for _ in range(count):
                ours, theirs = context.Pipe()
                process = context.Process(target=_serve, args=(theirs, work), name="imagefeatures-worker")
                process.start()
                theirs.close()  # or the end of the process would not end the pipe
                self._processes[ours] = process

    def run_shards(self, run: Run, step: str, shards: Sequence[int]) -> Iterator[Receipt]:
        """Raises WorkerDied, naming the shard, when a process ends in the middle of one."""
        todo, idle, at_work = deque(shards), list(self._processes), dict[Connection, int]()
        while todo or at_work:
            while todo and idle:
                worker, shard = idle.pop(), todo.popleft()
                at_work[worker] = shard
                with contextlib.suppress(OSError):  # it has died: its answer will say so
                    worker.send((run, step, shard))
            ready = wait(list(at_work))
            for worker in [worker for worker in at_work if worker in ready]:
                receipt = self._answer(worker, step, at_work.pop(worker))
                idle.append(worker)
                yield receipt

    def stop(self) -> None:
        """End the processes at once, whatever they are doing."""
        for process in self._processes.values():
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for connection, process in self._processes.items():
            process.join(max(0.0, deadline - time.monotonic()))
            process.kill()
            process.join()
            connection.close()
        self._processes.clear()

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
    """In a worker: do what is asked for until the parent ends it, or is gone."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # not the end by default: drafts are removed on the way out
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
    finally:  # one that is just starting would else complain on standard error that its parent is gone
        for child in (isolation.inspector, isolation.decoder):
            if child.cache_info().currsize:
                child().stop()


def _portable(error: Exception) -> Exception:
    """The error as the parent can raise it, with this process's stack as a note."""
    stack = "".join(traceback.format_exception(error))
    error.add_note(f"In a worker process:\n{stack}")
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - what was pickled on the same line
    except Exception:  # its class wants other arguments than the ones that it keeps
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
    """Set for the time in which workers are started: ENVIRONMENT, and Ctrl-C ignored.

    A terminal sends Ctrl-C to every process; only the parent shall hear it, and then stop the workers.
    """
    added = {name: value for name, value in ENVIRONMENT.items() if name not in os.environ}
    os.environ.update(added)
    main = threading.current_thread() is threading.main_thread()  # the only one that may set signal handlers
    before = signal.signal(signal.SIGINT, signal.SIG_IGN) if main else None
    try:
        yield
    finally:
        if main:
            signal.signal(signal.SIGINT, before)
        for name in added:
            os.environ.pop(name, None)
