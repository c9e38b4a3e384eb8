"""Whether a classifier takes the place of the one that predicts now."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from typing import Self

from pydantic import BaseModel, ConfigDict

from imagefeatures import storage
from imagefeatures.errors import ModelMismatch, ParamsError
from imagefeatures.learning import portable
from imagefeatures.learning.job import Job, load_job
from imagefeatures.learning.places import ClassifierLayout


class Promoted(BaseModel):
    """promoted.json: the classifier that predicts now. macro_accuracy: on the rows that it held out itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model_id: str
    fingerprint: str
    macro_accuracy: float
    test_share: float
    split_seed: int
    planned_at: dt.datetime

    @classmethod
    def of(cls, job: Job, macro_accuracy: float) -> Self:
        return cls(
            model_id=job.model_id,
            fingerprint=job.fingerprint,
            macro_accuracy=macro_accuracy,
            test_share=job.classify.test_share,
            split_seed=job.classify.split_seed,
            planned_at=job.planned_at,
        )

    def held_out_all_of(self, job: Job) -> bool:
        """Whether it can be judged by the rows that the job holds out: it knows such vectors, and saw none of them."""
        classify = job.classify
        return (self.fingerprint, self.split_seed) == (job.fingerprint, classify.split_seed) and (
            self.test_share >= classify.test_share
        )


class Decision(BaseModel):
    """decision.json: whether the classifier is promoted, and why.

    compared_with: the id of the classifier that predicted before, with its macro accuracy; None for the first one.
    predicts: the id of the classifier whose predictions the job has written; None where none of these vectors can be.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    promoted: bool
    why: str
    compared_with: str | None = None
    compared_macro_accuracy: float | None = None
    predicts: str | None = None


def current(layout: ClassifierLayout) -> Promoted | None:
    """The dataset's classifier that predicts now; None before the first one.

    Raises ModelMismatch where the file that says it is damaged; StoreRefused or StoreError.
    """
    try:
        return Promoted.model_validate(json.loads(storage.read(layout.promoted)))
    except storage.ObjectMissing:
        return None
    except ValueError:  # no JSON, or another one
        raise ModelMismatch(f"{layout.promoted}: is damaged; delete it: the next classifier takes its place") from None


def readable(job: Job, last: Promoted) -> bool:
    """Whether the files of the last classifier are there and whole. Somebody may have deleted its folder."""
    layout = replace(job.layout, model_id=last.model_id)
    try:
        portable.load(layout.folder)
        load_job(layout.job, job.lake, job.dataset)  # says how its rows were held out
    except (storage.ObjectMissing, ModelMismatch, ParamsError):
        return False
    return True


def decide(
    job: Job, macro_accuracy: float, last: Promoted | None, on_same_rows: float | None, gone: str | None = None
) -> Decision:
    """Promote unless it is worse than the last one by more than the margin.

    macro_accuracy: of the job's classifier. on_same_rows: the last one's on the same rows; None where it cannot be
    judged by them, and what it had on its own counts. gone: the id of a last one that is not there any more.
    """
    if last is None:
        why = (
            f"the files of the last one, {gone}, are gone or damaged" if gone else "the first classifier of the dataset"
        )
        return Decision(promoted=True, why=why, predicts=job.model_id)
    before = last.macro_accuracy if on_same_rows is None else on_same_rows
    rows = "on other held-out rows" if on_same_rows is None else "on the same held-out rows"
    margin = job.classify.margin
    # Rounded, so that what a person reads is what was compared.
    promoted = round(macro_accuracy, 4) >= round(before - margin, 4)
    why = (
        f"macro accuracy {macro_accuracy:.4f}, and {before:.4f} of {last.model_id} {rows}: "
        f"{'not ' if promoted else ''}worse by more than the margin {margin:g}"
    )
    same_vectors = last.fingerprint == job.fingerprint
    return Decision(
        promoted=promoted,
        why=why,
        compared_with=last.model_id,
        compared_macro_accuracy=before,
        predicts=job.model_id if promoted else last.model_id if same_vectors else None,
    )


def settle(job: Job, decision: Decision) -> Decision:
    """Write the decision down. Returns the one that counts: that of an earlier attempt, if there is one."""
    storage.write(job.layout.decision, decision.model_dump_json(indent=1).encode(), only_if_absent=True)
    return Decision.model_validate_json(storage.read(job.layout.decision))
