"""The first runs of several datasets at once, with a real Airflow: each writes its DAGs into an empty database."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local import migration
from deploy.local.environment import environment
from imagefeatures.settings import REPOSITORY, Settings
from support.photos import fill, jpeg
from support.shared import PARTITION

pytestmark = pytest.mark.long  # a migration, and each process parses all DAGs twice

PROCESSES, ROUNDS = 4, 2
WRITE = """
from deploy.local.one_run import written_dags
assert len(written_dags()) >= 8
"""


@pytest.fixture
def env(settings: Settings, lake_with_model: str) -> dict[str, str]:
    """Of Airflow, with two datasets."""
    for name in ("birds", "fruit"):
        folder = fill(Path(settings.lake.removeprefix("file://")).parent / name, {f"{PARTITION}/a.jpg": jpeg(1)})
        (settings.datasets / f"{name}.yaml").write_text(f"name: {name}\nsource: file://{folder}/{{partition}}/\n")
    return dict(os.environ)


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_processes_that_write_the_same_dags_for_the_first_time_take_turns(
    env: dict[str, str], tmp_path: Path, round_: int
) -> None:
    home = tmp_path / "airflow"
    home.mkdir()
    env |= environment(home, 0) | {"PYTHONPATH": str(REPOSITORY)}
    subprocess.run(migration.COMMAND, env=env, check=True, capture_output=True)
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITE], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(PROCESSES)
    ]
    told = [writer.communicate(timeout=300)[0].decode() for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * PROCESSES, told
