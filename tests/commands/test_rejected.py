"""`imagefeatures rejected`: every object that a run has rejected, also of a run that failed over its budget."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest

from imagefeatures import local, rejections
from imagefeatures.cli import main
from imagefeatures.datasets import Dataset
from imagefeatures.errors import EXIT_INPUT_ERROR, TooManyRejected
from imagefeatures.plan import Run, load_run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings, program
from imagefeatures.steps.register import register
from support.photos import fill, jpeg
from support.shared import PARTITION, THIS_PROCESS

BAD = 30


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    files = {f"{number:02d}.jpg": b"no picture" for number in range(BAD)}
    odd = {"=cmd|'calc'!A0.jpg": b"", 'a,"b"\nc.jpg': b"", "red\x1b[31m.jpg": b""}
    folder = fill(tmp_path / "photos" / PARTITION, files | odd | {"good.jpg": jpeg(1)})
    return Dataset(name="birds", source=f"file://{folder.parent}/{{partition}}/", limits={"max_rejected": 0.1})


def failed(dataset: Dataset, settings: Settings) -> Run:
    run = load_run(plan_run(dataset, RunParams(shard_images=7), PARTITION, settings))
    with pytest.raises(TooManyRejected, match=f"; all of them: {re.escape(program())} rejected birds 2026-11-02$"):
        local.run_steps(run, THIS_PROCESS)
    return run


def test_a_run_over_its_budget_lists_all_of_them(
    dataset: Dataset, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    run = failed(dataset, settings)
    assert main(["rejected", "birds", PARTITION]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == f"birds {PARTITION}, run {run.run_id}, not published: 33 of 34 objects rejected"
    assert lines[:2] == ["  30 × UNSUPPORTED_FORMAT", "  3 × EMPTY_OBJECT"]
    assert len(lines) == 2 + 33
    assert sum(line.startswith("UNSUPPORTED_FORMAT  file://") for line in lines) == BAD
    assert not any("\x1b" in line for line in lines)
    assert main(["rejected", "birds", PARTITION, "--run", run.run_id, "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert list(rows[0]) == list(rejections.COLUMNS)
    expected = {f"{run.source}{path.name}" for path in Path(run.source.uri.removeprefix("file://")).iterdir()}
    assert {row["uri"] for row in rows} == expected - {f"{run.source}good.jpg"}
    assert {row["step"] for row in rows} == {"ingest", "validate"}


def test_a_published_run_lists_its_quarantine_until_a_newer_one_fails(
    dataset: Dataset, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    lenient = load_run(plan_run(dataset, RunParams(max_rejected=1), PARTITION, settings))
    local.run_steps(lenient, THIS_PROCESS)
    register(lenient.layout.run_file, settings)
    assert main(["rejected", "birds", PARTITION]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == f"birds {PARTITION}, run {lenient.run_id}, published: 33 of 34 objects rejected"
    assert len(lines) == 2 + 33
    newer = failed(dataset, settings).model_copy()
    assert max(newer.run_id, lenient.run_id) == newer.run_id or newer.run_id[:15] == lenient.run_id[:15]
    assert main(["rejected", "birds", PARTITION, "--run", newer.run_id]) == 0
    assert f"run {newer.run_id}, not published" in capsys.readouterr().out
    assert main(["rejected", "birds", PARTITION, "--run", lenient.run_id]) == 0
    assert f"run {lenient.run_id}, published" in capsys.readouterr().out


def test_the_rows_are_read_file_by_file(dataset: Dataset, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    run = failed(dataset, settings)
    read: list[str] = []
    original = rejections.shards.read_staged
    monkeypatch.setattr(
        rejections.shards, "read_staged", lambda file, columns: (read.append(file.uri), original(file, columns))[1]
    )
    rows = rejections.of_staged(run.layout).rows()
    next(rows)
    assert len(read) == 1
    assert len(list(rows)) == 32
    assert len(read) > 5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["birds", PARTITION], "no run of birds 2026-11-02: none is published or unfinished"),
        (["birds"], "no run of birds all: none is published or unfinished"),
        (["Birds"], "DATASET: 'Birds' cannot be one"),
        (["birds", "../x"], "PARTITION: '../x' cannot be one"),
        (["birds", PARTITION, "--run", "x/y"], "--run: 'x/y' cannot be one"),
    ],
)
def test_what_is_not_there_is_refused(
    settings: Settings, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(["rejected", *words]) == EXIT_INPUT_ERROR
    assert capsys.readouterr().err == f"imagefeatures: {said}\n"


def test_an_unknown_run_names_those_that_are_there(
    dataset: Dataset, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    run = failed(dataset, settings)
    assert main(["rejected", "birds", PARTITION, "--run", "other"]) == EXIT_INPUT_ERROR
    assert capsys.readouterr().err == f"imagefeatures: no run other of birds {PARTITION}: there are {run.run_id}\n"
