"""A DAG run whose own run is not what is published: the state of its tasks, and of each step."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.state import DagRunState, TaskInstanceState
from sqlalchemy import select
from sqlalchemy.orm import Session

from imagefeatures.progress import StepStatus, duration
from imagefeatures.steps import PLAN, REGISTER, STEPS
from imagefeatures_airflow.web.looks import Look

SECONDS_BETWEEN_VIEWS = 10
"""After which a page of a run that is under way asks for itself again, where no script runs."""

SECONDS_BETWEEN_LOOKS = 2
"""After which the script of the page asks how far the run is."""

TASKS = (PLAN, "model", *STEPS)
"""The tasks of every run, in order."""


@dataclass(frozen=True)
class Task:
    """A task of a DAG run. state: None before it is scheduled."""

    state: str | None
    started: dt.datetime | None = None
    ended: dt.datetime | None = None
    tries: int = 0

    @property
    def seconds(self) -> float | None:
        """How long its latest try has taken so far; None where none has begun.

        Airflow gives a task that is not reached a start and an end as well.
        """
        if not (self.started and self.tries):
            return None
        return ((self.ended or dt.datetime.now(dt.UTC)) - self.started).total_seconds()


@dataclass(frozen=True)
class TaskStates:
    """What Airflow knows of a DAG run.

    state: None when it does not know the run. tasks: by their names. paused: whether the DAG is; it starts none then.
    """

    state: str | None
    tasks: Mapping[str, Task] = field(default_factory=dict)
    paused: bool = False

    @property
    def under_way(self) -> bool:
        return self.state in (DagRunState.QUEUED, DagRunState.RUNNING)

    @property
    def stands_still(self) -> bool:
        """Whether the run goes on only after somebody has unpaused the DAG."""
        return self.under_way and self.paused

    @property
    def has_failed(self) -> bool:
        return self.state == DagRunState.FAILED

    @property
    def has_succeeded(self) -> bool:
        return self.state == DagRunState.SUCCESS

    @property
    def failed(self) -> list[str]:
        """Its failed tasks."""
        return sorted(name for name, task in self.tasks.items() if task.state == TaskInstanceState.FAILED)

    def succeeded(self, name: str) -> bool:
        return self._state_of(name) == TaskInstanceState.SUCCESS

    def skipped(self, name: str) -> bool:
        return self._state_of(name) == TaskInstanceState.SKIPPED

    def stopped(self, name: str) -> bool:
        """Whether an error of this task is what stops it now: a later try may have passed, or be under way."""
        return self._state_of(name) in (TaskInstanceState.FAILED, TaskInstanceState.UP_FOR_RETRY)

    def published_within(self, seconds: float) -> bool:
        """Whether the task register has ended well, not longer ago than that."""
        ended = self.tasks[REGISTER].ended if self.succeeded(REGISTER) else None
        return ended is not None and (dt.datetime.now(dt.UTC) - ended).total_seconds() < seconds

    def _state_of(self, name: str) -> str | None:
        return self.tasks[name].state if name in self.tasks else None


@dataclass(frozen=True)
class StepView:
    """A task of a run as the page shows it. status: of its images; None of a task that has none, or is not reached."""

    name: str
    task: Task
    status: StepStatus | None
    of_run: TaskStates

    @property
    def waits(self) -> bool:
        return self.state.startswith("waits")

    @property
    def state(self) -> str:
        """In words."""
        own = self.task.state
        if own == TaskInstanceState.FAILED:
            return "failed"
        if own == TaskInstanceState.SUCCESS or (self.status and self.status.finished):
            return "done"
        if own == TaskInstanceState.SKIPPED:
            return "skipped"
        if own == TaskInstanceState.UPSTREAM_FAILED:  # also while others of its run go on
            return "not reached"
        if own == TaskInstanceState.UP_FOR_RETRY and self.of_run.under_way:
            return f"waits for try {self.task.tries + 1}"
        begun = self.status is not None or own == TaskInstanceState.RUNNING
        if not self.of_run.under_way:
            return "not finished" if begun else "not reached"
        if self.status and self.status.no_model:
            return "waits for the model"
        if own in (None, TaskInstanceState.SCHEDULED, TaskInstanceState.QUEUED):  # its shards may be known already
            return "waits"
        if self.status and self.status.seconds_left is not None:
            return f"{duration(self.status.seconds_left)} left"
        return "under way" if begun else "waits"


def task_states(session: Session, dag_id: str, run_id: str) -> TaskStates:
    """The states of a DAG run and of its tasks."""
    state = session.scalar(select(DagRun.state).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
    columns = (TaskInstance.state, TaskInstance.start_date, TaskInstance.end_date, TaskInstance.try_number)
    of_run = (TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id)
    found = session.execute(select(TaskInstance.task_id, *columns).where(*of_run))
    return TaskStates(state, {name: Task(*of_task) for name, *of_task in found}, is_paused(session, dag_id))


def is_paused(session: Session, dag_id: str) -> bool:
    return bool(session.scalar(select(DagModel.is_paused).where(DagModel.dag_id == dag_id)))


def from_plan(session: Session, dag_id: str, run_id: str, key: str) -> Any:
    """What the task `plan` of this DAG run has returned, or kept under a key; None without it."""
    query = XComModel.get_many(dag_ids=dag_id, run_id=run_id, task_ids=PLAN, key=key, limit=1)
    returned = session.execute(query.with_only_columns(XComModel.value)).first()
    return XComModel.deserialize_value(returned) if returned else None


def step_views(tasks: TaskStates, look: Look | None) -> list[StepView]:
    """All tasks of a run, in order; those that the DAG has besides come last.

    A step that is not reached has no status, though its shards are known.
    """
    failed = {name for name, task in tasks.tasks.items() if task.state == TaskInstanceState.UPSTREAM_FAILED}
    known = look.steps if look else []
    statuses = {status.step: status for status in known if status.done or status.step not in failed}
    ordered = [*TASKS, *(name for name in tasks.tasks if name not in TASKS)]
    return [StepView(name, tasks.tasks.get(name, Task(None)), statuses.get(name), tasks) for name in ordered]
