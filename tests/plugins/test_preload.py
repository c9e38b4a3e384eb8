"""What a scheduler imports for the tasks that it forks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from imagefeatures.settings import REPOSITORY
from imagefeatures_airflow import preload

STARTED = """
import json, os, sys, threading
from airflow.jobs.job import Job
from airflow.sdk.execution_time import supervisor  # as a scheduler with a LocalExecutor has it
from imagefeatures_airflow import preload
for executor, *command in json.loads(sys.argv[1]):
    os.environ["AIRFLOW__CORE__EXECUTOR"] = executor
    sys.argv = ["airflow", *command]
    Job()  # each of them makes one first, which tells the listeners
    print(json.dumps([[name in sys.modules for name in preload.MODULES], threading.active_count()]))
"""


def test_a_scheduler_that_forks_its_tasks_imports_their_modules_and_no_other_process_does(tmp_path: Path) -> None:
    others = [("CeleryExecutor", "scheduler"), ("LocalExecutor", "dag-processor"), ("LocalExecutor",)]
    plugins = str(REPOSITORY / "plugins")
    env = os.environ | {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__PLUGINS_FOLDER": plugins}
    env |= {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), plugins])}
    command = [sys.executable, "-c", STARTED, json.dumps([*others, ("LocalExecutor", "scheduler", "--num-runs", "1")])]
    told = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
    *before, (modules, threads) = map(json.loads, told.splitlines()[-len(others) - 1 :])
    assert [there for there, _ in before] == [[False] * len(preload.MODULES)] * len(others)
    assert modules == [True] * len(preload.MODULES)
    assert threads == 1, "a fork would inherit what a thread holds"
