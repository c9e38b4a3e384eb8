"""Which run of a partition stays: a run, a re-drive or a withdrawal that comes too late is refused as OlderRun.

refuse_older      a run, where one that was planned later is published
refuse_since      one that shall replace a later run, where another was published after that was begun
refuse_other      a re-drive or a withdrawal, where the partition holds another run than it was planned for
refuse_withdrawn  a run that was planned before rows of its partition were taken back: it would bring them back
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from imagefeatures import names
from imagefeatures.catalog import records, tables
from imagefeatures.errors import OlderRun
from imagefeatures.layout import Layout

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog


def base_started_at(standing: dict[str, Any]) -> dt.datetime:
    """When the run of the whole partition was planned whose rows this row of features.runs is of.

    It is earlier than `started_at` where re-drives were merged into them. Rows of earlier versions do not have it.
    """
    base: dt.datetime = standing["base_started_at"] or standing["started_at"]
    return base


def refuse_older(run: Layout, started_at: dt.datetime, standing: dict[str, Any] | None) -> None:
    """Raise OlderRun when the partition holds the rows of a whole run that was planned later than this one.

    The plan of a re-drive does not count: it took few objects again, and this run all of them. One that was merged into
    this very run does.
    """
    if not standing or standing["run_id"] == run.run_id:
        return
    if (base := base_started_at(standing)) >= started_at:
        merged = "" if base == standing["started_at"] else "merged into a run "
        raise OlderRun(
            f"{run.partition} of {run.dataset}: run {run.run_id} was planned at {started_at.isoformat()}, before run "
            f"{standing['run_id']}, which is published and {merged}of {base.isoformat()}; start a new run, "
            "or publish this one with the run parameter replace_newer"
        )


def refuse_since(run: Layout, begun_at: dt.datetime, standing: dict[str, Any] | None) -> None:
    """Raise OlderRun when another run was published after this one's publication began.

    begun_at: until then this one may replace any run.
    """
    if standing and standing["run_id"] != run.run_id and standing["finished_at"] > begun_at:
        raise OlderRun(
            f"{run.partition} of {run.dataset}: run {run.run_id} was to be published at {begun_at.isoformat()}, before "
            f"run {standing['run_id']}, which is published and of {standing['finished_at'].isoformat()}; start a new "
            "run, or publish this one again with the run parameter replace_newer"
        )


def refuse_other(run: Layout, replaces: str, standing: dict[str, Any] | None) -> None:
    """Raise OlderRun when the partition's row of features.runs is not of the run that a re-drive was planned for."""
    holds = standing["run_id"] if standing else "none"
    if holds not in (replaces, run.run_id):
        raise OlderRun(
            f"{run.partition} of {run.dataset}: re-drive {run.run_id} takes again what run {replaces} has quarantined, "
            f"and the run that is published now is {holds}; nothing was merged; start a new re-drive"
        )


def refuse_withdrawn(run: Layout, since: dt.datetime, catalog: Catalog, what: str = "planned") -> None:
    """Raise OlderRun when rows of the partition were taken back after this run was planned.

    since, what: when that was; or when the run was "to be published", in its place.
    """
    rows = records.read(catalog, names.WITHDRAWALS, tables.rows_of(run.partition, run.dataset))
    if later := [row for row in rows if row["withdrawn_at"] > since]:
        raise OlderRun(
            f"{run.partition} of {run.dataset}: run {run.run_id} was {what} at {since.isoformat()}, before rows of "
            f"the partition were taken back at {later[0]['withdrawn_at'].isoformat()}; start a new run, or publish "
            "this one with the run parameter replace_newer"
        )
