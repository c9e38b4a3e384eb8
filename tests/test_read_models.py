"""imagefeatures.read: which table holds a dataset's vectors of a model, by the runs that are published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from imagefeatures import names, read, schemas
from imagefeatures.catalog import tables
from imagefeatures.errors import InputError
from imagefeatures.settings import Settings
from support.growing import runs_row
from support.training import publish_files

RUNS: dict[str, dict[str, Any]] = {
    "2026-11-01": {"model": "later", "models": [("second", "0f")], "finished_at": 5},
    "2026-11-02": {"model": "first", "models": [("later", "0f"), ("third", "0f")], "finished_at": 1},
    "2026-11-03": {"model": "old", "models": None, "finished_at": 2},
    "2026-11-04": {"model": names.NO_MODEL, "pixels": "0f", "finished_at": 3},
}
"""By their partitions; the first of them was published last, and since then `later` is the first model."""


@pytest.fixture(autouse=True)
def _runs(settings: Settings) -> None:
    table = tables.open_table(tables.open_catalog(settings), settings, names.RUNS)
    for partition, own in RUNS.items():
        (row,) = runs_row("photos", partition, partition).to_pylist()
        row |= {"pixels": None} | own
        tables.replace_rows(table, partition, "photos", pa.Table.from_pylist([row], schema=schemas.RUNS), partition)


def test_the_table_of_a_model_is_that_of_the_run_which_was_published_last(settings: Settings) -> None:
    found = {model: read.table_of(settings, "photos", model) for model in ("first", "old", "later", "second", "third")}
    assert found == {
        "first": "photos", "old": "photos", "later": "photos", "second": "photos__second", "third": "photos__third",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("dataset", "model", "says"),
    [
        ("photos", "vgg16", "vgg16 are published; there are: first, later, old, second, third"),
        ("photos", names.NO_MODEL, "none are published; there are: first, later, old, second, third"),
        ("pears", "first", "first are published; nothing of it is published"),
    ],
)
def test_a_model_of_which_nothing_is_published_is_refused_with_those_there_are(
    settings: Settings, dataset: str, model: str, says: str
) -> None:
    with pytest.raises(InputError, match=rf"^features\.{dataset}: no vectors of {says}$"):
        read.table_of(settings, dataset, model)


def test_a_dataset_is_opened_by_a_model_and_its_pixels_by_none(settings: Settings, tmp_path: Path) -> None:
    publish_files(settings, tmp_path, [2])
    assert len(read.open("photos", model="old", settings=settings).to_numpy().features) == 2
    with pytest.raises(InputError, match=r"^model is 'old': pixels are of no model; leave it out$"):
        read.open("photos", model="old", what="pixels", settings=settings)  # type: ignore[call-overload]
