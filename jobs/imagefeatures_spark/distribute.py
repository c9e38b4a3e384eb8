"""The shared part of the jobs: the argument, the distribution of shards over Spark, and the last line of output.

Only shard numbers and receipts pass through Spark. The jobs use RDDs because a small job starts two seconds sooner
than with a first DataFrame query (docs/decisions/0003).
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
import zipimport
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from pyspark import SparkConf, SparkContext, TaskContext

from imagefeatures import errors, names, shards, stops, storage
from imagefeatures.errors import EXIT_INPUT_ERROR, ParamsError
from imagefeatures.lanes import in_lanes
from imagefeatures.order import longest_first
from imagefeatures.plan import Run, load_run
from imagefeatures.reasons import printable
from imagefeatures.steps import INGEST
from imagefeatures.usage import drivers, meter, processes, traffic

SETTINGS = {  # the connection and spark-defaults.conf override these
    "spark.ui.enabled": "false",  # a job lasts seconds; the web server would take one of them
    "spark.python.worker.faulthandler.enabled": "true",  # prints the stack of a native crash
}

FILES_AT_ONCE = 4
"""How many slices of the table's files each core gets. More slices: a slow file delays the others less."""

WHERE_HOSTS_ARE_ASKED = {  # nothing overrides this
    "spark.speculation": "false",  # a second attempt at work that is under way would ask a host twice as often
}

ON_ONE_MACHINE = {  # the same, where driver and executor are one process
    # Spark listens even then, on the address of the machine's name and open to everyone. It makes its secret itself.
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.authenticate": "true",
}


@dataclass(frozen=True)
class Begun:
    """What a job does, once its argument is read.

    name: of the application. dataset: the name of the one that it belongs to. what: the argument, for the refusal of
    another dataset. fixed: settings that hold whatever the connection and spark-defaults.conf say. stopped: is told the
    name and the reason of an error.
    """

    name: str
    dataset: str
    what: str
    work: Callable[[SparkContext], None]
    fixed: Mapping[str, str] = field(default_factory=dict)
    stopped: Callable[[str, str], None] | None = None


def main(step: str, work: Callable[[SparkContext, Run], None]) -> None:
    """Run the job of a step: parse --run, start Spark, do the work, print the result. Ends the process."""

    def begin(uri: str) -> Begun:
        run = load_run(uri)
        return Begun(
            name=f"{run.dataset.name} {run.partition} {step}",
            dataset=run.dataset.name,
            what=f"--run: {run.layout.run_file} is a run",
            work=lambda context: work(context, run),
            fixed=WHERE_HOSTS_ARE_ASKED if step == INGEST and run.source.names_hosts else {},
            stopped=lambda name, reason: stops.keep(run.layout, stops.Stop(step, name, reason)),
        )

    run_job(step, "--run", "the run.json that plan wrote, in the lake", begin)


def run_job(step: str, argument: str, meaning: str, begin: Callable[[str], Begun]) -> None:
    """Run a job: parse its argument, start Spark, do the work, print what stopped it. Ends the process."""
    parser = _Parser(description=sys.modules["__main__"].__doc__, allow_abbrev=False)
    parser.add_argument(argument, required=True, metavar="URI", dest="uri", help=meaning)
    begun = None
    try:
        begun = begin(parser.parse_args().uri)
        context = _start(begun.name, begun.fixed)
        try:
            _refuse_another_dataset(context, begun)
            begun.work(context)
        finally:
            # Not context.stop(): after Spark has stopped, it waits another second for a thread of PySpark.
            context._jsc.stop()
    except Exception as error:
        name, reason = _reason(error)
        print(f"{step}: {name}: {reason}")
        if begun and begun.stopped:
            begun.stopped(name, reason)
        _end(EXIT_INPUT_ERROR if issubclass(getattr(errors, name, Exception), errors.InputError) else 1)
    _end(0)


def each(context: SparkContext, work: Callable[[Any], Any], elements: Sequence[Any]) -> list[Any]:
    """Do the work for each element in a Spark task of its own. Returns the results in order."""
    return context.parallelize(elements, len(elements)).map(work).collect() if elements else []


def spread(
    context: SparkContext,
    run: Run,
    step: str,
    count: int,
    run_shard: Callable[[int], shards.Receipt],
    lanes: Sequence[int] = (),
) -> None:
    """Do the shards that have no receipt yet, one Spark task each, or one for the shards of a lane.

    count: how many shards the run has. run_shard: pickled for the workers. lanes: the lane of each shard, if two of
    the same lane may not be done at the same time.
    """
    todo = shards.pending(run.layout, step, count)
    started = time.perf_counter()

    def attempt(lane: list[int]) -> None:
        task = TaskContext.get()
        again = task is not None and task.attemptNumber() > 0
        storage.shorten_retries(again)
        meter.count_everything()  # a worker's process belongs to one job
        left = set(shards.pending(run.layout, step, count)) if again and len(lane) > 1 else lane
        try:
            for shard in lane:
                if shard in left:
                    run_shard(shard)
        finally:
            # Before each task Spark makes Python read again every archive on its path that it has cached. Spark's own
            # jar is one, which costs 0.07 s a shard. An archive that is not cached is read when it is next needed.
            for path, finder in list(sys.path_importer_cache.items()):
                if isinstance(finder, zipimport.zipimporter):
                    del sys.path_importer_cache[path]

    if todo:
        lanes_todo = in_lanes(lanes, longest_first(run, step, todo))
        context.parallelize(lanes_todo, len(lanes_todo)).map(attempt).collect()
    seconds = time.perf_counter() - started
    drivers.keep(run.layout, step, _own_usage(context))
    sums = shards.totals(shards.read_receipts(run.layout, step))
    reused = f" ({sums.reused} reused)" if sums.reused else ""
    print(
        f"{step}: {sums.images} images in, {sums.passed} on{reused}, {count} shards ({count - len(todo)} done before); "
        f"busy {sums.seconds:.1f} s, {sums.images_per_second:.0f} images/s; "
        f"Spark up in {_start_seconds(context) - seconds:.1f} s, work {seconds:.1f} s",
        flush=True,
    )


def _own_usage(context: SparkContext) -> meter.Usage:
    """What this job's driver has used until now: this process and its JVM, which is the executor too in local mode.

    JVMs of executors on other machines are not seen from here.
    """
    jvm: Any = context._jvm
    name = str(jvm.java.lang.management.ManagementFactory.getRuntimeMXBean().getName())  # <pid>@<host>
    seconds = processes.core_seconds() + processes.core_seconds_of(int(name.partition("@")[0]))
    return meter.Usage(seconds, None, traffic.so_far())


def _end(status: int) -> NoReturn:
    """End this process without Python's cleanup, which would wait for threads of a Spark that has stopped."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """A wrong argument is refused like a wrong run: with the exit status that tells Airflow not to try again."""
        raise ParamsError(printable(message))


def _refuse_another_dataset(context: SparkContext, begun: Begun) -> None:
    """Raise ParamsError when the job was submitted for another dataset: by the DAG of that one."""
    dataset = context.getConf().get(names.DATASET_CONF, begun.dataset)  # known only once Spark has started
    if dataset != begun.dataset:
        raise ParamsError(f"{begun.what} of {begun.dataset}, not of {dataset}")


def _start(name: str, fixed: Mapping[str, str]) -> SparkContext:
    """Start Spark. fixed: settings that hold whatever the connection and spark-defaults.conf say."""
    SparkContext._ensure_initialized()  # from now on SparkConf() knows spark-submit's options and spark-defaults.conf
    conf = SparkConf().setAppName(name)
    local = re.fullmatch(r"local(\[.*\])?", conf.get("spark.master") or "local")
    for key, value in (SETTINGS | ON_ONE_MACHINE if local else SETTINGS).items():
        conf.setIfMissing(key, value)
    for key, value in fixed.items():
        conf.set(key, value)
    return SparkContext(conf=conf)


def _start_seconds(context: SparkContext) -> float:
    """Seconds since the JVM was started."""
    jvm: Any = context._jvm
    runtime = jvm.java.lang.management.ManagementFactory.getRuntimeMXBean()
    return float(runtime.getUptime() / 1000)


def _reason(error: Exception) -> tuple[str, str]:
    """The name and the message of an error. For a worker's error they are inside a Java stack trace."""
    if isinstance(error, errors.ImageFeaturesError):
        return type(error).__name__, str(error)
    lines = [line.strip() for line in str(error).splitlines()]
    ours = [line.removeprefix("imagefeatures.errors.") for line in lines if line.startswith("imagefeatures.errors.")]
    name, _, reason = ours[-1].partition(": ") if ours else (type(error).__name__, "", " ".join(lines)[:500])
    return name, reason
