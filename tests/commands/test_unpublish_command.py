"""`imagefeatures unpublish` and the DAG `unpublish_<dataset>`: what they ask for, and what they say."""

from __future__ import annotations

import getpass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from imagefeatures import read
from imagefeatures.catalog import tables
from imagefeatures.cli import main
from imagefeatures.errors import EXIT_INPUT_ERROR, ImageFeaturesError, ParamsError
from imagefeatures.settings import Settings
from imagefeatures_airflow import upkeep_tasks
from support.measured import clouds, publish
from support.publishing import delete_rows
from support.redriving import small_partition
from support.shared import PARTITION


@pytest.mark.long
def test_the_command_and_the_task_take_back_what_they_are_asked_to_and_say_it(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    partition = small_partition(tmp_path / "photos", settings, limits={"max_rejected": 1})
    uris = tmp_path / "wrong.txt"
    uris.write_text("\n".join(uri for uri in partition.features if uri.endswith("/a.jpg")))
    capsys.readouterr()
    words = ["unpublish", "photos", "--uris", str(uris), "--why", "wrong"]
    assert main([*words, "--dry-run"]) == main(words) == main(words) == 0
    first, second, third = capsys.readouterr().out.splitlines()
    said = f"taken back: features.photos {PARTITION}, run "
    assert first.startswith(f"would be {said}")
    assert second.startswith(said)
    assert ": 1 registered and 0 quarantined rows; 1 registered rows stay, as run " in second
    assert third == "nothing that photos has published matches: no partition was changed"
    partition.check()
    run: Any = SimpleNamespace(run_after=None, triggering_user_name="gra\udcffce")
    form = {"partition": PARTITION, "uris": None, "why": "all of it", "dry_run": False}
    (line,) = upkeep_tasks.withdraw("photos", form, run)
    assert capsys.readouterr().out == f"{line}\n"
    assert read.runs(settings) == []
    rows = read.table(settings, "withdrawals").sort_by("withdrawn_at").to_pylist()
    assert [(row["asked_by"], row["why"]) for row in rows] == [
        (getpass.getuser(), "wrong"),
        ("gra\\udcffce", "all of it"),
    ]


@pytest.mark.parametrize("by", ["command", "task"])
def test_what_is_wrong_with_one_partition_stops_no_other(
    by: str, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the first day somebody has deleted a row, so it cannot be told what stays."""
    days = [f"2026-11-0{day}" for day in (1, 2, 3)]
    for day in days:
        publish(settings, day, clouds(0, 3))
    table = tables.open_catalog(settings).load_table("features.photos")
    (file,) = [one.file.file_path for one in table.scan(row_filter=f"partition_key == '{days[0]}'").plan_files()]
    delete_rows(table, file, [1], days[0])
    uris = tmp_path / "wrong.txt"
    uris.write_text("\n".join(f"s3://b/{day}/0.JPG" for day in days))
    end = f"1 partition of photos was not taken back: {days[0]}; the lines above say why"
    if by == "command":
        assert main(["unpublish", "photos", "--uris", str(uris), "--why", "x"]) == 1
        said = capsys.readouterr().err.splitlines()
        assert said[-1] == f"imagefeatures: {end}"
    else:
        form = {"partition": None, "uris": uris.read_text().splitlines(), "why": "x", "dry_run": False}
        with pytest.raises(ImageFeaturesError, match=f"^{end}$"):
            upkeep_tasks.withdraw("photos", form, None)
        said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"{days[0]} is left out: features.photos {days[0]}: the tables do not hold what run ")
    assert {row["partition_key"]: row["registered"] for row in read.runs(settings)} == dict(
        zip(days, (3, 2, 2), strict=True)
    )


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["Birds", "--why", "x"], "DATASET: 'Birds' cannot be one"),
        (["birds", "--why", "x"], "DATASET: no partition of 'birds' is published"),
        (["birds", "--why", ""], "why: "),
        (["birds", "--why", "x", "--partition", "a/b"], "partition: must be a name such as 2026-11-02"),
        (["birds", "--why", "x", "--uris", "nowhere.txt"], "--uris: nowhere.txt: No such file or directory"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.usefixtures("settings")
def test_what_is_wrong_is_one_line_and_status_65(
    capsys: pytest.CaptureFixture[str], words: list[str], text: str
) -> None:
    assert main(["unpublish", *words]) == EXIT_INPUT_ERROR
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"imagefeatures: {text}")


def test_without_a_reason_nothing_is_taken_back(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["unpublish", "birds"])
    assert "--why" in capsys.readouterr().err
    with pytest.raises(ParamsError, match=r"^why: "):
        upkeep_tasks.withdraw("birds", {"partition": None, "uris": None, "dry_run": True})
