"""Fit a classifier to a dataset's vectors, judge it and predict: spark-submit classify.py --job URI

Each part is written once and never done again: portable.json ends the fit, decision.json the judgement, result.json the
job. A job whose driver was killed goes on after the last of them.
"""

from __future__ import annotations

import datetime as dt
import platform
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from pyspark import SparkContext
from pyspark.sql import SparkSession

from imagefeatures import read, storage
from imagefeatures.columns import rows_of_image
from imagefeatures.errors import AuditFailed
from imagefeatures.learning import confusion, metrics, portable, predict, promotion, split
from imagefeatures.learning.job import Job, load_job
from imagefeatures.learning.portable import Classifier
from imagefeatures.learning.predict import Predictor, Written
from imagefeatures.learning.promotion import Decision
from imagefeatures.learning.publish import Result, load_result
from imagefeatures.settings import Settings
from imagefeatures_spark.distribute import Begun, run_job
from imagefeatures_spark.feature_rows import cut

if TYPE_CHECKING:
    from imagefeatures.catalog.snapshots import Plan

STEP = "classify"
WRITTEN_BYTES = 64 << 20
"""A file of predictions is for data files of so many bytes together: 13,000 vectors of 1280 values."""

SESSION = {
    "spark.sql.shuffle.partitions": "8",  # SparkML shuffles sums and no rows
    "spark.sql.execution.arrow.maxRecordsPerBatch": "1024",
}

T = TypeVar("T")
R = TypeVar("R")


def begin(uri: str) -> Begun:
    settings = Settings.from_env()
    job = load_job(uri, settings.lake)
    return Begun(
        name=f"{job.dataset} {STEP} {job.model_id}",
        dataset=job.dataset,
        what=f"--job: {job.layout.job} is a classifier",
        work=lambda context: work(context, job, settings),
    )


def work(context: SparkContext, job: Job, settings: Settings) -> None:
    """Do what is left of the job. Raises InputError where the labels cannot be fitted; AuditFailed."""
    from imagefeatures.catalog import snapshots

    if load_result(job):
        print(f"{STEP}: {job.model_id} was done before", flush=True)
        return
    started = time.perf_counter()
    classify = job.classify
    plan = snapshots.plan(settings, job.dataset, job.selection)
    images = partial(read.batches, settings, job.dataset, columns=("image_id", "label"), **job.selection)
    found = split.survey(images(), classify.test_share, classify.split_seed)
    labels = split.fitted_labels(found, job.dataset)
    if labels.warning:
        print(f"{STEP}: warning: {labels.warning}", flush=True)
    most_rows = max(map(rows_of_image, read.runs(settings, job.dataset)), default=1)  # its copies are fitted with it
    shares = split.shares_fitted(found, labels, classify.max_rows // most_rows)
    if not storage.exists(job.layout.portable):
        fit_and_save(context, job, labels.fitted, shares)
    classifier = portable.load(job.layout.folder, job.fingerprint)
    scores, decision = judge(context, job, plan, classifier)
    files = write_predictions(context, job, plan, classifier, decision)
    rows = sum(found.train.values()) + sum(found.test.values()) + found.unlabelled
    if files and sum(file.rows for file in files) != rows:
        raise AuditFailed(f"{job.layout.folder}: predictions for {sum(file.rows for file in files):,} of {rows:,} rows")
    judged = metrics.metrics(scores)
    storage.write(job.layout.picture, _picture(job, classifier, scores))
    result = Result(
        labels=classifier.labels,
        left_out=dict(labels.left_out),
        rows=rows,
        rows_train=sum(found.train[label] for label in labels.fitted)
        if min(shares.values()) == 1
        else split.rows_fitted(images(), classify.test_share, classify.split_seed, shares),
        rows_unlabelled=found.unlabelled,
        confusion=tuple(tuple(row) for row in scores.tolist()),
        components=classifier.arrays["components"].shape[1] if "components" in classifier.arrays else None,
        files={file.uri: file.rows for file in files},
        seconds=time.perf_counter() - started,
        finished_at=dt.datetime.now(dt.UTC),
        versions={"python": platform.python_version(), **{name: version(name) for name in ("pyspark", "numpy")}},
    )
    storage.write(job.layout.result, result.model_dump_json(indent=1).encode(), only_if_absent=True)
    print(
        f"{STEP}: {classify.model} {job.model_id}: accuracy {judged.accuracy:.4f}, macro accuracy "
        f"{judged.macro_accuracy:.4f} on {scores.sum():,} held-out rows of {len(classifier.labels)} labels; "
        f"{'promoted' if decision.promoted else 'not promoted'}: {decision.why}; {result.seconds:.1f} s",
        flush=True,
    )


def fit_and_save(context: SparkContext, job: Job, labels: tuple[str, ...], shares: dict[str, float]) -> None:
    """Fit, prove that the portable form computes the same, and write both forms; the portable one last."""
    from imagefeatures_spark import fit, saved_form
    from imagefeatures_spark.feature_source import FeatureSource

    spark = SparkSession(context)
    for name, value in SESSION.items():
        spark.conf.set(name, value)
    spark.dataSource.register(FeatureSource)
    rows = (
        spark.read.format(FeatureSource.name())
        .options(vector="true", snapshot=str(job.snapshot), fingerprint=job.fingerprint)
        .load(job.dataset)
        .select("image_id", "label", "features")
    )
    chosen = fit.select(rows, job.classify, labels, shares)
    (first,) = chosen.select("features").take(1)  # each label has rows to train on
    model = fit.fit(chosen, job.classify, labels, len(first.features))
    with tempfile.TemporaryDirectory(prefix="imagefeatures-") as folder:
        saved = saved_form.save(model, Path(folder), context)
        classifier = fit.portable(model, saved, job.classify, labels, job.fingerprint)
        difference = fit.prove(model, classifier, rows)
        storage.delete_folder(job.layout.spark)  # of an attempt that was killed
        for path in sorted(saved.rglob("*")):
            if path.is_file() and not path.name.endswith(".crc"):
                storage.write(f"{job.layout.spark}/{path.relative_to(saved).as_posix()}", path.read_bytes())
    portable.save(classifier, job.layout.folder)
    print(f"{STEP}: fitted; the portable form differs from SparkML by {difference:.1g}", flush=True)


def judge(context: SparkContext, job: Job, plan: Plan, classifier: Classifier) -> tuple[np.ndarray, Decision]:
    """The table of confusions of the held-out rows, and whether the classifier is promoted."""
    last = promotion.current(job.layout)
    if last and last.model_id == job.model_id:
        last = None
    gone = None
    if last and not promotion.readable(job, last):  # else no later classifier could ever be judged
        gone, last = last.model_id, None
        print(f"{STEP}: warning: the files of {gone}, which predicts now, are gone or damaged", flush=True)
    judged_too = None
    if last and last.held_out_all_of(job):
        judged_too = portable.load(f"{job.lake}/learning/{job.dataset}/{last.model_id}")
    shared = context.broadcast((job, classifier, judged_too))

    def score(parts: Iterable[Plan]) -> Iterator[predict.Scores]:
        yield from (predict.score(part, *shared.value) for part in parts)

    scores = predict.Scores.none(len(classifier.labels))
    for found in _each(context, list(cut(plan)), score):
        scores += found
    macro_accuracy = metrics.metrics(scores.confusion).macro_accuracy
    before = scores.last_macro_accuracy if judged_too else None
    return scores.confusion, promotion.settle(job, promotion.decide(job, macro_accuracy, last, before, gone))


def write_predictions(
    context: SparkContext, job: Job, plan: Plan, classifier: Classifier, decision: Decision
) -> list[Written]:
    """Predict all rows, by the classifier or, where it is not promoted, by the one that predicts now."""
    if decision.predicts is None:
        return []
    predictor = Predictor(job.model_id, classifier, job.classify.test_share, job.classify.split_seed)
    if decision.predicts != job.model_id:
        folder = f"{job.lake}/learning/{job.dataset}/{decision.predicts}"
        other = load_job(f"{folder}/job.json", job.lake, job.dataset).classify
        predictor = Predictor(
            decision.predicts, portable.load(folder, job.fingerprint), other.test_share, other.split_seed
        )
    shared = context.broadcast((job, predictor))

    def write(parts: Iterable[tuple[int, Plan]]) -> Iterator[Written]:
        yield from (predict.predict(part, *shared.value, number) for number, part in parts)

    return _each(context, list(enumerate(cut(plan, WRITTEN_BYTES))), write)


def _each(context: SparkContext, parts: list[T], do: Callable[[Iterable[T]], Iterator[R]]) -> list[R]:
    """One task for each part."""
    found: list[R] = context.parallelize(parts, len(parts)).mapPartitions(do).collect() if parts else []
    return found


def _picture(job: Job, classifier: Classifier, scores: np.ndarray) -> bytes:
    found = metrics.metrics(scores)
    title = f"{job.dataset}: {job.classify.model.replace('_', ' ')}"
    below = f"accuracy {found.accuracy:.3f}, macro accuracy {found.macro_accuracy:.3f} · {scores.sum():,} held-out rows"
    return confusion.draw(scores, classifier.labels, title, below)


if __name__ == "__main__":
    run_job(STEP, "--job", "the job.json that plan wrote, in the lake", begin)
