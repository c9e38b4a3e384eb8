"""A model server under a real Spark: the job's vectors, and its exit status when the model changes or is away."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from deploy.local.environment import environment
from imagefeatures import read
from imagefeatures.errors import EXIT_INPUT_ERROR
from imagefeatures.local import run_steps
from imagefeatures.plan import Run
from imagefeatures.settings import REPOSITORY, Settings
from imagefeatures.step_runner import prepare_model
from imagefeatures.steps.register import register
from support.model_servers import ModelServer, Reply, serving
from support.photos import fill, jpeg
from support.shared import THIS_PROCESS, MakeRun


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with serving(ModelServer()) as running:
        yield running


@pytest.fixture
def run(server: ModelServer, make_run: MakeRun, settings: Settings, tmp_path: Path) -> Run:
    """Twelve photos in three shards, resized, and the model prepared."""
    fill(tmp_path / "photos", {f"{at:02}.jpg": jpeg(at) for at in range(12)})
    engine = server.engine(deadline=2, batch=4)
    run = make_run(tmp_path / "photos", params={"shard_images": 4}, engine=engine, model={"name": "birds_v1"})
    prepare_model(run, settings)
    run_steps(run, THIS_PROCESS, ("ingest", "validate", "resize"))
    return run


def featurize(run: Run, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    command = ["spark-submit", "--master", "local[2]", str(REPOSITORY / "jobs" / "featurize.py")]
    env = environment(tmp_path, 0) | {"PYTHONPATH": os.pathsep.join(map(str, (REPOSITORY, REPOSITORY / "jobs")))}
    return subprocess.run([*command, "--run", run.layout.run_file], env=env, capture_output=True, text=True)


def test_sparks_workers_ask_the_server(run: Run, settings: Settings, tmp_path: Path) -> None:
    done = featurize(run, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert register(run.layout.run_file, settings).row["registered"] == 12
    assert np.ptp(read.vectors(read.table(settings, "photos")), axis=0).min() > 0


def test_a_model_that_has_changed_ends_the_job_for_good(run: Run, server: ModelServer, tmp_path: Path) -> None:
    server.version = "2"
    done = featurize(run, tmp_path)
    assert done.returncode == EXIT_INPUT_ERROR, done.stdout + done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("featurize: ")]
    assert line.startswith("featurize: ModelMismatch: MODEL_MISMATCH: the model server at http://127.0.0.1:")
    assert line.endswith("it has version 2; start a new run")


def test_a_server_that_is_away_ends_the_job_so_that_airflow_tries_again(
    run: Run, server: ModelServer, settings: Settings, tmp_path: Path
) -> None:
    server.fault = lambda path, reply: Reply(503)
    done = featurize(run, tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "featurize: ServingError: the model server at " in done.stdout
    server.fault = None
    assert featurize(run, tmp_path).returncode == 0
    outcome = register(run.layout.run_file, settings).row
    assert (outcome["registered"], outcome["quarantined"]) == (12, 0)
