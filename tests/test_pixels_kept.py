"""`pixels: keep` and `features: none`: what a run publishes, what a second one decodes, and that all tables agree.

The main ones for every change; the others are for make test-cluster.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from imagefeatures import names, read, storage
from imagefeatures.catalog import tables
from imagefeatures.errors import DatasetError, InputError
from imagefeatures.isolation import Isolated
from imagefeatures.pixels import PixelFormat
from imagefeatures.plan import Run
from imagefeatures.settings import Settings
from imagefeatures.step_runner import StepRunner
from support.disturbed_work import Forbidden
from support.kept_pixels import ALONE, KEPT, ODD, PHOTOS, maker, publish, truth
from support.photos import fill
from support.shared import MakeRun


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return fill(tmp_path / "photos", PHOTOS | ODD)


@pytest.fixture
def make(make_run: MakeRun, photos: Path) -> Callable[..., Run]:
    return maker(make_run, photos)


def test_the_pixels_of_every_published_image_are_those_that_were_made(
    make: Callable[..., Run], photos: Path, settings: Settings
) -> None:
    outcome = publish(make(**KEPT), settings)
    rows = read.table(settings, "photos", what="pixels")
    expected = truth(photos)
    assert len(expected) == outcome.row["registered"] == rows.num_rows
    for uri, image_id, picture in zip(
        rows["uri"].to_pylist(), rows["image_id"].to_pylist(), read.pixels(rows), strict=True
    ):
        assert np.array_equal(picture, expected[uri])
        assert image_id == hashlib.sha256(storage.read(uri)).hexdigest()
    features = read.table(settings, "photos")
    for column in (
        "partition_key",
        "uri",
        "image_id",
        "label",
        "width",
        "height",
        "mode",
        "size",
        "etag",
        "run_id",
        "key",
    ):
        assert rows[column].to_pylist() == features[column].to_pylist()
    assert set(rows["fingerprint"].to_pylist()) == {outcome.row["pixels"]}
    assert outcome.row["pixels"] != outcome.row["fingerprint"] == features["fingerprint"][0].as_py()


def test_the_table_and_its_files_say_the_shape(make: Callable[..., Run], settings: Settings) -> None:
    publish(make(**KEPT), settings)
    kind = PixelFormat.of_shape((224, 224, 3))
    table = tables.open_catalog(settings).load_table("features.photos_pixels")
    assert json.loads(table.properties["imagefeatures.pixels"]) == json.loads(kind.as_text())
    for uri in read.files(settings, "photos", what="pixels"):
        file = pq.ParquetFile(uri.removeprefix("file://"))
        assert PixelFormat.of_field(file.schema_arrow.field("pixels")) == kind
        pixels = file.metadata.row_group(0).column(file.schema_arrow.get_field_index("pixels"))
        assert (pixels.statistics, pixels.compression) == (None, "ZSTD")


class NoDecoder(Isolated):
    """Decodes nothing: the run must have no need of it."""

    def run(self, *_: object) -> Any:
        raise AssertionError("an image is decoded again")


def without_decoding() -> StepRunner:
    return StepRunner(decoder=NoDecoder(None))


def test_a_second_run_decodes_nothing_and_publishes_the_same(make: Callable[..., Run], settings: Settings) -> None:
    publish(make(**KEPT), settings)
    first = [read.table(settings, "photos", what=what) for what in ("features", "pixels")]
    outcome = publish(make(**KEPT), settings, without_decoding())
    assert outcome.row["reused"] == outcome.row["registered"] == len(PHOTOS)
    for before, what in zip(first, ("features", "pixels"), strict=True):
        after = read.table(settings, "photos", what=what)
        assert set(after["run_id"].to_pylist()) == {outcome.row["run_id"]}
        assert after.drop_columns(["run_id"]).equals(before.drop_columns(["run_id"]))


def test_pixels_that_are_kept_later_are_made_while_the_vectors_are_reused(
    make: Callable[..., Run], photos: Path, settings: Settings
) -> None:
    publish(make(), settings)
    outcome = publish(make(**KEPT), settings, StepRunner(engine=Forbidden()))
    assert outcome.row["reused"] == len(PHOTOS)
    rows = read.table(settings, "photos", what="pixels")
    expected = truth(photos)
    assert all(
        np.array_equal(p, expected[uri]) for uri, p in zip(rows["uri"].to_pylist(), read.pixels(rows), strict=True)
    )


# Pixels alone


def test_pixels_alone_need_no_model_and_make_no_table_of_vectors(
    make: Callable[..., Run], photos: Path, settings: Settings
) -> None:
    run = make(**ALONE)
    outcome = publish(run, settings, StepRunner(engine=Forbidden()))
    assert (outcome.row["model"], outcome.row["registered"]) == ("none", len(PHOTOS))
    assert outcome.row["fingerprint"] == outcome.row["pixels"] == run.preprocessing.fingerprint
    assert names.tables_of_run(outcome.row) == ["photos_pixels"]
    assert str(outcome).startswith("registered: features.photos_pixels ")
    rows = read.table(settings, "photos", what="pixels")
    expected = truth(photos)
    assert all(
        np.array_equal(p, expected[uri]) for uri, p in zip(rows["uri"].to_pylist(), read.pixels(rows), strict=True)
    )
    assert read.table(settings, "quarantine").num_rows == len(ODD)
    assert not tables.open_catalog(settings).table_exists("features.photos")
    with pytest.raises(
        InputError, match=r'^features\.photos: has pixels alone, no vectors; read them with what="pixels"$'
    ):
        read.open("photos")
    again = publish(make(**ALONE), settings, without_decoding())
    assert again.row["reused"] == len(PHOTOS)


@pytest.mark.long
def test_vectors_that_are_computed_later_leave_the_pixels_as_they_are(
    make: Callable[..., Run], settings: Settings
) -> None:
    publish(make(**ALONE), settings)
    before = read.table(settings, "photos", what="pixels")
    outcome = publish(make(**KEPT), settings)
    assert outcome.row["reused"] == 0
    assert read.table(settings, "photos").num_rows == len(PHOTOS)
    after = read.table(settings, "photos", what="pixels")
    assert after.drop_columns(["run_id"]).equals(before.drop_columns(["run_id"]))


@pytest.mark.long
def test_a_chain_of_ones_own_gives_the_size_without_a_model(make: Callable[..., Run], settings: Settings) -> None:
    publish(make(preprocess=[{"resize": {"size": [32, 48]}}, "grayscale"], **ALONE), settings)
    assert read.open("photos", what="pixels").shape in ((32, 48, 1), (32, 48, 3))


# What is refused


def test_pixels_of_another_shape_are_refused_before_the_run_and_by_register(
    make: Callable[..., Run], settings: Settings
) -> None:
    small = {"preprocess": [{"resize": {"size": [32, 48]}}]}
    late = make(**ALONE, **small)
    publish(make(**ALONE), settings)
    told = (
        r"^pixels: features\.photos_pixels holds pixels uint8 \[224, 224, 3\] RGB, this run makes uint8 \[32, 48, 3\] "
        r"RGB; give the dataset another name, or drop that table$"
    )
    with pytest.raises(DatasetError, match=told):
        make(**ALONE, **small)
    with pytest.raises(DatasetError, match=told):
        publish(late, settings)
    assert read.open("photos", what="pixels").shape == (224, 224, 3)


@pytest.mark.long
def test_another_preprocessing_of_the_same_shape_replaces_the_pixels_of_its_partition(
    make: Callable[..., Run], settings: Settings
) -> None:
    publish(make(**ALONE), settings)
    before = read.open("photos", what="pixels").to_numpy().pixels
    outcome = publish(make(preprocess=[{"resize": {"size": [224, 224]}}, "flip"], **ALONE), settings)
    assert outcome.row["reused"] == 0
    flipped = read.open("photos", what="pixels").to_numpy().pixels
    assert np.array_equal(flipped, before[:, :, ::-1])
