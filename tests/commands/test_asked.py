"""What the commands forget, unpublish, redrive, run and rejected hand on, and what they say of what comes back."""

from __future__ import annotations

import datetime as dt
import getpass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from imagefeatures import local, rejections, unpublish
from imagefeatures.cli import main
from imagefeatures.commands import forget as forget_command
from imagefeatures.commands import local_run
from imagefeatures.commands import redrive as redrive_command
from imagefeatures.commands import rejected as rejected_command
from imagefeatures.commands import run as run_command
from imagefeatures.commands import unpublish as unpublish_command
from imagefeatures.commands import upkeep as upkeep_command
from imagefeatures.errors import EXIT_INPUT_ERROR, AlertRaised, InputError
from imagefeatures.forget import work
from imagefeatures.redrive import choose
from imagefeatures.rejections import Rejections
from imagefeatures.settings import Settings
from imagefeatures.upkeep import work as upkeep_work

ID = "ab" * 32
MODULES = (forget_command, redrive_command, rejected_command, run_command, unpublish_command, upkeep_command)


def test_every_command_says_in_a_line_what_it_is_for() -> None:
    assert all(module.HELP and "\n" not in module.HELP for module in MODULES)


@pytest.mark.parametrize(("words", "by"), [([], getpass.getuser()), (["--by", "ada"], "ada")])
def test_forget_asks_for_what_was_given_in_somebodys_name(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], by: str
) -> None:
    asked: list[Any] = []

    def forget(*given: Any) -> None:
        *rest, tell = given
        asked.append(rest)
        tell(SimpleNamespace(lines=lambda: ["first", "second"]))

    monkeypatch.setattr(work, "forget", forget)
    given = ["--image-id", ID, "--image-id", ID[::-1], "--uri", "s3://b/1", "--why", "asked to", "--dry-run"]
    assert main(["forget", *given, *words]) == 0
    ((params, name, of),) = asked
    assert (params.image_ids, params.uris) == ((ID, ID[::-1]), ("s3://b/1",))
    assert (params.why, params.dry_run, name, of) == ("asked to", True, by, settings)
    assert capsys.readouterr().out == "first\nsecond\n"


@pytest.mark.parametrize(("words", "by"), [([], getpass.getuser()), (["--by", "ada"], "ada")])
def test_unpublish_takes_back_each_partition_that_matches(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], by: str
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(unpublish, "partitions", lambda *given: asked.append(given) or ["a", "b"])
    monkeypatch.setattr(
        unpublish, "withdraw", lambda *given: asked.append(given) or ("all" if given[1] == "b" else None)
    )
    command = ["unpublish", "birds", "--why", "wrong", *words]
    assert main([*command, "--partition", "2026-11-02", "--dry-run"]) == 0
    (dataset, params, of), *each = asked
    assert (dataset, params.partition, params.why, params.dry_run, of) == (
        "birds",
        "2026-11-02",
        "wrong",
        True,
        settings,
    )
    assert each == [("birds", partition, params, by, settings) for partition in ("a", "b")]
    assert capsys.readouterr().out == "all\n"
    monkeypatch.setattr(unpublish, "withdraw", lambda *given: None)
    assert main(command) == 0
    assert capsys.readouterr().out == "nothing that birds has published matches: no partition was changed\n"


def test_unpublish_hands_on_the_uris_of_a_file(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(unpublish, "partitions", lambda *given: asked.append(given[1]) or [])
    (tmp_path / "a.txt").write_text("s3://b/1\n")
    assert main(["unpublish", "birds", "--why", "x", "--uris", str(tmp_path / "a.txt")]) == 0
    assert asked[0].uris == ("s3://b/1",)
    assert main(["unpublish", "birds", "--why", "x"]) == 0
    assert (asked[1].uris, asked[1].dry_run) == (None, False)


class Ended:
    """How a run has ended. row: of features.runs."""

    def __init__(self, row: dict[str, Any]) -> None:
        self.row = row

    def __str__(self) -> str:
        return f"ended: {self.row}"


@pytest.fixture
def birds(settings: Settings) -> None:
    text = "name: birds\nsource: file:///photos/{partition}/\nalerts: {fail: true}\n"
    (settings.datasets / "birds.yaml").write_text(text)


@pytest.fixture
def redriven(settings: Settings, birds: None, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A re-drive of four partitions: the second has nothing, the third an error, the last an alert. What was asked."""
    asked: list[Any] = []

    def plan(dataset: Any, params: Any, partition: str, _: Settings) -> str | None:
        asked.append((dataset.name, params.reason, params.since, params.partition, params.uris, partition))
        if partition == "c":
            raise InputError("it is damaged")
        return None if partition == "b" else f"run of {partition}"

    def finish(run_file: str, _: Settings, **given: Any) -> Any:
        asked.append((run_file, given["workers"]))
        return SimpleNamespace(outcome=Ended({"run": run_file}))

    def statistics(dataset: Any, row: Any, _: Settings) -> None:
        if row["run"] in alerting:
            raise AlertRaised(f"{row['run']}: too many")

    alerting = {"run of d", "run of e"}
    monkeypatch.setattr(choose, "partitions", lambda *_: ["a", "b", "c", "d"])
    monkeypatch.setattr(choose, "plan_redrive", plan)
    monkeypatch.setattr(local, "finish_run", finish)
    monkeypatch.setattr(local_run, "statistics", statistics)
    return asked


REDRIVE = ["redrive", "birds", "--workers", "3", "--since", "2026-11-01", "--reason", "TRUNCATED"]


def test_a_redrive_goes_on_after_what_it_leaves_out_and_says_it_at_the_end(
    redriven: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(REDRIVE) == EXIT_INPUT_ERROR
    assert redriven[0] == ("birds", "TRUNCATED", dt.date(2026, 11, 1), None, None, "a")
    assert [one for one in redriven if len(one) == 2] == [("run of a", 3), ("run of d", 3)]
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "birds a, a re-drive; 3 workers",
        "ended: {'run': 'run of a'}",
        "birds d, a re-drive; 3 workers",
        "ended: {'run': 'run of d'}",
    ]
    first, last = err.splitlines()
    assert first == "c is left out: it is damaged"
    assert last == "imagefeatures: 1 partition of birds was not taken again: c; the lines above say why"


def test_alerts_of_a_redrive_are_its_error_where_nothing_was_left_out(
    redriven: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(choose, "partitions", lambda *_: ["a", "d", "e"])
    assert main(REDRIVE) == EXIT_INPUT_ERROR
    assert [one for one in redriven if len(one) == 2] == [("run of a", 3), ("run of d", 3), ("run of e", 3)]
    assert capsys.readouterr().err == "imagefeatures: run of d: too many; run of e: too many\n"


def test_a_redrive_that_finds_nothing_says_so(
    redriven: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "nothing that is quarantined of birds matches: no partition was changed\n"
    for partitions, found in ((["b"], True), ([], True), (["a"], False)):
        monkeypatch.setattr(choose, "partitions", lambda *_, partitions=partitions: partitions)
        assert main(REDRIVE) == 0
        assert (said in capsys.readouterr().out) is found


def test_a_run_of_which_nothing_was_published_has_neither_cost_nor_table(
    birds: None, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[Any] = []
    result = SimpleNamespace(outcome=Ended({}), seconds={"plan": 0.25, "ingest": 1.5})
    monkeypatch.setattr(local, "run_partition", lambda *_, **__: result)
    monkeypatch.setattr(local_run, "statistics", lambda dataset, row, of: rows.append((dataset.name, row, of)))
    assert main(["run", "birds", "2026-11-02", "--workers", "1"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "birds 2026-11-02; in this process",
        "ended: {}",
        "1.8 s in all; seconds of each step: plan 0.2, ingest 1.5",
    ]
    assert rows == [("birds", {}, settings)]


def test_the_rejected_are_counted_by_reason_the_most_frequent_first(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"reason": "CORRUPT", "uri": "s3://b/1", "detail": "cut"}
    reasons = {"TRUNCATED": 2, "CORRUPT": 2, "EMPTY_OBJECT": 1200}
    asked: list[Any] = []

    def find(*given: Any) -> Rejections:
        asked.append(given)
        return Rejections("run-1", False, None, reasons, lambda: iter([row, row]))

    monkeypatch.setattr(rejections, "find", find)
    assert main(["rejected", "birds"]) == 0
    assert asked == [(settings, "birds", "all", None)]
    assert capsys.readouterr().out.splitlines() == [
        "birds all, run run-1, not published: 1,204 objects rejected",
        "  1,200 × EMPTY_OBJECT",
        "  2 × CORRUPT",
        "  2 × TRUNCATED",
        *["CORRUPT  s3://b/1  cut"] * 2,
    ]


@pytest.mark.parametrize(("refused", "status"), [([], 0), (["s3://b/1 is another's"], 1)])
def test_upkeep_says_what_was_removed_and_is_status_1_where_something_is_left(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    refused: list[str], status: int,
) -> None:  # fmt: skip
    asked: list[Any] = []

    def upkeep(of: Settings, dry_run: bool) -> Any:
        asked.append((of, dry_run))
        return SimpleNamespace(lines=lambda: ["one", "two"], refused=refused)

    monkeypatch.setattr(upkeep_work, "upkeep", upkeep)
    assert main(["upkeep"]) == main(["upkeep", "--dry-run"]) == status
    assert asked == [(settings, False), (settings, True)]
    assert capsys.readouterr().out == "one\ntwo\n" * 2
