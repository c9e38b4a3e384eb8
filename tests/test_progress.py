"""Where a run stands, read from real receipts, and the progress lines."""

from __future__ import annotations

import io
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from imagefeatures import manifest, progress, shards, storage
from imagefeatures.layout import model_facts
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
    assert (step.step, step.done, step.total, step.finished, step.no_model) == ("ingest", 0, 5, False, False)
    for shard in range(listing.shards):
        ingest.run_shard(run, shard)
    first, second = progress.read_status(run.layout).steps
    assert (first.done, first.passed, first.finished) == (5, 4, True)
    assert (second.step, second.done, second.total) == ("validate", 0, 4)
    validate.run_shard(run, 0)
    assert progress.read_status(run.layout).steps[-1].done == 1
    assert progress.read_status(run.layout).steps[-1].images_per_second == 0  # the start is in it
    validate.run_shard(run, 1)
    assert progress.read_status(run.layout).steps[-1].done == 2
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
    assert progress.read_status(run.layout).steps[-1].no_model
    storage.write(model_facts(run.lake, run.fingerprint), b"{}")
    assert not progress.read_status(run.layout).steps[-1].no_model
    for shard in range(listing.shards):
        ShardWork(run.layout, "featurize", shard).finish(1, pa.table({"row": [0]}))
        storage.delete_folder(model_facts(run.lake, run.fingerprint).rpartition("/")[0])
        assert not progress.read_status(run.layout).steps[-1].no_model  # those that compute have it
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
    """seen: what has been flushed."""

    seen = ""

    def flush(self) -> None:
        self.seen = self.getvalue()

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
    make_run(source)
    told.tick()
    assert out.getvalue().splitlines()[-1].count("1/5 ingest") == 1  # of the run that comes after it


def test_on_a_terminal_the_lines_are_redrawn_in_place(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    out = Terminal()
    told = progress.Progress(run.lake, "photos", ["2026-11-01", "2026-11-02"], out)
    told.tick()
    told.tick()
    first, second = out.getvalue().split("\x1b[2F")
    assert first.count("\n") == second.count("\n") == 2
    assert all(len(line.removesuffix("\x1b[K")) < 40 for line in first.splitlines())


@pytest.mark.parametrize(("columns", "bar"), [(200, 20), (84, 9), (81, 6)])
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


def receipt(shard: int, start: float, seconds: float, images: int = 10) -> shards.Receipt:
    output = shards.StagedFile("file:///none", images, 1, "")
    return shards.Receipt("resize", shard, images, output, None, {}, start, seconds)


def test_a_rate_leaves_out_the_shards_with_which_workers_began() -> None:
    """Two workers whose first shards took 5 s, of which 4 were their start, and whose others took 1 s each."""
    first = [receipt(0, 100.0, 5.0), receipt(1, 100.1, 5.0)]
    begun = progress.StepStatus.of("resize", first, total=60, count=6)
    assert (begun.done, begun.images_per_second, begun.seconds_left) == (20, 0.0, None)
    later = [receipt(2, 105.0, 1.0), receipt(3, 105.1, 1.0)]
    under_way = progress.StepStatus.of("resize", first + later, total=60, count=6)
    assert under_way.images_per_second == pytest.approx(20 / 1.1)
    assert under_way.seconds_left == pytest.approx(20 * 1.1 / 20)
    whole = progress.StepStatus.of("resize", first + later, total=40, count=4)
    assert whole.images_per_second == pytest.approx(40 / 6.1)  # a step that is done: all of it


def test_a_line_has_no_rate_before_one_is_known(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    lines = {
        "starting": progress.StepStatus("ingest", 0, 2000),
        "500 of 2,000": progress.StepStatus("ingest", 500, 2000, 500, 0.0),
        "waits for the model: once for a lake it is downloaded, converted and checked": progress.StepStatus(
            "featurize", 0, 2000, no_model=True
        ),
    }
    for end, step in lines.items():
        told = progress.Progress(run.lake, "photos", ["2026-11-02"], out := Terminal())
        told.update(progress.Status("r", (step,)))
        assert out.seen == out.getvalue()
        assert out.getvalue().splitlines()[-1].removesuffix("\x1b[K").endswith(f"  {end}")


def test_a_line_of_the_callers_own_stays_above_the_progress(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    told = progress.Progress(run.lake, "photos", ["2026-11-01", "2026-11-02"], out := Terminal())
    told.tick()
    told.say("preparing the model: the weights …")
    told.tick()
    first, second = out.getvalue().split("\x1b[2F\x1b[J")
    assert first.count("\n") == 2
    assert second.splitlines()[0].endswith(" s  preparing the model: the weights …")
    assert second.count("\n") == 3
    assert not re.search(r"\x1b\[\d+F", second)


def test_a_line_of_progress_is_printed_every_two_seconds_at_most_and_a_step_that_ends_at_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(monotonic=lambda: seconds)
    monkeypatch.setattr(progress, "time", clock)
    seconds = 100.0
    told = progress.Progress(settings.lake, "photos", ["2026-11-02"], out := io.StringIO())
    ended = progress.StepStatus("ingest", 9, 9, 8, 3.0, finished=True)
    for at, steps in {
        1.0: [progress.StepStatus("ingest", 1, 9)],
        2.0: [progress.StepStatus("ingest", 2, 9)],
        3.0: [progress.StepStatus("ingest", 3, 9)],
        3.5: [ended],
        4.9: [ended, progress.StepStatus("validate", 0, 8)],
        9.0: [ended, progress.StepStatus("validate", 0, 8)],
        9.6: [ended, progress.StepStatus("validate", 8, 8, 8, 2.0, finished=True)],
    }.items():
        seconds = 100.0 + at
        told.update(progress.Status("r", tuple(steps)))
    assert [re.sub("[█░]", "", line).split() for line in out.getvalue().splitlines()] == [
        line.split()
        for line in (
            "1 s  2026-11-02  1/5 ingest  1 of 9",
            "3 s  2026-11-02  1/5 ingest  3 of 9",
            "4 s  2026-11-02  1/5 ingest  9 images at 3 images/s, 1 rejected",
            "9 s  2026-11-02  2/5 validate  0 of 8  starting",
            "10 s  2026-11-02  2/5 validate  8 images at 2 images/s",
        )
    ]


def test_a_status_is_not_behind_one_of_as_much_work() -> None:
    """Or a step that no longer waits for the model would be said to wait."""
    done = [progress.Status("r", (progress.StepStatus("ingest", count, 9),)) for count in (1, 1, 2)]
    assert not done[0].behind(done[1])
    assert done[0].behind(done[2])
    assert not done[2].behind(done[0])


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (89.4, "89 s"), (90, "2 min"), (3569, "59 min"), (3571, "1 h 0 min"), (7_300, "2 h 2 min")],
)
def test_a_duration_is_told_in_seconds_minutes_and_hours(seconds: float, words: str) -> None:
    assert progress.duration(seconds) == words
