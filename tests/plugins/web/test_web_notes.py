"""What the page of a DAG run says first, in every state of the run, and whether the page asks for itself again."""

from __future__ import annotations

import datetime as dt

import pytest
from airflow.utils.state import DagRunState

from imagefeatures.layout import Layout
from imagefeatures_airflow.web.notes import note
from imagefeatures_airflow.web.run import again_in
from imagefeatures_airflow.web.unpublished import Task, TaskStates

RUN = Layout("file:///lake", "figs", "2026-11-02", "own")
OWN, OTHER = {"run_id": "own"}, {"run_id": "other"}
RUNNING, DONE, FAILED = DagRunState.RUNNING, DagRunState.SUCCESS, DagRunState.FAILED
KEY = "partition 2026-11-02"


def tasks(state: str | None, paused: bool = False, **of: str) -> TaskStates:
    return TaskStates(state, {name: Task(of_task, tries=1) for name, of_task in of.items()}, paused)


@pytest.mark.parametrize(
    ("run", "row", "of", "said"),
    [
        (None, None, tasks(None), "Airflow knows no run of this name."),
        (None, None, tasks(RUNNING), "This DAG run has no partition yet."),
        (None, None, tasks(FAILED, plan="failed"), "Failed: plan; that task's log says more."),
        (None, None, tasks(DONE), "no partition yet. If its task plan has failed, that task's log says why."),
        (RUN, None, tasks(RUNNING), f"This DAG run fills {KEY}, which is not published yet."),
        (RUN, OTHER, tasks(RUNNING), f"fills {KEY} again; until it is published the partition holds what another run"),
        (RUN, OWN, tasks(DONE, register="success"), "This DAG run published this partition."),
        (RUN, OWN, tasks(FAILED, register="success", statistics="failed"), "published this partition. Failed: statist"),
        (RUN, OWN, tasks(FAILED, register="success"), "published this partition. It has failed since."),
        (RUN, None, tasks(FAILED, resize="failed"), f"failed, and has published nothing of {KEY}. Failed: resize;"),
        (RUN, OTHER, tasks(FAILED, resize="failed"), f"failed, and has published nothing of {KEY}. Failed: resize;"),
        # It was replaced since, or taken back.
        (RUN, OTHER, tasks(DONE, register="success"), f"published {KEY}; another run has replaced it since."),
        (RUN, None, tasks(DONE, register="success"), f"This DAG run published {KEY}; it is not published any more."),
        (RUN, OTHER, tasks(FAILED, register="success", statistics="failed"), "replaced it since. Failed: statistics;"),
        # It ended well, and there was nothing to publish; or somebody has marked it so, or its tasks are forgotten.
        (
            RUN,
            None,
            tasks(DONE, register="skipped"),
            f"This DAG run had nothing to publish of {KEY}; the log of its task",
        ),
        (RUN, OTHER, tasks(DONE, register="skipped"), f"This DAG run had nothing to publish of {KEY}; the log of its"),
        (RUN, OTHER, tasks(RUNNING, register="skipped", statistics="running"), f"had nothing to publish of {KEY};"),
        # Which run the partition holds may have been read before it was published.
        (RUN, OTHER, tasks(RUNNING, register="success", statistics="running"), f"This DAG run fills {KEY} again; "),
        (RUN, None, tasks(DONE), f"This DAG run has ended, and nothing of {KEY} is published."),
        (RUN, OTHER, tasks(DONE), "holds what another run has published; this DAG run's own is own."),
    ],
)
def test_the_first_line_of_a_run(run: Layout | None, row: dict[str, str] | None, of: TaskStates, said: str) -> None:
    assert said in note(run, row, of)


@pytest.mark.parametrize(
    ("state", "register", "seconds_ago", "published", "again"),
    [
        (RUNNING, "success", 1, True, 10),
        (DONE, "success", 1, True, None),
        (DONE, "success", 1, False, 5.0),  # the rows that were shown may be older than its end
        (FAILED, "success", 1, False, 5.0),
        (DONE, "success", 6, False, None),
        (RUNNING, "success", 1, False, None),  # the part that changes asks by itself
        (DONE, None, 1, False, None),
        (FAILED, "failed", 1, False, None),
    ],
)
def test_when_the_page_asks_for_itself_again(
    state: str, register: str | None, seconds_ago: float, published: bool, again: float | None
) -> None:
    at = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=seconds_ago)
    of = TaskStates(state, {"register": Task(register, at, at, 1)} if register else {})
    assert again_in(of, published=published) == again
