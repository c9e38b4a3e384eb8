"""What the page of a re-drive tells of its tasks and partitions, put together from Airflow's states."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping
from typing import Any

import pytest
from airflow.utils.state import DagRunState

from imagefeatures.layout import Layout
from imagefeatures.progress import StepStatus
from imagefeatures.stops import Stop
from imagefeatures_airflow.web import redrives
from imagefeatures_airflow.web.looks import Look
from imagefeatures_airflow.web.published import Unavailable
from imagefeatures_airflow.web.redrives import ABOUT, Redrive, note, partition_views, task_views
from imagefeatures_airflow.web.unpublished import Task, TaskStates

RUNNING, FAILED, SUCCESS = DagRunState.RUNNING, DagRunState.FAILED, DagRunState.SUCCESS
START = dt.datetime(2026, 11, 3, tzinfo=dt.UTC)
LOGS = "dags/redrive_figs/runs/manual__1/tasks/"
DONE = dict.fromkeys(("model", "ingest", "validate", "resize", "featurize", "register", "statistics"), "success")


def task(state: str | None, began: int | None = None, ended: int | None = None) -> Task:
    """Minutes after START."""
    begin, end = (None if at is None else START + dt.timedelta(minutes=at) for at in (began, ended))
    return Task(state, begin, end, 1 if begin else 0)


def redrive(
    state: str | None = RUNNING,
    mapped: Mapping[int, Mapping[str, Task]] | None = None,
    days: Mapping[int, str] | None = None,
    left_out: Mapping[str, str] | None = None,
    tasks: Mapping[str, Task] | None = None,
) -> Redrive:
    layouts = {at: Layout("file:///lake", "figs", day, f"run-of-{day}") for at, day in (days or {}).items()}
    own = TaskStates(state, tasks or {})
    return Redrive(
        "redrive_figs", "manual__1", own, mapped or {}, None if days is None else layouts, left_out or {}, True
    )


def partition(**tasks: str | None) -> dict[str, Task]:
    return {name: task(state, 1, 2) if state not in (None, "upstream_failed") else Task(state)
            for name, state in tasks.items()}  # fmt: skip


def test_a_task_of_one_partition_has_its_log_and_one_of_several_their_states() -> None:
    one = redrive(
        mapped={0: {"ingest": task("success", 1, 3), "validate": task("running", 4)}}, days={0: "d1"},
        tasks={"plan": task("success", 0, 1)},
    )  # fmt: skip
    views = {view.name: view for view in task_views(one)}
    assert [*views] == ["plan", "model", "ingest", "validate", "resize", "featurize", "register", "left_out"]
    assert {name: view.state for name, view in views.items()} == {
        "plan": "done", "model": "waits", "ingest": "done", "validate": "under way", "resize": "waits",
        "featurize": "waits", "register": "waits", "left_out": "waits",
    }  # fmt: skip
    assert views["plan"].log == f"{LOGS}plan"
    assert views["ingest"].log == f"{LOGS}partition.ingest/mapped/0"
    assert views["resize"].log is views["left_out"].log is None
    assert views["ingest"].took == Task(None, START + dt.timedelta(minutes=1), START + dt.timedelta(minutes=3), 1)
    assert not any(view.failed for view in views.values())
    several = redrive(
        mapped={0: {"ingest": task("failed", 1, 3)}, 1: {"ingest": task("success", 2, 9)},
                2: {"ingest": task("success", 3, 4), "statistics": task(None)}},
        days={0: "d1", 1: "d2", 2: "d3"},
        tasks={"plan": task("success", 0, 1), "left_out": task("failed", 5, 6)},
    )  # fmt: skip
    views = {view.name: view for view in task_views(several)}
    assert [*views][-2:] == ["statistics", "left_out"]
    assert (views["ingest"].state, views["ingest"].failed, views["ingest"].log) == ("2 done, 1 failed", True, None)
    assert views["ingest"].took == Task(None, START + dt.timedelta(minutes=1), START + dt.timedelta(minutes=9), 1)
    assert views["statistics"].state == "3 waits"
    assert (views["left_out"].failed, views["left_out"].log) == (True, f"{LOGS}left_out")


def test_before_plan_has_returned_airflow_has_one_of_each_task() -> None:
    found = redrive(mapped={-1: {"ingest": task(None), "statistics": task(None)}}, tasks={"plan": task("running", 0)})
    views = {view.name: view for view in task_views(found)}
    assert [*views][-3:] == ["register", "statistics", "left_out"]
    assert (views["plan"].state, views["ingest"].state) == ("under way", "waits")
    assert views["plan"].took == Task(None, START, None, 1)
    assert partition_views(found, {}) == []


def test_partitions_that_failed_come_first_and_of_each_kind_the_newest() -> None:
    upstream = dict.fromkeys(("validate", "resize", "featurize", "register", "statistics"), "upstream_failed")
    found = redrive(
        mapped={
            0: partition(**DONE),
            1: partition(model="success", ingest="running"),
            2: partition(model="success", ingest="failed", **upstream),
            3: partition(model=None),
            4: partition(**DONE),
            5: partition(model="success", ingest="failed", **upstream),
            6: partition(**DONE | {"register": "skipped", "statistics": "skipped"}),
            7: partition(model=None, ingest="running"),
        },
        days={at: f"d{at}" for at in range(8)},
        left_out={"c1": "away", "e2": "gone"},
    )
    rows: dict[str, Any] = {"run-of-d4": {"run_id": "run-of-d4"}}
    views = partition_views(found, rows)
    assert [(view.key, view.state, view.at) for view in views] == [
        ("d5", "failed", "ingest"), ("d2", "failed", "ingest"), ("e2", "left out", "left_out"),
        ("c1", "left out", "left_out"), ("d7", "under way", "ingest"), ("d1", "under way", "ingest"),
        ("d3", "waits", "model"), ("d6", "skipped", "register"), ("d4", "done", "register"), ("d0", "done", "register"),
    ]  # fmt: skip
    by_key = {view.key: view for view in views}
    assert by_key["d4"].row is rows["run-of-d4"]
    assert by_key["d0"].row is None
    assert by_key["d2"].log == f"{LOGS}partition.ingest/mapped/2"
    assert by_key["d0"].log == f"{LOGS}partition.register/mapped/0"
    assert by_key["d3"].log is by_key["c1"].log is None
    assert (by_key["c1"].layout, by_key["d0"].took.tries) == (None, 1)
    named = redrive(left_out={"e1": "away"}, tasks={"left_out": task("failed", 1, 2)})
    assert partition_views(named, {})[0].log == f"{LOGS}left_out"


def test_how_a_re_drive_has_ended_is_one_line() -> None:
    done, bad = partition(**DONE), partition(model="success", ingest="failed")
    for found, said in (
        (redrive(None), " Airflow knows no run of this name."),
        (redrive(RUNNING), ""),
        (redrive(SUCCESS, {}, {}), " It has ended, and changed no partition."),
        (redrive(SUCCESS, {0: done}, {0: "d0"}), " It has ended, and published 1 partition."),
        (redrive(SUCCESS, {0: done, 1: done}, {0: "d0", 1: "d1"}), " It has ended, and published 2 partitions."),
        (redrive(FAILED, tasks={"plan": task("failed", 0, 1)}), " It failed: task plan."),
        (redrive(FAILED), " It failed."),
        (redrive(FAILED, {0: done, 1: bad}, {0: "d0", 1: "d1"}), " It failed: 1 of 2 partitions."),
        (
            redrive(FAILED, {0: done, 1: bad}, {0: "d0", 1: "d1"}, {"e1": "away", "e2": "gone"}),
            " It failed: 1 of 2 partitions, 2 left out.",
        ),
    ):
        assert note(found, partition_views(found, {})) == ABOUT + said
    found = redrive(FAILED, {0: done}, {0: "d0"}, {"e1": "away"}, {"left_out": task("failed", 1, 2)})
    assert note(found, partition_views(found, {})) == f"{ABOUT} It failed: 1 left out."


def looks(monkeypatch: pytest.MonkeyPatch, of: Mapping[str, Look | None]) -> list[str]:
    asked: list[str] = []

    async def look(layout: Layout) -> Look | None:
        asked.append(layout.partition)
        if layout.partition not in of:
            raise Unavailable("away")
        return of[layout.partition]

    monkeypatch.setattr(redrives, "look", look)
    return asked


def test_of_partitions_under_way_the_status_of_their_step_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    half, whole = StepStatus("resize", 5, 10), StepStatus("ingest", 10, 10, finished=True)
    running = partition(model="success", ingest="running")
    mapped = dict.fromkeys(range(7), running) | {7: partition(**DONE)}
    found = redrive(mapped=mapped, days={at: f"d{at}" for at in range(8)}, left_out={"e1": "away"})
    asked = looks(monkeypatch, {
        "d6": Look((whole, half), 10, (), (), None), "d5": Look((whole,), 10, (), (), None),
        "d4": Look((), None, (), (), None), "d3": None, "d1": Look((half,), 10, (), (), None),
    })  # fmt: skip
    views = asyncio.run(redrives._with_status(partition_views(found, {})))
    assert asked == ["d6", "d5", "d4", "d3", "d2"]  # five at most
    assert {view.key: view.status for view in views if view.status} == {"d6": half}
    assert len(views) == 9


def test_of_partitions_that_failed_it_is_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = partition(model="success", ingest="failed")
    days = {at: f"d{at}" for at in range(7)}
    found = redrive(FAILED, {**dict.fromkeys(range(6), bad), 6: partition(**DONE)}, days, {"e1": "away", "e2": "gone"})
    why = Stop("ingest", "StoreError", "no answer")
    other = Stop("validate", "StoreError", "no answer")
    asked = looks(monkeypatch, {
        "d5": Look((), 1, (), (), why), "d4": Look((), 1, (), (), other), "d3": Look((), 1, (), (), None), "d2": None,
    })  # fmt: skip
    assert asyncio.run(redrives._stops(found, partition_views(found, {}))) == [
        ("d5", "ingest stopped: StoreError", "no answer"), ("e2", "left out:", "gone"), ("e1", "left out:", "away"),
    ]  # fmt: skip
    assert asked == ["d5", "d4", "d3", "d2", "d1"]
