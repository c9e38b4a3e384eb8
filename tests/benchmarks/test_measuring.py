"""What `make bench` measures, with times that are invented: every figure gets into the files of both benchmarks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as bench_main
from benchmarks import bench, limits, peers_runner, pipeline, report, sizes, sizes_report
from imagefeatures.steps import SPARK_STEPS

COUNT, SECONDS = 40, 4.0
RATE = COUNT / SECONDS


class InventedRun:
    """A run of four jobs that have ended, whose files are what `bench` removes."""

    def __init__(self, folder: Path) -> None:
        self.layout = self
        self.run = f"file://{folder}/run"
        Path(folder, "run").mkdir()


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what has been measured, in order. No process starts; every time is SECONDS."""
    done: list[str] = []

    def loop(work: limits.Work, _: int) -> float:
        done.append(work.loop)
        work.out.mkdir()
        return SECONDS

    def steps(deployment: pipeline.Deployment, _: int) -> tuple[dict[str, pipeline.Step], InventedRun]:
        done.append("steps")
        each = SECONDS / len(pipeline.EQUAL_WORK)  # together as long as a peer
        return {step: pipeline.Step(each, each, each, RATE) for step in SPARK_STEPS}, InventedRun(deployment.folder)

    def features(run: InventedRun) -> list[str]:
        file = Path(run.run.removeprefix("file://"), "features.parquet")
        file.touch()
        return [str(file)]

    def whole(_: pipeline.Deployment, size: int) -> pipeline.WholeRun:
        done.append(f"whole run of {size}")
        return pipeline.WholeRun(SECONDS * size / COUNT, {"plan": 1.0}, {})

    def peer(name: str, _: peers_runner.Job, out: Path) -> peers_runner.Outcome:
        done.append(name)
        if name == "ray" and done.count("fails"):
            raise RuntimeError("Ray Data failed")
        out.mkdir()
        return peers_runner.Outcome(SECONDS, SECONDS + 1, {name: "1"})

    monkeypatch.setattr(pipeline.Deployment, "make", lambda *_: None)
    monkeypatch.setattr(pipeline, "list_seconds", lambda *_: 0.0)
    monkeypatch.setattr(pipeline, "run_steps", steps)
    monkeypatch.setattr(pipeline, "features_of", features)
    monkeypatch.setattr(pipeline, "whole_run", whole)
    monkeypatch.setattr(limits, "run", loop)
    monkeypatch.setattr(peers_runner, "run", peer)
    monkeypatch.setattr(peers_runner, "agreement", lambda *_: 1.0)
    monkeypatch.setattr(bench.os, "sync", lambda: None)
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(sizes_report, "RESULTS", tmp_path / "results")
    return done


def a_bench(tmp_path: Path) -> bench.Bench:
    photos = {}
    for size in (bench.FEW, COUNT):
        photos[size] = tmp_path / "photos" / str(size)
        photos[size].mkdir(parents=True)
        for number in range(size):
            (photos[size] / f"{number}.jpg").write_bytes(b"1000 bytes".ljust(1000))
    return bench.Bench(tmp_path, photos, COUNT, COUNT)


def test_a_repetition_of_a_set_holds_every_row_of_its_report(tmp_path: Path, measured: list[str]) -> None:
    one = a_bench(tmp_path)
    first, second = (json.loads(json.dumps(sizes.measure(one, first))) for first in (True, False))
    assert measured.count("notebook") == 1
    assert set(first["rates"]) >= set(sizes_report.ROWS)
    assert first["whole_rates"] == {"fused": RATE, "daft": 8.0, "ray": 8.0, "notebook": 8.0, "ours": RATE}
    assert (first["photos"], first["bytes"], first["failures"]) == (COUNT, COUNT * 1000, {})
    assert set(first["rates"]) - set(second["rates"]) == {"notebook", "notebook, start-up"}
    text = sizes_report.write({"S640": [first, second]})
    assert "| equal work / Daft | 1.00 (1.00 to 1.00) (≥ 1.25) **not met** |" in text
    assert "| whole run / Daft | 1.25 (1.25 to 1.25) (≥ 1.1) met |" in text


def test_a_peer_that_fails_leaves_the_other_rows(tmp_path: Path, measured: list[str]) -> None:
    measured.append("fails")
    one = sizes.measure(a_bench(tmp_path), first=False)
    assert one["failures"] == {"ray": "Ray Data failed"}
    assert {"ours", "daft", "fused"} <= one["whole_rates"].keys() and "ray" not in one["whole_rates"]
    assert "Failed: Ray Data over S640: Ray Data failed" in sizes_report.write({"S640": [one]})


def test_the_plain_benchmark_reports_each_repetition(tmp_path: Path, measured: list[str]) -> None:
    options: dict[str, Any] = {"images": COUNT, "repetitions": 2, "whole": COUNT, "curve": []}
    results = list(bench_main.measure(a_bench(tmp_path), options))
    assert [one["asked"]["repetitions"] for one in results] == [1, 2]
    assert measured.count("notebook") == 3  # twice for the equal work, once for the whole run
    text = report.write(results[-1], "bench")
    assert f"{COUNT} photos for the steps and the equal work" in text
    assert json.loads((tmp_path / "results" / "bench.json").read_text())["rates"]["ours"] == [RATE, RATE]
