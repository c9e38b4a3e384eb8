"""The page of a DAG run that is a re-drive: its tasks, and what has become of each partition that it takes again."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XCOM_RETURN_KEY
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from sqlalchemy import select

from imagefeatures import names
from imagefeatures.errors import ParamsError
from imagefeatures.layout import Layout
from imagefeatures.progress import StepStatus
from imagefeatures.settings import Settings
from imagefeatures.steps import PLAN, REGISTER
from imagefeatures_airflow.web import access, rendering, unpublished
from imagefeatures_airflow.web.looks import look
from imagefeatures_airflow.web.published import Row, Unavailable, published
from imagefeatures_airflow.web.threads import in_thread
from imagefeatures_airflow.web.unpublished import StepView, Task, TaskStates

GROUP = "partition."
"""The ids of tasks that there are once for each partition begin with it, as the DAG's task group is named."""

LEFT_OUT = "left_out"
"""The task that names the partitions that cannot be taken again, and the result of plan with the reasons."""

MOST_SHOWN = 100
"""So many partitions are in the table: those that failed or were left out first, of each kind the newest first."""

MOST_TOLD = 5
"""Of so many failed partitions the page says why, of so many that were left out, and of so many how far they are."""

ABOUT = (
    "This DAG run is a re-drive: it takes quarantined objects again, and merges what is whole now into the partitions "
    "that its task plan has chosen."
)

NOT_BEGUN = Task(None)

FIRST = {"failed": 0, "left out": 1, "waits": 3, "not reached": 4, "done": 5, "skipped": 5}
"""The order of partitions by their state; whatever else a state says is work that is under way."""


@dataclass(frozen=True)
class TaskView:
    """A task of the run; where it is one for each partition, all of them. state: in words. took: from first to last.

    log: the path of its log in Airflow; None before it has begun, and of several.
    """

    task_id: str
    state: str
    failed: bool
    took: Task
    log: str | None

    @property
    def name(self) -> str:
        return self.task_id.removeprefix(GROUP)


@dataclass(frozen=True)
class PartitionView:
    """A partition of the run. at: the task that its state is of, None of none. log: of that task, as of TaskView.

    layout: None of a partition that was left out. row: what this run has published of it, None before that. status: of
    the images of the step that is under way, where somebody has looked.
    """

    key: str
    state: str
    at: str | None = None
    took: Task = NOT_BEGUN
    log: str | None = None
    layout: Layout | None = None
    row: Row | None = None
    status: StepStatus | None = None


@dataclass(frozen=True)
class Redrive:
    """What Airflow knows of the DAG run. tasks: those that are no partition's.

    layouts: the runs that plan has returned, by the index that Airflow gives to their tasks; None before that. mapped:
    the tasks of each. left_out: why other partitions cannot be taken again. reads_logs: whether the user may read logs.
    """

    dag_id: str
    run_id: str
    tasks: TaskStates
    mapped: Mapping[int, Mapping[str, Task]]
    layouts: Mapping[int, Layout] | None
    left_out: Mapping[str, str]
    reads_logs: bool

    def log(self, task_id: str, index: int = -1) -> str:
        """The path of a task's page in Airflow. index: of its partition."""
        of_partition = ("mapped", str(index)) if index >= 0 else ()
        return rendering.path("dags", self.dag_id, "runs", self.run_id, "tasks", task_id, *of_partition)

    def steps_of(self, index: int) -> list[StepView]:
        """The tasks of one partition, in order."""
        of_run = TaskStates(self.tasks.state, self.mapped.get(index, {}))
        return [view for view in unpublished.step_views(of_run, None) if view.name != PLAN]


async def facts(user: BaseUser, settings: Settings, dag_id: str, run_id: str) -> dict[str, Any]:
    """What the templates need of a re-drive, for a user who may read its XCom. Raises Unavailable."""
    found = await in_thread(lambda: known_to_airflow(user, settings, dag_id, run_id))
    dataset = names.dataset_redriven_by(dag_id) or ""
    rows: list[Row] = []
    if any(tasks.get(REGISTER, NOT_BEGUN).state == TaskInstanceState.SUCCESS for tasks in found.mapped.values()):
        rows = (await published(settings)).get(dataset, [])
    partitions = partition_views(found, {row["run_id"]: row for row in rows})
    if found.tasks.under_way:
        partitions = await _with_status(partitions)
    return {
        "dataset": dataset,
        "found": found,
        "note": note(found, partitions),
        "tasks": task_views(found),
        "partitions": partitions,
        "most_shown": MOST_SHOWN,
        "stops": await _stops(found, partitions) if found.reads_logs else [],
        "seconds_between_views": unpublished.SECONDS_BETWEEN_VIEWS,
        "seconds_between_looks": unpublished.SECONDS_BETWEEN_LOOKS,
    }


def known_to_airflow(user: BaseUser, settings: Settings, dag_id: str, run_id: str) -> Redrive:
    """What Airflow knows of a re-drive. Blocks."""
    reads_logs = access.may_read_logs(user, dag_id)
    columns = (TaskInstance.state, TaskInstance.start_date, TaskInstance.end_date, TaskInstance.try_number)
    of_run = (TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id)
    with create_session(scoped=False) as session:
        state = session.scalar(select(DagRun.state).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
        instances = session.execute(select(TaskInstance.task_id, TaskInstance.map_index, *columns).where(*of_run)).all()
        run_files = unpublished.from_plan(session, dag_id, run_id, XCOM_RETURN_KEY)
        left_out = unpublished.from_plan(session, dag_id, run_id, LEFT_OUT)
        paused = unpublished.is_paused(session, dag_id)
    mapped: dict[int, dict[str, Task]] = {}
    for task_id, index, *of_task in instances:
        if task_id.startswith(GROUP):
            mapped.setdefault(index, {})[task_id.removeprefix(GROUP)] = Task(*of_task)
    single = {task_id: Task(*of_task) for task_id, _, *of_task in instances if not task_id.startswith(GROUP)}
    layouts = None
    if isinstance(run_files, list):
        layouts = _layouts(run_files, settings, names.dataset_redriven_by(dag_id))
    why = {str(key): str(text) for key, text in left_out.items()} if isinstance(left_out, dict) else {}
    return Redrive(dag_id, run_id, TaskStates(state, single, paused), mapped, layouts, why, reads_logs)


def _layouts(run_files: Iterable[object], settings: Settings, dataset: str | None) -> dict[int, Layout]:
    """What is no run of this dataset in this lake is left out: whoever may edit results in Airflow has chosen that."""
    found = {}
    for index, run_file in enumerate(run_files):
        with contextlib.suppress(ParamsError):
            found[index] = Layout.of_run_file(str(run_file), settings.lake, dataset)
    return found


def task_views(found: Redrive) -> list[TaskView]:
    """The tasks of the run in order: plan, those of the partitions, and what names partitions that were left out."""
    single = {view.name: view for view in unpublished.step_views(found.tasks, None)}
    indices = sorted(found.layouts or ()) or [-1]  # before plan has returned, Airflow has one of each, with this index
    of_partitions = {index: {view.name: view for view in found.steps_of(index)} for index in indices}
    order = max(of_partitions.values(), key=len)  # one may have tasks already that Airflow has not made of another
    views = [_task_view(found, PLAN, [(-1, single[PLAN])])]
    for name in order:
        absent = StepView(name, NOT_BEGUN, None, found.tasks)
        steps = [(index, of.get(name, absent)) for index, of in of_partitions.items()]
        views.append(_task_view(found, GROUP + name, steps))
    last = single.get(LEFT_OUT, StepView(LEFT_OUT, NOT_BEGUN, None, found.tasks))
    return [*views, _task_view(found, LEFT_OUT, [(-1, last)])]


def _task_view(found: Redrive, task_id: str, of: list[tuple[int, StepView]]) -> TaskView:
    states = Counter(step.state for _, step in of)
    index, one = of[0]
    state = one.state if len(of) == 1 else ", ".join(f"{count:,} {word}" for word, count in states.most_common())
    log = found.log(task_id, index) if len(of) == 1 and one.task.tries else None
    return TaskView(task_id, state, "failed" in states, _span(step.task for _, step in of), log)


def partition_views(found: Redrive, own: Mapping[str, Row]) -> list[PartitionView]:
    """What has become of each partition, in the order of FIRST. own: published rows by the ids of their runs."""
    log = found.log(LEFT_OUT) if found.tasks.tasks.get(LEFT_OUT, NOT_BEGUN).tries else None
    views = [PartitionView(key, "left out", LEFT_OUT, log=log) for key in found.left_out]
    for index, layout in (found.layouts or {}).items():
        steps = found.steps_of(index)
        at = _deciding(steps)
        log = found.log(GROUP + at.name, index) if at.task.tries else None
        span = _span(step.task for step in steps)
        views.append(PartitionView(layout.partition, at.state, at.name, span, log, layout, own.get(layout.run_id)))
    views.sort(key=lambda view: view.key, reverse=True)
    return sorted(views, key=lambda view: FIRST.get(view.state, 2))


def _deciding(steps: list[StepView]) -> StepView:
    """The task that the state of a partition is of: that which failed, else is under way, else comes next.

    Of a partition that is done it is register, whose log says what was published.
    """
    failed = [step for step in steps if step.state == "failed"]
    open_steps = [step for step in steps if step.state not in ("done", "skipped")]
    begun = [step for step in open_steps if step.state not in ("waits", "not reached")]
    return (failed or begun or open_steps or [step for step in steps if step.name == REGISTER])[0]


def _span(tasks: Iterable[Task]) -> Task:
    """From the first beginning to the last end, as one task; with the tries of that which has the most."""
    begun = [task for task in tasks if task.started]
    if not begun:
        return NOT_BEGUN
    ends = [task.ended for task in begun if task.ended]
    end = max(ends) if len(ends) == len(begun) else None
    return Task(None, min(task.started for task in begun if task.started), end, max(task.tries for task in begun))


async def _with_status(partitions: list[PartitionView]) -> list[PartitionView]:
    """The same, and of the first MOST_TOLD that are under way how far their step is."""

    async def status(of: Layout) -> StepStatus | None:
        with contextlib.suppress(Unavailable):
            seen = await look(of)
            return seen.steps[-1] if seen and seen.steps and not seen.steps[-1].finished else None
        return None

    layouts = {one.key: one.layout for one in partitions if one.layout and one.state not in FIRST}
    looked_at = dict(list(layouts.items())[:MOST_TOLD])
    found = dict(zip(looked_at, await asyncio.gather(*map(status, looked_at.values())), strict=True))
    return [replace(one, status=found.get(one.key)) for one in partitions]


async def _stops(found: Redrive, partitions: list[PartitionView]) -> list[tuple[str, str, str]]:
    """Partition, what happened to it, and why: of the first MOST_TOLD that failed, and that were left out."""

    async def stop(of: PartitionView) -> tuple[str, str, str] | None:
        with contextlib.suppress(Unavailable):  # the log says it too
            seen = await look(of.layout) if of.layout else None
            if seen and seen.stop and seen.stop.step == of.at:
                return of.key, f"{of.at} stopped: {seen.stop.kind}", seen.stop.why
        return None

    failed = [view for view in partitions if view.state == "failed"][:MOST_TOLD]
    told = await asyncio.gather(*map(stop, failed))
    left_out = [view.key for view in partitions if view.state == "left out"][:MOST_TOLD]
    return [*filter(None, told), *((key, "left out:", found.left_out[key]) for key in left_out)]


def note(found: Redrive, partitions: list[PartitionView]) -> str:
    """What a re-drive is, and how this one has ended."""
    if found.tasks.state is None:
        return f"{ABOUT} Airflow knows no run of this name."
    states = Counter(view.state for view in partitions)
    if found.tasks.has_failed:
        taken = sum(states.values()) - states["left out"]
        bad = [f"task {name}" for name in found.tasks.failed if name != LEFT_OUT]
        bad += [f"{states['failed']:,} of {taken:,} partitions"] if states["failed"] else []
        bad += [f"{states['left out']:,} left out"] if states["left out"] else []
        return f"{ABOUT} It failed{': ' if bad else ''}{', '.join(bad)}."
    if found.tasks.has_succeeded:
        done = states["done"]
        what = f"published {done:,} {'partition' if done == 1 else 'partitions'}" if done else "changed no partition"
        return f"{ABOUT} It has ended, and {what}."
    return ABOUT
