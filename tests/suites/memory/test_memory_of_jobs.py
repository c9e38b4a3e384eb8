"""Peak memory of the processes of the real jobs: workers that hold full shards, and the driver of a million images."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from benchmarks import driver_memory, worker_memory
from imagefeatures import steps


def without_the_sessions_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset the variables of the session's lake: a measurement makes its own."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "IMAGEFEATURES_LAKE", "IMAGEFEATURES_CAT"))]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize("photos", worker_memory.LARGEST_PHOTO)
def test_a_worker_stays_below_700_megabytes_over_full_shards(
    photos: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real jobs over four shards, each filled to the byte cap. Takes half a minute."""
    without_the_sessions_store(monkeypatch)
    peaks = worker_memory.measure(photos, tmp_path)
    with capsys.disabled():
        print(f"\n{photos} photos a shard: {json.dumps(peaks)}")
    assert list(peaks) == list(steps.SPARK_STEPS)
    for step, found in peaks.items():
        assert 50 < found["worker"] < 700e6 / 2**20, step


@pytest.mark.timeout(2400)  # the four jobs write 16,000 files, and each waits for the disk
def test_the_driver_needs_little_more_for_a_million_images_than_for_a_hundred_thousand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four real jobs with a driver of 1 GB, then register. No image is read. Takes minutes."""
    without_the_sessions_store(monkeypatch)
    peaks = {}
    for keys in (100_000, 1_000_000):
        folder = tmp_path / str(keys)
        folder.mkdir()
        peaks[keys] = driver_memory.measure(keys, folder)
        with capsys.disabled():
            print(f"\n{keys:,}: {json.dumps(peaks[keys])}")
    few, all_of_them = peaks[100_000], peaks[1_000_000]
    assert list(few) == [*steps.SPARK_STEPS, "register"]
    for step in few:
        assert all_of_them[step]["driver"] < 300, step
    for step in steps.SPARK_STEPS:
        assert all_of_them[step]["driver"] < 1.3 * few[step]["driver"], step
    # register also holds the rejected rows (every hundredth image here) and the catalog's entries.
    assert all_of_them["register"]["driver"] < few["register"]["driver"] + 80
    for step in steps.SPARK_STEPS:
        assert all_of_them[step]["jvm"] < 1024 + 400, step  # the heap and the JVM's other memory
