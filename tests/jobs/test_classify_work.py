"""What the job classify does beside the fit, and what publish makes of it: without a JVM."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from imagefeatures import storage
from imagefeatures.catalog.tables import open_catalog, open_table
from imagefeatures.cli import main
from imagefeatures.errors import AuditFailed, CatalogRefused, InputError
from imagefeatures.forget import work as forgetting
from imagefeatures.learning import expiry, portable, promotion, split, tables
from imagefeatures.learning.declared import Classify
from imagefeatures.learning.job import Job, load_job, plan_job
from imagefeatures.learning.portable import Classifier
from imagefeatures.learning.publish import is_published, publish
from imagefeatures.run_params import ClassifyParams, ForgetParams
from imagefeatures.settings import Settings
from imagefeatures_spark import classify
from support import growing, learning
from support.learning import RIGHT, WRONG, Inline
from support.shared import BUCKET


@pytest.fixture
def fit(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Job]:
    """fit(classifier, **fields of `classify`): plans a job and does its work, with this classifier for the fit's.

    fit.shares: of each job, the share of each label's rows that its fit was told to take.
    """
    shares: list[dict[str, float]] = []

    def work(classifier: Classifier = RIGHT, settings: Settings = settings, **fields: Any) -> Job:
        uri = plan_job("fruit", Classify.model_validate(fields), ClassifyParams(), settings)
        job = load_job(uri, settings.lake)

        def save(context: Inline, job: Job, labels: tuple[str, ...], of_labels: dict[str, float]) -> None:
            shares.append(of_labels)
            portable.save(classifier, job.layout.folder)

        monkeypatch.setattr(classify, "fit_and_save", save)
        classify.work(Inline(), job, settings)  # type: ignore[arg-type]
        return job

    work.shares = shares  # type: ignore[attr-defined]
    return work


def published_files(settings: Settings) -> set[Path]:
    return set(Path(settings.lake.removeprefix("file://")).glob("warehouse/learning/fruit_predictions/data/*"))


def test_every_row_is_predicted_and_those_of_the_fitted_labels_have_a_side(settings: Settings, fit: Any) -> None:
    learning.publish(settings, [*learning.rows(300), *learning.rows(1, labels=("kiwi",), first=300)][:301])
    job = fit()
    row = publish(job.layout.job, settings)
    found = {one["uri"]: one for one in tables.predictions(settings, "fruit").to_pylist(maps_as_pydicts="strict")}
    assert len(found) == 301
    assert {one["split"] for one in found.values() if one["label"] in learning.LABELS} == {"train", "test"}
    assert {one["split"] for one in found.values() if one["label"] in (None, "kiwi")} == {None}
    assert {one["predicted"] for one in found.values() if one["label"] is None} == {"apple"}
    one = found["s3://b/2026-11-02/00001.jpg"]
    assert (one["label"], one["predicted"], one["model_id"]) == ("fig", "fig", job.model_id)
    assert set(one["probabilities"]) == set(learning.LABELS)
    assert one["probability"] == max(one["probabilities"].values()) > 0.9
    assert sum(one["probabilities"].values()) == pytest.approx(1, abs=1e-6)
    tests = [one for one in found.values() if one["split"] == "test"]
    assert (row["rows_test"], row["rows_unlabelled"], row["left_out"]) == (len(tests), 75, {"kiwi": 1})
    assert row["accuracy"] == np.mean([one["label"] == one["predicted"] for one in tests]) == 1
    assert sum(map(sum, row["confusion"])) == row["rows_test"] == sum(row["support"].values())
    assert storage.read(row["picture"]).startswith(b"\x89PNG")


def test_the_row_of_the_table_is_what_publish_returns(settings: Settings, fit: Any) -> None:
    learning.publish(settings, learning.rows())
    row = publish(fit(model="mlp").layout.job, settings)
    (standing,) = tables.evaluations(settings)
    assert standing == row
    assert (row["classifier"], row["promoted"], row["compared_with"]) == ("mlp", True, None)
    assert tables.evaluations(settings, "other") == []


def test_the_same_settings_on_the_same_snapshot_are_one_classifier_and_one_row(settings: Settings, fit: Any) -> None:
    learning.publish(settings, learning.rows())
    job = fit()
    assert not is_published(job, settings)
    first = publish(job.layout.job, settings)
    files = published_files(settings)
    for _ in range(2):
        again = fit(WRONG)  # if anything were done again, this would be seen
        assert (again.model_id, publish(again.layout.job, settings)) == (job.model_id, first)
    assert tables.evaluations(settings) == [first]
    assert published_files(settings) == files
    assert is_published(job, settings)
    assert plan_job("fruit", Classify(split_seed=1), ClassifyParams(), settings) != job.layout.job
    learning.publish(settings, learning.rows(40, partition="2026-11-03", first=900))
    assert plan_job("fruit", Classify(), ClassifyParams(), settings) != job.layout.job


@pytest.mark.parametrize("killed_before", ["decision", "predictions", "result"])
def test_a_job_that_was_killed_goes_on_and_leaves_no_file_behind(
    settings: Settings, fit: Any, monkeypatch: pytest.MonkeyPatch, killed_before: str
) -> None:
    learning.publish(settings, learning.rows())

    def end(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        place = {"decision": (classify, "judge"), "predictions": (classify, "write_predictions")}
        patch.setattr(*place.get(killed_before, (classify, "Result")), end)
        with pytest.raises(KeyboardInterrupt):
            fit()
    with pytest.raises(AuditFailed, match="the task classify has not ended"):
        publish(plan_job("fruit", Classify(), ClassifyParams(), settings), settings)
    if killed_before == "result":
        assert len(published_files(settings)) == 1
    job = fit()
    publish(job.layout.job, settings)
    assert len(tables.evaluations(settings)) == len(published_files(settings)) == 1
    assert tables.predictions(settings, "fruit").num_rows == 300


def test_a_worse_classifier_is_not_promoted_and_the_last_one_predicts_new_rows(settings: Settings, fit: Any) -> None:
    learning.publish(settings, learning.rows())
    good = fit()
    publish(good.layout.job, settings)
    learning.publish(settings, learning.rows(100, partition="2026-11-03", first=900))
    bad = fit(WRONG)
    row = publish(bad.layout.job, settings)
    assert (row["promoted"], row["compared_with"], row["compared_macro_accuracy"]) == (False, good.model_id, 1)
    assert "on the same held-out rows: worse by more than the margin 0.01" in row["why"]
    predictions = tables.predictions(settings, "fruit")
    assert predictions.num_rows == 400
    assert set(predictions["model_id"].to_pylist()) == {good.model_id}
    assert promotion.current(bad.layout).model_id == good.model_id
    loaded = portable.load(f"{settings.lake}/learning/fruit/promoted.json")
    assert loaded.arrays["coefficients"][0, 0] == RIGHT.arrays["coefficients"][0, 0]


def test_a_margin_of_one_promotes_whatever_it_is(settings: Settings, fit: Any) -> None:
    learning.publish(settings, learning.rows())
    publish(fit().layout.job, settings)
    bad = fit(WRONG, margin=1)
    assert publish(bad.layout.job, settings)["promoted"]
    assert set(tables.predictions(settings, "fruit")["model_id"].to_pylist()) == {bad.model_id}


def test_an_earlier_classifier_that_is_published_late_changes_no_prediction(settings: Settings, fit: Any) -> None:
    learning.publish(settings, learning.rows())
    early, late = fit(), fit(margin=0.5)
    publish(late.layout.job, settings)
    publish(early.layout.job, settings)
    assert promotion.current(late.layout).model_id == late.model_id
    assert set(tables.predictions(settings, "fruit")["model_id"].to_pylist()) == {late.model_id}
    assert {row["model_id"] for row in tables.evaluations(settings)} == {early.model_id, late.model_id}


def test_predictions_that_are_not_of_every_row_are_not_published(settings: Settings, fit: Any) -> None:
    learning.publish(settings, learning.rows())
    job = fit()
    result = json.loads(storage.read(job.layout.result))
    (uri,) = result["files"]
    storage.write(job.layout.result, json.dumps(result | {"files": {uri: 299}}).encode())
    with pytest.raises(AuditFailed, match="299 predictions for 300 rows"):
        publish(job.layout.job, settings)
    assert tables.predictions(settings, "fruit").num_rows == len(tables.evaluations(settings)) == 0


def test_a_lake_that_was_moved_keeps_tables_classifiers_and_the_promotion(
    settings: Settings, fit: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    learning.publish(settings, learning.rows())
    good = fit()
    row = publish(good.layout.job, settings)
    before = tables.predictions(settings, "fruit")
    new = tmp_path / "elsewhere"
    Path(settings.lake.removeprefix("file://")).rename(new)
    monkeypatch.setenv("IMAGEFEATURES_LAKE", f"file://{new}")
    monkeypatch.setenv("IMAGEFEATURES_CATALOG", f"sqlite:///{new}/catalog.db")
    moved = Settings.from_env()
    with pytest.raises(CatalogRefused, match=r"^learning\.fruit_predictions .* relocate-lake"):
        tables.predictions(moved, "fruit")
    assert main(["relocate-lake", "--apply"]) == 0
    assert tables.predictions(moved, "fruit").equals(before)
    there = f"{moved.lake}/learning/fruit/{good.model_id}"
    assert tables.evaluations(moved) == [row | {"folder": there, "picture": f"{there}/confusion.png"}]
    assert any(storage.list_objects(there))
    image_id = learning.rows()[0]["image_id"]
    (report,) = forgetting.forget(ForgetParams(image_ids=(image_id,), why="x", dry_run=True), "ada", moved)
    assert report.classifiers == {there}
    learning.publish(moved, learning.rows(30, partition="2026-11-03", first=900))
    uri = plan_job("fruit", Classify(), ClassifyParams(), moved)
    job = load_job(uri, moved.lake)
    monkeypatch.setattr(classify, "fit_and_save", lambda _, job, *__: portable.save(WRONG, job.layout.folder))
    classify.work(Inline(), job, moved)  # type: ignore[arg-type]
    assert publish(uri, moved)["compared_with"] == good.model_id
    assert tables.predictions(moved, "fruit").num_rows == 330


def test_a_lake_on_s3(settings: Settings, monkeypatch: pytest.MonkeyPatch, s3: Any, fit: Any) -> None:
    on_s3 = dataclasses.replace(settings, lake=f"s3://{BUCKET}/lake")
    monkeypatch.setenv("IMAGEFEATURES_LAKE", on_s3.lake)
    learning.publish(on_s3, learning.rows())
    job = fit(settings=on_s3)
    orphan = job.layout.new_predictions(7)
    storage.write(orphan, b"of an attempt that was killed")
    row = publish(job.layout.job, on_s3)
    assert (row["accuracy"], tables.predictions(on_s3, "fruit").num_rows) == (1, 300)
    assert portable.load(f"{on_s3.lake}/learning/fruit/promoted.json", learning.FINGERPRINT).labels == learning.LABELS
    assert not storage.exists(orphan)


def test_vectors_that_were_computed_in_two_ways_want_a_choice(settings: Settings, fit: Any) -> None:
    other = [row | {"fingerprint": "0" * 32} for row in learning.rows(60, partition="2026-11-03", first=900)]
    learning.publish(settings, learning.rows())
    learning.publish(settings, other)
    with pytest.raises(InputError, match=r"in several ways .* in the dataset file as classify: \{fingerprint"):
        fit()
    job = fit(fingerprint=learning.FINGERPRINT)
    row = publish(job.layout.job, settings)
    assert (job.fingerprint, tables.predictions(settings, "fruit").num_rows) == (learning.FINGERPRINT, 300)
    assert sum(row["support"].values()) < 300


@pytest.mark.parametrize(("runs", "max_rows"), [([], 240), ([None], 240), ([2, None], 720)])
def test_the_most_rows_are_those_of_the_images_with_their_copies(
    settings: Settings, fit: Any, runs: list[int | None], max_rows: int
) -> None:
    rows = learning.rows(450, labels=learning.LABELS)
    learning.publish(settings, rows, files=1)
    run = growing.runs_row("fruit", "20261103T000000-0a1b2c3d")
    place = run.schema.get_field_index("copies")
    with open_catalog(settings) as catalog:
        for copies in runs:
            own = run.set_column(place, run.schema.field(place), pa.array([copies], run.schema.field(place).type))
            open_table(catalog, settings, "runs").append(own)
    job = fit(max_rows=max_rows)
    (shares,) = fit.shares
    train = [row for row in rows if row["image_id"] > "33333333"]
    assert sum(shares[row["label"]] for row in train) == pytest.approx(240)
    bounds = {label: split.bound(share) for label, share in shares.items()}
    fitted = [
        row for row in train
        if hashlib.sha256(f"fit:{row['image_id']}".encode()).hexdigest() < bounds[row["label"]]
    ]  # fmt: skip
    assert publish(job.layout.job, settings)["rows_train"] == len(fitted) != 240


def test_publish_deletes_old_classifiers(settings: Settings, fit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "KEPT", 1)
    learning.publish(settings, learning.rows())
    for job in (jobs := [fit(), fit(margin=0.5)]):
        publish(job.layout.job, settings)
    assert [storage.exists(job.layout.portable) for job in jobs] == [False, True]
    assert len(tables.evaluations(settings)) == 2
