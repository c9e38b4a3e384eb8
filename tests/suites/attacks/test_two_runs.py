"""Two and three `make run` at once, with a real Airflow and a real Spark: every one ends well.

A suite of its own. ROUNDS says how many rounds of two runs of one dataset there are (3).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from imagefeatures import read
from imagefeatures.settings import REPOSITORY, Settings
from support.photos import fill, jpeg
from support.shared import PARTITION

ROUNDS = int(os.environ.get("ROUNDS") or "3")
RUN = """
import sys
from pathlib import Path
from deploy.local.run_partition import run_partition
sys.exit(run_partition(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
"""


@pytest.fixture
def home(settings: Settings, lake_with_model: str, tmp_path: Path) -> Path:
    """Airflow's folder; and two dataset files with some photos."""
    for name in ("birds", "fruit"):
        folder = fill(tmp_path / name, {f"{PARTITION}/{at}.jpg": jpeg(at) for at in range(4)})
        (settings.datasets / f"{name}.yaml").write_text(f"name: {name}\nsource: file://{folder}/{{partition}}/\n")
    return tmp_path / "airflow"


def make_run(home: Path, dataset: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(home), dataset, PARTITION],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


@pytest.mark.timeout(3600)
def test_runs_that_are_started_at_once_all_publish(
    home: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    waited = 0
    for _ in range(ROUNDS):
        runs = [make_run(home, dataset) for dataset in ("birds", "birds", "fruit")]
        told = [run.communicate(timeout=1200)[0] for run in runs]
        assert [run.returncode for run in runs] == [0, 0, 0], told
        lines = [[line for line in text.splitlines() if line.startswith("waiting: another run of ")] for text in told]
        assert sorted(len(found) for found in lines[:2]) == [0, 1], told
        assert lines[2] == []
        waited += 1
    with capsys.disabled():
        print(
            f"\n{ROUNDS} rounds of two runs of a dataset and one of another: {3 * ROUNDS} ended well, {waited} waited"
        )
    assert {row["dataset"]: row["registered"] for row in read.runs(settings)} == {"birds": 4, "fruit": 4}
