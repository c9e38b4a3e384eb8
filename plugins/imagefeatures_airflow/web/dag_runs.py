"""The DAG runs that Airflow knows of datasets: those under way, and the last one of each, re-drives with them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from airflow.models.dagrun import DagRun
from airflow.models.xcom import XCOM_RETURN_KEY, XComModel
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunType
from sqlalchemy import case, func, select

from imagefeatures import names
from imagefeatures.errors import ParamsError
from imagefeatures.layout import Layout
from imagefeatures.settings import Settings

MOST = 500
"""So many runs under way are looked at: those that run, then the newest of those that wait."""


@dataclass(frozen=True)
class RunOfDag:
    """partition: None while it is not planned, and of a re-drive of several. started: None while it is queued."""

    dag_id: str
    run_id: str
    state: str
    partition: str | None
    started: dt.datetime | None

    @property
    def redrives(self) -> bool:
        """Whether it takes quarantined objects again, and not a whole partition."""
        return names.dataset_redriven_by(self.dag_id) is not None


@dataclass(frozen=True)
class RunsOfDags:
    """under_way: of each dataset, by partition, without re-drives. last: of each the one that was created last.

    first: of each dataset the first partition for which its schedule, or a backfill of that, has made a run.
    cut: whether more than MOST are under way.
    """

    under_way: dict[str, dict[str, RunOfDag]]
    last: dict[str, RunOfDag]
    first: dict[str, str]
    cut: bool


def runs_of(settings: Settings, dag_ids: Collection[str]) -> RunsOfDags:
    """dag_ids: of datasets and of their re-drives. Blocks: four questions to Airflow's database in all."""
    found_by = (names.dataset_of, names.dataset_redriven_by)
    dags = {dag_id: name for dag_id in dag_ids for of in found_by if (name := of(dag_id))}
    columns = (DagRun.id, DagRun.dag_id, DagRun.run_id, DagRun.state, DagRun.partition_key, DagRun.start_date)
    ours = DagRun.dag_id.in_([dag_id for dag_id in dags if names.dataset_of(dag_id)])
    newest = select(func.max(DagRun.id)).where(DagRun.dag_id.in_(dags)).group_by(DagRun.dag_id)
    with create_session(scoped=False) as session:
        last = session.execute(select(*columns).where(DagRun.id.in_(newest))).all()
        states = (DagRunState.QUEUED, DagRunState.RUNNING)
        waits = case((DagRun.state == DagRunState.RUNNING, 0), else_=1)  # Airflow starts the oldest of a backfill
        under_way = session.execute(
            select(*columns)
            .where(ours, DagRun.state.in_(states))
            .order_by(waits, DagRun.id.desc())
            .limit(MOST + 1)  # the last one tells that there are more
        ).all()
        cut, under_way = len(under_way) > MOST, under_way[:MOST]
        first = session.execute(
            select(DagRun.dag_id, func.min(DagRun.partition_key))
            .where(ours, DagRun.run_type.in_((DagRunType.SCHEDULED, DagRunType.BACKFILL_JOB)))
            .where(DagRun.partition_key.is_not(None))
            .group_by(DagRun.dag_id)
        ).all()
        unnamed = {row.run_id for row in (*last, *under_way) if not row.partition_key}
        planned = session.execute(
            select(XComModel.dag_id, XComModel.run_id, XComModel.value).where(
                XComModel.dag_id.in_(dags),
                XComModel.run_id.in_(unnamed),
                XComModel.task_id == "plan",
                XComModel.key == XCOM_RETURN_KEY,
            )
        ).all()
    partitions = {(row.dag_id, row.run_id): _partition(XComModel.deserialize_value(row), settings) for row in planned}

    def told(row: Any) -> RunOfDag:
        partition = row.partition_key or partitions.get((row.dag_id, row.run_id))
        return RunOfDag(row.dag_id, row.run_id, str(row.state), partition, row.start_date)

    found = RunsOfDags(
        {name: {} for name in dags.values()},
        {dags[row.dag_id]: told(row) for row in sorted(last, key=lambda row: row.id)},
        {dags[dag_id]: partition for dag_id, partition in first},
        cut,
    )
    for run in map(told, under_way):
        if run.partition:
            found.under_way[dags[run.dag_id]].setdefault(run.partition, run)
    return found


def _partition(returned: object, settings: Settings) -> str | None:
    """The partition of what plan has returned: one run.json, or a list of those of a re-drive."""
    if isinstance(returned, list) and len(returned) == 1:
        returned = returned[0]
    try:
        return Layout.of_run_file(str(returned), settings.lake).partition
    except ParamsError:
        return None
