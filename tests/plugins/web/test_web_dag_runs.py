"""What the pages ask Airflow's database about DAG runs: which are under way, and the partition that each one fills."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest
from airflow.models.dagrun import DagRun
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunType
from sqlalchemy import delete, update

from imagefeatures.layout import Layout
from imagefeatures.settings import Settings
from support.web import START, return_from_plan

DAG = "features_plums"


@pytest.fixture
def settings(site: object) -> Iterator[Settings]:
    yield Settings.from_env()
    with create_session() as session:
        for of in (DagRun, XComModel):
            session.execute(delete(of).where(of.dag_id == DAG))


def add(run_id: str, kind: DagRunType, key: str | None, state: DagRunState = DagRunState.RUNNING) -> None:
    with create_session() as session:
        of = {"run_type": kind, "partition_key": key, "state": state, "start_date": START}
        session.add(DagRun(dag_id=DAG, run_id=run_id, run_after=START, **of))


def test_the_first_partition_is_that_of_a_schedule_or_a_backfill_of_it(settings: Settings) -> None:
    from imagefeatures_airflow.web.dag_runs import runs_of

    assert runs_of(settings, [DAG]).first == {}
    add("by_hand", DagRunType.MANUAL, "2026-11-01")
    assert runs_of(settings, [DAG]).first == {}
    add("scheduled", DagRunType.SCHEDULED, "2026-11-04", DagRunState.SUCCESS)
    add("of_older_files", DagRunType.SCHEDULED, None)
    assert runs_of(settings, [DAG]).first == {"plums": "2026-11-04"}
    add("backfilled", DagRunType.BACKFILL_JOB, "2026-11-02", DagRunState.FAILED)
    assert runs_of(settings, [DAG]).first == {"plums": "2026-11-02"}


def test_a_run_says_its_partition_itself_or_its_plan_does(settings: Settings) -> None:
    from imagefeatures_airflow.web.dag_runs import RunOfDag, runs_of

    add("of_a_day", DagRunType.SCHEDULED, "2026-11-03")
    return_from_plan(DAG, "asked", Layout(settings.lake, "plums", "2026-11-05", "asked").run_file)
    return_from_plan(DAG, "of_nothing", "")
    with create_session() as session:
        session.execute(update(DagRun).where(DagRun.run_id.in_(("asked", "of_nothing"))).values(state="queued"))
    found = runs_of(settings, [DAG])
    assert found.under_way == {
        "plums": {
            "2026-11-03": RunOfDag(DAG, "of_a_day", "running", "2026-11-03", START),
            "2026-11-05": RunOfDag(DAG, "asked", "queued", "2026-11-05", None),
        }
    }
    assert found.last == {"plums": RunOfDag(DAG, "of_nothing", "queued", None, None)}
    assert not found.cut


@pytest.mark.parametrize("returned", [None, 7, "", "s3://elsewhere/run.json", [], ["", ""], {}])
def test_what_plan_returned_may_be_no_partitions(returned: object, settings: Settings) -> None:
    from imagefeatures_airflow.web.dag_runs import _partition

    assert _partition(returned, settings) is None


def test_of_one_redriven_partition_the_plan_says_which(settings: Settings) -> None:
    from imagefeatures_airflow.web.dag_runs import _partition

    of = [Layout(settings.lake, "plums", day, "r").run_file for day in ("2026-11-05", "2026-11-06")]
    assert [_partition(returned, settings) for returned in (of[0], of[:1], of)] == ["2026-11-05", "2026-11-05", None]


def test_of_several_runs_of_a_partition_the_one_that_runs_is_told(settings: Settings) -> None:
    from imagefeatures_airflow.web.dag_runs import runs_of

    add("runs", DagRunType.MANUAL, "2026-11-03")
    add("waits", DagRunType.MANUAL, "2026-11-03", DagRunState.QUEUED)
    add("has_failed", DagRunType.MANUAL, "2026-11-03", DagRunState.FAILED)
    found = runs_of(settings, [DAG])
    assert found.under_way["plums"]["2026-11-03"].run_id == "runs"
    assert (found.last["plums"].run_id, found.last["plums"].state) == ("has_failed", "failed")
    assert found.last["plums"].started == START.astimezone(dt.UTC)
