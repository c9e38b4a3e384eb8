"""A source without partitions: no partition is demanded, and the same objects under two partitions are warned of."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from imagefeatures import local, publications, read
from imagefeatures.catalog import tables
from imagefeatures.cli import main
from imagefeatures.datasets import Dataset
from imagefeatures.plan import load_run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from imagefeatures.steps.register import Outcome, register
from support.photos import fill, jpeg
from support.shared import PARTITION, THIS_PROCESS


def published(settings: Settings, dataset: Dataset, partition: str | None) -> Outcome:
    run = load_run(plan_run(dataset, RunParams(partition=partition), None, settings))
    local.run_steps(run, THIS_PROCESS)
    return register(run.layout.run_file, settings)


def test_the_same_objects_as_another_partition_are_warned_of_before_and_after(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = fill(tmp_path / "photos", {"1.jpg": jpeg(1)})
    dataset = Dataset(name="photos", source=f"file://{folder}/")
    for _ in range(2):  # again and again the same partition: nothing twice, nothing to warn of
        outcome = published(settings, dataset, None)
        assert (outcome.row["partition_key"], outcome.warning) == ("all", None)
    assert "the same objects" not in caplog.text
    with caplog.at_level(logging.WARNING):
        outcome = published(settings, dataset, PARTITION)
    said = (
        f"the same objects twice in features.photos: file://{folder}/ is the source of every partition, and "
        f"partition all is published besides {PARTITION}; run the same one each time"
    )
    assert [record.getMessage() for record in caplog.records if record.name == "imagefeatures.plan"] == [said]
    assert str(outcome).endswith(f"; warning: {said}")
    assert read.table(settings, "photos").num_rows == 2
    third = publications.also_published(dataset, "2026-11-03", tables.open_catalog(settings))
    assert third and "and partition all and 1 more is published besides 2026-11-03; " in third


def test_partitions_of_a_source_that_has_them_are_not_warned_of(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = fill(tmp_path / "photos", {"a/1.jpg": jpeg(1), "b/1.jpg": jpeg(1)})
    dataset = Dataset(name="photos", source=f"file://{folder}/{{partition}}/")
    assert [published(settings, dataset, partition).warning for partition in "ab"] == [None, None]
    assert "the same objects" not in caplog.text


def test_the_command_demands_a_partition_only_where_there_are_some(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fill(tmp_path / "photos", {"1.jpg": b"no picture"})
    (settings.datasets / "whole.yaml").write_text(f"name: whole\nsource: file://{folder}/\n")
    (settings.datasets / "days.yaml").write_text(f"name: days\nsource: file://{folder}/{{partition}}/\n")
    assert main(["run", "days", "--workers", "1"]) == 65
    assert capsys.readouterr().err == "imagefeatures: partition: a manual run needs one, such as 2026-11-02\n"
    assert main(["run", "whole", "--resume", "--workers", "1"]) == 65
    assert "there is no unfinished run of whole all in " in capsys.readouterr().err
