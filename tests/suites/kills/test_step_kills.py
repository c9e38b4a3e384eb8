"""The four Spark steps, with processes of theirs killed at random moments: the same rows, and only lost shards redone.

Real jobs through the real spark-submit. A job that a kill has ended is submitted again at once, as
Airflow's retry does after a while; what a dead driver has left running is then still there. Each
step of a run is hit STEP_KILLS times (3), at moments that SEED chooses (0), after its first receipt
and before its last.

- In local mode a task has one attempt: a dead Python worker ends the job. On the cluster Spark itself
  tries the task again, and the job must go on.
- A dead decode process passes for one that the kernel killed for its memory, and the image that it
  was at is rejected for that. So each such kill may cost one image, and nothing else: no task, no job.
- A task of Airflow is a process that runs the DAG's operator, which runs spark-submit. Here it runs
  without scheduler and supervisor, and the whole group is killed, as by the end of LocalExecutor's container.

A suite of its own: make test-kills.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from imagefeatures import manifest, read, shards, steps
from imagefeatures.datasets import Dataset
from imagefeatures.plan import Run, load_run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from imagefeatures.steps import SPARK_STEPS, register
from support import killing
from support.killing import Disturbance, Submitter, Victims
from support.photos import fill, jpeg
from support.reusing import local
from support.shared import PARTITION, MakeRun
from support.spark_cluster import NO_SECRET, SECRECY, SPARK_SECRET, WORKERS, spark_cluster

SEED = int(os.environ.get("SEED") or "0")
KILLS = int(os.environ.get("STEP_KILLS") or "3")
IMAGES = 600
SHARD_IMAGES = 15
PARAMS = {"shard_images": SHARD_IMAGES, "reuse": False}
BAD = {"empty.jpg": b"", "page.jpg": b"<!doctype html>", "cut.jpg": jpeg(3)[:-200]}
SLOW_SHARD = 7
SPECULATION = {
    "spark.speculation": "true",
    "spark.speculation.interval": "100ms",
    "spark.speculation.quantile": "0.5",
    "spark.speculation.multiplier": "1.1",
    "spark.speculation.minTaskRuntime": "100ms",
}


@dataclass(frozen=True)
class Kind:
    """What is killed, where, in which steps. recovers: by itself, so that the job needs no retry."""

    victims: Victims
    steps: tuple[str, ...] = SPARK_STEPS
    cluster: bool = False
    task: bool = False
    recovers: bool = False


KINDS = {
    "Python worker": Kind(killing.python_workers),
    "decode process": Kind(killing.decode_children, ("validate", "resize"), recovers=True),
    "driver": Kind(killing.drivers),
    "Airflow task": Kind(killing.groups, task=True),
    "executor": Kind(killing.executors, cluster=True, recovers=True),
    "Python worker on the cluster": Kind(killing.python_workers, cluster=True, recovers=True),
}


@dataclass(frozen=True)
class Published:
    """What readers see of a run. vectors: (uri, SHA-256 of the vector's bytes). rejected: (uri, step, reason)."""

    vectors: list[tuple[str, str]]
    rejected: list[tuple[str, str, str]]


def published(run: Run, settings: Settings) -> Published:
    """Register the run, which looks at every key once more, and read the tables."""
    register.register(run.layout.run_file, settings)
    rows = read.table(settings, "photos", columns=("uri", "features", "run_id")).to_pylist()
    refused = read.table(settings, "quarantine", columns=("uri", "step", "reason", "run_id")).to_pylist()
    assert {row["run_id"] for row in rows + refused} == {run.run_id}
    hashes = [(row["uri"], sha256(np.asarray(row["features"], np.float32).tobytes()).hexdigest()) for row in rows]
    return Published(sorted(hashes), sorted((row["uri"], row["step"], row["reason"]) for row in refused))


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {f"{at % 7}/{at:03d}.jpg": jpeg(at, 320 + at, 240) for at in range(IMAGES)}
    return fill(tmp_path_factory.mktemp("photos"), files | BAD)


@pytest.fixture
def run(make_run: MakeRun, lake_with_model: str, photos: Path) -> Run:
    return make_run(photos, PARAMS)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, prepared_lake: str, photos: Path) -> Published:
    """What the same photos come to when nothing is killed: a lake, a run and a catalog of their own."""
    folder = tmp_path_factory.mktemp("undisturbed")
    shutil.copytree(local(prepared_lake), folder / "lake")
    settings = Settings.from_env({"IMAGEFEATURES_LAKE": f"file://{folder}/lake"})
    dataset = Dataset.model_validate({"name": "photos", "source": f"file://{photos}/"})
    run = load_run(plan_run(dataset, RunParams.parse(PARAMS), PARTITION, settings), settings.lake)
    for step in SPARK_STEPS:
        job = Submitter(folder).submit(step, run)
        assert job.process.wait() == 0, job.output
    whole = published(run, settings)
    assert len({uri for uri, _ in whole.vectors}) == len(whole.vectors) == IMAGES
    assert len(whole.rejected) == len(BAD)
    return whole


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two workers of one core; by two names, because Spark never speculates where the first attempt runs."""
    with spark_cluster(tmp_path_factory.mktemp("workers"), WORKERS, ("127.0.0.1", "localhost")) as master:
        yield master


@pytest.fixture
def on_cluster(cluster: str, tmp_path: Path) -> Submitter:
    return Submitter(tmp_path, cluster, SECRECY | NO_SECRET, {"_SPARK_AUTH_SECRET": SPARK_SECRET})


@pytest.mark.parametrize("name", KINDS)
def test_killed_steps_end_with_the_rows_of_an_undisturbed_run(
    name: str, run: Run, undisturbed: Published, settings: Settings, request: pytest.FixtureRequest
) -> None:
    kind = KINDS[name]
    here = Submitter(local(settings.lake).parent, task=kind.task)
    submitter = request.getfixturevalue("on_cluster") if kind.cluster else here
    moments = random.Random(f"{SEED} {name}")
    done = [disturbed(run, step, submitter, kind, moments) for step in SPARK_STEPS]
    kills = sum(step.kills for step in done)
    retries = sum(len(step.submitted) - 1 for step in done)
    assert kills == KILLS * len(kind.steps)
    assert retries <= (0 if kind.recovers else kills)
    lost = compared(published(run, settings), undisturbed)
    assert len(lost) <= (kills if kind.victims is killing.decode_children else 0), lost
    told(request, f"{name}: {kills}/{KILLS * len(kind.steps)} kills, {retries} retries, {len(lost)} images lost")


def disturbed(run: Run, step: str, submitter: Submitter, kind: Kind, moments: random.Random) -> Disturbance:
    """The step, with its kills, seen through to the end."""
    count = manifest.read_listing(run).shards if step != steps.INGEST else -(-(IMAGES + len(BAD)) // SHARD_IMAGES)
    with contextlib.closing(Disturbance(run, step, submitter, count)) as disturbance:
        if step in kind.steps:
            disturbance.kill(kind.victims, KILLS, moments)
        disturbance.finish()
    return disturbance


def compared(seen: Published, expected: Published) -> set[str]:
    """The keys that are rejected for the memory of their decode process, which it was not. All else must be equal."""
    more = set(seen.rejected) - set(expected.rejected)
    assert {reason for _, _, reason in more} <= {"OUT_OF_MEMORY"}
    lost = {uri for uri, _, _ in more}
    assert seen.vectors == [(uri, vector) for uri, vector in expected.vectors if uri not in lost]
    assert seen.rejected == sorted([*expected.rejected, *more])
    return lost


def told(request: pytest.FixtureRequest, line: str) -> None:
    """Print a figure for docs/reliability.md, whatever pytest does with the output."""
    with request.getfixturevalue("capsys").disabled():
        print(f"\n{line}")


def test_of_two_attempts_at_one_shard_one_counts(
    run: Run, on_cluster: Submitter, undisturbed: Published, settings: Settings, request: pytest.FixtureRequest
) -> None:
    for step in SPARK_STEPS:
        marks = on_cluster.home / f"attempts-{step}"
        marks.mkdir()
        slow = {"SLOW_STEP": step, "SLOW_SHARD": str(SLOW_SHARD), "SLOW_FOLDER": str(marks)}
        speculating = replace(on_cluster, conf=on_cluster.conf | SPECULATION, variables=on_cluster.variables | slow)
        job = speculating.submit(step, run, Path(__file__).with_name("slow_step.py"))
        assert job.process.wait() == 0, job.output
        assert {mark.name for mark in marks.iterdir()} == {"begun-0", "begun-1", "finished-0", "finished-1"}
        both = {path.name for path in killing.outputs(run, step, SLOW_SHARD)}
        receipt = shards.read_receipt(run.layout.receipt(step, SLOW_SHARD))
        assert len(both) == 2
        assert Path(receipt.output.uri).name in both
    assert compared(published(run, settings), undisturbed) == set()
    told(request, f"speculation: {len(SPARK_STEPS)}/{len(SPARK_STEPS)} shards done by two attempts, each counted once")
