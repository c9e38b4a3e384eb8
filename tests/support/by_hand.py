"""Publications of runs and withdrawals that nothing has computed, and processes that end in the middle of one."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog

from imagefeatures import publications, read, schemas
from imagefeatures.catalog import tables
from imagefeatures.layout import Layout
from imagefeatures.publications import Publication
from imagefeatures.settings import Settings
from support.histories import publication
from support.interrupted import notes
from support.publishing import DAY

NOON = dt.datetime(2026, 11, 2, 12, tzinfo=dt.UTC)
HOUR, DAY_BEFORE = dt.timedelta(hours=1), NOON - dt.timedelta(days=1)


def of_run(settings: Settings, run_id: str, at: dt.datetime = NOON, **row: Any) -> Publication:
    """Of a run that has one rejected object and nothing else. row: columns of its row of runs that differ."""
    made = publication(Layout(settings.lake, "photos", DAY, run_id), [], at)
    (runs,) = made.runs.to_pylist()
    return dataclasses.replace(made, runs=pa.Table.from_pylist([runs | row], schema=schemas.RUNS))


def emptied(of: Publication) -> Publication:
    """The same without the rejected object."""
    (runs,) = of.runs.to_pylist()
    rows = [runs | {"listed": 0, "quarantined": 0, "reasons": []}]
    return dataclasses.replace(
        of, runs=pa.Table.from_pylist(rows, schema=schemas.RUNS), quarantine=schemas.QUARANTINE.empty_table()
    )


def withdrawing(of: Publication, replaced: str, at: dt.datetime = NOON) -> Publication:
    """The same as what a withdrawal leaves of a run."""
    row = {
        "partition_key": DAY, "dataset": "photos", "run_id": of.layout.run_id, "replaced": replaced, "asked_by": "ada",
        "why": "a wrong camera", "withdrawn_at": at, "uris": None, "registered": 0, "quarantined": 1,
    }  # fmt: skip
    told = pa.Table.from_pylist([row], schema=schemas.WITHDRAWALS)
    return dataclasses.replace(of, replaces=replaced, withdrawal=told)


def interrupted(of: Publication, catalog: Catalog, settings: Settings, before: str = "quarantine") -> None:
    """Publish it in a process that ends when it comes to the table `before`."""
    real = tables.replace_rows

    def ends(table: Any, *rest: Any) -> bool:
        if table.name()[-1] == before:
            raise KeyboardInterrupt
        return real(table, *rest)

    with pytest.MonkeyPatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(tables, "replace_rows", ends)
        publications.publish(of, catalog, settings)
    assert notes(settings) == [of.layout.publication]


def stands(of: Publication, catalog: Catalog, settings: Settings) -> None:
    """Make it the run that features.runs names, and put nothing into another table."""
    tables.replace_rows(tables.open_table(catalog, settings, "runs"), DAY, "photos", of.runs, of.layout.run_id)


def published(settings: Settings) -> list[str]:
    return [row["run_id"] for row in read.runs(settings)]
