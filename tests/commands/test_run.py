"""`imagefeatures run`: one partition from the command line, and how to go on with one that was interrupted."""

from __future__ import annotations

import datetime as dt
import logging
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from imagefeatures import local, read, storage
from imagefeatures.cli import main
from imagefeatures.commands import local_run
from imagefeatures.dataset_files import find_dataset
from imagefeatures.errors import EXIT_INPUT_ERROR, StoreError
from imagefeatures.layout import Layout
from imagefeatures.plan import load_run, plan_run
from imagefeatures.quality import record
from imagefeatures.run_params import RunParams
from imagefeatures.settings import REPOSITORY, Settings, program
from imagefeatures.steps import STEPS
from support.photos import fill, jpeg
from support.shared import PARTITION

IMAGES = 24


@pytest.fixture
def dataset(settings: Settings, lake_with_model: str, tmp_path: Path) -> str:
    """A dataset file, and some photos and an empty file of one partition. Its name."""
    files = {f"{PARTITION}/{at % 2}/{at:02d}.jpg": jpeg(at) for at in range(IMAGES)}
    folder = fill(
        tmp_path / "photos",
        files | {f"{PARTITION}/{name}": b"" for name in ("0/empty.jpg", "0/Thumbs.db", "raw/1.jpg")},
    )
    text = f"name: birds\nsource: file://{folder}/{{partition}}/\nexclude: raw/\nlimits: {{max_rejected: 0}}\n"
    (settings.datasets / "birds.yaml").write_text(text)
    return "birds"


def test_a_day_may_be_named_by_a_word(
    dataset: str, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    yesterday = str(dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1))
    (tmp_path / "photos" / PARTITION).rename(tmp_path / "photos" / yesterday)
    assert main(["run", dataset, "Yesterday", "--workers", "1", "--max-rejected", "0.1"]) == 0
    assert capsys.readouterr().out.startswith(f"birds {yesterday}; in this process\n")
    assert {row["partition_key"] for row in read.runs(settings)} == {yesterday}


@pytest.mark.long
def test_an_alert_is_told_and_ends_the_command_with_an_error_only_where_that_is_asked_for(
    dataset: str, settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = settings.datasets / f"{dataset}.yaml"
    without = file.read_text()
    command = ["run", dataset, PARTITION, "--workers", "1", "--max-rejected", "0.1"]
    said = "alert: quarantine_rate: 1 of 25 objects are quarantined, 4.00%; the bound is 1.00%\n"
    file.write_text(f"{without}alerts: {{quarantine_rate: 0.01}}\n")
    assert main(command) == 0
    assert capsys.readouterr().err == said
    file.write_text(f"{without}alerts: {{quarantine_rate: 0.01, fail: true}}\n")
    assert main(command) == EXIT_INPUT_ERROR
    text = f"features.birds {PARTITION}: {said.removeprefix('alert: ').strip()}"
    assert capsys.readouterr().err == (
        f"{said}imagefeatures: {text}. The run is published; it fails because alerts.fail is true\n"
    )
    (row,) = read.table(settings, "statistics").to_pylist()
    (run,) = read.runs(settings)
    assert (row["run_id"], row["pictures"], row["listed"]) == (run["run_id"], 24, 25)

    def fails(*_: object) -> None:
        raise StoreError("the store is away")

    monkeypatch.setattr(record, "record", fails)
    assert main(command) == 0
    assert capsys.readouterr().err == f"birds {PARTITION} is published; its statistics are not: the store is away\n"


def test_a_partition_is_run_and_told(
    dataset: str, settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGEFEATURES_PRICES", "core_hour=3600, currency=EUR")
    assert main(["run", dataset, PARTITION, "--workers", "1", "--max-rejected", "0.1"]) == 0
    out, err = capsys.readouterr()
    first, *lines, result, seconds, cost, table, _, _, _, _, reading = out.splitlines()
    assert err == ""
    assert table.startswith("The table: features.birds, in ")
    assert reading.startswith('    rows = read.table(Settings.from_env(), "birds")  # uri, label, features')
    assert first == f"birds {PARTITION}; in this process"
    assert [line for line in lines if f"{PARTITION}  1/5 ingest     25 images at " in line]
    assert [line for line in lines if f"{PARTITION}  4/5 featurize  24 images at " in line]
    assert "\x1b" not in out  # no terminal: plain lines
    counts = "25 listed = 24 registered (0 reused, 24 computed) + 1 quarantined (EMPTY_OBJECT 1); "
    counts += "2 objects passed over (default_excludes 1, exclude 1); "
    assert result.startswith(f"registered: features.birds {PARTITION}: {counts}")
    number = r"\d+\.\d"
    by_step = [f"{step} {number}" for step in ("plan", "model", *STEPS)]
    assert re.fullmatch(rf"{number} s in all; seconds of each step: {', '.join(by_step)}", seconds)
    assert re.fullmatch(
        rf"Cost: {number} core-seconds \({number} images a core-second\), at most [\d,]+ MB a worker, [\d,.]+ MB read, "
        rf"[\d,.]+ MB written, [\d,.]+ EUR, [\d,]+\.\d\d EUR for a million images",
        cost,
    )
    assert read.table(settings, "birds").num_rows == IMAGES
    (row,) = read.runs(settings, "birds")
    assert row["passed_over"] == [("default_excludes", 1), ("exclude", 1)]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["nobody", PARTITION], "no dataset file for 'nobody' in "),
        (["birds", "2026/11/02"], "partition: must be a name such as 2026-11-02"),
        (["birds", PARTITION, "--max-rejected", "2"], "max_rejected: must be at most 1 (got "),
        (["birds", PARTITION, "--reuse", "perhaps"], "reuse: must be true or false"),
        (["birds", PARTITION, "--shard-images", "0"], "shard_images: must be at least 1"),
        (["birds", PARTITION, "--resume"], f"there is no unfinished run of birds {PARTITION} in file://"),
        (["birds", PARTITION, "--resume", "--sample", "0.1"], "--resume: the run goes on by its own parameters"),
        (["birds", "2026-12-24"], "NO_INPUT: there is no folder file://"),
        (["birds", PARTITION], "1 of 25 objects rejected, limits.max_rejected allows 0.0%: EMPTY_OBJECT 1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_input_error_is_one_line_and_status_65(
    dataset: str, capsys: pytest.CaptureFixture[str], words: list[str], text: str
) -> None:
    assert main(["run", *words, "--workers", "1"]) == EXIT_INPUT_ERROR
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"imagefeatures: {text}")


def test_every_run_parameter_is_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "--help"])
    assert ended.value.code == 0
    options = set(re.findall(r"^  (--[a-z-]+)", capsys.readouterr().out, re.MULTILINE))
    assert options == {
        "--workers", "--resume", "--sample", "--max-rejected", "--decode-seconds", "--reuse", "--shard-images",
        "--shard-bytes", "--replace-newer",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["birds", "--sampel=0.1234567"],
         "imagefeatures run: --sampel=0.1234567: no such argument (did you mean --sample?)"),
        (["birds", PARTITION, "--colour=red"], "imagefeatures run: --colour=red: no such argument"),
        (["birds", PARTITION, "another"], "imagefeatures run: another: no such argument"),
        ([], "imagefeatures run: the following arguments are required: DATASET"),
    ],
)  # fmt: skip
def test_an_argument_that_is_not_known_is_refused_in_one_line(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", *words])
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"{line}; see imagefeatures run --help\n"


def test_a_count_of_workers_below_one_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "birds", PARTITION, "--workers", "0"])
    assert ended.value.code == 2
    assert "--workers: must be at least 1 (got 0)" in capsys.readouterr().err


def test_as_many_workers_as_there_are_cores() -> None:
    assert local_run.usable_cores() == len(os.sched_getaffinity(0))


def test_what_may_pass_is_status_1_and_says_how_to_go_on(
    dataset: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def away(*_: object) -> None:
        raise StoreError("s3://b: no answer in 60 s")

    monkeypatch.setattr(local, "prepare_model", away)
    assert main(["run", dataset, PARTITION, "--workers", "1"]) == 1
    hint, error = capsys.readouterr().err.splitlines()
    assert hint == f"Finished shards are kept. To go on: {program()} run birds {PARTITION} --resume"
    assert error == "imagefeatures: s3://b: no answer in 60 s"


def test_a_run_that_fails_before_it_is_planned_names_no_older_one_to_go_on_with(
    dataset: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def away(*_: object, **__: object) -> None:
        raise StoreError("s3://b: no answer in 60 s")

    with monkeypatch.context() as older:
        older.setattr(local, "prepare_model", away)
        assert main(["run", dataset, PARTITION, "--workers", "1"]) == 1
    monkeypatch.setattr(local, "plan_run", away)
    capsys.readouterr()
    assert main(["run", dataset, PARTITION, "--workers", "1"]) == 1
    assert capsys.readouterr().err == "imagefeatures: s3://b: no answer in 60 s\n"
    monkeypatch.setattr(local, "finish_run", away)
    assert main(["run", dataset, PARTITION, "--workers", "1", "--resume"]) == 1
    assert "To go on" in capsys.readouterr().err


@pytest.mark.long
def test_ctrl_c_leaves_receipts_and_no_process_and_resume_goes_on(
    dataset: str, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", dataset, PARTITION, "--workers", "2", "--shard-images", "1", "--max-rejected", "0.1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "imagefeatures.cli", *words], cwd=REPOSITORY, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True, preexec_fn=_hear_ctrl_c,
    )  # fmt: skip
    while len(receipts := receipts_of(settings, "resize")) < 3:  # the engine is still to be loaded
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    go_on = f"Finished shards are kept. To go on: {program()} run birds {PARTITION} --resume"
    assert err.splitlines() == [go_on, "imagefeatures: stopped"]
    deadline = time.monotonic() + 20
    while left := [other for other in psutil.process_iter() if group_of(other) == process.pid]:
        assert time.monotonic() < deadline, [(other.pid, other.cmdline()) for other in left]
        time.sleep(0.1)
    assert main(["run", dataset, PARTITION, "--workers", "1", "--resume"]) == 0
    assert "24 registered" in capsys.readouterr().out
    assert receipts
    assert list(storage.list_objects(f"{settings.lake}/staging")) == []


def test_an_older_run_is_resumed_only_where_somebody_says_so(
    dataset: str, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    params = RunParams.parse({"max_rejected": 0.1})
    older = load_run(plan_run(find_dataset(settings.datasets, dataset), params, PARTITION, settings))
    assert main(["run", dataset, PARTITION, "--workers", "1", "--max-rejected", "0.1"]) == 0
    resume = ["run", dataset, PARTITION, "--workers", "1", "--resume"]
    assert main(resume) == EXIT_INPUT_ERROR
    (line,) = capsys.readouterr().err.splitlines()
    assert f"run {older.run_id} was planned at " in line
    assert older.run_id not in read.table(settings, "birds")["run_id"].to_pylist()
    assert main([*resume, "--replace-newer", "true"]) == 0
    assert set(read.table(settings, "birds")["run_id"].to_pylist()) == {older.run_id}


def _hear_ctrl_c() -> None:
    """A shell's background job ignores Ctrl-C, and all that it starts does too: not so the command under test."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def receipts_of(settings: Settings, step: str) -> list[Path]:
    staging = Path(Layout(settings.lake, "birds", PARTITION, "").run.removeprefix("file://"))
    return list(staging.glob(f"*/{step}/shard-?????.json"))


def group_of(process: psutil.Process) -> int | None:
    try:
        return os.getpgid(process.pid)
    except ProcessLookupError:
        return None


def test_what_is_done_to_prepare_the_model_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    local_run.announce("fruit 2026-11-02", workers=2)
    local_run.announce("fruit 2026-11-02", workers=1)  # a second command of one process says nothing twice
    logging.getLogger("imagefeatures.models.prepare").info("preparing the model: %s", "the weights")
    first, second, line = capsys.readouterr().out.splitlines()
    assert (first, second) == ("fruit 2026-11-02; 2 workers", "fruit 2026-11-02; in this process")
    assert line == "preparing the model: the weights"
