"""`pixels: keep`: all tables agree, whatever becomes of a publication, and re-drives take the pixels along.

The main ones for every change; the others are for make test-cluster.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagefeatures import local, names, read
from imagefeatures.catalog import attempts, tables
from imagefeatures.errors import OlderRun
from imagefeatures.plan import Run, load_run
from imagefeatures.redrive import choose
from imagefeatures.run_params import RedriveParams
from imagefeatures.settings import Settings
from imagefeatures.step_runner import StepRunner
from imagefeatures.steps import register
from support.kept_pixels import ALONE, KEPT, ODD, PHOTOS, held, maker, publish, truth
from support.photos import fill, jpeg
from support.several import FIRST, THIRD, Lake, Spies
from support.shared import PARTITION, THIS_PROCESS, MakeRun


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return fill(tmp_path / "photos", PHOTOS | ODD)


@pytest.fixture
def make(make_run: MakeRun, photos: Path) -> Callable[..., Run]:
    return maker(make_run, photos)


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
