"""Measures the pipeline: its four jobs through spark-submit, as Airflow submits them, and whole runs by the DAG."""

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
from imagefeatures.dataset_files import find_dataset
from imagefeatures.plan import Run, load_run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import REPOSITORY, Settings
from imagefeatures.steps import SPARK_STEPS

PARTITION = "2026-11-02"
EQUAL_WORK = ("ingest", "resize", "featurize")
"""The steps that together do a peer's work: files in, feature Parquet out. The peers validate nothing."""


@dataclass(frozen=True)
class Deployment:
    """The benchmark's own deployment, inside one folder: lake, catalog, datasets, Airflow's home."""

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
        """The variables of a process of this deployment: those of the local deployment, as for `make run`."""
        return environment(self.folder / "airflow", 0) | self.variables | {"PYTHONPATH": str(REPOSITORY)}

    def make(self, photos: dict[int, Path]) -> None:
        """Write a dataset file for each size, and prepare the model once for all runs. photos: size: its folder."""
        (self.folder / "datasets").mkdir(parents=True, exist_ok=True)
        (self.folder / "lake").mkdir(exist_ok=True)
        for size, folder in photos.items():
            text = f"name: photos{size}\nsource: file://{folder}/\nlabel: parent\nstart_date: 2026-11-01\n"
            text += "reuse: false\n"  # with reuse every repetition but the first would find its vectors in the table
            (self.folder / "datasets" / f"photos{size}.yaml").write_text(text)
        prepare_model(self.settings)


@dataclass(frozen=True)
class Step:
    """The times of one job. wall: seconds from spark-submit's start to its end. work: seconds from the first shard's
    start to the last receipt, the start of the Python workers included. busy: seconds in which at least one worker
    was busy. rate: images in each busy second.
    """

    wall: float
    work: float
    busy: float
    rate: float


def plan(deployment: Deployment, size: int) -> Run:
    """Plan a run over that many photos."""
    settings = deployment.settings
    dataset = find_dataset(settings.datasets, f"photos{size}")
    return load_run(plan_run(dataset, RunParams.parse({"partition": PARTITION}), None, settings), settings.lake)


def run_steps(deployment: Deployment, size: int) -> tuple[dict[str, Step], Run]:
    """Run the four jobs one after the other. Returns their times and the run, whose staging folder is kept."""
    run = plan(deployment, size)
    steps = {step: _submit(deployment, run, step) for step in SPARK_STEPS}
    return steps, run


def list_seconds(deployment: Deployment, size: int, workers: int) -> float:
    """Seconds of listing the source, in a run of its own: the job of ingest lists before it starts a shard."""
    run = plan(deployment, size)
    start = time.perf_counter()
    manifest.list_source(run, workers)
    seconds = time.perf_counter() - start
    storage.delete_folder(run.layout.run)
    return seconds


def features_of(run: Run) -> list[str]:
    """The Parquet files that the run's featurize job wrote, as paths."""
    receipts = shards.read_receipts(run.layout, "featurize")
    return [receipt.output.uri.removeprefix("file://") for receipt in receipts]


@dataclass(frozen=True)
class WholeRun:
    """The times of a whole run. wall: seconds from the command's start to its end. tasks: seconds of each Airflow task.

    busy: seconds of each step in which at least one worker was busy.
    """

    wall: float
    tasks: dict[str, float]
    busy: dict[str, float]


def whole_run(deployment: Deployment, size: int) -> WholeRun:
    """Run one partition through the DAG, as `make run` does. Raises RuntimeError when it is not published."""
    code = (
        "import sys, pathlib; from deploy.local.run_partition import run_partition; "
        "sys.exit(run_partition(pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]))"
    )
    command = [sys.executable, "-c", code, str(deployment.folder / "airflow"), f"photos{size}", PARTITION]
    env = os.environ | deployment.variables | {"PYTHONPATH": str(REPOSITORY)}
    start = time.perf_counter()
    done = subprocess.run(command, env=env, capture_output=True, text=True)  # noqa: S603
    wall = time.perf_counter() - start
    tasks = re.search(r"^\d+ s: (.*)$", done.stdout, re.MULTILINE)
    if done.returncode or not tasks or f"{size} listed = {size} registered" not in done.stdout:
        raise RuntimeError(f"the run over {size} photos was not published:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    busy = done.stdout.rpartition("workers busy:")[2]
    return WholeRun(wall, _seconds_by_name(tasks.group(1)), _seconds_by_name(busy))


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
