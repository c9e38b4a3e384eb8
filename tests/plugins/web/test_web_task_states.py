"""What Airflow's states of a DAG run and its tasks are in words, in each combination."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from airflow.utils.state import DagRunState, TaskInstanceState

from imagefeatures.progress import StepStatus
from imagefeatures_airflow.web.looks import Look
from imagefeatures_airflow.web.unpublished import TASKS, StepView, Task, TaskStates, step_views

START = dt.datetime(2026, 11, 3, tzinfo=dt.UTC)
NOTHING = StepStatus("resize", total=10)
HALF = StepStatus("resize", done=5, total=10, images_per_second=0.5)
FINISHED = StepStatus("resize", done=10, total=10, finished=True)
NO_MODEL = StepStatus("featurize", total=10, no_model=True)
RUNNING, QUEUED, FAILED, SUCCESS = DagRunState.RUNNING, DagRunState.QUEUED, DagRunState.FAILED, DagRunState.SUCCESS


@pytest.mark.parametrize(
    ("own", "status", "under_way", "after"),
    [
        ("failed", HALF, "failed", "failed"),
        ("success", None, "done", "done"),
        ("success", HALF, "done", "done"),
        ("running", FINISHED, "done", "done"),
        ("skipped", None, "skipped", "skipped"),
        ("upstream_failed", NOTHING, "not reached", "not reached"),
        ("up_for_retry", None, "waits for try 3", "not reached"),
        ("up_for_retry", HALF, "waits for try 3", "not finished"),
        ("running", None, "under way", "not finished"),
        ("running", NOTHING, "under way", "not finished"),
        ("running", HALF, "10 s left", "not finished"),
        ("running", NO_MODEL, "waits for the model", "not finished"),
        (None, None, "waits", "not reached"),
        (None, HALF, "waits", "not finished"),
        ("scheduled", HALF, "waits", "not finished"),
        ("queued", HALF, "waits", "not finished"),
        ("deferred", None, "waits", "not reached"),
        ("deferred", NOTHING, "under way", "not finished"),
    ],
)
def test_a_step_is_told_in_words(own: str | None, status: StepStatus | None, under_way: str, after: str) -> None:
    for state, words in ((RUNNING, under_way), (QUEUED, under_way), (FAILED, after), (SUCCESS, after), (None, after)):
        view = StepView("resize", Task(own, tries=2), status, TaskStates(state))
        assert view.state == words
        assert view.waits == words.startswith("waits")


@pytest.mark.parametrize(
    ("state", "under_way", "has_failed", "has_succeeded"),
    [
        (RUNNING, True, False, False),
        (QUEUED, True, False, False),
        (FAILED, False, True, False),
        (SUCCESS, False, False, True),
        (None, False, False, False),
    ],
)
def test_a_run_is_under_way_or_has_ended(
    state: str | None, under_way: bool, has_failed: bool, has_succeeded: bool
) -> None:
    run = TaskStates(state)
    assert (run.under_way, run.has_failed, run.has_succeeded) == (under_way, has_failed, has_succeeded)
    assert run.stands_still is False
    assert TaskStates(state, paused=True).stands_still == under_way


def test_tasks_are_known_by_their_states() -> None:
    tasks = {str(state): Task(state) for state in TaskInstanceState} | {"none": Task(None)}
    run = TaskStates(FAILED, tasks | {"a": Task("failed")})
    assert run.failed == ["a", "failed"]
    for asked, wanted in (
        (run.succeeded, {"success"}), (run.skipped, {"skipped"}), (run.stopped, {"failed", "up_for_retry"}),
    ):  # fmt: skip
        assert {name for name in [*tasks, "not there"] if asked(name)} == wanted


def test_the_time_of_a_task_is_that_of_its_latest_try() -> None:
    end = START + dt.timedelta(seconds=90)
    assert Task("success", START, end, 1).seconds == 90
    assert Task("skipped", START, end).seconds is None  # it was not reached
    assert Task("queued", None, None, 1).seconds is None
    began = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    assert Task("running", began, None, 1).seconds == pytest.approx(3600, abs=60)


def test_a_run_was_published_when_register_ended_well() -> None:
    def run(state: str, minutes: float | None) -> TaskStates:
        ended = None if minutes is None else dt.datetime.now(dt.UTC) - dt.timedelta(minutes=minutes)
        return TaskStates(SUCCESS, {"register": Task(state, START, ended, 1)})

    assert run("success", 1).published_within(600)
    assert not run("success", 60).published_within(600)
    assert not run("failed", 1).published_within(600)
    assert run("success", None).published_within(600) is False
    assert TaskStates(SUCCESS).published_within(600) is False


def test_all_tasks_of_a_run_are_shown_in_order_and_those_besides_last() -> None:
    tasks = {"statistics": Task(None), "resize": Task("running"), "featurize": Task("upstream_failed"),
             "validate": Task("upstream_failed")}  # fmt: skip
    run = TaskStates(RUNNING, tasks)
    steps = (StepStatus("ingest", 3), StepStatus("validate", 3), HALF, StepStatus("featurize", 0, 10))
    views = step_views(run, Look(steps, 10, (), (), None))
    assert [view.name for view in views] == [*TASKS, "statistics"]
    found: dict[str, Any] = {view.name: view for view in views}
    assert {name: view.status for name, view in found.items() if view.status} == {
        step.step: step
        for step in steps
        if step.step != "featurize"  # it is not reached, though its shards are known
    }
    assert found["resize"].task is tasks["resize"]
    assert found["plan"].task == Task(None)
    assert [view.status for view in step_views(run, None)] == [None] * len(views)
