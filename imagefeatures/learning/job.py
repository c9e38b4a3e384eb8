"""What one fit of a classifier is: job.json, its only argument."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from imagefeatures import names, read, storage
from imagefeatures.errors import DatasetError, InputError, NoInput, ParamsError
from imagefeatures.learning.declared import Classify
from imagefeatures.learning.places import ClassifierLayout
from imagefeatures.run_params import ClassifyParams
from imagefeatures.settings import Settings
from imagefeatures.wording import one_line

if TYPE_CHECKING:
    from imagefeatures.catalog.snapshots import Selection


class Job(BaseModel):
    """job.json: which rows are fitted, by which settings, and where the classifier is stored. It does not change.

    model_id: the digest of all the others but the lake and the time. snapshot: of features.<dataset>. fingerprint: of
    the vectors that are fitted; rows with another one are left out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model_id: str
    dataset: str
    snapshot: int
    fingerprint: str
    classify: Classify
    planned_at: dt.datetime
    lake: str = Field(exclude=True)  # of whoever reads the file: a lake may be copied

    @property
    def layout(self) -> ClassifierLayout:
        return ClassifierLayout(self.lake, self.dataset, self.model_id)

    @property
    def selection(self) -> Selection:
        """The rows of the snapshot that are judged and predicted, as `imagefeatures.read` takes them."""
        return {"snapshot": self.snapshot, "fingerprint": self.fingerprint, "copies": False}


def plan_job(dataset: str, classify: Classify | None, params: ClassifyParams, settings: Settings) -> str:
    """Settle the fit of a classifier to what features.<dataset> holds now. Returns the URI of its job.json.

    The same settings on the same snapshot are the same job: its file is written once. Raises DatasetError where the
    dataset file has no `classify`; InputError where the dataset is not published, or its vectors were computed in
    several ways; NoInput where no row is published.
    """
    if classify is None:
        raise DatasetError(f"{dataset}.yaml: classify: is required to fit a classifier; write classify: {{}}")
    settled = params.applied_to(classify)
    features = read.open(dataset, settings=settings, fingerprint=settled.fingerprint)
    try:
        fingerprint = features.fingerprint
    except InputError as error:
        raise InputError(f"{error}: in the dataset file as classify: {{fingerprint: …}}") from None
    if fingerprint is None or features.snapshot is None:
        raise NoInput(f"{names.table_name(dataset)}: no row is published yet; run {names.dag_id(dataset)} first")
    facts = {
        "dataset": dataset,
        "snapshot": features.snapshot,
        "fingerprint": fingerprint,
        "classify": settled.model_dump(mode="json"),
    }
    model_id = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    job = Job.model_validate(
        facts | {"model_id": model_id, "lake": settings.lake, "planned_at": dt.datetime.now(dt.UTC)}
    )
    storage.write(job.layout.job, job.model_dump_json(indent=1).encode(), only_if_absent=True)
    return job.layout.job


def load_job(uri: str, lake: str, dataset: str | None = None) -> Job:
    """The job of this URI, which must be one of the lake, and of the dataset. Raises ParamsError."""
    layout = ClassifierLayout.of_job_file(uri, lake, dataset)
    try:
        job = Job.model_validate({**json.loads(storage.read(layout.job)), "lake": lake})
    except storage.ObjectMissing:
        again = f"trigger {names.classify_dag_id(layout.dataset)} again"
        raise ParamsError(f"--job: {uri} does not exist; {again}") from None
    except (ValueError, TypeError) as error:  # a ValidationError is a ValueError
        wrong = one_line(error, Job) if isinstance(error, ValidationError) else "no JSON object"
        raise ParamsError(f"--job: {uri} is not what this version wrote: {wrong}") from None
    if job.layout != layout:
        raise ParamsError(f"--job: {uri} holds the job of another place, {job.layout.folder}; trigger the DAG again")
    return job
