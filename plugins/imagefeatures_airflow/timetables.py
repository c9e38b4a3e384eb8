"""A calendar for datasets that nothing shall start by itself."""

from __future__ import annotations

from typing import Any

from airflow.timetables.base import DagRunInfo
from airflow.timetables.trigger import CronPartitionTimetable


class OnDemandPartitionTimetable(CronPartitionTimetable):
    """One partition a day, run by hand or by a backfill, never by the scheduler.

    A DAG without any schedule cannot be backfilled at all, since a backfill asks its calendar which
    partitions there are; and Airflow refuses `allowed_run_types` without scheduled runs beside a schedule.
    """

    @property
    def summary(self) -> str:
        return "on demand"

    def next_dagrun_info_v2(self, **_: Any) -> DagRunInfo | None:
        return None
