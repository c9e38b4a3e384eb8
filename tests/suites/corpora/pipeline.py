"""One run from plan to publication, by the real Spark jobs, and what each of them came to."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.compute as pc

from deploy.local.environment import environment
from imagefeatures import read
from imagefeatures.datasets import Dataset
from imagefeatures.plan import load_run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import REPOSITORY, Settings
from imagefeatures.steps import SPARK_STEPS
from imagefeatures.steps.register import register
from watch import MemoryWatch


@dataclass
class Step:
    """What one Spark job came to.

    tasks: Spark's own count, by how they ended. peak: the most resident memory of a decode process, in bytes.
    """

    name: str
    status: int
    last_line: str
    seconds: float
    tasks: Counter[str]
    peak: int
    decoders: int


@dataclass
class Outcome:
    """What one run came to: its steps, the rows that it published by URI, and the rows that it quarantined."""

    seconds: float = 0.0
    steps: list[Step] = field(default_factory=list)
    features: dict[str, dict[str, object]] = field(default_factory=dict)
    quarantine: list[dict[str, object]] = field(default_factory=list)

    @property
    def accounted(self) -> Counter[str]:
        """How often each URI is in one of the two tables."""
        return Counter([*self.features, *(str(row["uri"]) for row in self.quarantine)])


def run_through(dataset: Dataset, partition: str, settings: Settings) -> Outcome:
    """Plan a run, do it by spark-submit, register it; stops at the first job that fails."""
    outcome, started = Outcome(), time.perf_counter()
    run_file = plan_run(dataset, RunParams(partition=partition), None, settings)
    run_id = load_run(run_file, settings.lake).run_id
    for name in SPARK_STEPS:
        step = _submit(name, run_file, settings.lake, settings.datasets / "logs" / partition)
        outcome.steps.append(step)
        _tell(f"{partition}: {step.last_line}")
        if step.status:
            return outcome
    _tell(f"{partition}: {register(run_file, settings)}")
    outcome.seconds = time.perf_counter() - started
    of_the_run = pc.field("run_id") == run_id
    published = read.table(settings, dataset.name).filter(of_the_run).to_pylist()
    outcome.features = {row["uri"]: row for row in published}
    outcome.quarantine = read.table(settings, "quarantine").filter(of_the_run).to_pylist()
    return outcome


def _submit(name: str, run_file: str, lake: str, logs: Path) -> Step:
    events = logs / f"{name}-events"
    events.mkdir(parents=True)
    conf = {
        "spark.task.maxFailures": "1",  # a second attempt would hide what failed in the first
        "spark.eventLog.enabled": "true",
        "spark.eventLog.rolling.enabled": "false",
        "spark.eventLog.compress": "false",
        "spark.eventLog.dir": events.as_uri(),
    }
    options = [part for key, value in conf.items() for part in ("--conf", f"{key}={value}")]
    script = str(REPOSITORY / "jobs" / f"{name}.py")
    command = ["spark-submit", "--master", "local[2]", *options, script, "--run", run_file]
    env = environment(logs, 0) | {"PYTHONPATH": str(REPOSITORY), "IMAGEFEATURES_LAKE": lake}
    log, started = logs / f"{name}.log", time.perf_counter()
    with log.open("wb") as sink:
        job = subprocess.Popen(command, env=env, stdout=sink, stderr=subprocess.STDOUT)
        watch = MemoryWatch(job.pid)
        watch.start()
        status = job.wait()
        watch.stop()
    seconds = time.perf_counter() - started
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.startswith(f"{name}: ")]
    last_line = lines[-1] if lines else f"{name}: exit status {status}; see {log}"
    return Step(name, status, last_line, seconds, Counter(_task_ends(events)), watch.peak, watch.decoders)


def _task_ends(events: Path) -> Iterator[str]:
    """How each task ended, from Spark's event log: Success, or the name of a failure."""
    for path in events.iterdir():
        for line in path.read_text().splitlines():
            event = json.loads(line)
            if event["Event"] == "SparkListenerTaskEnd":
                yield event["Task End Reason"]["Reason"]


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
