"""How the names of files begin that a run or a classifier may still publish."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from imagefeatures import storage
from imagefeatures.upkeep import live

RUNS = [f"20261001T00000{number}-0a1b2c3d" for number in range(4)]


@pytest.fixture
def lake(tmp_path: Path) -> str:
    files = {
        f"staging/photos/day/{RUNS[0]}/run.json": 1, f"staging/photos/day/{RUNS[1]}/run.json": 1,
        f"staging/photos/day/{RUNS[2]}/resize/shard-00000.json": 1, f"publishing/{RUNS[3]}/publication.json": 1,
        f"learning/fruit/{'0a' * 8}/job.json": 99, f"learning/fruit/{'0b' * 8}/spark/part-0": 100,
        f"learning/fruit/{'0c' * 8}x/job.json": 101, "learning/fruit/promoted.json": 101,
    }  # fmt: skip
    for name, modified in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"abc")
        os.utime(path, (modified, modified))
    return f"file://{tmp_path}"


def test_runs_that_can_go_on_and_classifiers_that_are_young_may_still_publish(lake: str) -> None:
    given_up = {f"{lake}/staging/photos/day/{RUNS[1]}/"}
    assert live.beginnings(lake, 100, given_up) == {f"{RUNS[0]}-", f"{RUNS[3]}-", f"{'0b' * 8}-"}
    assert live.beginnings(lake, 101, ()) == {f"{run}-" for run in (RUNS[0], RUNS[1], RUNS[3])}


def test_a_classifier_of_which_no_time_is_known_is_young(lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = storage.list_objects
    monkeypatch.setattr(
        storage, "list_objects", lambda uri: (dataclasses.replace(one, modified=None) for one in real(uri))
    )
    assert {f"{'0a' * 8}-", f"{'0b' * 8}-"} < live.beginnings(lake, 1000, ())
