"""The URIs of a classifier's files in the lake.

<lake>/learning/<dataset>/promoted.json             which classifier predicts
<lake>/learning/<dataset>/<model id>/job.json       what is fitted, written first
                                    /spark/         SparkML's own folder
                                    /portable-<digest>.npz, portable.json
                                    /decision.json  whether it is promoted
                                    /confusion.png
                                    /result.json    what the job has done, written last
<lake>/warehouse/learning/<dataset>_predictions/data/<model id>-00012-<random>.parquet
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

from imagefeatures import names
from imagefeatures.errors import ParamsError
from imagefeatures.layout import table_folder
from imagefeatures.reasons import printable


def classifiers_folder(lake: str) -> str:
    return f"{lake}/learning"


@dataclass(frozen=True)
class ClassifierLayout:
    """The URIs of one classifier's files.

    >>> ClassifierLayout("s3://b/lake", "fruit", "3fa0c1d2e3f40516").picture
    's3://b/lake/learning/fruit/3fa0c1d2e3f40516/confusion.png'
    """

    lake: str
    dataset: str
    model_id: str

    @classmethod
    def of_job_file(cls, uri: str, lake: str, dataset: str | None = None) -> ClassifierLayout:
        """The layout of the classifier whose job.json has this URI. As `Layout.of_run_file`; raises ParamsError."""
        match = re.fullmatch(re.escape(lake) + r"/learning/([^/]+)/([0-9a-f]{16})/job\.json", str(uri))
        if not match or not re.fullmatch(names.DATASET_NAME, match[1]):
            raise ParamsError(f"--job: {printable(uri)} is not the job.json of a classifier in {lake}")
        if dataset not in (None, match[1]):
            raise ParamsError(f"--job: {printable(uri)} is a classifier of {match[1]}, not of {dataset}")
        return cls(lake, match[1], match[2])

    @property
    def folder(self) -> str:
        return f"{classifiers_folder(self.lake)}/{self.dataset}/{self.model_id}"

    @property
    def job(self) -> str:
        """What is fitted, to which rows, by which settings: written first."""
        return f"{self.folder}/job.json"

    @property
    def spark(self) -> str:
        """SparkML's own folder: a PipelineModel."""
        return f"{self.folder}/spark"

    @property
    def portable(self) -> str:
        """The classifier without Spark; with this file it is fitted. It names the file of its arrays."""
        return f"{self.folder}/portable.json"

    @property
    def picture(self) -> str:
        return f"{self.folder}/confusion.png"

    @property
    def decision(self) -> str:
        """Whether it is promoted, and why; settled once."""
        return f"{self.folder}/decision.json"

    @property
    def result(self) -> str:
        """What the job has done: written last."""
        return f"{self.folder}/result.json"

    @property
    def promoted(self) -> str:
        """Names the dataset's classifier that predicts."""
        return f"{classifiers_folder(self.lake)}/{self.dataset}/promoted.json"

    def new_predictions(self, part: int) -> str:
        """A fresh name for the predictions of a task: no other attempt has it."""
        return f"{self.predictions}{part:05d}-{secrets.token_hex(4)}.parquet"

    @property
    def predictions(self) -> str:
        """What the URIs of all its files of predictions begin with."""
        table = table_folder(self.lake, names.predictions(self.dataset), names.LEARNING)
        return f"{table}/data/{self.model_id}-"
