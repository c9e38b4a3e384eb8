"""The memory of every process that knows of the whole run, for as many images as asked for: four jobs and register.

    python -m benchmarks.many [keys ...]        100,000 and 1,000,000 by default; about ten minutes

The listing is a real one, of a server that makes its keys up. The jobs are the real ones, in a driver of 1 GB, but for
a shard's work: what a worker does is left out, what it hands on is not. Manifests, receipts, rejections, features files
and the Iceberg commit are as large as those of real images; no pixel is read.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.listing import endless_store
from benchmarks.peaks import note, noted
from benchmarks.report import RESULTS
from deploy.local.environment import environment
from imagefeatures import manifest, schemas, steps
from imagefeatures.datasets import Dataset, RunParams
from imagefeatures.errors import Rejected
from imagefeatures.plan import Run, load_run, plan_run
from imagefeatures.reasons import Reason
from imagefeatures.settings import REPOSITORY, Settings
from imagefeatures.shards import Receipt, ShardWork
from imagefeatures.steps import featurize

DRIVER_MEMORY = "1g"
REJECTED = 100
"""Of so many images validate rejects one."""

NO_CREDENTIALS = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"), "none")

Peaks = dict[str, dict[str, float]]
"""Step to kind of process (driver, jvm, worker, decoder) to its peak in MiB."""


def next_to_nothing(run: Run, step: str, shard: int) -> Receipt:
    """What the step would hand on of a shard in which every hundredth image is bad, without a look at one."""
    work = ShardWork(run.layout, step, shard)
    rows = manifest.read_manifest(run, shard).to_pylist()
    bad, good = rows[::REJECTED], [row for at, row in enumerate(rows) if at % REJECTED]
    if step == "featurize":
        return work.finish(len(good), _features(run, good), compression="zstd", write_page_checksum=True)
    if step == "validate":
        for row in bad:
            work.reject(row, Rejected(Reason.CORRUPT, "invented"))
    going_in, going_on = (len(good) if step == "resize" else len(rows), len(rows) if step == "ingest" else len(good))
    return work.finish(going_in, pa.table({"nothing": pa.nulls(going_on)}))


def _features(run: Run, rows: list[dict[str, object]]) -> pa.Table:
    seen = {"image_id": "0" * 64, "width": 640, "height": 480, "mode": "RGB"}
    images = pa.Table.from_pylist([row | seen for row in rows], schemas.DECODED)
    vectors = np.tile(np.linspace(0, 6, run.model.width, dtype=np.float32), (len(rows), 1))
    return featurize.feature_table(run, images, vectors)


def submit(run_file: str, step: str, peaks: Path, env: Mapping[str, str]) -> dict[str, float]:
    """Run one job with a driver of 1 GB; returns the peaks of its processes. Raises when the job fails."""
    peaks.mkdir()
    folders = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "jobs")])
    said = {"PYTHONPATH": folders, "WATCHED_STEP": step, "WATCHED_PEAKS": str(peaks)}
    env = environment(peaks, 0) | dict(env) | said
    job = str(Path(__file__).with_name("watched_job.py"))
    command = ["spark-submit", "--master", "local[2]", "--driver-memory", DRIVER_MEMORY, job, "--run", run_file]
    done = subprocess.run(command, env=env, capture_output=True, text=True)  # noqa: S603 - this repository's own job
    if done.returncode:
        raise RuntimeError(f"{step}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return noted(peaks)


def register(run_file: str, peaks: Path, env: Mapping[str, str]) -> dict[str, float]:
    """Audit and publish a run in a process of its own; returns its peak."""
    peaks.mkdir()
    command = [sys.executable, "-m", "benchmarks.many", "register", run_file, str(peaks)]
    subprocess.run(command, env=os.environ | dict(env), cwd=REPOSITORY, check=True)  # noqa: S603 - this module
    return noted(peaks)


def measure(keys: int, folder: Path) -> Peaks:
    """Peaks of the four jobs and of register over so many images."""
    with endless_store() as address:
        env = NO_CREDENTIALS | {"AWS_ENDPOINT_URL": address, "IMAGEFEATURES_LAKE": f"file://{folder}/lake"}
        plan = [sys.executable, "-m", "benchmarks.many", "plan", str(keys)]
        run_file = subprocess.check_output(plan, env=os.environ | env, cwd=REPOSITORY, text=True).strip()  # noqa: S603
        env["WATCHED_EMPTY"] = "yes"
        found = {step: submit(run_file, step, folder / step, env) for step in steps.SPARK_STEPS}
        return found | {"register": register(run_file, folder / "register", env)}


def _plan(keys: int) -> str:
    from benchmarks.model import prepare_model

    settings = Settings.from_env()
    prepare_model(settings)
    dataset = Dataset.model_validate({"name": "photos", "source": f"s3://photos/{keys}/", "pattern": ["*.jpg"]})
    return plan_run(dataset, RunParams.parse({}), "2026-11-02", settings)


def _register(run_file: str, peaks: Path) -> None:
    from imagefeatures.steps import register

    run = load_run(run_file)
    register.audit_run(run)
    note(peaks, "audit", os.getpid())
    outcome = register.register(run_file, Settings.from_env())
    assert outcome.state == register.REGISTERED, outcome  # noqa: S101
    note(peaks, "driver", os.getpid())


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["plan"]:
        print(_plan(int(arguments[1])))
    elif arguments[:1] == ["register"]:
        _register(arguments[1], Path(arguments[2]))
    else:
        found = {}
        for keys in [int(word) for word in arguments] or [100_000, 1_000_000]:
            with tempfile.TemporaryDirectory(prefix="imagefeatures-") as folder:
                found[keys] = measure(keys, Path(folder))
            print(keys, json.dumps(found[keys]), flush=True)
        (RESULTS / "many.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
