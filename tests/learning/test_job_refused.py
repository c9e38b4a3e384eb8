"""What cannot be planned is said in one line, and so is a job of another lake, place or dataset."""

from __future__ import annotations

import datetime as dt

import pytest

from imagefeatures import storage
from imagefeatures.errors import DatasetError, InputError, NoInput, ParamsError
from imagefeatures.learning.declared import Classify
from imagefeatures.learning.job import load_job, plan_job
from imagefeatures.run_params import ClassifyParams
from imagefeatures.settings import Settings
from support import learning


def test_what_cannot_be_planned_is_said_in_one_line(settings: Settings) -> None:
    with pytest.raises(InputError, match=r"features\.fruit: no such dataset is published"):
        plan_job("fruit", Classify(), ClassifyParams(), settings)
    with pytest.raises(DatasetError, match=r"fruit\.yaml: classify: is required"):
        plan_job("fruit", None, ClassifyParams(), settings)
    learning.publish(settings, learning.rows(3))
    with pytest.raises((InputError, NoInput), match="no rows with fingerprint 0000"):
        plan_job("fruit", Classify(fingerprint="0" * 32), ClassifyParams(), settings)


def test_a_job_is_one_of_its_lake_and_its_dataset(settings: Settings) -> None:
    learning.publish(settings, learning.rows())
    uri = plan_job("fruit", Classify(), ClassifyParams(model="mlp", components=50, split_seed=3), settings)
    job = load_job(uri, settings.lake, "fruit")
    assert (job.classify.model, job.classify.components, job.classify.split_seed) == ("mlp", 50, 3)
    assert job.planned_at.tzinfo == dt.UTC or job.planned_at.utcoffset() == dt.timedelta()
    for wrong, dataset in (
        ("s3://b/lake/learning/fruit/3fa0c1d2e3f40516/job.json", None),
        (uri.replace("job.json", "result.json"), None),
        (uri.replace(job.model_id, "0" * 16), None),
        (uri, "nuts"),
    ):
        with pytest.raises(ParamsError, match=r"^--job: "):
            load_job(wrong, settings.lake, dataset)
    storage.write(uri.replace(job.model_id, "0" * 16), storage.read(uri))
    with pytest.raises(ParamsError, match="another place"):
        load_job(uri.replace(job.model_id, "0" * 16), settings.lake)
