"""What the commands of this machine share: workers, how to go on, the statistics, and the lines about the table."""

from __future__ import annotations

import argparse
import os
from typing import Any

import pytest

from imagefeatures import local
from imagefeatures.catalog import connect
from imagefeatures.commands import local_run
from imagefeatures.datasets import Dataset
from imagefeatures.errors import InputError, StoreError, StoreRefused
from imagefeatures.models.backbones import BACKBONES
from imagefeatures.quality import notify, record
from imagefeatures.settings import Settings, program

HINT = "Finished shards are kept. To go on: go on --resume\n"


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    local_run.add_arguments(parser)
    return parser.parse_args(words)


def test_workers_are_as_many_as_cores_or_as_is_said() -> None:
    assert (parsed().workers, parsed().resume) == (local_run.usable_cores(), False)
    assert (parsed("--workers", "1").workers, parsed("--resume").resume) == (1, True)
    with pytest.raises(argparse.ArgumentError, match=r"must be at least 1 \(got 0\)"):
        parsed("--workers", "0")


def test_where_the_system_does_not_say_which_cores_may_be_used_it_is_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    for cores, used in ((7, 7), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        assert local_run.usable_cores() == used


@pytest.mark.parametrize(
    ("runs", "error", "said"),
    [
        (("", "run-1", False), StoreError("away"), HINT),
        (("run-1", "run-1", False), StoreError("away"), ""),  # an older run: this one was never planned
        (("run-1", "run-1", True), StoreError("away"), HINT),
        (("run-1", "run-2", False), StoreError("away"), HINT),
        (("", "", True), StoreError("away"), ""),
        (("", "run-1", False), KeyboardInterrupt(), HINT),
        (("", "run-1", False), InputError("a wrong word"), ""),  # another try would not change it
        (("", "run-1", False), StoreRefused("the disk is full"), HINT),
        (("", "run-1", False), ValueError("a fault of ours"), ""),
    ],
)
def test_how_to_go_on_is_said_of_a_run_that_was_begun_and_may_pass(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    runs: tuple[str, str, bool], error: BaseException, said: str,
) -> None:  # fmt: skip
    before, after, planned = runs
    there = [before]

    def unfinished(*_: object) -> str:
        if not there[0]:
            raise InputError("there is no unfinished run")
        return there[0]

    monkeypatch.setattr(local, "unfinished_run", unfinished)
    with (
        pytest.raises(type(error)) as raised,
        local_run.resumable(settings, "birds", "all", "go on", planned=planned),
    ):
        there[0] = after
        raise error
    assert raised.value is error
    assert capsys.readouterr() == ("", said)


def test_statistics_of_a_run_are_told_to_whom_the_dataset_names(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = Dataset(name="birds", source="file:///photos/")
    rows: list[dict[str, Any]] | None = [{"table": "birds", "alerts": {"rejected": "too many"}}]
    recorded: list[object] = []
    told: list[object] = []
    monkeypatch.setattr(record, "record", lambda *given: recorded.append(given) or rows)
    monkeypatch.setattr(notify, "tell", lambda *given: told.append(given))
    local_run.statistics(dataset, {}, settings)
    assert recorded == []
    published = {"partition_key": "all", "run_id": "run-1"}
    local_run.statistics(dataset, published, settings)
    assert recorded == [("birds", "all", "run-1", dataset.alerts, settings)]
    assert told == [(rows, dataset.alerts, {}, ())]
    assert capsys.readouterr() == ("", "alert: rejected: too many\n")
    rows = None  # they were there
    local_run.statistics(dataset, published, settings)
    assert told[1:] == [([], dataset.alerts, {}, ())]

    def fails(*_: object) -> None:
        raise StoreError("the store is away")

    monkeypatch.setattr(record, "record", fails)
    local_run.statistics(dataset, published, settings)
    said = "birds all is published; its statistics are not: the store is away\n"
    assert (capsys.readouterr(), len(told)) == (("", said), 2)


def about(settings: Settings, **fields: Any) -> list[str]:
    dataset = Dataset.model_validate({"name": "birds", "source": "file:///photos/"} | fields)
    return list(local_run.about_table(dataset, settings))


def python(rest: str) -> list[str]:
    return [
        "",
        "    from imagefeatures import read",
        "    from imagefeatures.settings import Settings",
        f"    rows = read.table(Settings.from_env(), {rest}",
    ]


PIXELS = '"birds", what="pixels")  # uri, label, pixels, …; read.pixels(rows): [n, h, w, channels]'


def vectors(width: int) -> str:
    return f'"birds")  # uri, label, features, …; read.vectors(rows) is float32 [n, {width}]'


def test_the_lines_about_the_table_read_it(settings: Settings) -> None:
    width = BACKBONES["mobilenet_v2"].width
    first = [
        f"The table: features.birds, in {connect.describe(settings.catalog)},",
        f"  its files in {settings.lake}/warehouse/features/birds. To read it, with {program('python')}:",
    ]
    assert about(settings) == first + python(vectors(width))
    kept = ["", f"    rows = read.table(Settings.from_env(), {PIXELS}"]
    assert about(settings, pixels="keep") == first + python(vectors(width)) + kept


def test_a_dataset_of_pixels_alone_is_read_by_its_pixels(settings: Settings) -> None:
    lines = about(settings, pixels="keep", features="none")
    assert lines[0].startswith("The table: features.birds_pixels, in ")
    assert lines[2:] == python(PIXELS)


def test_the_tables_of_further_models_are_named(settings: Settings) -> None:
    lines = about(settings, models=["vgg16", "resnet50", "mobilenet_v2"])
    assert lines[-1] == (
        "The tables of the other models are read in the same way: birds__resnet50, birds__mobilenet_v2."
    )
    assert lines[-2] == ""


def test_workers_are_no_more_than_a_machine_can_start() -> None:
    most = local_run.MOST_WORKERS
    assert parsed("--workers", str(most)).workers == most
    with pytest.raises(argparse.ArgumentError, match=rf"must be at most {most} \(got {most + 1}\)$"):
        parsed("--workers", str(most + 1))


def test_what_begins_is_said_with_its_workers(capsys: pytest.CaptureFixture[str]) -> None:
    for workers in (1, 2):
        local_run.announce("birds all", workers)
    assert capsys.readouterr().out == "birds all; in this process\nbirds all; 2 workers\n"
