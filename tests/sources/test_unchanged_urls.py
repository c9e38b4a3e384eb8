"""A second run over URLs: what has not changed costs no bytes, and has the vector that the table had."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imagefeatures import local, read, shards, steps
from imagefeatures.models.backbones import BACKBONES
from imagefeatures.plan import Run
from imagefeatures.settings import Settings
from imagefeatures.steps import file_index, unchanged
from imagefeatures.workers import ThisProcess
from support import several
from support.hostile_http import site
from support.photos import jpeg
from support.several import FIRST, SECOND, Spies
from support.shared import MODEL, SPEC, THIS_PROCESS, MakeRun
from support.versioned_photos import COUNT, NOTHING, Photos, planner, published, rows_of


@pytest.fixture
def photos() -> Photos:
    return Photos()


@pytest.fixture
def planned(
    make_run: MakeRun, tmp_path: Path, photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Run]]:
    monkeypatch.setenv("IMAGEFEATURES_HTTP_ALLOW", "127.0.0.1/32")
    with site("127.0.0.1", dict.fromkeys([*photos.photos, *(f"/{n}.jpg" for n in range(90, 99))], photos)) as host:
        yield planner(make_run, tmp_path, host)


def test_a_second_run_over_unchanged_urls_costs_no_bytes_and_reuses_all(
    planned, photos: Photos, settings: Settings
) -> None:
    published(planned(), settings)
    before = rows_of(settings)
    assert photos.sent == sum(len(body) for body, _ in photos.photos.values())
    for _ in range(2):  # a third run asks about rows that came from a 304
        photos.again()
        run = planned()
        summary = published(run, settings, NOTHING)
        assert photos.sent == 0
        assert photos.conditions == {target: mark for target, (_, mark) in photos.photos.items()}
        assert (summary["listed"], summary["registered"], summary["reused"], summary["computed"]) == (12, 12, 12, 0)
        after = rows_of(settings)
        assert {row["run_id"] for row in after.values()} == {run.run_id}
        assert after["/3.jpg"]["key"] == before["/3.jpg"]["key"].replace("key 1", f"key {run_number(after)}")
        changing = ("run_id", "key")
        assert [{k: v for k, v in after[name].items() if k not in changing} for name in sorted(after)] == [
            {k: v for k, v in before[name].items() if k not in changing} for name in sorted(before)
        ]
    (row,) = read.table(settings, "runs").to_pylist()
    assert (row["reused"], row["ingest_images"], row["featurize_images"]) == (12, 12, 12)


def test_the_search_for_versions_opens_the_newest_files_of_the_urls_alone(
    planned, photos: Photos, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_index, "FEW", 0)
    wanted = ["/0.jpg", "/4.jpg"]
    for day, names in (("d1", None), ("d2", wanted), ("d3", ["/7.jpg"])):
        published(planned(names, partition=day), settings)
    photos.again()
    opened: list[str] = []
    real = read.file_batches
    monkeypatch.setattr(read, "file_batches", lambda uri, *given: opened.append(uri) or real(uri, *given))
    run = planned([*wanted, "/90.jpg"], partition="d4")
    photos.photos["/90.jpg"] = (jpeg(33), '"new"')
    local.run_steps(run, THIS_PROCESS, (steps.INGEST,))
    assert photos.conditions == {name: photos.photos[name][1] for name in wanted} | {"/90.jpg": None}
    opened.clear()
    photos.again()
    run = planned(wanted, partition="d5")
    local.run_steps(run, THIS_PROCESS, (steps.INGEST,))
    assert photos.sent == 0
    assert {uri.split("partition_key=")[1].split("/")[0] for uri in opened} == {"d2"}


def test_pixels_are_reused_with_the_vectors_or_fetched_where_they_are_not_there(
    planned, photos: Photos, settings: Settings
) -> None:
    published(planned(), settings)
    photos.again()
    published(planned(pixels="keep"), settings, NOTHING)
    assert photos.sent == sum(len(body) for body, _ in photos.photos.values())  # the table of pixels had none
    before = read.table(settings, "photos", what="pixels")
    photos.again()
    summary = published(planned(pixels="keep"), settings, NOTHING)
    assert (photos.sent, summary["reused"]) == (0, COUNT)
    after = read.table(settings, "photos", what="pixels")
    changing = ["run_id", "key"]
    assert after.drop_columns(changing).equals(before.drop_columns(changing))
    assert after.num_rows == COUNT


@pytest.mark.long
def test_copies_of_what_has_not_changed_are_reused_and_ones_that_are_not_there_are_fetched_for(
    planned, photos: Photos, settings: Settings
) -> None:
    end = {"resize": {"size": [224, 224]}}
    published(planned(), settings)
    for copies, fetched in ((1, True), (1, False), (2, True), (2, False), (1, False)):
        photos.again()
        before = {(row["uri"], row["copy"]): row["features"] for row in read.table(settings, "photos").to_pylist()}
        augment = {"augment": {"copies": copies, "crop": 0.6}}
        work = THIS_PROCESS if fetched else NOTHING
        summary = published(planned(preprocess=[augment, end]), settings, work)
        assert (summary["reused"], photos.sent > 0) == (COUNT, fetched)
        after = {(row["uri"], row["copy"]): row["features"] for row in read.table(settings, "photos").to_pylist()}
        assert len(after) == (1 + copies) * COUNT
        assert all(after[key] == before[key] for key in after.keys() & before.keys())


def run_number(rows: dict[str, dict[str, object]]) -> str:
    return str(rows["/3.jpg"]["key"]).split()[1]


def test_what_has_changed_or_is_new_is_fetched_and_nothing_else(planned, photos: Photos, settings: Settings) -> None:
    published(planned(), settings)
    before = rows_of(settings)
    changed = {
        "/0.jpg": (jpeg(30), '"other"'),
        "/1.jpg": (jpeg(31), 'W/"other"'),
        "/2.jpg": (jpeg(32), "Mon, 02 Nov 2026 08:00:00 GMT"),
        "/3.jpg": (photos.photos["/3.jpg"][0], '"the same bytes"'),
        "/90.jpg": (jpeg(33), '"new"'),
    }
    photos.photos |= changed
    photos.again()
    summary = published(planned([f"/{n}.jpg" for n in (*range(COUNT), 90)]), settings)
    assert photos.sent == sum(len(body) for body, _ in changed.values())
    assert (summary["registered"], summary["reused"], summary["computed"]) == (13, 9, 4)
    after = rows_of(settings)
    differ = {name for name in after if after[name]["image_id"] != before.get(name, {}).get("image_id")}
    assert differ == changed.keys() - {"/3.jpg"}
    assert {name: after[name]["etag"] for name in changed} == {name: mark for name, (_, mark) in changed.items()}


def test_a_url_is_asked_whether_it_has_changed_once_all_models_have_its_vector(
    planned, photos: Photos, settings: Settings
) -> None:
    several.know_weights(settings.lake, [SECOND])
    both = {"models": [FIRST, SECOND]}
    published(planned(), settings)  # the first model alone
    photos.again()
    spies = Spies()
    published(planned(**both), settings, ThisProcess(spies.work))
    assert set(photos.conditions.values()) == {None}
    assert spies.computed == {SECOND: COUNT}
    before = [rows_of(settings, table) for table in ("photos", f"photos__{SECOND}")]
    photos.again()
    photos.photos["/0.jpg"] = (jpeg(30), '"other"')
    spies = Spies()
    summary = published(planned(**both), settings, ThisProcess(spies.work))
    assert photos.sent == len(jpeg(30))
    assert (spies.decoded, spies.computed) == (1, {FIRST: 1, SECOND: 1})
    assert summary["models"][SECOND]["reused"] == summary["reused"] == COUNT - 1
    after = [rows_of(settings, table) for table in ("photos", f"photos__{SECOND}")]
    for then, now in zip(before, after, strict=True):
        assert {name for name in now if now[name]["features"] != then[name]["features"]} == {"/0.jpg"}


@pytest.mark.long
def test_what_was_quarantined_is_asked_for_in_full(planned, photos: Photos, settings: Settings) -> None:
    good, mark = photos.photos["/3.jpg"]
    photos.photos["/3.jpg"] = (good[:-20], mark)
    assert published(planned(), settings)["reasons"] == {"TRUNCATED": 1}
    photos.again()
    assert published(planned(), settings)["reasons"] == {"TRUNCATED": 1}
    assert (photos.conditions["/3.jpg"], photos.sent) == (None, len(good) - 20)
    photos.photos["/3.jpg"] = (good, mark)  # mended, under the same version
    photos.again()
    summary = published(planned(), settings)
    assert (summary["registered"], summary["reused"], photos.sent) == (12, 11, len(good))


@pytest.mark.long
@pytest.mark.parametrize("why", ["fingerprint", "reuse", "pixels", "bytes", "file"])
def test_without_a_vector_to_take_there_is_no_condition(
    planned, photos: Photos, settings: Settings, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    with monkeypatch.context() as patch:
        if why == "fingerprint":
            patch.setitem(BACKBONES, MODEL, SPEC.model_copy(update={"cut": "somewhere else"}))
        published(planned(), settings)
    photos.again()
    limits = {"max_rejected": 1} | {"pixels": {"max_pixels": 10}, "bytes": {"max_bytes": 10}}.get(why, {})
    run = planned(params={"reuse": False} if why == "reuse" else {}, limits=limits)
    if why == "file":
        for file in read.files(settings, "photos"):
            Path(file.removeprefix("file://")).write_bytes(b"damaged")
    local.run_steps(run, THIS_PROCESS, (steps.INGEST, steps.VALIDATE))
    assert set(photos.conditions.values()) == {None}
    receipts = shards.read_receipts(run.layout, steps.VALIDATE)
    assert sum(receipt.passed for receipt in receipts) == (0 if why in ("pixels", "bytes") else COUNT)


@pytest.mark.long
def test_a_row_whose_vector_is_invalid_is_asked_for_in_full(
    planned, photos: Photos, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(planned(), settings)
    valid_rows = unchanged.reuse.valid_rows
    monkeypatch.setattr(
        unchanged.reuse,
        "valid_rows",
        lambda run, table: valid_rows(run, table).filter([n > 0 for n in range(len(table))]),
    )
    photos.again()
    run = planned()
    local.run_steps(run, THIS_PROCESS, (steps.INGEST,))
    assert list(photos.conditions.values()).count(None) == 3  # the first of each shard
