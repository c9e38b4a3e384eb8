"""`python -m benchmarks.classifiers [KIND …]`: each kind of classifier on the photos of the demo, for docs/classify.md.

The vectors are those of the default model. Each classifier is fitted by a Spark job of `local[*]`, as the DAG does it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import get_args

from benchmarks import photos
from deploy.local.environment import environment
from imagefeatures.datasets import Dataset
from imagefeatures.learning.declared import Classify, Kind
from imagefeatures.learning.job import plan_job
from imagefeatures.learning.publish import publish
from imagefeatures.local import run_partition
from imagefeatures.names import WHOLE_SOURCE
from imagefeatures.run_params import ClassifyParams, RunParams
from imagefeatures.settings import REPOSITORY, Settings

NAME = "grocery"
JOB = REPOSITORY / "jobs" / "classify.py"


def main() -> None:
    cache = Settings.from_env().cache
    with tempfile.TemporaryDirectory(prefix="imagefeatures-") as place:
        folder = Path(place)
        (folder / "lake").mkdir()
        for number, (label, data) in enumerate(photos.read_demo_photos(cache)):
            path = folder / "photos" / label / f"{number:04d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        variables = {"IMAGEFEATURES_LAKE": f"file://{folder}/lake", "IMAGEFEATURES_CACHE": str(cache)}
        settings = Settings.from_env(variables)
        dataset = Dataset.model_validate({"name": NAME, "source": f"file://{folder}/photos/"})
        run_partition(dataset, RunParams(), settings, WHOLE_SOURCE)
        env = environment(folder, 0) | variables
        env["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "jobs")])
        for kind in sys.argv[1:] or get_args(Kind):
            print(row(kind, settings, env), flush=True)


def row(kind: str, settings: Settings, env: dict[str, str]) -> str:
    """Fit one classifier. Returns its row of the table."""
    uri = plan_job(NAME, Classify(margin=1), ClassifyParams.parse({"model": kind}), settings)
    started = time.perf_counter()
    command = ["spark-submit", "--driver-memory", "1g", str(JOB), "--job", uri]
    done = subprocess.run(command, env=env, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        sys.exit(done.stdout + done.stderr[-2000:])
    found = publish(uri, settings)
    seconds = time.perf_counter() - started
    return f"| `{kind}` | {found['accuracy']:.3f} | {found['macro_accuracy']:.3f} | {seconds:.0f} s |"


if __name__ == "__main__":
    main()
