"""The timetable of datasets without a schedule."""

from __future__ import annotations

from typing import Any

from airflow.timetables.base import DagRunInfo
from airflow.timetables.trigger import CronPartitionTimetable


class OnDemandPartitionTimetable(CronPartitionTimetable):
    """One partition a day, run by hand or by a backfill, never by the scheduler.

    A backfill gets its partitions from the timetable, so a DAG without one cannot be backfilled. `allowed_run_types`
    without scheduled runs is no alternative: Airflow refuses it beside a schedule.
    """

    @property
    def summary(self) -> str:
        return "on demand"

    def next_dagrun_info_v2(self, **_: Any) -> DagRunInfo | None:
        return None
