"""job.json as it is written and read: what names a classifier, where its files are, and what is refused."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from pydantic import ValidationError

from imagefeatures import names, storage
from imagefeatures.catalog.tables import open_catalog, open_table
from imagefeatures.errors import DatasetError, InputError, NoInput, ParamsError
from imagefeatures.learning.declared import Classify
from imagefeatures.learning.job import load_job, plan_job
from imagefeatures.learning.places import ClassifierLayout
from imagefeatures.run_params import ClassifyParams
from imagefeatures.settings import Settings
from support import learning

ID = "3fa0c1d2e3f40516"


def planned(settings: Settings, **fields: Any) -> str:
    return plan_job("fruit", Classify.model_validate(fields), ClassifyParams(), settings)


def test_the_id_is_the_digest_of_what_is_fitted_and_how(settings: Settings) -> None:
    learning.publish(settings, learning.rows(3))
    uri = planned(settings, components=9)
    job = load_job(uri, settings.lake)
    facts = {
        "dataset": "fruit",
        "snapshot": job.snapshot,
        "fingerprint": learning.FINGERPRINT,
        "classify": Classify(components=9).model_dump(mode="json"),
    }
    assert job.model_id == hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    assert uri == f"{settings.lake}/learning/fruit/{job.model_id}/job.json"
    assert job.selection == {"snapshot": job.snapshot, "fingerprint": learning.FINGERPRINT, "copies": False}
    assert set(json.loads(storage.read(uri))) == {*facts, "model_id", "planned_at"}  # not the lake: it may be copied
    written = storage.read(uri)
    assert planned(settings, components=9) == uri
    assert storage.read(uri) == written


def test_a_dataset_without_the_field_fits_no_classifier(settings: Settings) -> None:
    with pytest.raises(DatasetError, match=r"^fruit\.yaml: classify: is required to fit a classifier"):
        plan_job("fruit", None, ClassifyParams(), settings)


def test_a_job_of_another_place_is_refused(settings: Settings) -> None:
    learning.publish(settings, learning.rows(3))
    uri = planned(settings)
    other = ClassifierLayout(settings.lake, "fruit", ID).job
    storage.write(other, storage.read(uri))
    with pytest.raises(
        ParamsError, match=f"^--job: {other} holds the job of another place, {uri.removesuffix('/job.json')}; "
    ):
        load_job(other, settings.lake)


def test_a_job_does_not_change(settings: Settings) -> None:
    learning.publish(settings, learning.rows(3))
    job = load_job(planned(settings), settings.lake)
    with pytest.raises(ValidationError, match="frozen"):
        job.snapshot = 1


def test_a_table_without_rows_is_nothing_to_fit(settings: Settings) -> None:
    with open_catalog(settings) as catalog:
        open_table(catalog, settings, "fruit")
    said = r"^features\.fruit: no row is published yet; run features_fruit first$"
    with pytest.raises(NoInput, match=said):
        planned(settings)
    learning.publish(settings, learning.rows(3))
    with open_catalog(settings) as catalog:
        open_table(catalog, settings, "fruit").delete("uri is not null")
    with pytest.raises(NoInput, match=said):
        planned(settings)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[]", "no JSON object"),
        (b"{", "no JSON object"),
        (b'{"model_id": "1"}', "dataset: is required"),
        (b"\xff", "no JSON object"),
    ],
)
def test_a_file_that_is_no_job_is_refused_in_one_line(settings: Settings, content: bytes, said: str) -> None:
    uri = ClassifierLayout(settings.lake, "fruit", ID).job
    storage.write(uri, content)
    with pytest.raises(ParamsError) as raised:
        load_job(uri, settings.lake)
    assert str(raised.value).startswith(f"--job: {uri} is not what this version wrote: {said}")
    assert "\n" not in str(raised.value)


def test_a_job_with_a_field_that_is_not_known_is_refused(settings: Settings) -> None:
    learning.publish(settings, learning.rows(3))
    uri = planned(settings)
    storage.write(uri, json.dumps(json.loads(storage.read(uri)) | {"colour": "red"}).encode())
    with pytest.raises(ParamsError, match="is not what this version wrote: colour"):
        load_job(uri, settings.lake)


def test_a_job_that_is_gone_is_planned_again_by_its_dag(settings: Settings) -> None:
    uri = ClassifierLayout(settings.lake, "fruit", ID).job
    with pytest.raises(
        ParamsError, match=f"^--job: {uri} does not exist; trigger {names.classify_dag_id('fruit')} again"
    ):
        load_job(uri, settings.lake)


def test_vectors_of_several_ways_are_an_error_that_says_where_to_choose(settings: Settings) -> None:
    learning.publish(settings, learning.rows(3))
    other = [row | {"fingerprint": "0" * 32} for row in learning.rows(3, partition="2026-11-03", first=900)]
    learning.publish(settings, other)
    with pytest.raises(InputError, match=r"choose one with fingerprint=: in the dataset file as classify: \{fing"):
        planned(settings)


def test_a_classifiers_files_lie_in_its_folder() -> None:
    layout = ClassifierLayout("s3://b/lake", "fruit", ID)
    folder = f"s3://b/lake/learning/fruit/{ID}"
    files = (layout.job, layout.spark, layout.portable, layout.picture, layout.decision, layout.result)
    of_folder = ("job.json", "spark", "portable.json", "confusion.png", "decision.json", "result.json")
    assert (layout.folder, files) == (folder, tuple(f"{folder}/{name}" for name in of_folder))
    assert layout.promoted == "s3://b/lake/learning/fruit/promoted.json"
    beginning = f"s3://b/lake/warehouse/learning/fruit_predictions/data/{ID}-"
    assert layout.predictions == beginning
    new = {layout.new_predictions(12) for _ in range(2)}
    assert len(new) == 2
    assert all(uri.startswith(f"{beginning}00012-") and uri.endswith(".parquet") for uri in new)
    assert ClassifierLayout.of_job_file(layout.job, "s3://b/lake") == layout
    assert ClassifierLayout.of_job_file(layout.job, "s3://b/lake", "fruit") == layout


@pytest.mark.parametrize(
    ("uri", "dataset", "said"),
    [
        (f"s3://b/lake/learning/Fruit!/{ID}/job.json", None, "is not the job.json of a classifier in s3://b/lake"),
        (f"s3://b/lake/learning/fruit/{ID}/result.json", None, "is not the job.json of a classifier in s3://b/lake"),
        (f"s3://b/lake/learning/fruit/{ID}/job.json", "nuts", "is a classifier of fruit, not of nuts"),
    ],
)
def test_what_is_no_classifiers_job_is_refused(uri: str, dataset: str | None, said: str) -> None:
    with pytest.raises(ParamsError) as raised:
        ClassifierLayout.of_job_file(uri, "s3://b/lake", dataset)
    assert str(raised.value) == f"--job: {uri} {said}"
