"""Our side: the four jobs through spark-submit, as Airflow submits them, and the whole run through the DAG."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.model import prepare_model
from deploy.local.environment import environment
from imagefeatures import manifest, shards, storage
from imagefeatures.datasets import RunParams, find_dataset
from imagefeatures.plan import Run, load_run, plan_run
from imagefeatures.settings import REPOSITORY, Settings
from imagefeatures.steps import SPARK_STEPS

PARTITION = "2026-11-02"
EQUAL_WORK = ("ingest", "resize", "featurize")
"""The steps that do what a peer does: files in, feature Parquet out. The peers validate nothing."""


@dataclass(frozen=True)
class Deployment:
    """A deployment of the benchmark's own below one folder: lake, catalog, datasets, Airflow's home."""

    folder: Path

    @property
    def settings(self) -> Settings:
        return Settings.from_env({**os.environ, **self.variables})

    @property
    def variables(self) -> dict[str, str]:
        return {
            "IMAGEFEATURES_LAKE": f"file://{self.folder}/lake",
            "IMAGEFEATURES_CATALOG": f"sqlite:///{self.folder}/lake/catalog.db?timeout=60",
            "IMAGEFEATURES_DATASETS": str(self.folder / "datasets"),
        }

    @property
    def env(self) -> dict[str, str]:
        """The environment of a process of this deployment: the embedded one, as `make run` has it."""
        return environment(self.folder / "airflow", 0) | self.variables | {"PYTHONPATH": str(REPOSITORY)}

    def make(self, photos: dict[int, Path]) -> None:
        """Write a dataset file for each size, and prepare the model: once for each lake, not once for each run."""
        (self.folder / "datasets").mkdir(parents=True, exist_ok=True)
        (self.folder / "lake").mkdir(exist_ok=True)
        for size, place in photos.items():
            text = f"name: photos{size}\nsource: file://{place}/\nlabel: parent\nstart_date: 2026-11-01\n"
            text += "reuse: false\n"  # or every repetition but the first would find its vectors in the table
            (self.folder / "datasets" / f"photos{size}.yaml").write_text(text)
        prepare_model(self.settings)


@dataclass(frozen=True)
class Step:
    """One job. wall: seconds from spark-submit's start to its end. work: from the first shard that was handed out to
    the last receipt, Python workers' start included. busy: while a worker was busy. rate: images a busy second.
    """

    wall: float
    work: float
    busy: float
    rate: float


def plan(deployment: Deployment, size: int) -> Run:
    """A run over that many photos."""
    settings = deployment.settings
    dataset = find_dataset(settings.datasets, f"photos{size}")
    return load_run(plan_run(dataset, RunParams.parse({"partition": PARTITION}), None, settings))


def run_steps(deployment: Deployment, size: int) -> tuple[dict[str, Step], Run]:
    """Run the four jobs one after the other. Returns their figures, and the run, whose staging folder still stands."""
    run = plan(deployment, size)
    steps = {step: _submit(deployment, run, step) for step in SPARK_STEPS}
    return steps, run


def list_seconds(deployment: Deployment, size: int, workers: int) -> float:
    """What listing the source takes, on a run of its own: ingest's job does it before it hands out a shard."""
    run = plan(deployment, size)
    start = time.perf_counter()
    manifest.list_source(run, workers)
    seconds = time.perf_counter() - start
    storage.delete_folder(run.layout.run)
    return seconds


def features_of(run: Run) -> list[str]:
    """The Parquet files that the run's featurize job wrote, as paths."""
    return [r.output.uri.removeprefix("file://") for r in shards.read_receipts(run.layout, "featurize")]


@dataclass(frozen=True)
class WholeRun:
    """A whole run. wall: seconds from the command's start to its end; tasks: seconds of each Airflow task."""

    wall: float
    tasks: dict[str, float]
    busy: dict[str, float]


def whole_run(deployment: Deployment, size: int) -> WholeRun:
    """One partition through the DAG, as `make run` does it. Raises RuntimeError when it is not published."""
    code = (
        "import sys, pathlib; from deploy.local.run_partition import run_partition; "
        "sys.exit(run_partition(pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]))"
    )
    command = [sys.executable, "-c", code, str(deployment.folder / "airflow"), f"photos{size}", PARTITION]
    env = os.environ | deployment.variables | {"PYTHONPATH": str(REPOSITORY)}
    start = time.perf_counter()
    done = subprocess.run(command, env=env, capture_output=True, text=True)  # noqa: S603
    wall = time.perf_counter() - start
    told = re.search(r"^\d+ s: (.*)$", done.stdout, re.MULTILINE)
    if done.returncode or not told or f"{size} listed = {size} registered" not in done.stdout:
        raise RuntimeError(f"the run over {size} photos was not published:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    busy = done.stdout.rpartition("workers busy:")[2]
    return WholeRun(wall, _seconds_by_name(told.group(1)), _seconds_by_name(busy))


def _submit(deployment: Deployment, run: Run, step: str) -> Step:
    command = ["spark-submit", "--master", "local[*]", str(REPOSITORY / "jobs" / f"{step}.py")]
    start = time.perf_counter()
    done = subprocess.run(  # noqa: S603
        [*command, "--run", run.layout.run_file], env=deployment.env, capture_output=True, text=True
    )
    wall = time.perf_counter() - start
    work = re.search(r", work ([\d.]+) s$", done.stdout, re.MULTILINE)
    if done.returncode or not work:
        raise RuntimeError(f"{step} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    totals = shards.totals(shards.read_receipts(run.layout, step))
    return Step(wall, float(work.group(1)), totals.seconds, totals.images_per_second)


def _seconds_by_name(text: str) -> dict[str, float]:
    """
    >>> _seconds_by_name("plan 0.5, ingest 7.1 (2 tries)")
    {'plan': 0.5, 'ingest': 7.1}
    """
    return {name: float(seconds) for name, seconds in re.findall(r"(\w+) (\d+\.\d+)", text)}
