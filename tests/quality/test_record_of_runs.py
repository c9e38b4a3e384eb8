"""Runs of every kind have their statistics: several models, copies, pixels alone, no labels, re-drives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imagefeatures import names, read
from imagefeatures.quality import record
from imagefeatures.settings import Settings
from support.photos import fill, jpeg
from support.redriving import mend, small_partition
from support.several import FIRST, SECOND, Lake
from support.shared import PARTITION


@pytest.fixture
def lake(settings: Settings, tmp_path: Path) -> Lake:
    """A day of four photos, two of which have the same bytes, in two folders."""
    photos = {"red/1.jpg": jpeg(1, 40, 30), "red/2.JPEG": jpeg(2, 40, 30), "blue/1": jpeg(3, 30, 40)}
    fill(tmp_path / "photos" / PARTITION, {**photos, "blue/again.jpg": photos["red/1.jpg"]})
    return Lake(settings, tmp_path / "photos")


def rows_of(settings: Settings, run_id: str) -> dict[str, dict[str, Any]]:
    """The rows of a run by table, as they are stored."""
    assert record.record("photos", PARTITION, run_id, None, settings)
    return {row["table"]: row for row in read.table(settings, "statistics").to_pylist() if row["run_id"] == run_id}


@pytest.mark.long
def test_each_model_and_the_pixels_have_a_row_of_the_pictures_without_their_copies(lake: Lake) -> None:
    copied = [{"augment": {"copies": 2, "brightness": 0.2}}, {"resize": {"size": [224, 224]}}]
    run = lake.published(FIRST, SECOND, pixels="keep", preprocess=copied).row
    rows = rows_of(lake.settings, run["run_id"])
    assert {table: (row["model"], row["fingerprint"]) for table, row in rows.items()} == {
        "photos": (FIRST, run["fingerprint"]),
        f"photos__{SECOND}": (SECOND, dict(run["models"])[SECOND]),
        "photos_pixels": (names.NO_MODEL, run["pixels"]),
    }
    for row in rows.values():
        assert (row["pictures"], row["duplicates"], row["unlabelled"]) == (4, 1, 0)
        assert dict(row["labels"]) == {"red": 2, "blue": 2}
        assert dict(row["formats"]) == {"jpg": 2, "jpeg": 1, "none": 1}
        assert (row["widths"], row["heights"]) == ([30, 30, 40, 40, 40], [30, 30, 30, 40, 40])
    assert read.table(lake.settings, "photos").num_rows == 12


@pytest.mark.long
def test_pixels_alone_and_pictures_without_labels_have_theirs(lake: Lake) -> None:
    run = lake.published(FIRST, pixels="keep", features="none", label="none").row
    ((table, row),) = rows_of(lake.settings, run["run_id"]).items()
    assert (table, row["model"], row["fingerprint"]) == ("photos_pixels", names.NO_MODEL, run["fingerprint"])
    assert (row["pictures"], row["labels"], row["unlabelled"], row["mean"]) == (4, [], 4, None)


@pytest.mark.long
def test_a_re_drive_has_statistics_of_the_whole_partition(settings: Settings, tmp_path: Path) -> None:
    partition = small_partition(tmp_path / "photos", settings, limits={"max_rejected": 1})
    (before,) = rows_of(settings, partition.run["run_id"]).values()
    assert (before["pictures"], before["quarantined"]) == (2, 3)
    mend(tmp_path / "photos", "empty.jpg")
    outcome = partition.redrive()
    (after,) = rows_of(settings, outcome.row["run_id"]).values()
    assert (after["pictures"], after["listed"], after["quarantined"]) == (3, 5, 2)
    assert read.table(settings, "statistics").num_rows == 1
