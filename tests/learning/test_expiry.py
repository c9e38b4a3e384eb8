"""Old classifiers go: the last ones, the promoted one and those at work stay."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from imagefeatures import names, storage
from imagefeatures.catalog import learning, tables
from imagefeatures.forget import work
from imagefeatures.forget.pending import Pending
from imagefeatures.learning import expiry
from imagefeatures.learning.columns import EVALUATIONS
from imagefeatures.learning.declared import Classify
from imagefeatures.learning.job import Job
from imagefeatures.learning.promotion import Promoted
from imagefeatures.learning.publish import is_published
from imagefeatures.settings import Settings

START = dt.datetime(2026, 11, 2, tzinfo=dt.UTC)


@pytest.fixture
def planned(settings: Settings) -> Callable[..., Job]:
    """planned(number, dataset): a classifier of the day of this number, whose fit has left files."""

    def write(number: int, dataset: str = "fruit") -> Job:
        job = Job(
            model_id=f"{number:016x}", dataset=dataset, snapshot=number, fingerprint="f", classify=Classify(),
            planned_at=START + dt.timedelta(days=number), lake=settings.lake,
        )  # fmt: skip
        for uri in (f"{job.layout.spark}/metadata/part-0", job.layout.picture):
            storage.write(uri, b"x")
        storage.write(job.layout.job, job.model_dump_json().encode())
        return job

    return write


def evaluated(settings: Settings, jobs: list[Job]) -> None:
    """Give each a row of learning.evaluations."""
    blank = {pa.string(): "x", pa.int64(): 7, pa.float64(): 0.5, pa.bool_(): True}
    row = {field.name: blank.get(field.type) for field in EVALUATIONS}
    row |= {field.name: [] for field in EVALUATIONS if pa.types.is_nested(field.type)}
    own = [
        {"dataset": job.dataset, "model_id": job.model_id, "planned_at": job.planned_at, "folder": job.layout.folder}
        for job in jobs
    ]
    with tables.open_catalog(settings) as catalog:
        table = learning.open_table(catalog, settings, names.EVALUATIONS, EVALUATIONS)
        table.append(pa.Table.from_pylist([row | {"evaluated_at": START} | each for each in own], schema=EVALUATIONS))


def folders(settings: Settings, dataset: str = "fruit") -> list[int]:
    place = Path(settings.lake.removeprefix("file://"), "learning", dataset)
    return sorted(int(path.name, 16) for path in place.iterdir() if any(path.rglob("*")) and len(path.name) == 16)


def test_the_last_ones_the_promoted_one_and_those_at_work_stay(
    settings: Settings, planned: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "KEPT", 3)
    jobs = [planned(number) for number in range(1, 10)]
    planned(0)  # it has failed
    others = [planned(number, "nuts") for number in range(1, 6)]
    published = [job for job in jobs if job.snapshot not in (2, 8)]  # those two have failed, or are at work
    evaluated(settings, published[:3] + others)
    assert expiry.remove_old(published[2], settings) == []  # no more than are kept
    evaluated(settings, published[3:])
    at_work = jobs[5].model_copy(update={"model_id": f"{10:016x}"})  # planned with the oldest that is kept
    storage.write(at_work.layout.job, at_work.model_dump_json().encode())
    storage.write(jobs[0].layout.promoted, Promoted.of(jobs[2], 0.9).model_dump_json().encode())
    storage.write(f"{settings.lake}/learning/fruit/notes/of-a-person.txt", b"x")
    assert expiry.remove_old(published[-1], settings) == [f"{number:016x}" for number in (0, 1, 2, 4, 5)]
    assert folders(settings) == [3, 6, 7, 8, 9, 10]
    assert folders(settings, "nuts") == [1, 2, 3, 4, 5]
    assert storage.exists(f"{settings.lake}/learning/fruit/notes/of-a-person.txt")
    assert expiry.remove_old(published[-1], settings) == []
    assert expiry.remove_old(planned(1), settings) == []  # published once more, late: its own folder stays


def test_one_that_was_deleted_can_be_made_once_more(
    settings: Settings, planned: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "KEPT", 2)
    jobs = [planned(number) for number in range(1, 5)]
    evaluated(settings, jobs)
    for job in jobs:
        storage.write(job.layout.portable, b"{}")
    assert is_published(jobs[0], settings)
    assert expiry.remove_old(jobs[-1], settings) == [jobs[0].model_id, jobs[1].model_id]
    assert [is_published(job, settings) for job in jobs] == [False, False, True, True]
    again = jobs[0].model_copy(update={"planned_at": START + dt.timedelta(days=9)})
    storage.write(again.layout.job, again.model_dump_json().encode())
    storage.write(again.layout.portable, b"{}")
    assert not is_published(again, settings)  # its fit has just ended
    assert expiry.remove_old(jobs[-1], settings) == []
    assert folders(settings) == [1, 3, 4]


def test_forget_names_those_that_are_there_of_the_datasets_that_had_the_image(
    settings: Settings, planned: Callable[..., Job]
) -> None:
    jobs, others = [planned(number) for number in (1, 2)], [planned(3, "nuts")]
    evaluated(settings, jobs + others)
    storage.delete_folder(jobs[0].layout.folder)
    request = Pending("r", frozenset(), frozenset(), "ada", "asked to", START, frozenset({("fruit", "2026-11-02")}))
    with tables.open_catalog(settings) as catalog:
        searched = work._Work(request, catalog, settings, done=False)
        searched._note_classifiers()
    assert searched.report.classifiers == {jobs[1].layout.folder}
