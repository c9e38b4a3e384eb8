"""A whole run without Airflow and Spark: in this process, or in a few processes of this machine.

The same plan, run.json, steps, receipts, audit and publication as on a cluster, so the tables are the same, and a run
may change hands: whatever has no receipt yet is done by whoever goes on with it.

    run_partition  one partition of a dataset, from plan to publication
    finish_run     what is left to do of a planned run: after an interruption, for instance
    run_steps      the steps that work on shards, or some of them; register is steps.register.register

A shard is tried once: a store gets as much patience as storage.retry has, and then the run ends with its error.
In place of Spark's two joins stand find_duplicates and find_known, which hold dicts in memory.
"""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from imagefeatures import budget, manifest, shards, steps, storage
from imagefeatures.datasets import Dataset, RunParams
from imagefeatures.errors import ParamsError
from imagefeatures.layout import Layout
from imagefeatures.plan import Run, load_run, plan_run
from imagefeatures.progress import Status, StepStatus, read_status
from imagefeatures.settings import Settings
from imagefeatures.shards import Receipt
from imagefeatures.step_runner import StepRunner, prepare_model
from imagefeatures.steps import reuse, validate
from imagefeatures.steps.register import Outcome, register
from imagefeatures.workers import ThisProcess, Work, WorkerProcesses, Workers

Tell = Callable[[Status], object]
"""Is told where the run stands: at the start of each step, and after each shard."""


@dataclass(frozen=True)
class Result:
    """outcome: what register said. seconds: by the clock, for each step from plan (or model) to register."""

    outcome: Outcome
    seconds: dict[str, float]


def run_partition(
    dataset: Dataset,
    params: RunParams,
    settings: Settings,
    partition: str,
    *,
    workers: int = 1,
    progress: Tell | None = None,
) -> Result:
    """Run one partition to the end. Rows that it held before are replaced.

    workers: processes that work at the same time; with 1 it is this process alone (decoding has a child of its own
    in any case). Raises what the steps raise; what has a receipt by then is kept for `finish_run`.
    """
    started = time.perf_counter()
    run_file = plan_run(dataset, params, partition, settings)
    planned = time.perf_counter() - started
    done = finish_run(run_file, settings, workers=workers, progress=progress)
    return Result(done.outcome, {"plan": planned} | done.seconds)


def finish_run(run_file: str, settings: Settings, *, workers: int = 1, progress: Tell | None = None) -> Result:
    """Do what is left of a planned run, and publish it. Shards with a receipt are not done again.

    run_file: URI of its run.json. Raises ParamsError when there is none (any more), or when it is of another version.
    """
    run = load_run(run_file)
    seconds: dict[str, float] = {}
    with open_workers(workers) as opened:
        with _timed(seconds, "model"):
            prepare_model(run, settings)
        run_steps(run, opened, progress=progress, seconds=seconds)
    with _timed(seconds, steps.REGISTER):
        outcome = register(run_file, settings)
    return Result(outcome, seconds)


def unfinished_run(settings: Settings, dataset: str, partition: str) -> str:
    """URI of run.json of the partition's newest run that was not published. Raises ParamsError when there is none."""
    folder = Layout(settings.lake, dataset, partition, "").run
    planned = [found.uri for found in storage.list_objects(folder) if found.uri.endswith("/run.json")]
    if not planned:
        raise ParamsError(f"there is no unfinished run of {dataset} {partition} in {settings.lake}")
    return max(planned)  # run_ids begin with the time of their plan


@contextlib.contextmanager
def open_workers(count: int, work: Work | None = None) -> Iterator[Workers]:
    """This process for a count of 1, else so many processes, which end with the context.

    work: does a shard; by default as the run's dataset says.
    """
    work = work or StepRunner()
    if count == 1:
        yield ThisProcess(work)
        return
    processes = WorkerProcesses(count, work)
    try:
        yield processes
    finally:
        processes.stop()


def run_steps(
    run: Run,
    workers: Workers,
    only: Sequence[str] = steps.SPARK_STEPS,
    *,
    progress: Tell | None = None,
    seconds: dict[str, float] | None = None,
) -> None:
    """Do the shards that have no receipt yet, one step after the other, as the Spark jobs do.

    only: some of the steps, in their order. seconds: is given each step's, by the clock. featurize wants the model
    prepared (`prepare_model`), unless the workers have an engine of their own.
    """
    if progress and (status := read_status(run.layout)):
        progress(status)
    for step in only:
        with _timed({} if seconds is None else seconds, step):
            if step == steps.INGEST:
                manifest.list_source(run, workers.count)
            todo = shards.pending(run.layout, step, manifest.read_listing(run).shards)
            if todo and step == steps.VALIDATE and run.dataset.duplicates == "reject":
                find_duplicates(run)
            if todo and step == steps.RESIZE:
                find_known(run, todo)
            done = workers.run_shards(run, step, todo)
            for _ in _told(run, step, done, progress) if progress else done:
                pass
            if step == steps.VALIDATE:
                budget.check_budget(run)


def find_duplicates(run: Run) -> None:
    """Tell each shard which of its objects have the bytes of an earlier one: jobs/validate.py's join.

    Holds hash and URI of every object of the run: about 450 bytes each, 450 MB for a million.
    """
    same: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for shard in range(manifest.read_listing(run).shards):
        for image_id, place in validate.identities(run, shard):
            same[image_id].append(place)
    found: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for places in same.values():
        for shard, duplicate in validate.duplicates_of(places):
            found[shard].append(duplicate)
    for shard, duplicates in found.items():
        validate.write_duplicates(run, shard, duplicates)


def find_known(run: Run, todo: Sequence[int]) -> None:
    """Tell each of these shards where the table has vectors of its images: jobs/resize.py's join.

    Holds the hashes of these shards' images, about 400 bytes each, however large the table is.
    """
    files = reuse.known_files(run)
    if not files:
        return
    wanted: dict[str, list[int]] = defaultdict(list)
    for shard in todo:
        for image_id, number in reuse.identities(run, shard):
            wanted[image_id].append(number)
    first: dict[str, reuse.RowLocation] = {}
    for numbered in enumerate(files):
        for image_id, place in reuse.row_locations(run, numbered):
            if image_id in wanted:
                first[image_id] = min(place, first.get(image_id, place))
    found: dict[int, list[reuse.RowLocation]] = defaultdict(list)
    for image_id, place in first.items():
        for shard, match in reuse.matches(([place], wanted[image_id])):
            found[shard].append(match)
    for shard, matches in found.items():
        reuse.write_matches(run, shard, matches)


def _told(run: Run, step: str, done: Iterator[Receipt], progress: Tell) -> Iterator[Receipt]:
    """Pass the receipts of a step on, and tell after each where the run stands."""
    status = read_status(run.layout)
    *before, now = status.steps if status else (StepStatus(step),)
    if now.step != step or now.total is None:  # a step that was done before
        yield from done
        return
    count = manifest.read_listing(run).shards
    receipts = shards.read_receipts(run.layout, step)
    for receipt in done:
        receipts.append(receipt)
        progress(Status(run.run_id, (*before, StepStatus.of(step, receipts, now.total, count))))
        yield receipt


@contextlib.contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - started
