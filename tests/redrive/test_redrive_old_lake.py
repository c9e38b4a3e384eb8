"""A re-drive of what version 0.1.0 has published: its tables lack columns of today, and its photos have moved since."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagefeatures.dataset_files import load_dataset
from imagefeatures.redrive import choose
from imagefeatures.run_params import RedriveParams
from imagefeatures.settings import Settings
from support import lakes
from support.redriving import Partition, without_run

VERSION = "0.1.0"


@pytest.mark.long
def test_rows_of_an_earlier_version_are_merged_with_todays_columns(settings: Settings, tmp_path: Path) -> None:
    lakes.lay_out(VERSION, tmp_path)
    dataset = load_dataset(settings.datasets / "photos.yaml")
    days = choose.partitions(dataset, RedriveParams(), settings)
    assert days == ["2026-11-01", "2026-11-02"]
    for day in days:
        partition = Partition(dataset, settings, day)
        features, quarantine, run = without_run(partition.features), partition.quarantine, partition.run
        assert (run["redriven"], run["base_started_at"]) == (None, None)
        outcome = partition.redrive()
        assert outcome.summary["redriven"] == len(quarantine) > 0
        partition.check()
        assert without_run(partition.features) == features
        assert {uri: row["reason"] for uri, row in partition.quarantine.items()} == dict.fromkeys(
            quarantine, "NOT_FOUND"
        )
        assert partition.run["base_started_at"] == run["started_at"]
        assert partition.run["reused"] == len(features)
