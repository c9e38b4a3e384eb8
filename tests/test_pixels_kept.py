"""`pixels: keep` and `features: none`: what a run publishes, what a second one decodes, and that all tables agree.

The main ones for every change; the others are for make test-cluster.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from imagefeatures import bicubic, images, local, names, read, storage
from imagefeatures.catalog import attempts, tables
from imagefeatures.errors import DatasetError, InputError, OlderRun
from imagefeatures.isolation import Isolated
from imagefeatures.pixels import PixelFormat
from imagefeatures.plan import Run, load_run
from imagefeatures.redrive import choose
from imagefeatures.run_params import RedriveParams
from imagefeatures.settings import Settings
from imagefeatures.step_runner import StepRunner
from imagefeatures.steps import register
from imagefeatures.workers import ThisProcess
from support.disturbed_work import Forbidden
from support.photos import fill, jpeg
from support.several import FIRST, THIRD, Lake, Spies
from support.shared import PARTITION, THIS_PROCESS, MakeRun

PHOTOS = {f"{'red' if at % 2 else 'green'}/{at}.jpg": jpeg(at) for at in range(8)}
ODD = {"red/empty.jpg": b"", "red/text.jpg": b"no picture"}
KEPT = {"pixels": "keep"}
ALONE = {"pixels": "keep", "features": "none"}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return fill(tmp_path / "photos", PHOTOS | ODD)


@pytest.fixture
def make(make_run: MakeRun, photos: Path) -> Callable[..., Run]:
    """make(**fields): a planned run of the photos, a few in each shard."""

    def make(params: dict[str, Any] | None = None, **fields: Any) -> Run:
        return make_run(photos, {"shard_images": 3} | (params or {}), **{"limits": {"max_rejected": 0.5}} | fields)

    return make


def publish(run: Run, settings: Settings, work: StepRunner | None = None) -> register.Outcome:
    local.run_steps(run, ThisProcess(work) if work else THIS_PROCESS)
    return register.register(run.layout.run_file, settings)


def truth(photos: Path) -> dict[str, np.ndarray]:
    """The pixels of each good photo by URI: what the default chain makes of it in this process."""
    found = {}
    for name, data in PHOTOS.items():
        picture = images.to_rgb(Image.open(BytesIO(data)))
        found[f"file://{photos}/{name}"] = bicubic.resized(picture, 224, 224)
    return found


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


# All tables agree


def held(settings: Settings) -> set[frozenset[str]]:
    """The run ids in each table of the partition."""
    found = [set(read.table(settings, "photos", what=what)["run_id"].to_pylist()) for what in ("features", "pixels")]
    found += [set(read.table(settings, name)["run_id"].to_pylist()) for name in ("quarantine", "runs")]
    return {frozenset(of_table) for of_table in found}


def test_an_older_run_leaves_all_tables_with_the_newer_one(make: Callable[..., Run], settings: Settings) -> None:
    older, newer = make(**KEPT), make(**KEPT)
    publish(newer, settings)
    with pytest.raises(OlderRun):
        publish(older, settings)
    assert held(settings) == {frozenset([newer.run_id])}


@pytest.mark.parametrize("at", [2, *(pytest.param(at, marks=pytest.mark.long) for at in (0, 1, 3))])
def test_a_publication_that_is_cut_short_is_finished_for_the_pixels_too(
    at: int, make: Callable[..., Run], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make(**KEPT)
    publish(first, settings)
    second = make(**KEPT)
    local.run_steps(second, THIS_PROCESS)
    commits = 0
    real = attempts.until_committed

    def dies(swap: Callable[[], Any]) -> Any:
        nonlocal commits
        commits += 1
        if commits == at + 1:
            raise KeyboardInterrupt
        return real(swap)

    with monkeypatch.context() as patch:
        patch.setattr(tables, "until_committed", dies)
        with pytest.raises(KeyboardInterrupt):
            register.register(second.layout.run_file, settings)
    third = make(**KEPT)  # plan finishes it
    assert held(settings) == {frozenset([second.run_id])}
    publish(third, settings)
    assert held(settings) == {frozenset([third.run_id])}


def test_an_image_without_a_finite_vector_is_in_neither_table(make: Callable[..., Run], settings: Settings) -> None:
    class OneBad:
        """An engine whose first vector of each shard is not finite."""

        def features(self, pixels: np.ndarray) -> np.ndarray:
            vectors = np.ones((len(pixels), 1280), np.float32)
            vectors[0, 3] = np.nan
            return vectors

    run = make(limits={"max_rejected": 1}, **KEPT)
    outcome = publish(run, settings, StepRunner(engine=OneBad()))
    rejected = dict(outcome.row["reasons"])["NOT_FINITE"]
    assert rejected == 4
    uris = [read.table(settings, "photos", what=what)["uri"].to_pylist() for what in ("features", "pixels")]
    assert uris[0] == uris[1]
    assert len(uris[0]) == len(PHOTOS) - rejected


def test_a_redrive_takes_the_pixels_of_the_rest_along(
    make: Callable[..., Run], photos: Path, settings: Settings
) -> None:
    run = make(**KEPT)
    publish(run, settings)
    (photos / "red" / "text.jpg").write_bytes(jpeg(77))
    given = RedriveParams.parse({"partition": PARTITION})
    run_file = choose.plan_redrive(run.dataset, given, PARTITION, settings)
    assert run_file
    outcome = publish(load_run(run_file), settings)
    assert (outcome.row["registered"], outcome.row["quarantined"]) == (len(PHOTOS) + 1, 1)
    assert held(settings) == {frozenset([outcome.row["run_id"]])}
    rows = read.table(settings, "photos", what="pixels")
    assert sorted(rows["uri"].to_pylist()) == sorted(read.table(settings, "photos")["uri"].to_pylist())
    expected = truth(photos)
    kept = {uri: p for uri, p in zip(rows["uri"].to_pylist(), read.pixels(rows), strict=True) if uri in expected}
    assert len(kept) == len(PHOTOS)
    assert all(np.array_equal(p, expected[uri]) for uri, p in kept.items())


@pytest.mark.long
def test_a_redrive_of_pixels_alone(make: Callable[..., Run], photos: Path, settings: Settings) -> None:
    run = make(**ALONE)
    publish(run, settings)
    (photos / "red" / "text.jpg").write_bytes(jpeg(77))
    run_file = choose.plan_redrive(run.dataset, RedriveParams.parse({"partition": PARTITION}), PARTITION, settings)
    assert run_file
    assert publish(load_run(run_file), settings).row["registered"] == len(PHOTOS) + 1
    assert read.table(settings, "photos", what="pixels").num_rows == len(PHOTOS) + 1


def test_beside_several_models_the_pixels_are_what_the_first_one_takes(settings: Settings, tmp_path: Path) -> None:
    fill(tmp_path / "photos" / PARTITION, {f"{at}.jpg": jpeg(at, 60 + at, 48) for at in range(4)})
    lake, spies = Lake(settings, tmp_path / "photos"), Spies()
    lake.published(FIRST, THIRD, spies=spies)
    outcome = lake.published(FIRST, THIRD, spies=spies, pixels="keep")
    assert spies.computed == {FIRST: 4, THIRD: 4}
    assert spies.decoded == 8  # once for the vectors, once for the pixels alone
    assert names.tables_of_run(outcome.row) == ["photos", f"photos__{THIRD}", "photos_pixels"]
    rows = read.table(settings, "photos", what="pixels")
    assert read.pixels(rows).shape == (4, 224, 224, 3)
    vectors = read.table(settings, f"photos__{THIRD}")
    assert rows.select(["uri", "run_id"]).equals(vectors.select(["uri", "run_id"]))
    lake.published(FIRST, THIRD, spies=spies, pixels="keep")
    assert (spies.computed.total(), spies.decoded) == (8, 8)
    assert read.pixels(read.table(settings, "photos", what="pixels")).tobytes() == read.pixels(rows).tobytes()


@pytest.mark.long
def test_two_workers_publish_the_same_pixels(make: Callable[..., Run], photos: Path, settings: Settings) -> None:
    run = make(**ALONE)
    with local.open_workers(2) as workers:
        local.run_steps(run, workers)
    register.register(run.layout.run_file, settings)
    rows = read.table(settings, "photos", what="pixels")
    expected = truth(photos)
    assert all(
        np.array_equal(p, expected[uri]) for uri, p in zip(rows["uri"].to_pylist(), read.pixels(rows), strict=True)
    )
