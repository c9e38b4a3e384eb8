"""The peak memory of the processes that handle a whole run, the drivers of the four jobs and register.

    python -m benchmarks.driver_memory [images ...]     100,000 and 1,000,000 by default; about ten minutes

The listing is real, but the server invents its keys. The jobs are real, with a driver of 1 GB, but their workers only
simulate the work on a shard: they read no pixel. Manifests, receipts, rejected rows, features files and the Iceberg
commit are as large as those of real images.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.listing import NO_CREDENTIALS, endless_store
from benchmarks.memory import record_peak, recorded_peaks
from benchmarks.report import RESULTS
from deploy.local.environment import environment
from imagefeatures import manifest, schemas, steps
from imagefeatures.datasets import Dataset
from imagefeatures.errors import Rejected
from imagefeatures.plan import Run, plan_run
from imagefeatures.reasons import Reason
from imagefeatures.run_params import RunParams
from imagefeatures.settings import REPOSITORY, Settings
from imagefeatures.shards import Receipt, ShardWork
from imagefeatures.steps import featurize

DRIVER_MEMORY = "1g"
IMAGES_FOR_ONE_REJECTED = 100
"""The simulated validate rejects one image of so many."""

Peaks = dict[str, dict[str, float]]
"""Step: kind of process (driver, jvm, worker, decoder): its peak in MiB."""


def simulate_shard(run: Run, step: str, shard: int) -> Receipt:
    """Write what the step would write for a shard in which every hundredth image is bad, without reading an image."""
    work = ShardWork(run.layout, step, shard)
    rows = manifest.read_manifest(run, shard).to_pylist()
    bad = rows[::IMAGES_FOR_ONE_REJECTED]
    good = [row for index, row in enumerate(rows) if index % IMAGES_FOR_ONE_REJECTED]
    if step == "featurize":
        return work.finish(len(good), _feature_table(run, good), compression="zstd", write_page_checksum=True)
    if step == "validate":
        for row in bad:
            work.reject(row, Rejected(Reason.CORRUPT, "invented"))
        images = [hashlib.sha256(row["uri"].encode()).hexdigest() for row in good]
        return work.finish(len(rows), pa.table({"image_id": images}))
    rows_in, passed = (len(good), len(good)) if step == "resize" else (len(rows), len(rows))
    return work.finish(rows_in, pa.table({"nothing": pa.nulls(passed)}))


def _feature_table(run: Run, rows: list[dict[str, object]]) -> pa.Table:
    decoded = {"image_id": "0" * 64, "width": 640, "height": 480, "mode": "RGB"}
    images = pa.Table.from_pylist([row | decoded for row in rows], schemas.DECODED)
    vectors = np.tile(np.linspace(0, 6, run.outputs[0].spec.width, dtype=np.float32), (len(rows), 1))
    return featurize.feature_table(run, images, vectors)


def submit(run_file: str, step: str, folder: Path, env: Mapping[str, str]) -> dict[str, float]:
    """Run one job with a driver of 1 GB. Returns the peaks of its processes in MiB. Raises RuntimeError if it fails.

    folder: does not exist yet; for the figures. env: further variables of the job.
    """
    folder.mkdir()
    path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "jobs")])
    env = environment(folder, 0) | dict(env)
    env |= {"PYTHONPATH": path, "MEASURED_STEP": step, "MEASURED_PEAKS": str(folder)}
    job = str(Path(__file__).with_name("measured_job.py"))
    command = ["spark-submit", "--master", "local[2]", "--driver-memory", DRIVER_MEMORY, job, "--run", run_file]
    done = subprocess.run(command, env=env, capture_output=True, text=True)  # noqa: S603 - this repository's own job
    if done.returncode:
        raise RuntimeError(f"{step}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return recorded_peaks(folder)


def register(run_file: str, folder: Path, env: Mapping[str, str]) -> dict[str, float]:
    """Audit and publish a run in a process of its own. Returns its peaks in MiB: after the audit, and at the end."""
    folder.mkdir()
    command = [sys.executable, "-m", "benchmarks.driver_memory", "register", run_file, str(folder)]
    subprocess.run(command, env=environment(folder, 0) | dict(env), cwd=REPOSITORY, check=True)  # noqa: S603 - this module
    return recorded_peaks(folder)


def measure(images: int, folder: Path) -> Peaks:
    """The peaks of the four jobs and of register over so many images. folder: for the lake and the figures."""
    with endless_store() as address:
        env = NO_CREDENTIALS | {"AWS_ENDPOINT_URL": address, "IMAGEFEATURES_LAKE": f"file://{folder}/lake"}
        plan = [sys.executable, "-m", "benchmarks.driver_memory", "plan", str(images)]
        run_file = subprocess.check_output(plan, env=os.environ | env, cwd=REPOSITORY, text=True).strip()  # noqa: S603
        env["MEASURED_SIMULATED"] = "yes"
        peaks = {step: submit(run_file, step, folder / step, env) for step in steps.SPARK_STEPS}
        return peaks | {"register": register(run_file, folder / "register", env)}


def _plan(images: int) -> str:
    from benchmarks.model import prepare_model

    settings = Settings.from_env()
    prepare_model(settings)
    dataset = Dataset.model_validate({"name": "photos", "source": f"s3://photos/{images}/", "pattern": ["*.jpg"]})
    return plan_run(dataset, RunParams.parse({}), "2026-11-02", settings)


def _register(run_file: str, folder: Path) -> None:
    from imagefeatures import run_audit
    from imagefeatures.steps import register

    audit_run = run_audit.audit_run

    def measured_audit(run: Run) -> run_audit.Audit:
        audit = audit_run(run)
        record_peak(folder, "audit", os.getpid())
        return audit

    run_audit.audit_run = measured_audit
    outcome = register.register(run_file, Settings.from_env())
    assert outcome.state == register.REGISTERED, outcome  # noqa: S101
    record_peak(folder, "driver", os.getpid())


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["plan"]:
        print(_plan(int(arguments[1])))
    elif arguments[:1] == ["register"]:
        _register(arguments[1], Path(arguments[2]))
    else:
        peaks = {}
        for images in [int(argument) for argument in arguments] or [100_000, 1_000_000]:
            with tempfile.TemporaryDirectory(prefix="imagefeatures-") as folder:
                peaks[images] = measure(images, Path(folder))
            print(images, json.dumps(peaks[images]), flush=True)
        (RESULTS / "many.json").write_text(json.dumps(peaks, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
