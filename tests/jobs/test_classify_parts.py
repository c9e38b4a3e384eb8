"""The job classify part by part: what it prints and notes, what it judges by, and how a fit is stored."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from imagefeatures import storage
from imagefeatures.errors import AuditFailed
from imagefeatures.learning import portable, promotion
from imagefeatures.learning.declared import Classify
from imagefeatures.learning.job import Job, load_job, plan_job
from imagefeatures.learning.portable import Classifier
from imagefeatures.learning.predict import Written
from imagefeatures.learning.publish import load_result, publish
from imagefeatures.run_params import ClassifyParams
from imagefeatures.settings import Settings
from imagefeatures_spark import classify, fit, saved_form
from imagefeatures_spark.feature_source import FeatureSource
from support import learning
from support.learning import RIGHT, WRONG, Inline


class Log(io.StringIO):
    """Standard output that is read by another program. out: what had come out of it, each time that it was flushed."""

    def __init__(self) -> None:
        super().__init__()
        self.out: list[str] = []

    def flush(self) -> None:
        self.out.append(self.getvalue())
        self.truncate(self.seek(0))


@pytest.fixture
def rows(settings: Settings) -> int:
    learning.publish(settings, learning.rows(120))
    return 120


def planned(settings: Settings, **fields: Any) -> Job:
    uri = plan_job("fruit", Classify.model_validate(fields), ClassifyParams(), settings)
    return load_job(uri, settings.lake)


def done(settings: Settings, patch: pytest.MonkeyPatch, classifier: Classifier = RIGHT, **fields: Any) -> Job:
    job = planned(settings, **fields)
    patch.setattr(classify, "fit_and_save", lambda _, job, *__: portable.save(classifier, job.layout.folder))
    classify.work(Inline(), job, settings)  # type: ignore[arg-type]
    return job


def test_a_job_is_known_by_its_dataset_and_its_id(settings: Settings, rows: int) -> None:
    job = planned(settings)
    begun = classify.begin(job.layout.job)
    assert (begun.name, begun.dataset) == (f"fruit classify {job.model_id}", "fruit")
    assert begun.what == f"--job: {job.layout.job} is a classifier"
    assert classify.WRITTEN_BYTES == 64 << 20


@pytest.mark.parametrize("components", [None, 5])
def test_the_result_says_what_was_fitted_and_by_what(
    settings: Settings, rows: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    components: int | None,
) -> None:  # fmt: skip
    more = {} if components is None else {"components": np.eye(learning.WIDTH, components)}
    narrow = {name: values[..., :components] for name, values in RIGHT.arrays.items() if name != "intercepts"}
    arrays = {"intercepts": RIGHT.arrays["intercepts"], **narrow, **more}
    fitted = Classifier(RIGHT.kind, RIGHT.fingerprint, RIGHT.width, RIGHT.labels, arrays)
    job = done(settings, monkeypatch, fitted)
    result = load_result(job)
    assert result
    assert (result.labels, result.rows, result.rows_unlabelled, result.components) == (
        learning.LABELS, rows, 30, components,
    )  # fmt: skip
    assert result.rows_train + sum(map(sum, result.confusion)) == 90
    assert 0 < result.seconds < 600
    assert list(result.versions) == ["python", "pyspark", "numpy"]
    said = capsys.readouterr().out
    assert said.startswith(f"classify: logistic_regression {job.model_id}: accuracy ")
    assert f"{sum(map(sum, result.confusion))} held-out rows of 3 labels; promoted: the first classifier" in said
    classify.work(Inline(), job, settings)  # type: ignore[arg-type]
    assert capsys.readouterr().out == f"classify: {job.model_id} was done before\n"


def test_a_label_that_has_few_rows_is_warned_of_and_every_line_comes_out_at_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    learning.publish(settings, [*learning.rows(119), *learning.rows(1, labels=("kiwi",), first=300)])
    log = Log()
    monkeypatch.setattr(sys, "stdout", log)
    job = done(settings, monkeypatch)
    classify.work(Inline(), job, settings)  # type: ignore[arg-type]
    warning, result, before = log.out
    assert warning.startswith("classify: warning: too few images to be fitted, ")
    assert warning.endswith(": kiwi (1)\n")
    assert result.startswith(f"classify: logistic_regression {job.model_id}: ")
    assert before == f"classify: {job.model_id} was done before\n"


def test_predictions_of_other_rows_than_there_are_end_the_job(
    settings: Settings, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(classify, "write_predictions", lambda *_: [Written("file:///1", 70), Written("file:///2", 49)])
        with pytest.raises(AuditFailed, match=r"/learning/fruit/\w+: predictions for 119 of 120 rows$"):
            done(settings, patch)
    with monkeypatch.context() as patch:
        patch.setattr(classify, "write_predictions", lambda *_: [])
        result = load_result(done(settings, patch))
    assert result
    assert result.files == {}


def test_of_two_attempts_the_first_result_counts(
    settings: Settings, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = done(settings, monkeypatch)
    first = storage.read(job.layout.result)
    monkeypatch.setattr(classify, "load_result", lambda _: None)  # it was not there when the second one began
    classify.work(Inline(), job, settings)  # type: ignore[arg-type]
    assert storage.read(job.layout.result) == first


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"components": 7}, "on the same held-out rows"), ({"split_seed": 1}, "on other held-out rows")],
)
def test_the_last_classifier_is_judged_by_the_same_rows_where_it_saw_none_of_them(
    settings: Settings, rows: int, monkeypatch: pytest.MonkeyPatch, fields: dict[str, int], words: str
) -> None:
    good = done(settings, monkeypatch)
    publish(good.layout.job, settings)
    assert promotion.current(good.layout)
    bad = done(settings, monkeypatch, WRONG, **fields)
    decision = promotion.Decision.model_validate_json(storage.read(bad.layout.decision))
    assert (decision.promoted, decision.compared_with, decision.predicts) == (False, good.model_id, good.model_id)
    assert words in decision.why
    assert decision.compared_macro_accuracy == 1
    result = load_result(bad)
    assert result
    files = [pq.read_table(io.BytesIO(storage.read(uri)), columns=["model_id"]) for uri in result.files]
    assert {row["model_id"] for file in files for row in file.to_pylist()} == {good.model_id}


def test_where_the_last_classifier_is_gone_the_next_takes_its_place(
    settings: Settings, rows: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = done(settings, monkeypatch)
    publish(good.layout.job, settings)
    storage.delete_folder(good.layout.folder)
    bad = done(settings, monkeypatch, WRONG, components=7)
    decision = promotion.Decision.model_validate_json(storage.read(bad.layout.decision))
    assert (decision.promoted, decision.predicts) == (True, bad.model_id)
    assert decision.why == f"the files of the last one, {good.model_id}, are gone or damaged"
    assert f"classify: warning: the files of {good.model_id}, which predicts now, are gone" in capsys.readouterr().out
    publish(bad.layout.job, settings)
    found = promotion.current(bad.layout)
    assert found
    assert found.model_id == bad.model_id


def test_a_classifier_is_not_compared_with_itself(
    settings: Settings, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = done(settings, monkeypatch)
    publish(job.layout.job, settings)
    for uri in (job.layout.decision, job.layout.result):
        storage.delete(uri)
    classify.work(Inline(), job, settings)  # type: ignore[arg-type]
    decision = promotion.Decision.model_validate_json(storage.read(job.layout.decision))
    assert (decision.promoted, decision.compared_with) == (True, None)


def test_where_no_classifier_predicts_nothing_is_written() -> None:
    decision = promotion.Decision(promoted=False, why="none is good enough", predicts=None)
    assert classify.write_predictions(None, None, None, None, decision) == []  # type: ignore[arg-type]


class Session:
    """A SparkSession that notes what it is told, and reads rows of one vector."""

    def __init__(self, context: Any) -> None:
        self.said: dict[str, Any] = context.said
        self.conf = SimpleNamespace(set=self.said.__setitem__)
        self.dataSource = SimpleNamespace(register=lambda source: self.said.update(source=source))
        self.read = self

    def format(self, name: str) -> Session:
        self.said["format"] = name
        return self

    def options(self, **given: str) -> Session:
        self.said["options"] = given
        return self

    def load(self, dataset: str) -> Session:
        self.said["dataset"] = dataset
        return self

    def select(self, *columns: str) -> Session:
        self.said.setdefault("columns", []).append(columns)
        return self

    def take(self, count: int) -> list[Any]:
        return [SimpleNamespace(features=[0.0] * learning.WIDTH)] * count


def test_a_fit_is_stored_in_both_forms_the_portable_one_last(
    settings: Settings, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, said, order, log = planned(settings), dict[str, Any](), list[str](), Log()
    storage.write(f"{job.layout.spark}/of-a-killed-attempt", b"x")

    def fitted(chosen: Session, classify: Classify, labels: tuple[str, ...], width: int) -> str:
        said["fit"] = (labels, width)
        return "model"

    def saved(model: str, folder: Path, context: Any) -> Path:
        for name in ("metadata/part-0", "metadata/.part-0.crc", "stages/0_pca/data/part-0"):
            (folder / "spark" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "spark" / name).write_bytes(name.encode())
        return folder / "spark"

    def proved(model: str, classifier: Classifier, rows: Session) -> float:
        assert not storage.exists(job.layout.portable)
        return 1.5e-9

    real = storage.write

    def noted(uri: str, data: bytes, **given: Any) -> bool:
        order.append(uri.removeprefix(job.layout.folder))
        return real(uri, data, **given)

    monkeypatch.setattr(sys, "stdout", log)
    monkeypatch.setattr(classify, "SparkSession", Session)
    monkeypatch.setattr(fit, "select", lambda rows, classify, labels, shares: said.update(shares=shares) or rows)
    monkeypatch.setattr(fit, "fit", fitted)
    monkeypatch.setattr(fit, "portable", lambda *_: RIGHT)
    monkeypatch.setattr(fit, "prove", proved)
    monkeypatch.setattr(saved_form, "save", saved)
    monkeypatch.setattr(storage, "write", noted)
    classify.fit_and_save(SimpleNamespace(said=said), job, learning.LABELS, {"apple": 0.5})  # type: ignore[arg-type]
    assert {name: said[name] for name in classify.SESSION} == {
        "spark.sql.shuffle.partitions": "8", "spark.sql.execution.arrow.maxRecordsPerBatch": "1024",
    }  # fmt: skip
    assert (said["source"], said["format"], said["dataset"]) == (FeatureSource, "imagefeatures.features", "fruit")
    assert said["options"] == {"vector": "true", "snapshot": str(job.snapshot), "fingerprint": job.fingerprint}
    assert said["columns"] == [("image_id", "label", "features"), ("features",)]
    assert (said["fit"], said["shares"]) == ((learning.LABELS, learning.WIDTH), {"apple": 0.5})
    assert order[:2] == ["/spark/metadata/part-0", "/spark/stages/0_pca/data/part-0"]
    assert order[-1] == "/portable.json"
    there = sorted(found.uri.removeprefix(job.layout.spark) for found in storage.list_objects(job.layout.spark))
    assert there == ["/metadata/part-0", "/stages/0_pca/data/part-0"]
    assert portable.load(job.layout.folder).labels == learning.LABELS
    assert log.out == ["classify: fitted; the portable form differs from SparkML by 1e-09\n"]
