"""Whole runs with `augment`: the rows of copies, the same ones each time, and what a later run computes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from imagefeatures import local, read, shards, storage
from imagefeatures.errors import AuditFailed, ParamsError
from imagefeatures.plan import Run, load_run
from imagefeatures.redrive import choose
from imagefeatures.run_params import RedriveParams
from imagefeatures.settings import Settings
from imagefeatures.steps import FEATURIZE, RESIZE, register
from imagefeatures.workers import ThisProcess
from support import copies, lakes
from support.photos import encoded, fill, picture, png_of
from support.several import FIRST, SECOND, THIRD, Lake, Spies
from support.shared import PARTITION, THIS_PROCESS, MakeRun

FIELDS = {"seed": 5, "crop": 0.7, "flip": "horizontal", "brightness": 0.3}
PHOTOS = {f"{at}.png": encoded(picture(50 + at, 70, at), "PNG") for at in range(4)}
END = {"resize": {"size": [224, 224]}}


def chain(count: int, **more: Any) -> list[Any]:
    return [{"augment": {"copies": count, **FIELDS, **more}}, END]


@pytest.fixture
def lake(settings: Settings, tmp_path: Path) -> Lake:
    bad = {"bad.png": png_of(64, 48, b"no zlib stream")}
    return Lake(settings, fill(tmp_path / "photos" / PARTITION, PHOTOS | bad).parent)


def rows_of(lake: Lake, table: str = "photos") -> dict[tuple[str, int | None], dict[str, Any]]:
    """By the photo and the number of the copy."""
    rows = read.table(lake.settings, table).to_pylist()
    found = {(Path(row["uri"]).name, row["copy"]): row for row in rows}
    assert len(found) == len(rows)
    return found


def vectors_of(lake: Lake, table: str = "photos") -> dict[tuple[str, int | None], list[float]]:
    return {key: row["features"] for key, row in rows_of(lake, table).items()}


def test_a_picture_and_its_copies_are_rows_with_the_pixels_of_plain_pillow(lake: Lake) -> None:
    spies = Spies()
    outcome = lake.published(FIRST, spies=spies, preprocess=chain(2), pixels="keep")
    assert (spies.decoded, spies.computed) == (5, {FIRST: 12})
    row = outcome.row
    assert [row[name] for name in ("listed", "registered", "quarantined", "reused", "copies")] == [5, 4, 1, 0, 2]
    table = read.table(lake.settings, "photos", what="pixels")
    made = dict(zip(zip(table["uri"].to_pylist(), table["copy"].to_pylist(), strict=True), read.pixels(table)))  # noqa: B905
    assert len(made) == table.num_rows == 12
    for (uri, number), pixels in made.items():
        assert np.array_equal(pixels, copies.expected(PHOTOS[Path(uri).name], FIELDS, number))
    rows = rows_of(lake)
    assert sorted(rows) == [(name, number) for name in PHOTOS for number in range(3)]
    assert {one["fingerprint"] for one in rows.values()} == {row["fingerprint"]}
    for (name, _), one in rows.items():
        assert one | {"copy": 0, "features": 0} == rows[name, 0] | {"copy": 0, "features": 0}


def pixels_of(run: Run) -> list[pa.Table]:
    return [shards.read_staged(one.own) for one in shards.read_receipts(run.layout, RESIZE)[0].outputs]


def test_other_shards_and_retries_make_the_same_copies_as_one_worker(lake: Lake) -> None:
    lake.published(FIRST, preprocess=chain(2))
    other = Lake(lake.settings, lake.photos, "other")
    run = other.planned(other.dataset(FIRST, preprocess=chain(2)), shard_images=100)
    assert run.shard_images == 33
    spies = Spies()
    local.run_steps(run, ThisProcess(spies.work), ("ingest", "validate", RESIZE))
    first = pixels_of(run)
    storage.delete_folder(run.layout.step(RESIZE))  # what the first attempt has left is gone
    local.run_steps(run, ThisProcess(spies.work), (RESIZE, FEATURIZE))
    assert pixels_of(run) == first
    register.register(run.layout.run_file, lake.settings)
    assert vectors_of(lake) == vectors_of(lake, "other")


@pytest.mark.long
def test_only_copies_that_are_new_are_computed(lake: Lake) -> None:
    """First there are none, then 2, 3 and 1: what is there already is taken over, and another seed makes all anew."""
    computed, reused, before = [], [], {}
    for preprocess in (None, chain(2), chain(3), chain(1), chain(1, seed=6)):
        spies = Spies()
        outcome = lake.published(FIRST, preprocess=preprocess, spies=spies)
        computed.append(spies.computed[FIRST])
        reused.append(outcome.row["reused"])
        now = vectors_of(lake)
        assert len(now) == 4 * (1 + outcome.row["copies"])
        if preprocess != chain(1, seed=6):
            assert all(now[key] == before[key] for key in now.keys() & before.keys())
        before |= now
    assert (computed, reused) == ([4, 8, 4, 0, 8], [0, 4, 4, 4, 0])


@pytest.mark.long
def test_every_model_gets_the_same_copies_and_one_that_is_added_is_computed_alone(lake: Lake) -> None:
    open_end = [{"augment": {"copies": 2, **FIELDS}}, END]
    lake.published(FIRST, preprocess=open_end)
    spies = Spies()
    outcome = lake.published(FIRST, SECOND, preprocess=open_end, pixels="keep", spies=spies)
    assert (spies.decoded, spies.computed) == (5, {SECOND: 12})
    assert outcome.row["models_reused"] == [(SECOND, 0)] and len(outcome.row["models"]) == 1
    assert "(4 reused, 0 computed; resnet50: 0 reused, 4 computed)" in str(outcome)
    table = read.table(lake.settings, "photos", what="pixels")
    for uri, number, pixels in zip(
        table["uri"].to_pylist(), table["copy"].to_pylist(), read.pixels(table), strict=True
    ):
        vector = rows_of(lake, f"photos__{SECOND}")[Path(uri).name, number]["features"]
        model = outcome.row["models"][0][0]
        spec = next(one.spec for one in lake.planned(lake.dataset(FIRST, SECOND)).models if one.spec.name == model)
        assert vector == Spies().features(spec, pixels[None])[0].tolist()
    with pytest.raises(ParamsError, match="makes 224 × 224 × 3"):
        lake.planned(lake.dataset(FIRST, THIRD, preprocess=open_end))


@pytest.mark.long
def test_a_redrive_adds_a_picture_with_its_copies_and_leaves_the_others(lake: Lake) -> None:
    lake.published(FIRST, preprocess=chain(2))
    before = vectors_of(lake)
    mended = PHOTOS["2.png"]
    fill(lake.photos / PARTITION, {"bad.png": mended})
    params = RedriveParams.parse({})
    with pytest.raises(ParamsError, match=f"{PARTITION} of photos has 2 copies of each image, and a run makes 1 now"):
        choose.plan_redrive(lake.dataset(FIRST, preprocess=chain(1)), params, PARTITION, lake.settings)
    run_file = choose.plan_redrive(lake.dataset(FIRST, preprocess=chain(2)), params, PARTITION, lake.settings)
    assert run_file
    local.run_steps(load_run(run_file), ThisProcess(Spies().work))
    row = register.register(run_file, lake.settings).row
    assert [row[name] for name in ("listed", "registered", "quarantined", "redriven", "copies")] == [5, 5, 0, 1, 2]
    after = vectors_of(lake)
    same = {("bad.png", number): before["2.png", number] for number in range(3)}  # the bytes are another photo's
    assert after == before | same


@pytest.mark.long
def test_a_vector_of_a_copy_that_is_not_finite_keeps_out_the_picture(lake: Lake) -> None:
    grey = {f"{shade}.png": encoded(np.full((8, 8, 3), shade, np.uint8), "PNG") for shade in (60, 200)}
    fill(lake.photos / "grey", grey)
    factor = 0.7 + 0.6 * copies.drawn(5, grey["200.png"], 2, "brightness")
    spies = Spies(not_finite=(FIRST, min(255, int(200 * factor))))
    outcome = lake.published(FIRST, partition="grey", spies=spies, preprocess=chain(2))
    assert outcome.summary["reasons"] == {"NOT_FINITE": 1}
    assert sorted(rows_of(lake)) == [("60.png", number) for number in range(3)]
    (row,) = read.table(lake.settings, "quarantine", partitions=("grey",)).to_pylist()
    assert (Path(row["uri"]).name, row["detail"]) == ("200.png", "1 values are not finite")


def test_run_json_names_each_copy_and_what_is_changed_in_it_is_refused(lake: Lake) -> None:
    run = lake.planned(lake.dataset(FIRST, preprocess=chain(2)))
    facts = json.loads(storage.read(run.layout.run_file))
    assert [facts["preprocessing"]["chain"][2], *(one["preprocessing"]["chain"][2] for one in facts["others"])] == [
        {"kind": "augment", "number": number, "rotate": 0.0, "contrast": 0.0, **FIELDS} for number in range(3)
    ]
    assert load_run(run.layout.run_file) == run
    facts["others"][1]["preprocessing"]["chain"][2]["number"] = 1
    storage.write(run.layout.run_file, json.dumps(facts).encode())
    with pytest.raises(ParamsError, match="is not as plan wrote it: outputs: are not those of the dataset's models"):
        load_run(run.layout.run_file)


def test_the_audit_refuses_a_copy_in_anothers_place(lake: Lake) -> None:
    run = lake.ready(Spies(), FIRST, preprocess=chain(2))
    uri = run.layout.receipt(FEATURIZE, 0)
    receipt = json.loads(storage.read(uri))
    receipt["further"].reverse()
    storage.write(uri, json.dumps(receipt).encode())
    with pytest.raises(AuditFailed, match=r"copy holds \[2\], this run's is 1$"):
        register.register(run.layout.run_file, lake.settings)


@pytest.mark.long
def test_a_lake_of_before_the_column_is_read_and_its_rows_stay_in_use(
    settings: Settings, tmp_path: Path, make_run: MakeRun
) -> None:
    lakes.lay_out("0.1.0", tmp_path)
    whole = len(read.open("photos", settings=settings))
    assert len(read.open("photos", settings=settings, copies=False)) == whole
    source = f"file://{tmp_path}/photos/{{partition}}/"
    run = make_run(source, {"max_rejected": 1}, "2026-11-01", preprocess=chain(1))
    local.run_steps(run, THIS_PROCESS)
    row = register.register(run.layout.run_file, settings).row
    assert (row["copies"], row["reused"]) == (1, row["registered"])
    numbers = read.table(settings, "photos", columns=("copy", "partition_key")).to_pylist()
    days = ("2026-11-01", "2026-11-02")
    of_day = {day: [one["copy"] for one in numbers if one["partition_key"] == day] for day in days}
    assert sorted(of_day["2026-11-01"]) == [0] * row["registered"] + [1] * row["registered"]
    assert set(of_day["2026-11-02"]) == {None}
    without = read.open("photos", settings=settings, copies=False)
    assert len(without) == row["registered"] + len(of_day["2026-11-02"])
