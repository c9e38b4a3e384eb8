"""Runs of two outputs: the order of their rows, and what becomes of a vector that is not finite."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from imagefeatures import read, schemas, shards
from imagefeatures.settings import Settings
from imagefeatures.steps import FEATURIZE, featurize
from support.photos import encoded, fill, jpeg
from support.several import FIRST, SECOND, THIRD, Lake, Spies
from support.shared import PARTITION


def test_rows_of_a_further_model_are_in_order_though_it_alone_reuses_vectors(
    settings: Settings, tmp_path: Path
) -> None:
    lake = Lake(settings, tmp_path / "photos")
    fill(lake.photos / PARTITION, {f"{at}.jpg": jpeg(at, 16, 16) for at in (1, 3, 5)})
    lake.published(FIRST, SECOND)
    fill(lake.photos / PARTITION, {f"{at}.jpg": jpeg(at, 16, 16) for at in (0, 2, 4)})
    spies = Spies()
    run = lake.ready(spies, THIRD, SECOND)
    assert spies.computed == {THIRD: 6, SECOND: 3}
    receipts = shards.read_receipts(run.layout, FEATURIZE)
    for number in range(2):
        files = [receipt.outputs[number].own for receipt in receipts]
        rows = [Path(row["uri"]).stem for file in files if file for row in shards.read_staged(file).to_pylist()]
        assert rows == list("012345")


def test_the_model_whose_vector_is_not_finite_is_named_where_there_are_two(settings: Settings, tmp_path: Path) -> None:
    lake = Lake(settings, tmp_path / "photos")
    grey = {f"{shade}.png": encoded(np.full((8, 8, 3), shade, np.uint8), "PNG") for shade in (10, 200)}
    fill(lake.photos / PARTITION, grey)
    lake.published(FIRST, SECOND, spies=Spies(not_finite=(SECOND, 200)))
    (row,) = read.table(settings, "quarantine").to_pylist()
    assert (Path(row["uri"]).name, row["detail"]) == ("200.png", f"{SECOND}: 1 values are not finite")


def test_pixels_of_an_image_whose_vector_is_not_finite_are_not_kept(settings: Settings, tmp_path: Path) -> None:
    lake = Lake(settings, tmp_path / "photos")
    shades = (10, 200, 90)
    grey = {f"{shade}.png": encoded(np.full((8, 8, 3), shade, np.uint8), "PNG") for shade in shades}
    fill(lake.photos / PARTITION, grey)
    lake.published(FIRST, spies=Spies(not_finite=(FIRST, 200)), pixels="keep")
    vectors, pixels = (lake.rows(table) for table in lake.dataset(FIRST, pixels="keep").tables)
    assert list(vectors) == list(pixels) == ["10.png", "90.png"]


def test_no_rows_of_vectors_of_no_width_are_no_rows(settings: Settings, tmp_path: Path) -> None:
    """As they come of a table that holds none of a shard's images."""
    lake = Lake(settings, tmp_path / "photos")
    fill(lake.photos / PARTITION, {"1.jpg": jpeg(1, 16, 16)})
    run = lake.planned(lake.dataset(FIRST))
    none = schemas.FEATURES.empty_table().select([*schemas.IDENTITY, "width", "height", "mode"])
    table = featurize.feature_table(run, none, np.empty((0, 0), np.float32))
    assert table.num_rows == 0
    assert table.schema.equals(schemas.FEATURES)


def test_a_model_that_lacks_more_images_than_the_first_gets_the_pixels_of_all(
    settings: Settings, tmp_path: Path
) -> None:
    lake = Lake(settings, tmp_path / "photos")
    fill(lake.photos / PARTITION, {f"{at}.jpg": jpeg(at, 16, 16) for at in (1, 3, 5)})
    lake.published(FIRST)
    fill(lake.photos / PARTITION, {f"{at}.jpg": jpeg(at, 16, 16) for at in (0, 2, 4)})
    spies = Spies()
    lake.published(FIRST, SECOND, spies=spies)
    assert spies.computed == {FIRST: 3, SECOND: 6}
    assert len(lake.rows(f"photos__{SECOND}")) == 6


def test_a_model_whose_table_holds_some_images_computes_the_others_of_the_pixels_that_lie_with_the_first(
    settings: Settings, tmp_path: Path
) -> None:
    lake = Lake(settings, tmp_path / "photos")
    fill(lake.photos / PARTITION, {f"{at}.jpg": jpeg(at, 16, 16) for at in (1, 3, 5)})
    lake.published(THIRD, SECOND)
    fill(lake.photos / PARTITION, {f"{at}.jpg": jpeg(at, 16, 16) for at in (0, 2, 4)})
    spies = Spies()
    lake.published(FIRST, SECOND, spies=spies)
    assert spies.computed == {FIRST: 6, SECOND: 3}
    assert len(lake.rows(f"photos__{SECOND}")) == 6
