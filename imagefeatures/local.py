"""A complete run without Airflow and Spark: in this process, or in several processes of this machine.

Plan, run.json, steps, receipts, audit and publication are the same as on a cluster, and so are the tables. A run that
one of the two has begun can be finished by the other: shards that have a receipt are not done again.

    run_partition  one partition of a dataset, from plan to publication
    finish_run     the rest of a planned run, for instance after an interruption
    run_steps      the steps that work on shards, or some of them; register is steps.register.register

A shard is tried once: when the retries of storage.retry have failed, the run ends with the store's error.
find_unchanged, find_duplicates and find_known replace Spark's joins by dicts in memory.
"""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from imagefeatures import budget, manifest, shards, steps, storage
from imagefeatures.datasets import Dataset
from imagefeatures.errors import ParamsError
from imagefeatures.layout import Layout
from imagefeatures.order import longest_first
from imagefeatures.plan import Run, load_run, plan_run
from imagefeatures.progress import Status, StepStatus, read_status
from imagefeatures.redrive import merge, relisting
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from imagefeatures.shards import Receipt
from imagefeatures.step_runner import StepRunner, prepare_model
from imagefeatures.steps import equal_bytes, file_index, reuse, unchanged, validate
from imagefeatures.steps.register import Outcome, register
from imagefeatures.usage import drivers
from imagefeatures.usage.energy import Energy
from imagefeatures.usage.meter import Meter
from imagefeatures.workers import ThisProcess, Work, WorkerProcesses, Workers

Tell = Callable[[Status], object]
"""Gets the run's status, at the start and after each shard."""


@dataclass(frozen=True)
class Result:
    """outcome: of register. seconds: wall time of each step, from plan (or model) to register."""

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
    """Run one partition to the end. Its previous rows are replaced.

    workers: processes that work at the same time; 1 is this process alone (decoding always has a child process).
    Raises what the steps raise; shards that have a receipt by then are kept for `finish_run`.
    """
    started = time.perf_counter()
    run_file = plan_run(dataset, params, partition, settings)
    planned = time.perf_counter() - started
    result = finish_run(run_file, settings, workers=workers, progress=progress)
    return Result(result.outcome, {"plan": planned} | result.seconds)


def finish_run(
    run_file: str,
    settings: Settings,
    *,
    workers: int = 1,
    progress: Tell | None = None,
    replace_newer: bool = False,
) -> Result:
    """Do the rest of a planned run, and publish it. Shards with a receipt are not done again.

    run_file: URI of its run.json. replace_newer: as register has it.
    Raises ParamsError when the file is missing, or of another version; OlderRun.
    """
    run = load_run(run_file, settings.lake)
    if run.redrive:  # the partition may hold another run since it was planned, or interrupted
        merge.refuse_other(run, run.redrive, settings)
    seconds: dict[str, float] = {}
    with open_workers(workers) as opened:
        with _timed(seconds, "model"):
            prepare_model(run, settings)
        run_steps(run, opened, progress=progress, seconds=seconds)
    with _timed(seconds, steps.REGISTER):
        outcome = register(run_file, settings, replace_newer=replace_newer)
    return Result(outcome, seconds)


def unfinished_run(settings: Settings, dataset: str, partition: str) -> str:
    """URI of run.json of the partition's newest run that was not published. Raises ParamsError when there is none."""
    folder = Layout(settings.lake, dataset, partition, "").run
    planned = [stored.uri for stored in storage.list_objects(folder) if stored.uri.endswith("/run.json")]
    if not planned:
        raise ParamsError(f"there is no unfinished run of {dataset} {partition} in {settings.lake}")
    return max(planned)  # a run_id begins with the time of the plan


@contextlib.contextmanager
def open_workers(count: int, work: Work | None = None) -> Iterator[Workers]:
    """Workers of a run: this process for a count of 1, else that many processes, which end with the context.

    work: does one shard; by default with the decoder and the engine of the run.
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
    """Do the shards that have no receipt yet, step by step, as the Spark jobs do.

    only: some of the steps, in their order. seconds: receives the wall time of each step. featurize needs a prepared
    model (`prepare_model`), unless the workers have an engine of their own.
    """
    if progress and (status := read_status(run.layout)):
        progress(status)
    for step in only:
        with _timed({} if seconds is None else seconds, step):
            meter, energy = Meter(), Energy()
            if step == steps.INGEST:
                manifest.list_source(run, workers.count)
            listing = manifest.read_listing(run)
            todo = shards.pending(run.layout, step, listing.shards)
            if todo and step == steps.INGEST:
                find_unchanged(run, listing)
            if todo and step == steps.VALIDATE and run.dataset.duplicates == "reject":
                find_duplicates(run)
            if step == steps.RESIZE:
                equal_bytes.settle_moves(run, listing.shards, todo)
            if todo and step == steps.RESIZE:
                find_known(run, todo)
            if workers.count > 1:
                todo = longest_first(run, step, todo)
            usage = meter.usage()  # before the shards, which this process may do itself
            done = workers.run_shards(run, step, todo, listing.lanes if step == steps.INGEST else ())
            for _ in _told(run, step, done, progress) if progress else done:
                energy.update()
            energy.update()
            drivers.keep(run.layout, step, usage, energy.joules)
            if step == steps.VALIDATE:
                budget.check_budget(run)


def find_unchanged(run: Run, listing: manifest.Listing) -> None:
    """Write down for each shard where the table has the versions of its URLs: the join of jobs/ingest.py.

    Holds every URL of the run, about 400 bytes each. Done once for a run.
    """
    files, search = unchanged.files(run), unchanged.search(run)
    if not files or search.has_ended():
        return
    wanted = dict(pair for shard in range(listing.shards) for pair in unchanged.urls(run, shard, listing))
    last: dict[tuple[str, str, int], unchanged.Newest] = {}
    urls = replace(file_index.URLS, sought=partial(unchanged.urls, listing=listing))
    for numbered in file_index.candidates(run, files, range(listing.shards), urls, _one_by_one):
        for uri, found in unchanged.versions(run, numbered):
            if uri in wanted:
                of_output = (uri, numbered[1].table, numbered[1].number)
                last[of_output] = max(found, last.get(of_output, found))
    by_shard: dict[int, list[reuse.RowLocation]] = defaultdict(list)
    for (uri, _, _), (_, location) in last.items():
        by_shard[wanted[uri]].append(location)
    search.end([search.write(*of_shard) for of_shard in by_shard.items()])


def find_duplicates(run: Run) -> None:
    """Write down for each shard which of its objects have the bytes of an earlier one: the join of jobs/validate.py.

    Holds hash and URI of every object of the run: about 450 bytes each, 450 MB for a million. Done once for a run.
    """
    search = validate.search(run)
    if search.has_ended():
        return
    by_bytes: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for shard in range(manifest.read_listing(run).shards):
        for image_id, uri_and_shard in validate.identities(run, shard):
            by_bytes[image_id].append(uri_and_shard)
    for file in relisting.published_files(run):
        for image_id, uri_and_shard in validate.published_identities(file):
            if image_id in by_bytes:
                by_bytes[image_id].append(uri_and_shard)
    by_shard: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for same in by_bytes.values():
        for shard, duplicate in validate.duplicates_of(same):
            by_shard[shard].append(duplicate)
    search.end([search.write(*of_shard) for of_shard in by_shard.items()])


def find_known(run: Run, todo: Sequence[int]) -> None:
    """Write down for each of these shards where the table has vectors of its images: the join of jobs/resize.py.

    Holds the hashes of these shards' images, about 400 bytes each, however large the table is. Done once for a run.
    """
    files, search = reuse.known_files(run), reuse.search(run)
    if not files or search.has_ended():
        return
    wanted: dict[str, list[int]] = defaultdict(list)
    for shard in todo:
        for image_id, number in reuse.identities(run, shard):
            wanted[image_id].append(number)
    first: dict[tuple[str, str, int], reuse.RowLocation] = {}
    for number, file in file_index.candidates(run, files, todo, file_index.IMAGES, _one_by_one):
        for image_id, location in reuse.row_locations(run, (number, file)):
            if image_id in wanted:
                of_output = (image_id, file.table, file.number)
                first[of_output] = min(location, first.get(of_output, location))
    by_shard: dict[int, list[reuse.RowLocation]] = defaultdict(list)
    for (image_id, _, _), location in first.items():
        for shard, match in reuse.matches(files, ([location], wanted[image_id])):
            by_shard[shard].append(match)
    search.end([search.write(*of_shard) for of_shard in by_shard.items()])


def _one_by_one(work: Callable[[Any], Any], elements: Sequence[Any]) -> list[Any]:
    return [work(element) for element in elements]


def _told(run: Run, step: str, done: Iterator[Receipt], progress: Tell) -> Iterator[Receipt]:
    """Yield the receipts of a step, and report the run's status after each."""
    status = read_status(run.layout)
    *before, current = status.steps if status else (StepStatus(step),)
    if current.step != step or current.total is None:  # a step that was done before
        yield from done
        return
    count = manifest.read_listing(run).shards
    receipts = shards.read_receipts(run.layout, step)
    for receipt in done:
        receipts.append(receipt)
        progress(Status(run.run_id, (*before, StepStatus.of(step, receipts, current.total, count))))
        yield receipt


@contextlib.contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - started
