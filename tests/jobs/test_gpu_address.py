"""Spark's GPU settings from docs/deploying.md, with a real scheduler, a real executor and an invented GPU."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pyspark
import pytest

from deploy.local.environment import environment
from imagefeatures.settings import REPOSITORY

SETTINGS = {
    "spark.worker.resource.gpu.amount": "1",
    "spark.executor.resource.gpu.amount": "1",
    "spark.task.resource.gpu.amount": "1",
}


@pytest.mark.long
def test_a_task_sees_the_gpu_that_the_discovery_script_reported(tmp_path: Path) -> None:
    script = tmp_path / "discover"
    script.write_text("""#!/bin/sh\necho '{"name": "gpu", "addresses": ["5"]}'\n""")
    script.chmod(0o755)
    folders = [REPOSITORY, REPOSITORY / "jobs"]
    env = environment(tmp_path, 0) | {"PYTHONPATH": os.pathsep.join(map(str, folders))}
    home = tmp_path / "spark"  # a cluster writes into SPARK_HOME
    home.mkdir()
    for entry in Path(env.get("SPARK_HOME") or Path(pyspark.__file__).parent).iterdir():
        (home / entry.name).symlink_to(entry)
    settings = SETTINGS | {"spark.worker.resource.gpu.discoveryScript": str(script)}
    options = [word for name, value in settings.items() for word in ("--conf", f"{name}={value}")]
    job = Path(__file__).with_name("which_gpu.py")
    # Spark in one process assigns no resources; a local cluster of one worker does.
    command = ["spark-submit", "--master", "local-cluster[1,1,1024]", *options, str(job)]
    done = subprocess.run(command, env=env | {"SPARK_HOME": str(home)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "seen: ['5'] by 1"
