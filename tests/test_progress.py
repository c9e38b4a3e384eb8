"""Where a run stands, read from real receipts, and the progress lines."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from imagefeatures import manifest, progress, storage
from imagefeatures.settings import Settings
from imagefeatures.shards import ShardWork
from imagefeatures.steps import ingest, validate
from support.demo_photos import jpeg
from support.photos import fill


@pytest.fixture
def run(make_run: Any, tmp_path: Path) -> Any:
    """A planned run over four photos and an empty file, one image per shard."""
    source = tmp_path / "source" / "pear"
    source.mkdir(parents=True)
    for seed in range(4):
        (source / f"{seed}.jpg").write_bytes(jpeg(seed))
    (source / "empty.jpg").write_bytes(b"")
    return make_run(source.parent, params={"shard_images": 1}, name="photos", partition="2026-11-02")


def test_status_follows_real_receipts(run: Any) -> None:
    assert [step.total for step in progress.read_status(run.layout).steps] == [None]
    listing = manifest.list_source(run, workers=1)
    assert listing.shards == 5
    (step,) = progress.read_status(run.layout).steps
    assert (step.step, step.done, step.total, step.finished) == ("ingest", 0, 5, False)
    for shard in range(listing.shards):
        ingest.run_shard(run, shard)
    first, second = progress.read_status(run.layout).steps
    assert (first.done, first.passed, first.finished) == (5, 4, True)
    assert (second.step, second.done, second.total) == ("validate", 0, 4)
    validate.run_shard(run, 0)
    assert progress.read_status(run.layout).steps[-1].done == 1
    assert progress.read_status(run.layout).steps[-1].images_per_second > 0
    for shard in range(listing.shards):
        validate.run_shard(run, shard)
        ShardWork(run.layout, "resize", shard).finish(1, pa.table({"row": [0]}))
    assert [step.step for step in progress.read_status(run.layout).steps] == [
        "ingest",
        "validate",
        "resize",
        "featurize",
    ]
    assert not progress.read_status(run.layout).registering
    for shard in range(listing.shards):
        ShardWork(run.layout, "featurize", shard).finish(1, pa.table({"row": [0]}))
    assert progress.read_status(run.layout).registering
    storage.delete_folder(run.layout.run)
    assert progress.read_status(run.layout) is None


def test_progress_prints_each_day_from_start_to_end(make_run: Any, tmp_path: Path) -> None:
    for day in ("2026-11-01", "2026-11-02"):
        (tmp_path / "source" / day).mkdir(parents=True)
        for seed in range(3):
            (tmp_path / "source" / day / f"{seed}.jpg").write_bytes(jpeg(seed))
    source = f"file://{tmp_path}/source/{{partition}}/"
    failed_before = make_run(source, partition="2026-11-01")
    manifest.list_source(failed_before, workers=1)
    told = progress.Progress(failed_before.lake, "photos", ["2026-11-01", "2026-11-02"], out := io.StringIO())
    told.tick()
    assert out.getvalue() == ""
    runs = [make_run(source, partition=day) for day in ("2026-11-01", "2026-11-02")]
    told.tick()
    assert out.getvalue().count("1/5 ingest     starting") == 2
    for shard in range(manifest.list_source(runs[1], workers=1).shards):
        ingest.run_shard(runs[1], shard)
    told.tick()
    told.tick()
    assert out.getvalue().count("2026-11-02  1/5 ingest     3 images at ") == 1
    assert "2026-11-01  1/5 ingest     3 images" not in out.getvalue()
    storage.delete_folder(runs[1].layout.run)
    told.tick()
    told.tick()
    assert out.getvalue().count("2026-11-02  done: registered") == 1
    assert "2026-11-01  done" not in out.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_does_not_go_back_while_a_runs_folder_is_being_removed(
    make_run: Any, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    source = fill(tmp_path / "photos", {"one.jpg": jpeg(1)})
    out = Terminal()
    told = progress.Progress(settings.lake, "photos", ["2026-11-02"], out)
    run = make_run(source)
    for shard in range(manifest.list_source(run, workers=1).shards):
        ingest.run_shard(run, shard)
    told.tick()
    assert "2/5 validate" in out.getvalue()
    storage.delete_folder(f"{run.layout.run}/ingest")
    told.tick()
    assert out.getvalue().splitlines()[-1].count("2/5 validate") == 1


def test_on_a_terminal_the_lines_are_redrawn_in_place(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    out = Terminal()
    told = progress.Progress(run.lake, "photos", ["2026-11-01", "2026-11-02"], out)
    told.tick()
    told.tick()
    first, second = out.getvalue().split("\x1b[2F")
    assert first.count("\n") == second.count("\n") == 2
    assert all(len(line.removesuffix("\x1b[K")) < 40 for line in first.splitlines())


@pytest.mark.parametrize(("columns", "bar"), [(200, 20), (81, 6)])
def test_the_time_left_is_shown_as_long_as_there_is_room(
    run: Any, monkeypatch: pytest.MonkeyPatch, columns: int, bar: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    out = Terminal()
    told = progress.Progress(run.lake, "photos", ["2026-11-02"], out)
    told.update(progress.Status("r", (progress.StepStatus("ingest", 500, 2000, 500, 50.0),)))
    (line,) = out.getvalue().splitlines()
    line = line.removesuffix("\x1b[K")
    assert line.endswith("  500 of 2,000  50 images/s  30 s left")
    assert len(line) < columns
    assert line.count("█") + line.count("░") == bar
    assert line.count("█") == bar // 4


def test_there_is_no_time_left_to_tell_before_the_first_shard_is_done() -> None:
    assert progress.StepStatus("ingest", 0, 2000).seconds_left is None
    assert progress.StepStatus("ingest").seconds_left is None
    assert progress.StepStatus("ingest", 2000, 2000, images_per_second=50.0).seconds_left == 0
