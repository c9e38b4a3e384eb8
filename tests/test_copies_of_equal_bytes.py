"""Augmented copies of images that come again, in several shards, with pixels: computed once, taken back and forgotten."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imagefeatures import read, unpublish
from imagefeatures.run_params import UnpublishParams
from imagefeatures.settings import Settings
from support.photos import encoded, fill, picture
from support.several import FIRST, SECOND, Lake, Spies
from support.shared import PARTITION

CONTENTS = [encoded(picture(50 + at, 70, at), "PNG") for at in range(5)]
PHOTOS = {f"{at:02d}.png": CONTENTS[at % 5] for at in range(12)}
CHAIN = [{"augment": {"copies": 2, "seed": 5, "crop": 0.7, "flip": "horizontal"}}, {"resize": {"size": [224, 224]}}]
TABLES = ("photos", f"photos__{SECOND}", "photos_pixels")
FIELDS: dict[str, Any] = {"preprocess": CHAIN, "pixels": "keep"}


@pytest.fixture
def lake(settings: Settings, tmp_path: Path) -> Lake:
    return Lake(settings, fill(tmp_path / "photos" / PARTITION, PHOTOS).parent)


def rows_of(lake: Lake, table: str) -> dict[tuple[str, int], dict[str, Any]]:
    """By the photo and the number of the copy, without what differs from run to run."""
    rows = read.table(lake.settings, table).to_pylist()
    found = {(Path(row.pop("uri")).name, row["copy"]): row | {"run_id": None, "etag": None} for row in rows}
    assert len(found) == len(rows)
    return found


def test_each_content_is_computed_once_for_each_copy_and_is_a_row_for_each_object(lake: Lake, tmp_path: Path) -> None:
    spies = Spies()
    outcome = lake.published(FIRST, SECOND, spies=spies, **FIELDS)
    assert (outcome.row["listed"], outcome.row["registered"], outcome.row["copies"]) == (12, 12, 2)
    assert spies.decoded == 5
    assert spies.computed == {FIRST: 15, SECOND: 15}
    alone = Lake(lake.settings, fill(tmp_path / "alone" / PARTITION, dict(list(PHOTOS.items())[:5])).parent, "alone")
    alone.published(FIRST, SECOND, **FIELDS)
    for table in TABLES:
        of_table, of_alone = rows_of(lake, table), rows_of(alone, table.replace("photos", "alone", 1))
        assert sorted(of_table) == [(name, number) for name in PHOTOS for number in range(3)]
        for (name, number), row in of_table.items():
            assert row == of_alone[f"{int(name[:2]) % 5:02d}.png", number]
    again = Spies()
    outcome = lake.published(FIRST, SECOND, spies=again, **FIELDS)
    assert (again.decoded, again.computed, outcome.row["reused"]) == (0, {}, 12)


def test_an_object_that_is_taken_back_leaves_with_all_of_its_copies(lake: Lake) -> None:
    lake.published(FIRST, SECOND, **FIELDS)
    before = {table: rows_of(lake, table) for table in TABLES}
    gone = f"file://{lake.photos}/{PARTITION}/06.png"
    params = UnpublishParams.parse({"why": "a wrong camera", "dry_run": False}).model_copy(update={"uris": (gone,)})
    withdrawal = unpublish.withdraw("photos", PARTITION, params, "ada", lake.settings)
    assert withdrawal is not None
    assert (withdrawal.row["registered"], withdrawal.stay) == (1, 11)
    (run,) = read.runs(lake.settings, "photos")
    assert (run["listed"], run["registered"], run["copies"]) == (11, 11, 2)
    for table in TABLES:
        assert rows_of(lake, table) == {key: row for key, row in before[table].items() if key[0] != "06.png"}
    again = Spies()
    outcome = lake.published(FIRST, SECOND, spies=again, **FIELDS)
    assert (again.decoded, outcome.row["registered"], outcome.row["reused"]) == (0, 12, 12)
    assert {table: rows_of(lake, table) for table in TABLES} == before
