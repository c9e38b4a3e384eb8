"""A classifier's row, what is not published, and that what is published stays so whatever the tidying does."""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any

import pytest
from pydantic import ValidationError

from imagefeatures import storage
from imagefeatures.catalog import retention
from imagefeatures.errors import AuditFailed
from imagefeatures.learning import expiry, promotion, tables
from imagefeatures.learning.declared import Classify
from imagefeatures.learning.job import Job
from imagefeatures.learning.promotion import Decision, Promoted
from imagefeatures.learning.publish import Result, _audit, _row, is_published, load_result, publish
from imagefeatures.settings import Settings

NOW = dt.datetime(2026, 11, 3, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(hours=1)
DECISION = Decision(promoted=False, why="worse", compared_with="0" * 16, compared_macro_accuracy=0.9, predicts="0" * 16)
NOT_PREDICTED = DECISION.model_copy(update={"predicts": None})


def job_of(lake: str = "s3://b/lake", **fields: Any) -> Job:
    given = {"model_id": "3fa0c1d2e3f40516", "classify": Classify(), "planned_at": NOW} | fields
    return Job(dataset="fruit", snapshot=7, fingerprint="f" * 32, lake=lake, **given)


def result_of(**fields: Any) -> Result:
    content = {
        "labels": ("apple", "fig"), "left_out": {"kiwi": 1}, "rows": 20, "rows_train": 11, "rows_unlabelled": 2,
        "confusion": ((3, 1), (0, 2)), "components": 9, "files": {}, "seconds": 1.5, "finished_at": LATER,
        "versions": {"python": "3.11"},
    }  # fmt: skip
    return Result.model_validate(content | fields)


def written(job: Job, result: Result, decision: Decision) -> str:
    """The files that the Spark job leaves of this fit, without predictions. Returns the URI of its job.json."""
    for uri, content in ((job.layout.job, job), (job.layout.result, result), (job.layout.decision, decision)):
        storage.write(uri, content.model_dump_json().encode())
    return job.layout.job


def test_the_row_says_what_was_fitted_and_how_well() -> None:
    folder = "s3://b/lake/learning/fruit/3fa0c1d2e3f40516"
    row = _row(job_of(), result_of(), DECISION)
    assert row == {
        "dataset": "fruit",
        "model_id": "3fa0c1d2e3f40516",
        "fingerprint": "f" * 32,
        "snapshot": 7,
        "classifier": "logistic_regression",
        "settings": Classify().model_dump_json(),
        "components": 9,
        "labels": ["apple", "fig"],
        "left_out": {"kiwi": 1},
        "rows_train": 11,
        "rows_test": 6,
        "rows_unlabelled": 2,
        "accuracy": pytest.approx(5 / 6),
        "macro_accuracy": pytest.approx(0.875),
        "macro_f1": pytest.approx((6 / 7 + 0.8) / 2),
        "precision": {"apple": 1, "fig": pytest.approx(2 / 3)},
        "recall": {"apple": 0.75, "fig": 1},
        "f1": {"apple": pytest.approx(6 / 7), "fig": pytest.approx(0.8)},
        "support": {"apple": 4, "fig": 2},
        "confusion": [[3, 1], [0, 2]],
        "picture": f"{folder}/confusion.png",
        "folder": folder,
        "promoted": False,
        "why": "worse",
        "compared_with": "0" * 16,
        "compared_macro_accuracy": 0.9,
        "seconds": 1.5,
        "planned_at": NOW,
        "evaluated_at": LATER,
        "versions": {"python": "3.11"},
    }


def test_vectors_that_were_scaled_have_no_components() -> None:
    assert _row(job_of(classify=Classify(reduce="scale")), result_of(), DECISION)["components"] is None


@pytest.mark.parametrize(
    ("files", "rows", "decision", "said"),
    [
        ({"{}00000-1.parquet": 12, "{}00001-1.parquet": 8}, 20, DECISION, ""),
        ({}, 20, NOT_PREDICTED, ""),
        ({}, 0, DECISION, ""),
        ({"{}00000-1.parquet": 19}, 20, DECISION, "19 predictions for 20 rows"),
        ({"{}00000-1.parquet": 20, "s3://b/other/1.parquet": 0}, 20, DECISION, "the lake was moved before"),
        ({}, 20, DECISION, "result.json and decision.json disagree"),
        ({"{}00000-1.parquet": 20}, 20, NOT_PREDICTED, "result.json and decision.json disagree"),
    ],
)
def test_predictions_are_published_where_they_add_up(
    files: dict[str, int], rows: int, decision: Decision, said: str
) -> None:
    job = job_of()
    result = result_of(rows=rows, files={uri.format(job.layout.predictions): count for uri, count in files.items()})
    if not said:
        return _audit(job, result, decision)
    with pytest.raises(AuditFailed, match=said):
        _audit(job, result, decision)


def test_what_was_written_down_does_not_change() -> None:
    for found, name in ((result_of(), "rows"), (DECISION, "why"), (Promoted.of(job_of(), 0.9), "model_id")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(found, name, None)


def test_a_classifier_is_published_when_its_row_and_its_files_are_there(settings: Settings) -> None:
    job = job_of(settings.lake)
    assert load_result(job) is None
    uri = written(job, result_of(), NOT_PREDICTED)
    assert load_result(job) == result_of()
    storage.write(job.layout.portable, b"{}")
    assert not is_published(job, settings)
    assert publish(uri, settings) == _row(job, result_of(), NOT_PREDICTED)
    assert is_published(job, settings)
    assert not is_published(job_of(settings.lake, model_id="1" * 16), settings)
    assert not is_published(job_of(settings.lake, planned_at=LATER), settings)
    storage.delete_folder(job.layout.folder)
    assert not is_published(job, settings)


def test_what_has_not_ended_or_does_not_add_up_is_not_published(settings: Settings) -> None:
    job = job_of(settings.lake)
    storage.write(job.layout.job, job.model_dump_json().encode())
    with pytest.raises(AuditFailed, match="the task classify has not ended; clear it, and it goes on"):
        publish(job.layout.job, settings)
    with pytest.raises(AuditFailed, match="disagree about the predictions"):
        publish(written(job, result_of(), DECISION), settings)
    assert tables.evaluations(settings) == []


def test_the_one_that_was_planned_last_is_promoted(settings: Settings) -> None:
    good = NOT_PREDICTED.model_copy(update={"promoted": True})
    first, second = (
        job_of(settings.lake, model_id=name * 16, planned_at=at) for name, at in (("1", NOW), ("2", LATER))
    )
    publish(written(first, result_of(), good), settings)
    assert promotion.current(first.layout) == Promoted.of(first, 0.875)
    publish(written(second, result_of(confusion=((4, 0), (0, 2))), good), settings)
    assert promotion.current(first.layout) == Promoted.of(second, 1)
    publish(written(second, result_of(), good), settings)  # the same once more
    assert promotion.current(first.layout) == Promoted.of(second, 0.875)
    publish(written(first, result_of(), good), settings)  # once more, and late
    assert promotion.current(first.layout) == Promoted.of(second, 0.875)
    worse = job_of(settings.lake, model_id="3" * 16, planned_at=LATER + dt.timedelta(hours=1))
    publish(written(worse, result_of(), NOT_PREDICTED), settings)
    assert promotion.current(first.layout) == Promoted.of(second, 0.875)
    assert [row["model_id"][0] for row in tables.evaluations(settings)] == ["3", "2", "1"]  # the newest first
    assert tables.evaluations(settings, "nuts") == []


def test_what_is_published_stays_so_where_the_tidying_fails(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(expiry, "remove_old", fails)
    monkeypatch.setattr(retention, "remove_expired", fails)
    job = job_of(settings.lake)
    with caplog.at_level(logging.WARNING, "imagefeatures.learning.publish"):
        row = publish(written(job, result_of(), NOT_PREDICTED), settings)
    assert tables.evaluations(settings) == [row]
    assert [one.message for one in caplog.records if one.name == "imagefeatures.learning.publish"] == [
        "learning.evaluations: files of expired snapshots stay for now (OSError)",
        "fruit: earlier classifiers stay for now (OSError)",
    ]
