"""The days before the measured ones in benchmarks.growth: copies of a first real run, published as runs are."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence

import pyarrow as pa
from pyiceberg.catalog import Catalog

from imagefeatures import copies, names, publications, read, schemas
from imagefeatures.catalog import retention, statistics, tables
from imagefeatures.layout import Layout
from imagefeatures.plan import new_run_id
from imagefeatures.publications import Publication
from imagefeatures.settings import Settings

NAME = "many"
FIRST = dt.date(2020, 1, 1)

DAILY = 25
"""So many of a day's URLs are those of every other day."""


def url(day: str, number: int) -> str:
    """Of a day's photo."""
    return f"https://photos.example/{day if number >= DAILY else 'daily'}/{number:02d}.png"


class First:
    """What the first run has published, to be published again as other days."""

    def __init__(self, catalog: Catalog, settings: Settings) -> None:
        first = FIRST.isoformat()
        self.catalog, self.settings = catalog, settings
        (self.row,) = (row for row in read.runs(settings, NAME) if row["partition_key"] == first)
        self.rows = read.table(settings, NAME, partitions=(first,))
        (self.statistics,) = statistics.rows_of(catalog, NAME, [first])
        self.all_statistics = tables.open_table(catalog, settings, names.STATISTICS)

    def publish_copies(self, numbers: Sequence[int]) -> None:
        """Publish the days with these numbers: a single one as register does, several in one commit of each table."""
        now = dt.datetime.now(dt.UTC)
        days = [(FIRST + dt.timedelta(days=number)).isoformat() for number in numbers]
        runs = [Layout(self.settings.lake, NAME, day, new_run_id(now)) for day in days]
        own = [{"partition_key": run.partition, "run_id": run.run_id} for run in runs]
        times = {"started_at": now, "base_started_at": now, "finished_at": now}
        files = [
            file.uri for run in runs for file in copies.write(run, NAME, None, _copied(self.rows, run).to_batches())
        ]
        of_runs = pa.Table.from_pylist([self.row | one | times for one in own], schema=schemas.RUNS)
        measured = pa.Table.from_pylist([self.statistics | one for one in own], schema=schemas.STATISTICS)
        if len(runs) == 1:
            rejected = schemas.QUARANTINE.empty_table()
            publications.publish(Publication(runs[0], {NAME: files}, rejected, of_runs), self.catalog, self.settings)
            statistics.replace(self.all_statistics, measured, lambda: None)
        else:
            tables.open_table(self.catalog, self.settings, NAME).add_files(files)
            tables.open_table(self.catalog, self.settings, names.RUNS).append(of_runs)
            self.all_statistics.append(measured)
        for name in (names.QUARANTINE, NAME, names.RUNS, names.STATISTICS):
            retention.remove_expired(tables.open_table(self.catalog, self.settings, name), self.settings.lake)


def _copied(rows: pa.Table, run: Layout) -> pa.Table:
    """The rows of the first day as rows of another one, whose photos are other photos."""
    own = {
        "partition_key": [run.partition] * rows.num_rows,
        "uri": [url(run.partition, number) for number in range(rows.num_rows)],
        "etag": [f'"{number}"' for number in range(rows.num_rows)],
        "image_id": [os.urandom(32).hex() for _ in range(rows.num_rows)],
    }
    for name, values in own.items():
        at = rows.schema.get_field_index(name)
        rows = rows.set_column(at, rows.schema.field(at), pa.array(values))
    return rows
