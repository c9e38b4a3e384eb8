"""The four jobs of a run by spark-submit, as Airflow's tasks start them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from deploy.local.environment import environment
from imagefeatures.plan import Run
from imagefeatures.settings import REPOSITORY
from imagefeatures.steps import SPARK_STEPS


def submit(run: Run, home: Path) -> None:
    """Run the jobs one after the other, each with two workers. home: a folder for what Spark leaves."""
    for step in SPARK_STEPS:
        command = ["spark-submit", "--master", "local[2]", str(REPOSITORY / "jobs" / f"{step}.py")]
        env = environment(home, 0) | {"PYTHONPATH": os.pathsep.join(map(str, (REPOSITORY, REPOSITORY / "jobs")))}
        done = subprocess.run([*command, "--run", run.layout.run_file], env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
