"""A DAG run whose own run is not what is published: how far it is, what it rejected, and why it stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.utils.state import DagRunState, TaskInstanceState
from sqlalchemy import select
from sqlalchemy.orm import Session

from imagefeatures import stops
from imagefeatures.errors import ImageFeaturesError
from imagefeatures.layout import Layout
from imagefeatures.progress import StepStatus, read_status
from imagefeatures.stops import Stop
from imagefeatures_airflow.web.published import Unavailable

SECONDS_BETWEEN_VIEWS = 10
"""After which a page of a run that is under way asks for itself again."""


@dataclass(frozen=True)
class TaskStates:
    """What Airflow knows of a DAG run. state: None when it does not know the run. failed: its failed tasks."""

    state: str | None
    failed: tuple[str, ...]

    @property
    def under_way(self) -> bool:
        return self.state in (DagRunState.QUEUED, DagRunState.RUNNING)

    @property
    def has_failed(self) -> bool:
        return self.state == DagRunState.FAILED


@dataclass(frozen=True)
class Unpublished:
    """A run in its staging folder, as the page shows it.

    steps: those that it has reached. listed: None while its source is not listed. reasons: how many objects it has
    rejected for each, the most frequent first. stop: what stopped it last.
    """

    layout: Layout
    tasks: TaskStates
    steps: tuple[StepStatus, ...]
    listed: int | None
    reasons: tuple[tuple[str, int], ...]
    stop: Stop | None

    @property
    def rejected(self) -> int:
        return sum(count for _, count in self.reasons)


def task_states(session: Session, dag_id: str, run_id: str) -> TaskStates:
    """The state of a DAG run, and which of its tasks have failed."""
    of_run = (DagRun.dag_id == dag_id, DagRun.run_id == run_id)
    state = session.scalar(select(DagRun.state).where(*of_run))
    of_tasks = (TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id)
    failed = select(TaskInstance.task_id).where(*of_tasks, TaskInstance.state == TaskInstanceState.FAILED)
    return TaskStates(state, tuple(sorted(session.scalars(failed))))


def read(layout: Layout, tasks: TaskStates) -> Unpublished | None:
    """The run as its files tell it; None when its folder is gone. Raises Unavailable when they cannot be read."""
    from imagefeatures import rejections

    try:
        status = read_status(layout)
        if status is None:
            return None
        found = rejections.of_staged(layout)
    except ImageFeaturesError as error:
        kind = type(error).__name__
        raise Unavailable(f"The run's files cannot be read now ({kind}). Check the store of the lake.") from None
    stop = None if tasks.state == DagRunState.SUCCESS else stops.last(layout)
    return Unpublished(layout, tasks, status.steps, found.listed, _by_count(found.reasons), stop)


def _by_count(reasons: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(reasons.items(), key=lambda counted: (-counted[1], counted[0])))
