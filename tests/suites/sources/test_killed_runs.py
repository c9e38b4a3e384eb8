"""`imagefeatures run` over every kind of source: the whole process group killed, the run resumed, nothing lost."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imagefeatures import storage
from imagefeatures.layout import Layout
from imagefeatures.settings import REPOSITORY, Settings
from support.catalog_doors import EVERY_DOOR
from support.days_of_doors import check_partition, doors_of_days
from support.doors import Door
from support.shared import BUCKET, PARTITION

SEED = int(os.environ.get("SEED") or "0")
RUN = [sys.executable, "-m", "imagefeatures.cli", "run", "photos", PARTITION, "--workers", "2"]
MOST_SECONDS = 240
"""For a command on a busy machine."""


@pytest.fixture(params=["file", "minio"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        return f"file://{tmp_path}/in here"
    server = request.getfixturevalue("_real_stores")("minio")
    request.getfixturevalue("aws_env").setenv("AWS_ENDPOINT_URL", server.address)
    return f"s3://{BUCKET}/{tmp_path.name}"


@pytest.mark.parametrize("name", EVERY_DOOR)
def test_a_killed_run_goes_on_and_a_second_one_reuses_every_vector(
    name: str, base: str, settings: Settings, lake_with_model: str
) -> None:
    door = doors_of_days(name, base, [PARTITION])[PARTITION]
    text = json.dumps({"name": "photos", "source": door.source, "limits": {"max_rejected": 0.5}})
    (settings.datasets / "photos.yaml").write_text(text)
    wait_for = random.Random(f"{SEED} {name} {base.partition(':')[0]}").randint(1, 3 * len(door.good))
    kept = _killed(settings, wait_for)
    assert wait_for <= len(kept) < 4 * _objects(door)
    done = subprocess.run(
        [*RUN, "--resume"], cwd=REPOSITORY, capture_output=True, text=True, timeout=MOST_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    first = check_partition(door, settings, "photos", PARTITION)
    assert first["run_id"] in {path.parts[-3] for path in kept}
    assert list(storage.list_objects(f"{settings.lake}/staging")) == []
    again = subprocess.run(RUN, cwd=REPOSITORY, capture_output=True, text=True, timeout=MOST_SECONDS, check=False)
    assert f"{len(door.good)} registered ({len(door.good)} reused, 0 computed)" in again.stdout, again.stderr
    assert check_partition(door, settings, "photos", PARTITION)["run_id"] != first["run_id"]


def _killed(settings: Settings, wait_for: int) -> dict[Path, bytes]:
    """Start a run with a shard for each object, and kill all of its processes after so many receipts.

    Returns the receipts that it has left.
    """
    process = subprocess.Popen(
        [*RUN, "--shard-images", "1"], cwd=REPOSITORY, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + MOST_SECONDS
        while len(_receipts(settings)) < wait_for:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.005)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    return {path: path.read_bytes() for path in _receipts(settings)}


def _receipts(settings: Settings) -> list[Path]:
    staging = Path(Layout(settings.lake, "photos", PARTITION, "").run.removeprefix("file://"))
    return list(staging.glob("*/*/shard-?????.json"))


def _objects(door: Door) -> int:
    return len(door.good) + len(door.rejected)
