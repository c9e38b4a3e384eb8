"""Several models in one run: the same tables as one run for each model, made with one decoding."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagefeatures import cli, names, read, shards
from imagefeatures.errors import AuditFailed, DatasetError, InputError, ParamsError
from imagefeatures.plan import load_run
from imagefeatures.settings import Settings
from imagefeatures.steps import RESIZE, register
from support.photos import encoded, fill, jpeg, png_of
from support.several import FIRST, SECOND, THIRD, Lake, Spies
from support.shared import PARTITION

ALL = (FIRST, SECOND, THIRD)
TABLES = ("photos", f"photos__{SECOND}", f"photos__{THIRD}")
PHOTOS = {f"{at}.jpg": jpeg(at, 60 + at, 48) for at in range(7)}
DAYS = ("2026-11-01", "2026-11-02", "2026-11-03")


@pytest.fixture
def lake(settings: Settings, tmp_path: Path) -> Lake:
    """Three days of the same photos, and of one of each day's own; of PARTITION one cannot be decoded."""
    for number, day in enumerate(DAYS):
        fill(tmp_path / "photos" / day, PHOTOS | {f"own-{day}.jpg": jpeg(100 + number, 50, 50)})
    fill(tmp_path / "photos" / PARTITION, {"bad.png": png_of(64, 48, b"no zlib stream")})
    return Lake(settings, tmp_path / "photos")


def alone(lake: Lake, model: str, partition: str = PARTITION) -> dict[str, dict[str, Any]]:
    """The rows that a run of this model alone publishes, as another dataset."""
    other = Lake(lake.settings, lake.photos, f"only_{model}")
    other.published(model, partition=partition)
    return other.rows(other.name, partition)


def test_each_table_is_that_of_a_run_of_its_model_alone_and_each_picture_is_decoded_once(lake: Lake) -> None:
    spies = Spies()
    outcome = lake.published(*ALL, spies=spies)
    assert (outcome.summary["listed"], outcome.summary["registered"], outcome.summary["quarantined"]) == (9, 8, 1)
    assert (spies.decoded, spies.computed) == (9, dict.fromkeys(ALL, 8))
    assert spies.shapes == {(224 * 224 * 3 + 299 * 299 * 3,)}  # a chain for each size, not for each model
    for table, model in zip(TABLES, ALL, strict=True):
        assert lake.rows(table) == alone(lake, model)
        order = read.table(lake.settings, table, columns=("uri",))["uri"].to_pylist()
        assert order == sorted(order)
    (row,) = read.runs(lake.settings, "photos")
    assert {lake.run_ids(table).pop() for table in TABLES} == {row["run_id"]}
    assert row["models"] == [
        (model, next(iter(lake.rows(t).values()))["fingerprint"]) for t, model in zip(TABLES[1:], ALL[1:], strict=True)
    ]
    assert row["models_reused"] == [(SECOND, 0), (THIRD, 0)]
    assert names.tables_of_run(row) == list(TABLES)
    assert f"8 registered (0 reused, 8 computed; {SECOND}: 0 reused, 8 computed; {THIRD}: 0 re" in str(outcome)


@pytest.mark.long
def test_the_vectors_of_a_second_run_are_all_reused_and_the_same(lake: Lake) -> None:
    lake.published(*ALL)
    before = [lake.rows(table) for table in TABLES]
    spies = Spies()
    outcome = lake.published(*ALL, spies=spies)
    assert (spies.decoded, spies.computed.total()) == (1, 0)  # the bad one
    assert outcome.summary["models"][SECOND] | {"fingerprint": ""} == {"fingerprint": "", "reused": 8, "computed": 0}
    assert [lake.rows(table) for table in TABLES] == before


@pytest.mark.parametrize("added", [pytest.param(name, marks=pytest.mark.long) for name in (SECOND, THIRD)])
def test_a_model_that_is_added_to_three_days_is_computed_alone(lake: Lake, added: str) -> None:
    before = [model for model in ALL if model != added]
    for day in DAYS:
        lake.published(*before, partition=day)
    earlier = {day: {model: lake.rows(lake_table(before, model), day) for model in before} for day in DAYS}
    spies = Spies()
    for day in DAYS:
        outcome = lake.published(*before, added, partition=day, spies=spies)
        assert outcome.summary["computed"] == 0
        assert outcome.summary["models"][before[1]]["computed"] == 0
    assert set(spies.computed) == {added}
    assert spies.computed[added] == 10  # the photos of all days are 7, and each day has one of its own
    for day in DAYS:
        assert {model: lake.rows(lake_table(before, model), day) for model in before} == earlier[day]
    assert lake.rows(f"photos__{added}", DAYS[-1]) == alone(lake, added, DAYS[-1])


def lake_table(models: list[str], model: str) -> str:
    return "photos" if model == models[0] else f"photos__{model}"


@pytest.mark.long
@pytest.mark.parametrize("seed", range(6))
def test_whatever_each_table_holds_the_rows_are_those_of_a_fresh_lake(lake: Lake, tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    for number in range(3):  # partitions of some of the photos, for some of the models
        day = f"2026-10-0{number + 1}"
        some = draw.sample(sorted(PHOTOS), draw.randint(1, 6))
        fill(lake.photos / day, {name: PHOTOS[name] for name in some})
        lake.published(FIRST, *draw.sample(ALL[1:], draw.randint(0, 2)), partition=day)
    known = {table: {row["image_id"] for row in published(lake, table)} for table in TABLES}
    spies = Spies()
    lake.published(*ALL, spies=spies)
    for table, model in zip(TABLES, ALL, strict=True):
        rows = lake.rows(table)
        assert rows == alone(lake, model)
        assert spies.computed[model] == len({row["image_id"] for row in rows.values()} - known[table])
    in_all = set.intersection(*known.values())
    assert spies.decoded == 9 - len([row for row in rows.values() if row["image_id"] in in_all])


def published(lake: Lake, table: str) -> list[dict[str, Any]]:
    try:
        return read.table(lake.settings, table, columns=("image_id",)).to_pylist()
    except InputError:
        return []


def test_the_pixels_of_a_picture_are_written_once_for_each_chain(lake: Lake) -> None:
    run = lake.ready(Spies(), *ALL)
    files = [receipt.outputs for receipt in shards.read_receipts(run.layout, RESIZE)]
    assert [[one.own.rows for one in of_shard] for of_shard in files] == [[3, 0, 3], [3, 0, 3], [2, 0, 2]]


def test_a_vector_that_is_not_finite_in_one_model_keeps_its_image_out_of_all_tables(lake: Lake) -> None:
    grey = {f"{shade}.png": encoded(np.full((8, 8, 3), shade, np.uint8), "PNG") for shade in (10, 200, 90)}
    fill(lake.photos / "grey", grey)
    lake.published(FIRST, THIRD, partition="grey")  # one of them has its vectors for two models already
    spies = Spies(not_finite=(SECOND, 200))
    outcome = lake.published(*ALL, partition="grey", spies=spies)
    assert outcome.summary["reasons"] == {"NOT_FINITE": 1}
    assert [sorted(lake.rows(table, "grey")) for table in TABLES] == [["10.png", "90.png"]] * 3
    (row,) = read.table(lake.settings, "quarantine", partitions=("grey",)).to_pylist()
    assert (Path(row["uri"]).name, row["detail"]) == ("200.png", f"{SECOND}: 1 values are not finite")


@pytest.mark.long
def test_a_model_that_is_taken_out_leaves_its_table_as_it_was_and_may_come_back(lake: Lake) -> None:
    lake.published(FIRST, SECOND)
    left, of = lake.rows(TABLES[1]), lake.run_ids(TABLES[1])
    outcome = lake.published(FIRST)
    assert "models" not in outcome.summary
    assert (lake.rows(TABLES[1]), lake.run_ids(TABLES[1])) == (left, of)
    assert read.runs(lake.settings, "photos")[0]["models"] == []
    back = lake.published(FIRST, SECOND)
    assert back.summary["models"][SECOND]["computed"] == 0
    assert lake.rows(TABLES[1]) == left


def test_one_chain_of_the_dataset_is_for_all_its_models_or_refused(lake: Lake) -> None:
    chain = [{"resize": {"shortest_edge": 256}}, {"center_crop": {"size": [224, 224]}}]
    lake.published(FIRST, SECOND, preprocess=chain)
    with pytest.raises(ParamsError, match=r"preprocess: makes 224 × 224 × 3 .* and inception_v3 takes 299 × 299 × 3"):
        lake.planned(lake.dataset(*ALL, preprocess=chain))


def test_the_first_model_keeps_the_table_so_another_width_in_its_place_is_refused(lake: Lake) -> None:
    lake.published(FIRST, SECOND, partition=DAYS[0])
    with pytest.raises(DatasetError, match=r"features\.photos holds vectors of 1280 values in other partitions"):
        lake.planned(lake.dataset(SECOND, FIRST))


@pytest.mark.long
def test_a_table_of_two_datasets_is_refused_whichever_comes_second(lake: Lake) -> None:
    both = Lake(lake.settings, lake.photos, TABLES[1])
    lake.published(FIRST, SECOND)
    with pytest.raises(
        DatasetError,
        match=rf"^features\.{TABLES[1]} is published by the dataset photos; give the dataset {TABLES[1]} an",
    ):
        both.planned(both.dataset(FIRST))
    other = Lake(lake.settings, lake.photos, f"pears__{SECOND}")
    other.published(FIRST)
    pears = Lake(lake.settings, lake.photos, "pears")
    with pytest.raises(DatasetError, match=rf"is published by the dataset pears__{SECOND}; give the model or the data"):
        pears.planned(pears.dataset(FIRST, SECOND))
    pears.published(FIRST)  # its own table is nobody else's
    other.published(FIRST)


def test_a_run_json_whose_outputs_are_not_the_datasets_is_refused(lake: Lake) -> None:
    run = lake.planned(lake.dataset(FIRST, SECOND))
    for forged, says in (
        (run.others[0].model_copy(update={"table": "fruit"}), "outputs: are not those of the dataset's models"),
        (run.others[0].model_copy(update={"fingerprint": "0" * 32}), "is of another fingerprint"),
        (run.others[0].model_copy(update={"model": run.model}), "is of another fingerprint"),
    ):
        content = run.model_copy(update={"others": (forged,)}).model_dump_json()
        Path(run.layout.run_file.removeprefix("file://")).write_text(content)
        with pytest.raises(ParamsError, match=says):
            load_run(run.layout.run_file)


def test_tables_that_do_not_hold_the_same_objects_are_not_published(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = lake.ready(Spies(), FIRST, SECOND)
    read_staged = shards.read_staged

    def swapped(file: shards.StagedFile, *rest: Any) -> Any:
        table = read_staged(file, *rest)
        return table.take(list(range(table.num_rows))[::-1]) if f"/{TABLES[1]}/" in file.uri else table

    monkeypatch.setattr(shards, "read_staged", swapped)
    with pytest.raises(AuditFailed, match="the outputs do not hold the same objects in the same order"):
        register.register(run.layout.run_file, lake.settings)
    assert read.runs(lake.settings, "photos") == []


def test_the_vectors_of_a_model_are_read_and_exported_by_its_name(lake: Lake, tmp_path: Path) -> None:
    lake.published(FIRST, SECOND)
    settings = lake.settings
    assert read.open("photos", model=SECOND, settings=settings).to_numpy().features.shape == (8, 2048)
    assert read.open("photos", model=FIRST, settings=settings).to_numpy().features.shape == (8, 1280)
    assert read.table_of(settings, "photos", SECOND) == TABLES[1]
    for model, width in ((FIRST, 1280), (SECOND, 2048)):
        assert cli.main(["export", "photos", "--model", model, "--to", f"{tmp_path}/{model}.npy"]) == 0
        assert np.load(f"{tmp_path}/{model}.npy").shape == (8, width)
    assert cli.main(["export", "photos", "--model", "vgg16", "--to", f"{tmp_path}/a.npy"]) == 65
    with pytest.raises(InputError, match=rf"no vectors of vgg16 are published; there are: {FIRST}, {SECOND}$"):
        read.open("photos", model="vgg16", settings=settings)
    with pytest.raises(InputError, match="nothing of it is published"):
        read.table_of(settings, "pears", FIRST)
