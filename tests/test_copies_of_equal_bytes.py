"""Augmented copies of images that come again, in several shards and tables: computed once, taken back, forgotten."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import pytest

from imagefeatures import read, unpublish
from imagefeatures.forget import work
from imagefeatures.run_params import ForgetParams, UnpublishParams
from imagefeatures.settings import Settings
from imagefeatures.thumbnails.folder import ThumbnailFolder
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


@pytest.mark.long
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


@pytest.mark.long
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


@pytest.mark.long
def test_an_image_that_is_forgotten_leaves_with_all_of_its_copies_and_what_the_page_has_kept_of_it(
    lake: Lake, tmp_path: Path
) -> None:
    lake.published(FIRST, SECOND, **FIELDS)
    before = {table: rows_of(lake, table) for table in TABLES}
    settings = dataclasses.replace(lake.settings, cache=tmp_path / "cache")
    ids = [hashlib.sha256(data).hexdigest() for data in CONTENTS[:2]]
    thumbnails = ThumbnailFolder(settings.cache / "thumbnails")
    for image_id in ids:
        thumbnails.keep("photos", image_id, b"a thumbnail")
    audit = settings.cache / "audits" / "photos" / PARTITION / "20261102T000000-0a1b2c3d"
    audit.mkdir(parents=True)
    (audit / "facts.json").write_text("{}")
    params = ForgetParams.parse({"image_ids": [ids[1]], "why": "asked", "dry_run": False})
    work.forget(params, "ada", settings)
    gone = {name for name, data in PHOTOS.items() if data == CONTENTS[1]}
    for table in TABLES:
        assert rows_of(lake, table) == {key: row for key, row in before[table].items() if key[0] not in gone}
    (run,) = read.runs(lake.settings, "photos")
    assert (run["listed"], run["registered"]) == (12 - len(gone), 12 - len(gone))
    assert [thumbnails.read("photos", image_id) for image_id in ids] == [b"a thumbnail", None]
    assert not audit.exists()
    outcome = lake.published(FIRST, SECOND, **FIELDS)
    assert dict(outcome.row["reasons"]) == {"FORGOTTEN": len(gone)}
    assert outcome.row["registered"] == outcome.row["reused"] == 12 - len(gone)
